"""Reconstructions: every step falls by what its theorem claims, and the three methods end at stationary points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import wellposed
from wellposed.proximal import LPN
from wellposed.proximal.acceleration import Anderson
from wellposed.proximal.data_terms import Envelope, LeastSquares
from wellposed.proximal.iterate import prox
from wellposed.proximal.phantoms import ellipses
from wellposed.proximal.physics import Blur, Mask
from wellposed.proximal.problem import Inverse, admit_image
from wellposed.proximal.reconstruct import Reconstruction, reconstruct
from wellposed.proximal.refine import refine_image

SIZE, BATCH, NOISE, WEIGHT = 16, 3, 0.02, 0.04


def network() -> LPN:
    torch.manual_seed(0)
    return LPN.convolutional(1, width=16, depth=1, kernel=4, stride=2)


def gaussian(width: float) -> np.ndarray:
    k = np.exp(-(np.arange(-3, 4) ** 2) / (2 * width**2))
    return np.outer(k, k) / k.sum() ** 2


@pytest.fixture(scope="module")
def model() -> LPN:
    return network()


@pytest.fixture(scope="module")
def problem() -> Inverse:
    g, physics = torch.Generator().manual_seed(1), Blur(gaussian(1.0), (SIZE, SIZE))
    y = physics.A(ellipses(SIZE, BATCH, seed=3))
    return Inverse(physics, y + NOISE * torch.randn(y.shape, dtype=y.dtype, generator=g), NOISE)


@pytest.fixture(scope="module", params=["pgd", "admm", "hqs"])
def run(request: pytest.FixtureRequest, problem: Inverse, model: LPN) -> Reconstruction:
    return reconstruct(problem, model, request.param, weight=WEIGHT)


def objective(problem: Inverse, model: LPN, w: Tensor) -> Tensor:
    """F at f(w), by other means than the room's."""
    net = model.doubled()
    z = net(w)
    prior = (w * z - z**2 / 2).flatten(1).sum(1) - net.potential(w)
    return (problem.physics.A(z) - problem.measurement).square().flatten(1).sum(1) / 2 + WEIGHT * prior


def merit(run: Reconstruction, k: int) -> tuple[Tensor, Tensor]:
    """What the method lets fall, and what its theorem measures a step by."""
    trace, problem = run.trace, run.problem
    assert trace is not None
    w, net = trace.points[k], run.model
    z, R, _ = prox(net, w)
    h = LeastSquares(problem)
    if run.algorithm == "pgd":
        return h.at(z).value + run.weight * R, z
    if run.algorithm == "hqs":
        return Envelope(h, trace.step).at(z).value + run.weight * R, z
    assert trace.splits is not None
    x, rho = trace.splits[k], trace.step
    own, d = h.at(x), z - x
    return own.value + (own.gradient * d + rho / 2 * d**2).flatten(1).sum(1) + run.weight * R, x


def promised(run: Reconstruction) -> float:
    trace = run.trace
    assert trace is not None
    L, s = run.problem.physics.norm_squared[1], trace.step
    if run.algorithm == "pgd":
        return (1 / s - L) / 2
    if run.algorithm == "hqs":
        return s**2 / (s + L) / 2
    return min(s / 2, (s + 2 * L) * (s - L) / (2 * s))


def test_runs_reach_the_tolerance_in_few_evaluations(run: Reconstruction) -> None:
    assert run.status == "reached"
    assert run.violated is None
    assert bool((run.stationarity <= 1e-5).all())
    assert run.steps <= 150
    assert max(s.evaluations for s in run.history) <= 5
    assert bool((run.cycles <= run.steps).all())


def test_every_step_falls_by_what_is_claimed(run: Reconstruction) -> None:
    c = promised(run)
    assert c > 0
    for k in range(run.steps):
        (before, a), (after, b) = merit(run, k), merit(run, k + 1)
        assert float((after - before + c * (a - b).square().flatten(1).sum(1)).max()) <= 1e-11


def test_the_objective_and_its_gradient_are_those_of_f(run: Reconstruction, problem: Inverse, model: LPN) -> None:
    if run.algorithm == "hqs":
        return
    torch.testing.assert_close(run.objective, objective(problem, model, run.point).detach(), rtol=1e-12, atol=1e-12)
    w, z = run.point, run.image
    gradient = problem.physics.A_adjoint(problem.physics.A(z) - problem.measurement) + WEIGHT * (w - z)
    torch.testing.assert_close(run.stationarity, gradient.flatten(1).norm(dim=1), rtol=1e-9, atol=1e-12)


