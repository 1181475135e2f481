"""Is the norm of the error that of the residual? Heat, Stokes and Oseen flow, over viscosities, winds and kinds of trajectories.

    python benchmarks/flow_linear.py [--resolution 16]

Left and right side of the parabolic isometry (`wellposed.flow.parabolic`): the error is found by Duhamel's formula, differentiated and
integrated without a look at the residual; the residual knows no solution. "plain" is the effectivity of the right side as a bound of
(|e(T)|² + ∫|e|²_V dt)^½ alone, which is what is left of the identity where the dual norm of ∂e/∂t + b·∇e is dropped. "certified" is the
width of the certificate's interval, relative to the error: what rounding could hide. All are the worst of three samples on [0, 1] against
the Galerkin system. Exit status 1 if the sides differ by more than 1e-9, or the independent check refuses.

frozen: the initial field at all times. Euler: implicit for viscosity, explicit else, 32 steps and a spline through them; the strongest wind
is too strong for it. smooth: the exact solution and 1 % of a field that swings in time. random: polynomials of degree 5 on 4 slabs that
solve nothing.
"""

from __future__ import annotations

import argparse
import math
import sys

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from wellposed.flow.duhamel import LARGEST, exact_error
from wellposed.flow.equation import without_nyquist
from wellposed.flow.linear import Heat2D, Oseen2D, Parabolic, Stokes2D
from wellposed.flow.linear_claims import certify_linear
from wellposed.flow.parabolic import parabolic_error
from wellposed.flow.slabs import Slabs
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics.vorticity import Modes, resample, to_field, to_spectrum

VISCOSITIES, WINDS, AGREES = (1.0, 1e-1, 1e-2, 1e-3), (0.1, 1.0, 10.0), 1e-9
SAMPLES, STEPS = 3, 32


def fields(n: int, seed: int, samples: int) -> Tensor:
    """Smooth noise in the modes that are kept, root mean square one."""
    modes, g = Modes.of(n, length=2 * math.pi), torch.Generator().manual_seed(seed)
    w = without_nyquist(to_spectrum(torch.randn(samples, n, n, dtype=torch.float64, generator=g))) * modes.kept / (1 + modes.square)
    w[:, 0, 0] = 0.0
    w = to_field(w, n)
    return w / w.square().mean((-2, -1), keepdim=True).sqrt()


def slabs_of(values: Tensor, pieces: int) -> Trajectory:
    edges = torch.linspace(0, 1, pieces + 1, dtype=torch.float64)
    values[:, 1:, 0] = values[:, :-1, -1]
    return Trajectory.of(Slabs(edges, values), edges)


def frozen(w: Tensor) -> Trajectory:
    return slabs_of(to_spectrum(w)[:, None, None].repeat(1, 4, 2, 1, 1), 4)


def euler(equation: Parabolic, w: Tensor) -> Trajectory:
    n, h, frames = equation.resolution, 1 / STEPS, [to_spectrum(w)]
    f = equation.box.forcing_spectrum
    for _ in range(STEPS):
        v = frames[-1]
        carried = resample(equation.transport(v), 2 * n, n) * equation.modes.kept if equation.background is not None else 0.0
        frames.append((v + h * ((0.0 if f is None else f) - carried)) / (1 + h * equation.rate(equation.modes)))
    return Trajectory(torch.linspace(0, 1, STEPS + 1, dtype=torch.float64), to_field(torch.stack(frames, 1), n))


def smooth(equation: Parabolic, w: Tensor) -> Trajectory:
    exact = exact_error(equation, frozen(torch.zeros_like(w)), w, "galerkin")
    swing = 0.01 * torch.sin(5 * exact.nodes)[..., None, None] * to_spectrum(fields(equation.resolution, 9, 1))
    return Trajectory.of(Slabs(exact.edges, exact.values + swing), exact.edges)


def random(n: int) -> Trajectory:
    return slabs_of(to_spectrum(fields(n, 7, SAMPLES * 24)).unflatten(0, (SAMPLES, 4, 6)), 4)


def equations(n: int) -> list[tuple[str, Parabolic]]:
    f, b = fields(n, 1, 2)
    found: list[tuple[str, Parabolic]] = []
    for nu in VISCOSITIES:
        found += [("heat", Heat2D(nu, n, f)), ("Stokes", Stokes2D(nu, n, f, drag=0.1))]
        found += [(f"Oseen, |b| ~ {s:g}", Oseen2D(nu, n, s * b, f, (s, -s / 2))) for s in WINDS]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=16, help=f"nodes per axis, at most {LARGEST}")
    n = parser.parse_args().resolution
    torch.set_num_threads(1)
    w, lost, plain = fields(n, 5, SAMPLES), [], []
    table = Table("equation", "ν", "trajectory", "error", "left / right - 1", "plain", "certified", "checked",
                  title=f"{n} x {n} nodes, a minute")
    for name, equation in equations(n):
        kinds = {"frozen": frozen(w), "Euler": euler(equation, w), "smooth": smooth(equation, w), "random": random(n)}
        for kind, trajectory in kinds.items():
            found = parabolic_error(equation, trajectory, w, "galerkin")
            parts = found.parts(exact_error(equation, trajectory, w, "galerkin"))
            ratio = float((parts.total / found.total - 1).abs().max())
            effectivity = float((found.value / (parts.final + parts.energy).sqrt()).max())
            certificate = certify_linear(equation, w, trajectory, against="galerkin")
            claim, status = certificate.claims[0], certificate.check().status
            assert claim.lower is not None
            assert claim.upper is not None
            plain.append((effectivity, name, kind))
            lost += [] if ratio <= AGREES and status is True else [f"{name}, {kind}"]
            table.add_row(name, f"{equation.box.viscosity:g}", kind, f"{claim.upper:.3g}", f"{ratio:.0e}", f"{effectivity:.3g}",
                          f"{claim.upper / claim.lower - 1:.0e}", str(status))
    Console(width=120).print(table)
    print(f"the plain bound: {min(plain)[0]:.3g} ({', '.join(min(plain)[1:])}) to {max(plain)[0]:.3g} ({', '.join(max(plain)[1:])})")
    print(f"{len(plain) - len(lost)} of {len(plain)} hold" + (f"; not: {'; '.join(lost)}" if lost else ""))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
