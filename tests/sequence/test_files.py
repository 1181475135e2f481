"""Diagonal systems of others, from files."""

from __future__ import annotations

import numpy as np
import pytest

from wellposed.sequence import audit, damped_hippo, transfer_gap
from wellposed.sequence.evidence import parts
from wellposed.sequence.files import load_bank

N = 8


@pytest.fixture
def bank():
    return damped_hippo(N, 0.2)


def same(found, bank):
    """The same system, in whatever order its modes are."""
    assert transfer_gap(found).upper == pytest.approx(transfer_gap(bank).upper, rel=1e-4)
    np.testing.assert_allclose(*(np.sort_complex(np.round(x.eigenvalues, 6)) for x in (found, bank)))


def half(bank):
    kept = bank.eigenvalues.imag > 0
    return bank.eigenvalues[kept], bank.eigenvectors[:, kept], bank.B[kept]


@pytest.mark.parametrize("names", [("eigenvalues", "eigenvectors", "B"), ("Lambda", "V", "b"), ("w", "P", "coordinates"), ("A", "V", "B")])
@pytest.mark.parametrize("way", ["complex", "pairs", "_re _im", "_real _imag", "half"])
def test_arrays_under_common_names(tmp_path, bank, names, way):
    arrays = dict(zip(names, half(bank) if way == "half" else (bank.eigenvalues, bank.eigenvectors, bank.B), strict=True))
    if way == "pairs":
        arrays = {name: parts(x) for name, x in arrays.items()}
    if way.startswith("_"):
        re, im = way.split()
        arrays = {name + end: part for name, x in arrays.items() for end, part in ((re, x.real), (im, x.imag))}
    np.savez(tmp_path / "x.npz", **arrays)
    found = load_bank(tmp_path / "x.npz")
    same(found, bank)
    assert found.notes == ()


def test_matlab_vectors_are_rows_or_columns(tmp_path, bank):
    from scipy.io import savemat

    savemat(tmp_path / "x.mat", {"Lambda": bank.eigenvalues, "V": bank.eigenvectors, "b": bank.B[:, None]})
    same(load_bank(tmp_path / "x.mat"), bank)


