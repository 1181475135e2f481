"""Conjugate gradients: each step lowers the energy error by exactly what it says, down to the solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import ESSENTIAL, cells, dense, space

from wellposed.numerics.krylov import ConjugateGradients
from wellposed.numerics.multigrid import VCycle
from wellposed.numerics.q1 import Stiffness, pair

KINDS = pytest.mark.parametrize("kind", ESSENTIAL)
N = 8


def iteration(kind: str, contrast: float = 100.0, samples: int = 1, seed: int = 0) -> tuple[ConjugateGradients, torch.Tensor, torch.Tensor]:
    rng, s = np.random.default_rng(seed), space(kind, N)
    a = torch.as_tensor(np.exp(rng.uniform(0, np.log(contrast), (samples, N, N))))
    raw = torch.as_tensor(rng.standard_normal((samples, N + 1, N + 1)))
    if s.singular:
        raw = raw - raw.mean((1, 2), keepdim=True)
    return ConjugateGradients(Stiffness(a), raw, torch.zeros_like(raw), VCycle(a, s), s), a, raw


def direct(kind: str, a: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
    """The minimizer by dense linear algebra, with mean zero over the unknowns where constants are free."""
    s = space(kind, N)
    number, count = s.numbering
    b = torch.zeros(count, dtype=torch.float64).index_add_(0, number[number >= 0], raw[0][number >= 0]).numpy()
    x = torch.as_tensor(np.linalg.lstsq(dense(a, s).stiffness, b, rcond=None)[0])
    return torch.where(number >= 0, x[number], 0.0)[None]


@KINDS
def test_reaches_the_minimizer(kind: str):
    it, a, raw = iteration(kind)
    for _ in range(60):
        it.step()
    difference = it.x - direct(kind, a, raw)
    if space(kind, N).singular:
        difference = difference - difference[:, 0, 0]
    assert difference.abs().max() <= 1e-10 * it.x.abs().max()


@KINDS
def test_falls_sum_to_the_energy(kind: str):
    """|x*|^2 - |x* - x_k|^2 is the sum of the falls from zero, at every k."""
    it, a, raw = iteration(kind)
    exact, k = direct(kind, a, raw), Stiffness(a)
    energy, fallen = float(pair(k(exact), exact)), 0.0
    for _ in range(12):
        fallen += float(it.step())
        rest = it.x - exact
        assert energy - fallen == pytest.approx(float(pair(k(rest), rest)), abs=1e-12 * energy)
    assert fallen == pytest.approx(energy, rel=1e-6)


@KINDS
def test_energy_never_rises(kind: str):
    it, _, _ = iteration(kind, contrast=1e4)
    falls = [float(it.step()) for _ in range(40)]
    assert min(falls) >= 0


def test_values_on_essential_sides_stay():
    s, rng = space("corner", N), np.random.default_rng(0)
    start = cells(rng.standard_normal((N + 1, N + 1)))
    a = torch.ones(1, N, N, dtype=torch.float64)
    it = ConjugateGradients(Stiffness(a), torch.zeros_like(start), start, VCycle(a, s), s)
    for _ in range(5):
        it.step()
    assert torch.equal(it.x * (1 - s.free), start * (1 - s.free))
    assert not torch.equal(it.x, start)


def test_a_ramp_is_minimized_over_too():
    """With the ramp x as a further direction and no load, the least energy is zero: the ramp is taken away."""
    s = space("periodic", N)
    ramp = torch.linspace(0, 1, N + 1, dtype=torch.float64).expand(N + 1, -1).contiguous()
    a = cells(np.exp(np.random.default_rng(0).standard_normal((N, N))))
    start = 3 * ramp[None]
    it = ConjugateGradients(Stiffness(a), torch.zeros_like(start), start, VCycle(a, s), s, [ramp])
    for _ in range(60):
        it.step()
    assert float(pair(Stiffness(a)(it.x), it.x)) < 1e-16


def test_a_solved_sample_stands_still_while_others_go_on():
    it, a, raw = iteration("dirichlet", samples=2)
    raw[0] = 0
    s = space("dirichlet", N)
    it = ConjugateGradients(Stiffness(a), raw, torch.zeros_like(raw), VCycle(a, s), s)
    falls = torch.stack([it.step() for _ in range(40)])
    assert (falls[:, 0] == 0).all()
    assert (it.x[0] == 0).all()
    assert it.x.isfinite().all()
    assert falls[0, 1] > 0


def test_samples_do_not_see_each_other():
    together, a, raw = iteration("one natural", samples=3)
    s = space("one natural", N)
    parts = [(a[k : k + 1], raw[k : k + 1]) for k in range(3)]
    alone = [ConjugateGradients(Stiffness(b), f, torch.zeros_like(f), VCycle(b, s), s) for b, f in parts]
    for it in (together, *alone):
        for _ in range(6):
            it.step()
    assert torch.allclose(together.x, torch.cat([it.x for it in alone]), rtol=1e-9, atol=1e-12)


def test_start_is_not_changed():
    s, a = space("dirichlet", N), torch.ones(1, N, N, dtype=torch.float64)
    start = torch.zeros(1, N + 1, N + 1, dtype=torch.float64)
    ConjugateGradients(Stiffness(a), torch.ones_like(start), start, VCycle(a, s), s).step()
    assert (start == 0).all()
