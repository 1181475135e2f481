"""What people give by mistake gets one clear error, which says what was received and what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.sparse.linalg import LinearOperator

import wellposed
from wellposed.proximal import LPN, Denoising, Inverse, lipschitz, reconstruct
from wellposed.proximal.images import read_image, read_images
from wellposed.proximal.physics import Mask, as_physics, gaussian

N = 8


@pytest.fixture(scope="module")
def model() -> LPN:
    torch.manual_seed(0)
    return LPN.convolutional(1, 3, 1, kernel=4, stride=2)


@pytest.fixture(scope="module")
def problem() -> Inverse:
    return Inverse(Mask(np.ones((N, N))), torch.full((2, 1, N, N), 0.5), 0.02)


@pytest.mark.parametrize(("given", "words"), [
    (torch.zeros(1, 1, N, N, dtype=torch.float64), ["float64", "float32", "doubled"]), (torch.zeros(1, 1, N, N, dtype=torch.uint8), ["uint8"]),
    (np.zeros((1, 1, N, N)), ["ndarray", "torch.as_tensor"]), (torch.zeros(0, 1, N, N), ["0 samples"]),
    (torch.zeros(1, 3, N, N), ["(1, 3, 8, 8)", "grey"]), (torch.zeros(N, N), ["(8, 8)", "(batch, 1, any, any)"])])
def test_of_the_network(model: LPN, given: torch.Tensor, words: list[str]) -> None:
    for call in (model, model.potential, model.both, model.linearize):
        with pytest.raises(ValueError, match="received") as raised:
            call(given)
        assert all(word in str(raised.value) for word in words)


@pytest.mark.parametrize(("change", "words"), [
    ({"weight": "a"}, ["weight", "'a'"]), ({"weight": True}, ["weight"]), ({"tol": float("nan")}, ["tol"]), ({"steps": 1.5}, ["steps"]),
    ({"start": "tikhonov"}, ["start", "tikhonov"]), ({"rho": -1}, ["rho", "-1"]), ({"algorithm": "fista"}, ["fista", "pgd"])])
def test_of_a_reconstruction(model: LPN, problem: Inverse, change: dict, words: list[str]) -> None:
    with pytest.raises(ValueError, match="received") as raised:
        reconstruct(problem, model, **change)
    assert all(word in str(raised.value) for word in words)


def test_scalars_of_numpy_and_torch_are_numbers(model: LPN, problem: Inverse) -> None:
    plain = reconstruct(problem, model, weight=0.05, steps=7)
    other = reconstruct(Inverse(problem.physics, problem.measurement, torch.tensor(0.02)), model, weight=np.float32(0.05), steps=np.int64(7),
                        tol=torch.tensor(1e-5, dtype=torch.float64))
    assert torch.allclose(plain.image, other.image, atol=1e-6)


def test_half_quadratic_splitting_that_stops_short_does_not_hold(model: LPN, problem: Inverse) -> None:
    """Its claim is of its own F, and so is the tolerance."""
    short = reconstruct(problem, model, "hqs", steps=1, tol=1e-9)
    assert short.status == "steps"
    assert short.certificate is not None
    assert short.certificate.verdict is not True
    long = reconstruct(problem, model, "hqs")
    assert long.certificate is not None
    assert long.certificate.verdict is True


def test_of_a_problem(model: LPN, problem: Inverse) -> None:
    with pytest.raises(ValueError, match="measurement: received 'x'"):
        Inverse(problem.physics, "x", 0.1)
    with pytest.raises(IndexError, match="none of its 2"):
        problem[5:]
    with pytest.raises(ValueError, match="prior=None"):
        wellposed.certify(problem, problem.measurement)
    with pytest.raises(ValueError, match=r"a LPN.*-1"):
        wellposed.certify(problem, problem.measurement, -1, prior=model)
    with pytest.raises(ValueError, match=r"^refine: received tol=0"):
        wellposed.refine(problem, None, 0, prior=model)


@pytest.mark.parametrize(("clean", "sigma", "words"), [
    ([], 0.1, "at least one sample"), (5, 0.1, "received 5"), (torch.zeros(3, N, N), "a", "sigma='a'"),
    (torch.zeros(2, 40, 40, 3), 0.1, "channels last"), (torch.zeros(2, N, N, dtype=torch.complex128), 0.1, "complex")])
def test_of_what_is_learned_from(clean: object, sigma: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Denoising(clean, sigma)


def test_an_operator_without_an_adjoint() -> None:
    with pytest.raises(ValueError, match="without rmatvec"):
        as_physics(LinearOperator((3, N * N), matvec=lambda x: x[:3], dtype=float), (N, N))


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), float("inf")])
def test_a_gaussian_has_a_width(width: float) -> None:
    with pytest.raises(ValueError, match="positive standard deviation"):
        gaussian(width, N)


@pytest.mark.parametrize("options", [{"depth": 9, "scales": 8}, {"depth": 65}, {"kernel": 40, "stride": 40, "scales": 8}])
def test_networks_that_no_certificate_describes(options: dict) -> None:
    with pytest.raises(ValueError, match="certificates describe"):
        LPN.convolutional(1, 2, **options)


def test_what_was_not_measured_is_not_said(model: LPN) -> None:
    assert "measured" not in str(lipschitz(model))
    assert "measured" in str(lipschitz(model, torch.rand(1, 1, N, N)))


def test_pictures_of_sixteen_bits_are_not_clipped(tmp_path) -> None:
    values = np.linspace(0, 65535, N * N).reshape(N, N)
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "deep.png")
    deep = read_image(tmp_path / "deep.png", 1)
    assert deep.shape == (1, N, N)
    assert np.allclose(deep[0], values / 65535, atol=2e-5)
    Image.fromarray((values / 257).astype(np.uint8)).save(tmp_path / "flat.png")
    both = read_images(tmp_path)
    assert [x.dtype for x in both] == [torch.float32, torch.float32]
    assert np.allclose(both[0], both[1], atol=1 / 255)
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="floating numbers"):
        read_image(tmp_path / "float.tif", 1)