def test_matlab_7_3(tmp_path, bank):
    h5py = pytest.importorskip("h5py")
    kind = np.dtype([("real", float), ("imag", float)])
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        for name, x in (("Lambda", bank.eigenvalues[None]), ("V", bank.eigenvectors), ("b", bank.B[None])):
            z = np.empty(x.T.shape, kind)
            z["real"], z["imag"] = x.T.real, x.T.imag
            file[name] = z
    with open(tmp_path / "x.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    same(load_bank(tmp_path / "x.mat"), bank)


def test_a_missing_b_is_hippos_own_and_is_said(tmp_path):
    s4d = damped_hippo(N, 1.0)
    np.savez(tmp_path / "x.npz", Lambda=s4d.eigenvalues, V=s4d.eigenvectors)
    found = load_bank(tmp_path / "x.npz")
    np.testing.assert_allclose(found.B, s4d.B)  # with S4D's own scale, 1/2
    assert "no B" in found.notes[0]
    np.testing.assert_allclose(load_bank(tmp_path / "x.npz", reference="lagt").B, np.linalg.solve(s4d.eigenvectors, np.ones(N)))


def test_hippos_input_vector_as_b_is_known_again(tmp_path):
    s4d = damped_hippo(N, 1.0)
    np.savez(tmp_path / "x.npz", Lambda=s4d.eigenvalues, V=s4d.eigenvectors, b=np.sqrt(2 * np.arange(N) + 1.0))
    assert "not V^-1 b" in load_bank(tmp_path / "x.npz").notes[0]


def test_eigenvectors_are_assumed_only_when_asked_and_only_where_they_match(tmp_path):
    s4d, file = damped_hippo(N, 1.0), tmp_path / "x.npz"
    kept = s4d.eigenvalues[s4d.eigenvalues.imag > 0][::-1]
    np.savez(file, Lambda=kept)
    with pytest.raises(ValueError, match="eigenvectors normal"):
        load_bank(file)
    found = load_bank(file, eigenvectors="normal")
    assert transfer_gap(found).lower == pytest.approx(transfer_gap(s4d).lower, rel=1e-3)
    assert found.notes[0].startswith("assumed")
    np.savez(file, Lambda=-0.5 + 1j * np.pi * np.arange(4) ** 2)
    with pytest.raises(ValueError, match="not near"):
        load_bank(file, eigenvectors="normal")


def s4d_state(features=3, moved=0.0):
    """A state dict as that of S4D's minimal layer in a network of two."""
    torch = pytest.importorskip("torch")
    s4d = damped_hippo(N, 1.0)
    kept = s4d.eigenvalues[s4d.eigenvalues.imag > 0]
    state = {}
    for k in range(2):
        state[f"layers.{k}.kernel.log_A_real"] = torch.full((features, N // 2), float(np.log(0.5)))
        state[f"layers.{k}.kernel.A_imag"] = torch.from_numpy(kept.imag * (1 + moved * np.arange(features)[:, None]))
        state[f"layers.{k}.kernel.C"] = torch.randn(features, N // 2, 2)
    state["decoder.weight"], state["decoder.w"] = torch.ones(2, 2), torch.ones(3)
    return state


@pytest.mark.parametrize("nested", [False, True])
def test_a_state_dict_of_s4d(tmp_path, nested):
    import torch

    torch.save({"state_dict": s4d_state()} if nested else s4d_state(), tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"2 layers.*layers\.0\.kernel.*--layer"):
        load_bank(tmp_path / "x.pt", eigenvectors="normal")
    found = load_bank(tmp_path / "x.pt", layer="layers.1", eigenvectors="normal")
    assert transfer_gap(found).lower == pytest.approx(transfer_gap(damped_hippo(N, 1.0)).lower, rel=1e-3)
    assert any("all 3 features" in note for note in found.notes)
    torch.save(s4d_state(moved=0.01), tmp_path / "x.pt")
    with pytest.raises(ValueError, match="from 0 to 2"):
        load_bank(tmp_path / "x.pt", layer="layers.1", eigenvectors="normal")
    load_bank(tmp_path / "x.pt", layer="layers.1", feature=2, eigenvectors="normal")


@pytest.mark.parametrize("names", [("inv_A_real", "A_imag", "log_dt"), ("A_real", "A_imag", "inv_dt")])
def test_names_of_other_versions_of_s4(tmp_path, names):
    kept = damped_hippo(N, 1.0).eigenvalues
    kept = kept[kept.imag > 0]
    arrays = dict(zip(names, (np.log(0.5) * np.ones((1, N // 2)), kept.imag[None], np.ones(6)), strict=True))
    np.savez(tmp_path / "x.npz", **{f"kernel.{k}": x for k, x in arrays.items()}, **{"kernel.B": np.ones((1, 1, N // 2, 2))})
    same(load_bank(tmp_path / "x.npz", eigenvectors="normal"), damped_hippo(N, 1.0))


def test_bfloat16_is_told(tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"Lambda_re": torch.ones(2, dtype=torch.bfloat16), "Lambda_im": torch.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="float32"):
        load_bank(tmp_path / "x.safetensors")


def test_layers_like_s5_with_blocks(tmp_path):
    from safetensors.numpy import save_file

    kept = damped_hippo(N, 1.0).eigenvalues
    kept = kept[kept.imag < 0]
    save_file({"seq.Lambda_re": np.tile(kept.real, 3), "seq.Lambda_im": np.tile(kept.imag, 3), "seq.B": np.ones((12, 5, 2))},
              tmp_path / "x.safetensors")
    found = load_bank(tmp_path / "x.safetensors", eigenvectors="normal")
    assert len(found) == N


@pytest.mark.parametrize(("layer", "options"), [("S4", {"state": 6}), ("S5", {"state": 12, "blocks": 2}), ("S5", {"state": 7, "theta": 0.5})])
def test_our_own_layers(tmp_path, layer, options):
    import wellposed.sequence as room
    from wellposed.training import save_weights

    made = getattr(room, layer)(4, **options)
    save_weights(made, tmp_path / "x.safetensors")
    found, own = load_bank(tmp_path / "x.safetensors", feature=0), made.bank(0)
    np.testing.assert_allclose(found.eigenvalues, own.eigenvalues)
    np.testing.assert_allclose(found.eigenvectors, own.eigenvectors)
    np.testing.assert_allclose(found.B, own.B, rtol=1e-5)


def test_low_rank_parts_are_no_diagonal_system(tmp_path):
    np.savez(tmp_path / "x.npz", Lambda=np.ones(4) * -1j, P=np.ones(4), B=np.ones(4))
    with pytest.raises(ValueError, match="diagonal system"):
        load_bank(tmp_path / "x.npz", eigenvectors="normal")


def test_an_unstable_system_is_read_and_fails(tmp_path, bank):
    np.savez(tmp_path / "x.npz", Lambda=-bank.eigenvalues.conj(), V=bank.eigenvectors, B=bank.B)
    found = load_bank(tmp_path / "x.npz")
    assert audit(found.eigenvalues, found.eigenvectors, found.B).verdict is False


@pytest.mark.parametrize(("arrays", "words"), [
    ({"something": np.ones(3)}, "something.*expected eigenvalues"),
    ({"A": np.ones((5, 5))}, "certify matrix"),
    ({"Lambda": np.ones(3), "V": np.ones((4, 3))}, r"3 eigenvalues and eigenvectors \(4, 3\)"),
    ({"Lambda": np.array([1.0, np.nan]), "V": np.eye(2)}, "finite"),
    ({"Lambda": -np.ones(2), "V": np.ones((2, 2))}, "linearly dependent"),
    ({"Lambda_re": np.ones(3), "Lambda_im": np.ones(2)}, "same shape"),
    ({"Lambda": np.array(["a", "b"])}, "real or complex"),
])
def test_bad_files_are_told(tmp_path, arrays, words):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=words) as error:
        load_bank(tmp_path / "x.npz")
    assert str(error.value).count("x.npz") == 1


def test_nothing_is_unpickled(tmp_path):
    import torch

    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "x.pt")
    np.savez(tmp_path / "x.npz", Lambda=np.array([{}], dtype=object))
    for name in ("x.pt", "x.npz"):
        with pytest.raises(ValueError, match="x"):
            load_bank(tmp_path / name)
