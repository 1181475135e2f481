"""W: linear, exact at the ends of the grid, equivariant; and with the right kernels the classical multigrid cycle."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from cases import BOUNDARIES, SIDES
from torch import Tensor

from wellposed.elliptic.ends import Ends
from wellposed.elliptic.kernels import BILINEAR, POISSON, Kernel, even_axes, galerkin
from wellposed.elliptic.multigrid import Multigrid
from wellposed.elliptic.positive import trapezoid
from wellposed.numerics.multigrid import prolong
from wellposed.numerics.q1 import Stiffness
from wellposed.numerics.space import NodalSpace

MIXED: dict[str, Any] = {"".join(kind[0] for kind in kinds): dict(zip(SIDES, kinds, strict=True))
                         for kinds in product(("dirichlet", "neumann"), repeat=4)} | {"periodic": "periodic"}
EVERYWHERE = pytest.mark.parametrize("boundary", BOUNDARIES.values(), ids=BOUNDARIES)
ALL_SIDES = pytest.mark.parametrize("boundary", MIXED.values(), ids=MIXED)
VARIANTS: dict[str, dict[str, Any]] = {
    "learned": {}, "more channels": {"channels": 5}, "finest separable": {"channels": 4, "separable": 1},
    "separable": {"channels": 4, "separable": 3}, "shared": {"shared": True},
    "shared and separable": {"channels": 4, "shared": True, "separable": 1}, "galerkin": {"channels": 3, "transfers": "galerkin"},
    "galerkin and shared": {"channels": 3, "transfers": "galerkin", "shared": True}, "backslash": {"smoothing": (1, 0)},
    "smoothing 2, 1": {"smoothing": (2, 1)}, "smoothing 3, 3": {"smoothing": (3, 3)}, "coarsest 4": {"coarsest": 4},
    "even": {"even": (True, True)}, "one level": {"levels": 1}}
EACH = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def build(boundary: Any, inputs: int = 2, outputs: int = 3, levels: int = 3, **options: Any) -> Multigrid:
    torch.manual_seed(0)
    return Multigrid(inputs, outputs, options.pop("levels", levels), boundary, noise=0.5, **options).double()


def draw(boundary: Any, n: int, channels: int = 2, samples: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(samples, channels, *Ends.of(boundary).unknowns(n), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def units(boundary: Any, n: int) -> Tensor:
    """All unit fields of one channel, as a batch."""
    rows, columns = Ends.of(boundary).unknowns(n)
    return torch.eye(rows * columns, dtype=torch.float64).reshape(-1, 1, rows, columns)


def weights(boundary: Any, n: int) -> Tensor:
    return trapezoid(Ends.of(boundary), n, torch.ones((), dtype=torch.float64))


def product_of(x: Tensor, y: Tensor, boundary: Any, n: int) -> Tensor:
    """The trapezoidal inner product, summed over channels."""
    return (x * y * weights(boundary, n)).sum()


def relative(x: Tensor, y: Tensor) -> float:
    return float((x - y).detach().abs().max() / y.detach().abs().max())


@EVERYWHERE
@EACH
@torch.no_grad()
def test_w_is_linear(boundary: Any, variant: dict[str, Any]):
    w = build(boundary, **variant)
    f, g = draw(boundary, 8), draw(boundary, 8, seed=2)
    assert relative(w(2.5 * f - 0.3 * g), 2.5 * w(f) - 0.3 * w(g)) <= 1e-12
    assert w(f).shape == (2, 3, *Ends.of(boundary).unknowns(8))
    assert w(0 * f).abs().max() == 0


@EVERYWHERE
@EACH
def test_every_weight_is_used(boundary: Any, variant: dict[str, Any]):
    w = build(boundary, **variant)
    w(draw(boundary, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in w.parameters())


@ALL_SIDES
@torch.no_grad()
def test_restriction_is_the_transpose_of_prolongation(boundary: Any):
    """R = D_c^-1 P^T D_f, for any kernel that is even where it must be."""
    ends = Ends.of(boundary)
    torch.manual_seed(0)
    p = Kernel(2, 2, BILINEAR, even=even_axes(ends), noise=1.0).double()
    fine, coarse = draw(boundary, 16), draw(boundary, 8)
    up, down = p.prolong(coarse, ends), p.transposed(fine, ends)
    assert up.shape == fine.shape
    assert down.shape == coarse.shape
    one, two = product_of(up, fine, boundary, 16), product_of(coarse, down, boundary, 8)
    assert float(one) == pytest.approx(float(two), rel=1e-13)


@EVERYWHERE
@torch.no_grad()
def test_classical_kernels_are_those_of_finite_elements(boundary: Any):
    """D A = K of a = 1, and P interpolates, on the nodes that are unknowns."""
    ends, n = Ends.of(boundary), 8
    space = NodalSpace(n, tuple(side == "dirichlet" for side in ends.sides), ends.periodic, torch.ones((), dtype=torch.float64))

    def nodes(x: Tensor) -> Tensor:
        return (F.pad(x, (0, 1, 0, 1), mode="circular") if ends.periodic else ends.nodes(x))[:, 0]

    v, coarse = draw(boundary, n, 1), draw(boundary, n // 2, 1)
    k = space.identify(Stiffness(torch.ones(1, n, n, dtype=torch.float64))(nodes(v))) * space.free
    assert relative(nodes(ends.convolve(v, POISSON[None, None]) * weights(boundary, n)), k) <= 1e-14
    assert relative(nodes(ends.prolong(coarse, BILINEAR[None, None])), prolong(nodes(coarse))) <= 1e-15


@ALL_SIDES
@torch.no_grad()
def test_coarse_operators_are_r_a_p(boundary: Any):
    ends = Ends.of(boundary)
    torch.manual_seed(0)
    p, a = (Kernel(2, 2, start, even=even_axes(ends), noise=1.0).double() for start in (BILINEAR, POISSON))
    coarse = draw(boundary, 8)
    image = p.transposed(a.convolve(p.prolong(coarse, ends), ends), ends)
    assert relative(ends.convolve(coarse, galerkin(a.value, p)), image) <= 1e-13


@ALL_SIDES
@torch.no_grad()
def test_coarse_operators_of_the_classical_cycle(boundary: Any):
    """The Q1 stencil is its own R A P."""
    w = Multigrid.from_stencil(POISSON, 4, boundary=boundary)
    for level in range(3):
        assert torch.allclose(w.operator[level + 1].value[0, 0], POISSON, atol=1e-15)
        coarse = draw(boundary, 8, 1)
        image = w.restriction[level].restrict(w.operator[level].convolve(w.prolongation[level].prolong(coarse, w.ends), w.ends), w.ends)
        assert relative(w.operator[level + 1].convolve(coarse, w.ends), image) <= 1e-14


def cycle_and_operator(boundary: Any, n: int, **options: Any) -> tuple[Tensor, Tensor]:
    """B, symmetric in the Euclidean product, and the symmetric D A, as matrices on the unknowns."""
    w, unit, d = Multigrid.from_stencil(POISSON, n.bit_length() - 1, boundary=boundary, **options), units(boundary, n), weights(boundary, n)
    with torch.no_grad():
        b = w(unit / d).flatten(1).T
        a = (w.operator[0].convolve(unit, w.ends) * d).flatten(1).T
    return b, a


def rates(b: Tensor, a: Tensor, singular: bool) -> Tensor:
    """Eigenvalues of B A, ascending, but for that of constants."""
    values, vectors = torch.linalg.eigh(a)
    root = vectors * values.clamp_min(0).sqrt()
    return torch.linalg.eigvalsh(root.T @ b @ root)[int(singular) :]


@ALL_SIDES
def test_classical_cycle_is_symmetric_and_contracts(boundary: Any):
    b, a = cycle_and_operator(boundary, 16)
    assert relative(a, a.T) == 0
    assert relative(b, b.T) <= 1e-14
    values = rates(b, a, not any(Ends.of(boundary).dirichlet))
    assert values[-1] <= 1 + 1e-12
    assert 1 - values[0] <= (0.21 if boundary == BOUNDARIES["dirichlet"] else 0.215)


@pytest.mark.parametrize(("n", "options", "rate"), [
    (16, {}, 0.178), (32, {}, 0.191), (32, {"omega": 8 / 9}, 0.177), (32, {"smoothing": (2, 2)}, 0.085)], ids=str)
def test_contraction_is_that_of_the_theory(n: int, options: dict[str, Any], rate: float):
    assert 1 - float(rates(*cycle_and_operator("dirichlet", n, **options), singular=False)[0]) == pytest.approx(rate, abs=6e-4)


def test_any_stencil_has_a_classical_cycle():
    """Five points, anisotropic: Galerkin coarse operators, unlike those of rediscretization, are found from the stencil."""
    stencil = torch.tensor([[0.0, -0.5, 0.0], [-1.0, 3.0, -1.0], [0.0, -0.5, 0.0]])
    w = Multigrid.from_stencil(stencil, 4)
    unit = units("dirichlet", 16)
    with torch.no_grad():
        b, a = w(unit).flatten(1).T, w.operator[0].convolve(unit, w.ends).flatten(1).T
    assert relative(b, b.T) <= 1e-14
    assert 1 - rates(b, a, False)[0] < 0.6


@EACH
@torch.no_grad()
def test_shifts_of_periodic_fields(variant: dict[str, Any]):
    """W commutes with shifts by the coarsest mesh width, and only with those."""
    w, f = build("periodic", **variant), draw("periodic", 16)
    step = 2 ** (w.levels - 1)
    for shift in ((step, 0), (0, step), (2 * step, -step)):
        assert relative(w(f.roll(shift, (-2, -1))), w(f).roll(shift, (-2, -1))) <= 1e-12
    if step > 1:
        assert relative(w(f.roll(1, -1)), w(f).roll(1, -1)) > 1e-3


@EACH
@torch.no_grad()
def test_reflections_with_neumann_ends(variant: dict[str, Any]):
    w, f = build("neumann", **variant), draw("neumann", 16)
    for axes in ((-1,), (-2,), (-1, -2)):
        assert relative(w(f.flip(axes)), w(f).flip(axes)) <= 1e-12


@torch.no_grad()
def test_reflections_across_other_sides():
    name = "left and right neumann"
    w, f = build(BOUNDARIES[name]), draw(BOUNDARIES[name], 16)
    assert relative(w(f.flip(-1)), w(f).flip(-1)) <= 1e-12
    assert relative(w(f.flip(-2)), w(f).flip(-2)) > 1e-3
    w, f = build("dirichlet", even=(True, True)), draw("dirichlet", 16)
    assert relative(w(f.flip(-1, -2)), w(f).flip(-1, -2)) <= 1e-12


@ALL_SIDES
def test_adjoint_of_the_halo(boundary: Any):
    ends, x = Ends.of(boundary), draw(boundary, 4, 1, 1).requires_grad_()
    assert torch.autograd.gradcheck(ends.halo, x)
    assert torch.autograd.gradgradcheck(ends.halo, x)


@pytest.mark.parametrize(("boundary", "mode"), [("dirichlet", "constant"), ("neumann", "reflect"), ("periodic", "circular")])
def test_halo_is_that_of_the_library(boundary: str, mode: str):
    x = draw(boundary, 8)
    assert torch.equal(Ends.of(boundary).halo(x), F.pad(x, (1, 1, 1, 1), mode=mode))


@EVERYWHERE
def test_corners_are_the_cells_around_each_unknown(boundary: Any):
    ends, cells = Ends.of(boundary), torch.arange(16.0).reshape(1, 1, 4, 4)
    padded = F.pad(cells, (1, 1, 1, 1), mode="circular" if ends.periodic else "replicate")[0, 0]
    found, (left, _, bottom, _) = ends.corners(cells)[0], ends.dirichlet
    for channel, (y, x) in enumerate(product((0, 1), repeat=2)):  # the node in row i, column j is the corner of cells (i, j) of `padded`
        for i, j in product(*(range(k) for k in ends.unknowns(4))):
            assert found[channel, i, j] == padded[i + bottom + y, j + left + x]


@EVERYWHERE
@pytest.mark.parametrize("variant", ["learned", "finest separable", "shared", "smoothing 2, 1"])
@torch.no_grad()
def test_extra_levels_repeat_the_finest_kernels(boundary: Any, variant: str):
    options = VARIANTS[variant]
    small, large = build(boundary, **options), build(boundary, levels=4, **{**options, "separable": 2 * options.get("separable", 0)})
    mine = small.state_dict()

    def source(key: str) -> str:
        """The same kernel one level finer, where there is one: "operator.2.weight" -> "operator.1.weight"."""
        head, *level = key.rsplit(".", 2)
        return f"{head}.{max(int(level[0]) - 1, 0)}.weight" if len(level) == 2 else key

    large.load_state_dict({key: mine[source(key)] for key in large.state_dict()})
    f, coarse = draw(boundary, 16), draw(boundary, 8)
    assert relative(small(f, extra=1), large(f)) <= 1e-12
    if "separable" not in options:
        assert relative(large(coarse, extra=-1), small(coarse)) <= 1e-12


@torch.no_grad()
def test_extra_level_of_the_classical_cycle_is_the_classical_cycle():
    f = draw("dirichlet", 32, 1)
    assert relative(Multigrid.from_stencil(POISSON, 4)(f, extra=1), Multigrid.from_stencil(POISSON, 5)(f)) <= 1e-13


@pytest.mark.parametrize(("arguments", "options", "what"), [
    ((0, 1, 2), {}, "in_channels=0"), ((1, 1, 0), {}, "levels=0"), ((1, 1, 2), {"smoothing": (0, 1)}, "1 step before"),
    ((1, 1, 2), {"separable": -1}, "separable=-1"), ((1, 1, 2), {"transfers": "bilinear"}, "'bilinear'"),
    ((1, 2, 2), {"transfers": "galerkin"}, "expected 'learned'"), ((2, 2, 2), {"transfers": "galerkin", "separable": 1}, "separable=1"),
    ((1, 1, 2, "robin"), {}, "'robin'"), ((1, 1, 2, {"bottom": "neumann"}), {}, "a dict with")], ids=str)
def test_bad_settings(arguments: tuple[Any, ...], options: dict[str, Any], what: str):
    with pytest.raises(ValueError, match=what):
        Multigrid(*arguments, **options)


@pytest.mark.parametrize(("shape", "extra", "what"), [
    ((1, 3, 7, 7), 0, "expected .batch, 2, rows, columns."), ((2, 7, 7), 0, "expected .batch, 2, rows, columns."),
    ((1, 2, 7, 8), 0, "unknowns of a square grid"), ((1, 2, 9, 9), 0, "10 x 10 cells, expected a multiple of 4 from 8 on"),
    ((1, 2, 3, 3), 0, "at least 2"), ((1, 2, 7, 7), 1, "halved 3 times"), ((1, 2, 7, 7), -3, "halved -1 times")])
def test_bad_fields(shape: tuple[int, ...], extra: int, what: str):
    with pytest.raises(ValueError, match=what):
        build("dirichlet")(torch.zeros(shape, dtype=torch.float64), extra=extra)


@pytest.mark.parametrize(("kernel", "options", "what"), [
    (torch.ones(2, 3), {}, "shape .2, 3."), (-POISSON, {}, "positive centre"), (POISSON * float("nan"), {}, "finite"),
    (POISSON, {"omega": 2.0}, "omega=2.0"), (POISSON + torch.eye(3), {"boundary": "neumann"}, "even along the axes")])
def test_bad_stencils(kernel: Tensor, options: dict[str, Any], what: str):
    with pytest.raises(ValueError, match=what):
        Multigrid.from_stencil(kernel, 3, **options)
