"""Does the network earn its place? Guaranteed answers per second of the network refined, of other starts, and of the solver alone.

    python benchmarks/flow_worth.py [--folder runs/benchmarks/flow] [--batches 1 32] [--quick]

The forced flow at 64 x 64, unseen starts; the network is that of benchmarks/flow_resolution.py, which trains it. An answer counts when its
relative velocity error against the Galerkin system is proved to be at most tol at all frames; its time is that of the start, of
all passes and of the bounds. Starts: the network; zero (the initial field, held); a coarse solve (half the grid, interpolated); the solver
alone, ETDRK4 with the longest step of a ladder whose answers are released as they are, which is found beforehand on other samples. Then the
refiners from the network's answer, one thread: passes with their certificates (required: 1e-5 in 0.2 s, 1e-10 in 0.6 s, from 1e-2 or more),
L-BFGS on the last layer's coefficients (required: 2e-5 in 70 evaluations), and the published refiner.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import wellposed
from wellposed.flow import Evolution, SpacetimeFNO, Trajectory, solve
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.families import forced, frames
from wellposed.flow.fine_tuning import fine_tune
from wellposed.flow.problem import navier_stokes
from wellposed.flow.published import refine_as_published, residual_of_differences, truncation_of_a_step
from wellposed.flow.refine import held
from wellposed.flow.residual import speed
from wellposed.numerics.vorticity import resample, to_field, to_spectrum

N, T, FRAMES, UNSEEN = 64, 4.0, 21, 20_000
TOLERANCES = (3e-1, 1e-1, 1e-2, 1e-3, 1e-5, 1e-8)
LADDER = (0.8, 0.4, 0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625)
Start = Callable[[Evolution], Trajectory | None]


def problem(count: int, seed: int, horizon: float = T) -> Evolution:
    family = forced()
    w = frames(family, N, count, 1, seed)[:, 0]
    return Evolution(family.equation(N), w, torch.linspace(0, horizon, round(horizon / 0.2) + 1, dtype=torch.float64))


def coarse(p: Evolution) -> Trajectory:
    """A solve on half the grid, on the nodes of the whole."""
    e = NavierStokes2D(p.equation.viscosity, N // 2, forced().equation(N // 2).forcing, length=p.equation.length)
    small = to_field(resample(to_spectrum(p.vorticity), N, N // 2), N // 2)
    assert p.times is not None
    found = solve(e, small, p.times, step=0.1, slab=0.8)
    slabs = found.coefficients
    assert slabs is not None
    return Trajectory.of(type(slabs)(slabs.edges, resample(slabs.values, N // 2, N)), p.times)


def rate(p: Evolution, start: Start, tol: float, repeats: int) -> tuple[float, int, float]:
    """Guaranteed answers per second, how many of the samples, and passes."""
    seconds, good, passes = [], 0, 0.0
    for _ in range(repeats):
        began = time.perf_counter()
        result = wellposed.refine(p, start(p), tol)
        seconds.append(time.perf_counter() - began)
        good, passes = int(result.reached.sum()), float(result.cycles.double().mean())
    return good / statistics.median(seconds), good, passes


def alone(tol: float, horizon: float) -> Start:
    """The solver with the longest step whose answers are certified as they are."""
    p = problem(2, UNSEEN + 7, horizon)
    for step in LADDER:
        def run(q: Evolution, step: float = step) -> Trajectory:
            assert q.times is not None
            return solve(navier_stokes(q), q.vorticity, q.times, step=step, slab=max(2 * step, 0.4))
        if bool(wellposed.refine(p, run(p), tol, passes=0).reached.all()):
            return run
    return lambda q: run(q)


def table(network: SpacetimeFNO, batches: list[int], tolerances: tuple[float, ...], horizon: float, repeats: int) -> None:
    print(f"\nhorizon {horizon:g}: guaranteed answers per second (passes); - where none is")
    print(f"{'batch':>6}{'tol':>8}{'network':>18}{'zero':>18}{'coarse solve':>18}{'solver alone':>18}  first")
    for batch in batches:
        p = problem(batch, UNSEEN, horizon)
        for tol in tolerances:
            starts: dict[str, Start] = {"network": network, "zero": held, "coarse solve": coarse, "solver alone": alone(tol, horizon)}
            rows = {name: rate(p, start, tol, repeats) for name, start in starts.items()}
            cells = "".join(f"{f'{r:.2f} ({c:.0f})' if good else '-':>18}" for r, good, c in rows.values())
            print(f"{batch:>6}{tol:>8.0e}{cells}  {max(rows, key=lambda name: rows[name][0])}", flush=True)


def distance(p: Evolution, w: Tensor, truth: Tensor) -> float:
    """The largest relative velocity error over samples and frames."""
    e = p.equation.modes
    return float((speed(to_spectrum(w - truth), e) / speed(to_spectrum(truth), e)).max())


def refiners(network: SpacetimeFNO, repeats: int) -> None:
    p = problem(1, UNSEEN)
    assert isinstance(p.equation, NavierStokes2D)
    assert p.times is not None
    truth = solve(p.equation, p.vorticity, p.times, step=0.002).vorticity
    raw = network(p)
    print(f"\nrefiners from the network's answer, {N} x {N}, T = {T:g}, one sample: true error {distance(p, raw.vorticity, truth):.2e}; "
          f"held initial field: {distance(p, held(p).vorticity, truth):.2e}")
    for name, start in (("network", raw), ("zero", None)):
        for tol, limit in ((1e-5, 0.2), (1e-10, 0.6)):
            seconds = []
            for _ in range(repeats):
                began = time.perf_counter()
                result = wellposed.refine(p, start, tol)
                certificate = result.certificate
                seconds.append(time.perf_counter() - began)
            print(f"  passes from {name:<8} tol {tol:.0e}: {certificate.headline}; {float(result.value.max()):.1e} proved, "
                  f"{distance(p, result.answer.vorticity, truth):.1e} true, {int(result.cycles[0])} passes, "
                  f"{statistics.median(seconds):.3f} s with the certificate (at most {limit})")
    assert raw.coefficients is not None
    began = time.perf_counter()
    tuned = fine_tune(p.equation, raw.coefficients, 70)
    error = distance(p, Trajectory.of(tuned.slabs, p.times).vorticity, truth)
    print(f"  L-BFGS, honest residual: {error:.1e} true after {len(tuned.losses)} evaluations (at most 2e-05), "
          f"{time.perf_counter() - began:.1f} s")
    for loss in (truncation_of_a_step, residual_of_differences):
        for bias_lr in (1e-2, 1e-4, 1e-6):
            began = time.perf_counter()
            done = refine_as_published(p.equation, p.times, raw.vorticity, loss, 50, bias_lr=bias_lr)
            error = distance(p, to_field(done.frames, N), truth)
            print(f"  published refiner, {loss.__name__}, lr {bias_lr:g}: {error:.2e} true after 50 steps; "
                  f"loss {done.losses[0]:.1e} to {done.losses[-1]:.1e}, {time.perf_counter() - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/flow"))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--quick", action="store_true")
    o = parser.parse_args()
    torch.set_num_threads(1)
    if not (o.folder / "weights.safetensors").is_file():
        raise SystemExit(f"there is no trained network in {o.folder}: run python benchmarks/flow_resolution.py first, or name its --folder")
    network = SpacetimeFNO.load(o.folder)
    repeats = 1 if o.quick else 5
    with torch.no_grad():
        refiners(network, repeats)
        table(network, o.batches, TOLERANCES, T, repeats)
        table(network, o.batches[:1], TOLERANCES[:3], 3 * T, repeats)


if __name__ == "__main__":
    main()