def test_pgd_and_admm_agree_with_the_method_without_a_theorem(problem: Inverse, model: LPN) -> None:
    plain = reconstruct(problem, model, "admm", weight=WEIGHT, rho=WEIGHT, accelerate=False, tol=1e-7)
    assert plain.status == "reached"
    assert "does not apply" in plain.message
    for algorithm in ("pgd", "admm"):
        own = reconstruct(problem, model, algorithm, weight=WEIGHT)
        torch.testing.assert_close(own.objective, plain.objective, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(own.image, plain.image, rtol=0, atol=2e-3)


def test_an_exact_prox_where_the_weight_is_the_step(problem: Inverse, model: LPN) -> None:
    weight = 1.5 * problem.physics.norm_squared[1]
    one = reconstruct(problem, model, "pgd", weight=weight, steps=1, accelerate=False)
    assert one.trace is not None
    assert one.trace.step == 1 / weight
    z = model.doubled()(one.trace.points[0])
    v = z - LeastSquares(problem).at(z).gradient / weight
    torch.testing.assert_close(one.point, v.detach(), rtol=0, atol=1e-13)


def test_a_mirror_step_lowers_the_relaxed_prox(problem: Inverse, model: LPN) -> None:
    tau, net = 0.3, model.doubled()
    v = problem.measurement
    w = v.clone()

    def q(w: Tensor) -> Tensor:
        z, prior, _ = prox(net, w)
        return 0.5 * (z - v).square().flatten(1).sum(1) + tau * prior

    first = residual = None
    for _ in range(60):
        z = net(w).detach()
        pull = (1 - tau) * z + tau * w - v
        residual = float(pull.norm())
        first = first or residual
        new = w - 0.5 * pull
        moved = net.potential(new) - net.potential(w) - (z * (new - w)).flatten(1).sum(1)
        assert bool((q(new) <= q(w) - 2 * moved + 1e-12).all())
        w = new.detach()
    assert residual is not None
    assert first is not None
    assert residual < 1e-3 * first


def test_the_default_weight_is_that_of_the_noise(problem: Inverse, model: LPN) -> None:
    assert reconstruct(problem, model, steps=0).weight == pytest.approx((NOISE / 0.1) ** 2)
    with pytest.raises(ValueError, match="without noise"):
        reconstruct(Inverse(problem.physics, problem.measurement, 0.0), model)


def test_starts_lead_to_the_same_objective(problem: Inverse, model: LPN) -> None:
    own = reconstruct(problem, model, weight=WEIGHT, record=False)
    zero = reconstruct(problem, model, weight=WEIGHT, start=torch.zeros_like(problem.measurement), record=False)
    assert own.trace is None
    torch.testing.assert_close(own.objective, zero.objective, rtol=1e-6, atol=1e-8)


def test_steps_outside_the_theorem_run_and_are_named(problem: Inverse, model: LPN) -> None:
    for algorithm in ("pgd", "admm"):
        run = reconstruct(problem, model, algorithm, weight=WEIGHT, rho=0.9, steps=5)
        assert run.violated is not None
        assert "does not apply" in run.message


def test_samples_are_runs_of_their_own(run: Reconstruction) -> None:
    one = run.sample(-1)
    assert one.image.shape == (1, 1, SIZE, SIZE)
    assert one.trace is not None
    assert one.trace.points.shape[1] == 1
    torch.testing.assert_close(one.image, run.image[-1:])


def test_an_image_that_leaves_for_infinity_is_said_to() -> None:
    """A potential that grows faster than |x|²/2 has a prior that is not bounded below."""
    model = network()
    with torch.no_grad():
        for layer in model.net.ordered():
            assert layer.readout_root is not None
            layer.readout_root.mul_(2.0)
    problem = Inverse(Mask(torch.eye(SIZE)), torch.zeros(1, 1, SIZE, SIZE), NOISE)
    run = reconstruct(problem, model, weight=0.5, start=torch.ones(1, 1, SIZE, SIZE), steps=2000)
    assert run.status == "diverged"
    assert "smaller one" in run.message


def test_refine_takes_anyones_image(problem: Inverse, model: LPN) -> None:
    own = reconstruct(problem, model, weight=WEIGHT)
    assert int(refine_image(problem, own.image, 2e-5, prior=model, weight=WEIGHT).cycles.max()) == 0
    for image in (None, problem.measurement, torch.zeros_like(problem.measurement)):
        found = refine_image(problem, image, prior=model, weight=WEIGHT)
        assert found.status == "reached"
        torch.testing.assert_close(found.objective, own.objective, rtol=1e-5, atol=1e-7)


def test_anderson_solves_a_linear_problem() -> None:
    g = torch.Generator().manual_seed(0)
    a = torch.randn(2, 6, 6, dtype=torch.float64, generator=g)
    a, b = a @ a.mT / 6 + 0.05 * torch.eye(6, dtype=torch.float64), torch.randn(2, 6, dtype=torch.float64, generator=g)
    x, method = torch.zeros_like(b), Anderson(8)
    for _ in range(10):
        x = method.propose(x, 0.1 * (b - (a @ x[..., None])[..., 0]))
    torch.testing.assert_close(x, torch.linalg.solve(a, b), rtol=1e-5, atol=1e-5)


def test_what_a_model_answered_is_admitted(problem: Inverse) -> None:
    answer = torch.zeros(BATCH, 1, SIZE, SIZE)
    answer[1] = torch.nan
    pick, usable = admit_image(problem, answer)
    assert usable.tolist() == [True, False, True]
    assert pick(np.flatnonzero(usable)).shape == (2, 1, SIZE, SIZE)
    with pytest.raises(ValueError, match="expected"):
        admit_image(problem, answer[:, :, 1:])


@pytest.mark.parametrize(("change", "message"), [
    ({"measurement": torch.zeros(BATCH, 1, SIZE, SIZE + 1)}, "measurement: received the shape"),
    ({"measurement": torch.zeros(0, 1, SIZE, SIZE)}, "measurement: received the shape"),
    ({"measurement": torch.full((1, 1, SIZE, SIZE), torch.nan)}, "not finite"),
    ({"noise": -1.0}, "noise: received -1.0"), ({"noise": float("nan")}, "noise"), ({"physics": object()}, "as_physics"),
])
def test_bad_problems_are_refused(problem: Inverse, change: dict, message: str) -> None:
    options = {"physics": problem.physics, "measurement": problem.measurement, "noise": NOISE} | change
    with pytest.raises(ValueError, match=message):
        Inverse(**options)


@pytest.mark.parametrize(("options", "message"), [
    ({"weight": 0.0}, "weight: received 0.0"), ({"weight": float("nan")}, "weight"), ({"algorithm": "fista"}, "algorithm: received 'fista'"),
    ({"tol": 0.0}, "tol=0.0"), ({"steps": -1}, "steps=-1"), ({"rho": 0.001}, "rho: received 0.001"),
    ({"start": torch.zeros(BATCH, 1, SIZE, SIZE - 1)}, "start: received the shape"),
    ({"start": torch.full((BATCH, 1, SIZE, SIZE), torch.inf)}, "not finite"), ({"prior": torch.nn.Identity()}, "plain denoiser"),
    ({"prior": LPN.convolutional(3, width=4)}, r"image: received the shape \(3, 1, 16, 16\)"), ({"prior": LPN(4)}, "image: received"),
])
def test_bad_options_are_refused(problem: Inverse, model: LPN, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reconstruct(problem, **({"prior": model, "weight": WEIGHT} | options))


def test_bad_options_of_refine_are_refused(problem: Inverse, model: LPN) -> None:
    for options, message in (({}, "no prior"), ({"prior": model, "mesh": "fine"}, "mesh='fine'"), ({"prior": model, "tol": -1.0}, "tol=-1.0")):
        with pytest.raises(ValueError, match=message):
            refine_image(problem, problem.measurement, **options)


def test_a_run_is_certified_and_checked(run: Reconstruction) -> None:
    certificate = run.certificate
    assert certificate is not None
    assert certificate.verdict is True
    assert certificate.check().status is True
    fall = certificate.claim("decrease")
    assert fall.upper is not None
    assert fall.upper <= 1e-10
    near = certificate.claim("stationarity")
    assert near.upper is not None
    assert run.algorithm == "hqs" or near.upper <= 1e-5


def test_a_step_outside_the_theorem_is_violated_in_the_certificate(problem: Inverse, model: LPN) -> None:
    certificate = reconstruct(problem, model, "admm", weight=WEIGHT, rho=0.9, steps=5).certificate
    assert certificate is not None
    assert any(status == "violated" for _, status in certificate.claim("decrease").assumptions)
    assert certificate.verdict is not True
    assert certificate.check().status is not True
    assert reconstruct(problem, model, certify=False, steps=1).certificate is None


def test_the_guard_lets_images_through(problem: Inverse, model: LPN) -> None:
    wellposed.certificate.admit.registry.get(Inverse) or wellposed.certificate.admit.register(Inverse, admit_image)
    wellposed.certificate.refine.registry.get(Inverse) or wellposed.certificate.refine.register(Inverse, refine_image)
    guarded = wellposed.guard(lambda p: p.measurement, 1e-4, prior=model, weight=WEIGHT)(problem)
    assert guarded.outcome == ["refined"] * BATCH
