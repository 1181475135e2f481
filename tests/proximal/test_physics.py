"""Physics: exact adjoints, solves that invert, norms that are enclosed, numbers that a checker can build the map from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import sparse

from wellposed.proximal.evidence import describe_physics
from wellposed.proximal.physics import Blur, FourierMask, Mask, Radon, RandomConvolution, SparseMatrix, adjoint_test
from wellposed.proximal.physics import normal_equations as equations
from wellposed.proximal.physics.norm import collatz_wielandt, lanczos, rayleigh, upper_of_ritz
from wellposed.proximal.physics.radon import detectors, line_sums
from wellposed_check.canonical import decode, dumps
from wellposed_check.proximal.physics import read_operator

RNG = np.random.default_rng(0)
KERNEL = RNG.uniform(size=(3, 5)) / 7
SIGNED = RNG.standard_normal((3, 3, 3))
BITS = RNG.uniform(size=(7, 6)) < 0.4
PHYSICS = {
    "blur, even": lambda: Blur(KERNEL, (8, 6)),
    "blur, odd": lambda: Blur(KERNEL, (7, 9)),
    "blur, signed, a kernel for each channel": lambda: Blur(SIGNED, (3, 5, 8)),
    "blur, as large as the image": lambda: Blur(RNG.uniform(size=(4, 4)), (2, 4, 4)),
    "mask": lambda: Mask(BITS),
    "mask, weights for each channel": lambda: Mask(RNG.uniform(-1, 2, (2, 4, 5))),
    "fourier mask, even": lambda: FourierMask(RNG.uniform(size=(6, 8)) < 0.4),
    "fourier mask, odd": lambda: FourierMask(BITS, channels=2),
    "fourier mask, weights": lambda: FourierMask(RNG.uniform(size=(5, 5))),
    "random convolution, even": lambda: RandomConvolution((8, 6), 0.25, seed=3),
    "random convolution, odd": lambda: RandomConvolution((2, 5, 7), 9, seed=1),
    "random convolution, all kept": lambda: RandomConvolution((4, 4), 1.0),
    "radon, even": lambda: Radon(8, 6),
    "radon, odd": lambda: Radon(7, [0.0, 0.3, 1.0, -2.0]),
    "radon, one pixel": lambda: Radon(1, 3),
    "sparse": lambda: SparseMatrix(sparse.random(30, 24, 0.2, random_state=0), (4, 6)),
    "dense, signed": lambda: SparseMatrix(RNG.standard_normal((5, 24)), (2, 4, 3), (1, 5)),
}


def dense(physics) -> np.ndarray:
    """The matrix, column by column."""
    n = math.prod(physics.image_shape)
    return physics.A(torch.eye(n, dtype=torch.float64).view(n, *physics.image_shape)).flatten(1).numpy().T


@pytest.mark.parametrize("name", PHYSICS)
def test_the_adjoint_is_the_transpose(name: str):
    physics = PHYSICS[name]()
    assert adjoint_test(physics, trials=5, seed=1) < 1e-15
    m = math.prod(physics.measurement_shape)
    transposed = physics.A_adjoint(torch.eye(m, dtype=torch.float64).view(m, *physics.measurement_shape)).flatten(1).numpy()
    assert np.abs(transposed - dense(physics)).max() < 1e-14


@pytest.mark.parametrize("name", PHYSICS)
@pytest.mark.parametrize("rho", [2.0, 1e-3])
def test_solve_inverts(name: str, rho: float):
    physics, a = PHYSICS[name](), dense(PHYSICS[name]())
    b = torch.randn(3, *physics.image_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = np.linalg.solve(dense(physics).T @ dense(physics) + rho * np.eye(a.shape[1]), b.flatten(1).numpy().T).T
    found = physics.solve(b, rho)
    assert found.shape == b.shape
    assert np.abs(found.flatten(1).numpy() - expected).max() < 1e-11 * np.abs(expected).max()


@pytest.mark.parametrize("name", PHYSICS)
def test_the_norm_lies_between_the_ends(name: str):
    physics = PHYSICS[name]()
    lower, upper = physics.norm_squared
    exact = np.linalg.norm(dense(physics), 2) ** 2
    assert lower * (1 - 1e-14) <= exact <= upper * (1 + 1e-14)  # rounding of the singular value itself
    assert lower > 0.999 * exact
    if "dense" not in name:
        assert upper < 1.001 * exact
    assert physics.confidence == 1


@pytest.mark.parametrize("name", PHYSICS)
def test_single_precision_is_kept(name: str):
    physics = PHYSICS[name]()
    x = torch.randn(2, *physics.image_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for found, exact in ((physics.A(x.float()), physics.A(x)), (physics.solve(x.float(), 0.5), physics.solve(x, 0.5)),
                         (physics.A_adjoint(physics.A(x.float())), physics.A_adjoint(physics.A(x)))):
        assert found.dtype == torch.float32
        assert exact.dtype == torch.float64
        assert float((found - exact).abs().max()) <= 3e-6 * float(exact.abs().max())


@pytest.mark.parametrize("name", PHYSICS)
def test_a_batch_is_its_samples(name: str):
    physics = PHYSICS[name]()
    x = torch.randn(3, *physics.image_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    each = torch.cat([physics.A(x[k : k + 1]) for k in range(3)])
    assert float((physics.A(x) - each).abs().max()) < 1e-14 * float(each.abs().max())


def rebuilt(physics) -> np.ndarray:
    """The matrix again, from `describe` alone, by formulas that are not those of the package."""
    parameters, arrays = physics.describe()
    dumps(parameters)
    assert all(a.dtype == np.float64 for a in arrays.values())
    c, y, x = parameters["image_shape"]
    images = np.eye(c * y * x).reshape(-1, c, y, x)
    if parameters["kind"] == "blur":
        shifted = [[np.roll(images[:, k], (i, j), (1, 2)) * arrays["kernel"][k, i, j] for i in range(y) for j in range(x)] for k in range(c)]
        return np.stack([sum(s) for s in shifted], 1).reshape(len(images), -1).T
    if parameters["kind"] == "mask":
        return np.diag(arrays["mask"].ravel())
    if parameters["kind"] == "fourier-mask":
        f = arrays["mask"] * np.fft.fft2(images, norm="ortho")
        return np.stack([f.real, f.imag], -1).reshape(len(images), -1).T
    if parameters["kind"] == "random-convolution":
        f = np.fft.fft2(arrays["signs"] * images) * np.exp(1j * arrays["phases"])
        f = np.fft.ifft2(f)
        assert np.abs(f.imag).max() < 1e-15
        return f.real.reshape(len(images), c, -1)[..., arrays["kept"].astype(int)].reshape(len(images), -1).T
    if parameters["kind"] == "radon":
        return line_sums(parameters["size"], arrays["angles"]).toarray() / decode(parameters["scale"])
    where = (arrays["data"], arrays["columns"].astype(int), arrays["rows"].astype(int))
    return sparse.csr_array(where, shape=(math.prod(parameters["measurement_shape"]), c * y * x)).toarray()


@pytest.mark.parametrize("name", PHYSICS)
def test_a_description_is_enough(name: str):
    physics = PHYSICS[name]()
    assert np.abs(rebuilt(physics) - dense(physics)).max() < 1e-14


@pytest.mark.parametrize("name", PHYSICS)
def test_the_checker_builds_the_same_map(name: str):
    physics = PHYSICS[name]()
    parameters, arrays = describe_physics(physics)
    read = read_operator(parameters, {k.removeprefix("physics."): a for k, a in arrays.items()}, physics.image_shape,
                         tuple(physics.measurement_shape))
    x = torch.randn(2, *physics.image_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    y = physics.A(x)
    assert np.abs(read.apply(x.numpy()) - y.numpy()).max() < 1e-13
    assert np.abs(read.transpose(y.numpy()) - physics.A_adjoint(y).numpy()).max() < 1e-13
    assert read.square == pytest.approx(physics.norm_squared[1], rel=1e-9)


def test_blur_is_a_convolution():
    k = [[0.0, 0.0, 0.0], [0.0, 0.5, 2.0], [0.0, 0.0, 0.0]]
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    x[0, 0, 1, 3] = 1.0
    y = Blur(k, (4, 4)).A(x)
    assert float(y[0, 0, 1, 3]) == pytest.approx(0.5)
    assert float(y[0, 0, 1, 0]) == pytest.approx(2.0)  # to the right, and round the side
    assert Blur(k, (4, 4)).norm_squared == pytest.approx((6.25, 6.25), rel=1e-14)


def test_random_convolution_has_orthonormal_rows():
    physics = RandomConvolution((9, 8), 0.5, seed=2)
    a = dense(physics)
    assert a.shape == (36, 72)
    assert np.abs(a @ a.T - np.eye(36)).max() < 1e-14
    assert RandomConvolution((9, 8), 36, seed=2).measurement_shape == (1, 36)
    assert np.array_equal(RandomConvolution((9, 8), 36, seed=2).kept, physics.kept)
    assert not np.array_equal(RandomConvolution((9, 8), 36, seed=4).kept, physics.kept)


def test_radon_sums_along_lines():
    physics = Radon(16, 12)
    sums = line_sums(16, physics.angles)
    assert np.allclose(sums.sum(0), 12, atol=1e-12)
    assert (physics.matrix.data >= 0).all()
    assert physics.measurement_shape == (1, 12, detectors(16)) == (1, 12, 23)
    assert (detectors(1), detectors(64), detectors(128)) == (3, 91, 183)
    x = torch.randn(1, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = physics.A(x)[0, 0] * physics.scale
    columns = np.interp(np.arange(23) - 11.0, np.arange(16) - 7.5, np.zeros(16))  # even sizes: each column is shared by two detectors
    columns[3:20] = 0.5 * (np.append(x[0, 0].sum(0), 0) + np.append(0, x[0, 0].sum(0)))
    assert np.allclose(y[0], columns, atol=1e-12)
    assert np.allclose(y.sum(1), float(x.sum()), atol=1e-12)


@pytest.mark.parametrize(("size", "angles"), [(8, 6), (17, 5), (32, 30)])
def test_radon_has_norm_one(size: int, angles: int):
    lower, upper = Radon(size, angles).norm_squared
    assert 1 - 1e-6 < lower <= upper <= 1


def test_collatz_wielandt_bounds_and_ritz_values_do_not():
    rng = np.random.default_rng(1)
    for k in range(20):
        a = sparse.csr_array(rng.standard_normal((9, 7)) * (rng.uniform(size=(9, 7)) < 0.5) * 10.0 ** rng.integers(-6, 6, (9, 1)))
        upper, v = collatz_wielandt(a)
        exact = float(np.linalg.norm(abs(a).toarray(), 2)) ** 2
        assert (v > 0).all()
        assert exact * (1 - 1e-14) <= upper
        assert upper <= exact * (1 + 1e-2)
        assert rayleigh(a, rng.standard_normal(7)) <= np.linalg.norm(a.toarray(), 2) ** 2 <= upper
        assert float(((abs(a).T @ (abs(a) @ v)) / v).max()) <= upper, k


def test_a_matrix_that_falls_apart_is_bounded():
    a = sparse.csr_array(np.diag([1.0, 1e-30, 0.0, 3.0]))
    assert collatz_wielandt(a)[0] == pytest.approx(9, rel=1e-12)


def test_randomized_lanczos_bounds():
    n = 400
    eigenvalues = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, n))
    for seed in range(20):
        ritz, vector = lanczos(lambda v: eigenvalues * v, torch.zeros(n, dtype=torch.float64), 30, seed)
        assert ritz <= float(eigenvalues.max()) * (1 + 1e-12)
        assert float((vector * eigenvalues * vector).sum()) == pytest.approx(ritz, rel=1e-10)
        assert upper_of_ritz(ritz, n, 30, 1 - 1e-6) >= float(eigenvalues.max())
    with pytest.raises(ValueError, match="steps: received 3"):
        upper_of_ritz(1.0, n, 3, 1 - 1e-6)
    ritz, _ = lanczos(lambda v: 2 * v, torch.zeros(5, dtype=torch.float64), 30, 0)
    assert ritz == pytest.approx(2, rel=1e-14)


def test_small_and_large_systems_agree(monkeypatch: pytest.MonkeyPatch):
    for angles in (4, 40):
        b = torch.randn(2, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        factored = Radon(12, angles).solve(b, 1e-3)
        monkeypatch.setattr("wellposed.proximal.physics.matrix.DENSE", 0)
        iterated = Radon(12, angles).solve(b, 1e-3)
        monkeypatch.undo()
        assert float((factored - iterated).norm() / factored.norm()) < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_mkl_products_are_those_of_scipy(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    x = torch.randn(3, 1, 9, 9, dtype=dtype, generator=torch.Generator().manual_seed(0))
    expected = Radon(9, 5).A(x)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    found = Radon(9, 5).A(x)
    assert found.dtype == dtype
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PHYSICS)
def test_gradients_are_those_of_the_adjoint(name: str):
    physics = PHYSICS[name]()
    x = torch.randn(2, *physics.image_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = physics.A(x)
    (0.5 * y.square().sum()).backward()
    assert float((x.grad - physics.A_adjoint(y.detach())).abs().max()) < 1e-13


def test_a_residual_that_stays_is_reported():
    b = torch.ones(1, 4, dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"solved to a residual of .* test the adjoint"):
        equations.solve_by_iteration(lambda v: v + torch.tensor([0.0, 1e-3, 0.0, 0.0]) * v.roll(1, 1) * 900, b, 1e-12)


ONES = torch.ones(2, 1, 4, 4)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: Blur(np.ones((5, 5)), (4, 4)), "kernel: received the shape .* crop the kernel"),
    (lambda: Blur(np.ones((2, 3, 3)), (3, 4, 4)), "kernel: received the shape"),
    (lambda: Blur(np.zeros((3, 3)), (4, 4)), "kernel: received nothing but zeros"),
    (lambda: Blur([[1.0, math.nan]], (4, 4)), "kernel: received 1 numbers that are not finite"),
    (lambda: Blur([[1j]], (4, 4)), "kernel: received complex128"),
    (lambda: Blur(np.ones(3), (4, 4)), "with 2 or 3 axes"),
    (lambda: Blur(np.ones((3, 3)), (4, 0)), r"shape of Blur: received \(4, 0\)"),
    (lambda: Blur(np.ones((3, 3)), (4.0, 4)), "shape of Blur"),
    (lambda: Mask(np.zeros((4, 4))), "mask: received nothing but zeros"),
    (lambda: Mask(np.zeros((0, 4))), "at least one entry"),
    (lambda: Mask(np.full((4, 4), math.inf)), "mask: received 16 numbers that are not finite"),
    (lambda: Mask(np.ones((2, 4, 4)), channels=3), "channels: received 3"),
    (lambda: FourierMask(np.ones((2, 4, 4))), "mask: received"),
    (lambda: FourierMask(np.ones((4, 4)), channels=0), "channels: received 0"),
    (lambda: RandomConvolution((4, 4), 17), "keep: received 17 of 16"),
    (lambda: RandomConvolution((4, 4), 0), "keep: received 0"),
    (lambda: RandomConvolution((4, 4), 1.5), "keep: received 1.5"),
    (lambda: RandomConvolution((4, 4), 0.01), "keep: received 0.01"),
    (lambda: RandomConvolution((4, 4), True), "keep: received True"),
    (lambda: RandomConvolution((4, 4), math.nan), "keep: received nan"),
    (lambda: Radon(0, 4), "size: received 0"),
    (lambda: Radon(4, 0), "angles: received 0"),
    (lambda: Radon(4, [0.0, 90.0]), "use numpy.deg2rad"),
    (lambda: Radon(4, [0.0, math.nan]), "angles: received 1 numbers"),
    (lambda: SparseMatrix(np.ones((3, 5)), (4, 4)), r"matrix: received the shape \(3, 5\)"),
    (lambda: SparseMatrix(np.ones((3, 16)), (4, 4), (4,)), "matrix: received the shape"),
    (lambda: SparseMatrix(np.zeros((3, 16)), (4, 4)), "received 0 entries other than 0"),
    (lambda: SparseMatrix(np.full((3, 16), math.nan), (4, 4)), "48 of them not finite"),
    (lambda: SparseMatrix(np.ones((3, 16)) * 1j, (4, 4)), "split complex rows"),
    (lambda: Mask(np.ones((4, 4))).A(ONES[0]), r"received the shape \(1, 4, 4\), expected \(batch, 1, 4, 4\) with"),
    (lambda: FourierMask(np.ones((4, 4))).A(ONES[:0]), "a batch of at least 1"),
    (lambda: Mask(np.ones((4, 4))).A(ONES[..., :3]), "image of physics 'mask'"),
    (lambda: Radon(4, 3).A_adjoint(ONES), "measurement of physics 'radon'"),
    (lambda: FourierMask(np.ones((4, 4))).A(ONES.half()), "expected float32 or float64"),
    (lambda: Mask(np.ones((4, 4))).solve(ONES, 0.0), "rho: received 0.0"),
    (lambda: RandomConvolution((4, 4), 3).solve(ONES, math.nan), "rho: received nan"),
    (lambda: adjoint_test(Mask(np.ones((4, 4))), trials=0), "trials: received 0"),
])
def test_bad_input(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
