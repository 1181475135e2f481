"""Weights go to a file and come back bit for bit, and what is no such file is refused."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from small import convolutions, images, perceptron, same_weights, vectors
from torch import nn

import wellposed
from wellposed.training import add_to_run, load_model_config, load_weights, save_weights, verify_run, write_run
from wellposed.training.weights import decode, digest, encode, load_into


def test_all_kinds_of_tensors(tmp_path):
    x = torch.randn(4, 6)
    tensors = {"view": x[::2, 1:], "transposed": x.T, "shared": x, "complex": torch.randn(3, dtype=torch.complex128),
               "conjugated": torch.randn(3, dtype=torch.complex64).conj(), "number": torch.tensor(3), "empty": torch.zeros(0, 2),
               "flags": torch.tensor([True, False]), "half": torch.randn(3).bfloat16(), "nan": torch.tensor([float("nan"), -0.0]),
               "last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), "negative": torch.randn(3, dtype=torch.complex64).conj().imag}
    path = save_weights(tensors, tmp_path / "deep" / "w.safetensors")
    again = load_weights(path)
    assert set(again) == set(tensors)
    for name, x in tensors.items():
        assert again[name].dtype == x.dtype
        assert again[name].shape == x.shape
        assert again[name].resolve_neg().contiguous().view(torch.uint8).equal(x.resolve_conj().resolve_neg().contiguous().view(torch.uint8)) \
            if x.ndim and x.numel() else torch.equal(again[name], x), name
    assert encode(again) == path.read_bytes()


def test_a_reader_of_plain_safetensors_sees_real_numbers(tmp_path):
    from safetensors.numpy import load_file

    x = torch.randn(3, dtype=torch.complex64)
    arrays = load_file(save_weights({"x": x}, tmp_path / "w.safetensors"))
    assert np.array_equal(arrays["x"], torch.view_as_real(x).numpy())


def test_tied_weights_stay_tied(tmp_path):
    def build():
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    one, two = build(), build()
    load_into(two, load_weights(save_weights(one, tmp_path / "w.safetensors")))
    assert same_weights(one, two)
    assert two[0].weight is two[1].weight
    wellposed.train(two, (torch.ones(9, 3), torch.ones(9, 3)), steps=3, folder=tmp_path / "run", quiet=True)
    assert two[0].weight is two[1].weight


def test_memory_format_is_kept_and_does_not_count():
    one, two = convolutions(), convolutions(1).to(memory_format=torch.channels_last)
    load_into(two, decode(encode(one)))
    assert same_weights(one, two)
    assert two.first.weight.is_contiguous(memory_format=torch.channels_last)
    assert digest(one) == digest(two) == hashlib.sha256(encode(one)).hexdigest() != digest(convolutions(1))


@pytest.mark.parametrize("data", [b"", b"nothing", encode({"x": torch.ones(3)})[:-1], (2**62).to_bytes(8, "little") + b"{}"])
def test_damaged_files(tmp_path, data):
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=r"w.safetensors: not a safetensors file"):
        load_weights(tmp_path / "w.safetensors")


def test_bad_metadata():
    from safetensors.torch import save

    for said in ("nothing", '["x"]', "3"):
        with pytest.raises(ValueError, match="not a safetensors file that can be read"):
            decode(save({"x": torch.ones(3)}, {"complex": said}))


def test_what_cannot_be_stored_or_loaded(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no weights"):
        load_weights(tmp_path / "nothing")
    with pytest.raises(ValueError, match="not a run folder"):
        load_weights(tmp_path)
    with pytest.raises(ValueError, match="of the type str"):
        encode({"x": "text"})
    with pytest.raises(ValueError, match="on meta"):
        encode(perceptron(device="meta"))
    with pytest.raises(ValueError, match=r"received 0.weight of shape \(4, 3\), expected of shape \(8, 3\)"):
        load_into(perceptron(), {**perceptron().state_dict(), "0.weight": torch.ones(4, 3)})
    with pytest.raises(ValueError, match=r"received more of shape \(1,\), expected no such tensor"):
        load_into(perceptron(), {**perceptron().state_dict(), "more": torch.ones(1)})
    with pytest.raises(ValueError, match=r"received 0.bias no such tensor"):
        load_into(perceptron(), {k: v for k, v in perceptron().state_dict().items() if k != "0.bias"})


def test_the_model_of_a_run_is_verified_first(tmp_path):
    run = wellposed.train(convolutions(), images(), steps=3, folder=tmp_path / "run", quiet=True)
    assert load_model_config(run.folder) == {"name": "Convolutions", "width": 4, "sizes": [3, 3]}
    data = bytearray((run.folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (run.folder / "weights.safetensors").write_bytes(data)
    for read in (load_model_config, load_weights):
        with pytest.raises(ValueError, match=r"weights.safetensors differs"):
            read(run.folder)
    with pytest.raises(ValueError, match=r"no table \[model\]"):
        load_model_config(write_run(tmp_path / "other", config={}, history=[], card=""))


def test_a_run_takes_weights_and_more_later(tmp_path):
    run = write_run(tmp_path / "run", config={"a": 1}, history=[], card="# run", weights=perceptron())
    assert set(verify_run(run)) == {"README.md", "config.toml", "history.jsonl", "weights.safetensors"}
    trained = wellposed.train(perceptron(), vectors(), steps=4, checkpoint_every=2, folder=tmp_path / "trained", quiet=True)
    before = verify_run(trained.folder)
    (trained.folder / "notes.txt").write_text("mine")
    add_to_run(trained.folder, report="<p>new</p>", card="# new\n", files={"more.txt": b"more"})
    after = verify_run(trained.folder)
    assert set(after) == {*before, "report.html", "more.txt"}
    assert {k for k in before if before[k] != after[k]} == {"README.md"}
    assert sorted(p.name for p in (trained.folder / "checkpoints").iterdir()) == ["2", "4"]
    assert (trained.folder / "notes.txt").read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"run", "trained"}
    again = wellposed.train(perceptron(), vectors(), steps=4, checkpoint_every=2, folder=tmp_path / "trained", quiet=True)
    assert same_weights(again.model, trained.model)
