"""Does certification see the mistakes that people make in spectral codes, and leave sound runs alone?

    python benchmarks/flow_defects.py [--sound 50] [--quick]

Turbulence that is forced, with drag, on 64 x 64 nodes, its energy reaching the highest modes kept; half a unit of time. Every run is made
by one small code of its own, with one line wrong for each defect. One tolerance for all: each of the sound runs, from other fields, at
other viscosities and with other steps, must be certified to it, and each defect must be refuted, the proved lower end of its error being
above.
Printed: the residual, the square root of the integral of its square, the proved ends of the largest relative error, and the verdict.
Exits 1 if a defect is not seen, or a sound run is called wrong.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from flow_guarantee import advanced, decaying
from torch import Tensor

import wellposed
from wellposed.certificate import Certificate
from wellposed.flow import Evolution, NavierStokes2D, Slabs, Trajectory
from wellposed.numerics.vorticity import Exponential, resample, to_field, to_spectrum, velocity

TOL = 1e-9
N, T, SLABS, DEGREE = 64, 0.5, 20, 8
VISCOSITIES, STEPS = (5e-4, 1e-3, 2e-3, 5e-3), (0.0005, 0.001, 0.00075, 0.001)


def turbulence(samples: int, seed: int, viscosity: float = 1e-3) -> tuple[NavierStokes2D, Tensor]:
    """Stirred at |k| = 4 and slowed by drag, developed for two units of time."""
    _, w = decaying(N, viscosity, samples, seed, 1.0)
    e = NavierStokes2D(viscosity, N, lambda x, y: 2 * torch.cos(4 * y) + torch.sin(4 * x), drag=0.1)
    return e, advanced(e, w, [2.0], 0.005)[:, -1]


@dataclass(frozen=True)
class Code:
    """A spectral code, with one thing wrong or nothing."""

    viscosity: float = 1.0
    sign: float = 1.0
    forced: bool = True
    dealiased: bool = True
    double: bool = True
    exponential: bool = True

    def run(self, e: NavierStokes2D, w: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """Spectra at the nodes of slabs, (batch, slabs, nodes, n, n/2 + 1), and the edges of the slabs."""
        edges, spectrum = torch.linspace(0, T, SLABS + 1, dtype=torch.float64), to_spectrum(w) * e.modes.kept
        nodes = Slabs(edges, spectrum.new_zeros(1, SLABS, DEGREE + 1, 1, 1)).nodes
        out, methods = [], {}
        for s in range(SLABS):
            out.append(spectrum)
            for a, b in zip(nodes[s, :-1].tolist(), nodes[s, 1:].tolist(), strict=True):
                count = math.ceil((b - a) / step)
                h = float(f"{(b - a) / count:.12g}")
                if h not in methods:
                    methods[h] = self.method(e, h)
                for _ in range(count):
                    spectrum = methods[h](spectrum)
                out.append(spectrum)
        return torch.stack(out, 1).unflatten(1, (SLABS, DEGREE + 1)), edges

    def method(self, e: NavierStokes2D, h: float) -> Callable[[Tensor], Tensor]:
        m = e.modes
        inside = m.kept if self.dealiased else ((m.x < N // 2) & (m.y.abs() < N // 2)).double()
        linear = -self.viscosity * e.viscosity * m.square - e.drag
        force = e.forcing_spectrum
        assert force is not None
        c = Exponential.of(linear, h) if self.double else in_single_precision(linear, h)

        def explicit(w: Tensor) -> Tensor:
            u, v = velocity(w, m)
            u, v, along_x, along_y = (to_field(x, N) for x in (u, v, 1j * m.x * w, 1j * m.y * w))
            out = -self.sign * to_spectrum(u * along_x + v * along_y) * inside
            return out + force * inside if self.forced else out

        def fourth(w: Tensor) -> Tensor:
            at_start = explicit(w)
            a = c.half * w + c.stage * at_start
            at_a = explicit(a)
            at_b = explicit(c.half * w + c.stage * at_a)
            at_end = explicit(c.half * a + c.stage * (2 * at_b - at_start))
            return c.whole * w + c.first * at_start + 2 * c.middle * (at_a + at_b) + c.last * at_end

        return fourth if self.exponential else lambda w: (w + h * explicit(w)) / (1 - h * linear)


def in_single_precision(linear: Tensor, h: float) -> Exponential:
    """The multipliers by contour means whose points are of single precision, as `arange(1, 33) - 0.5` makes them by default."""
    z = h * linear
    angle = (math.pi * (torch.arange(1, 33) - 0.5) / 32).to(torch.float32)
    r = z[..., None] + torch.polar(torch.ones_like(angle), angle)
    e = torch.exp(r)
    first, middle, last = -4 - r + e * (4 - 3 * r + r**2), 2 + r + e * (r - 2), -4 - 3 * r - r**2 + e * (4 - r)
    return Exponential(torch.exp(z), torch.exp(z / 2), h * ((torch.exp(r / 2) - 1) / r).mean(-1).real,
                       *(h * (x / r**3).mean(-1).real for x in (first, middle, last)))


def trajectory(values: Tensor, edges: Tensor, frames: Tensor | None = None) -> Trajectory:
    """Frames at the edges, as they came or given."""
    seen = torch.cat([values[:, :, 0], values[:, -1:, -1]], 1)
    return Trajectory(edges, to_field(seen, values.shape[-2]) if frames is None else frames, Slabs(edges, values))


def shifted(e: NavierStokes2D, w: Tensor, step: float) -> tuple[Trajectory, Tensor]:
    """One frame stands where the next should."""
    values, edges = Code().run(e, w, step)
    frames = trajectory(values, edges).vorticity
    frames[:, 12] = frames[:, 11]
    return trajectory(values, edges, frames), w


def subsampled(e: NavierStokes2D, w: Tensor, step: float) -> tuple[Trajectory, Tensor]:
    """Bilinear interpolation of a run on twice as many nodes; its own first frame is the start."""
    n = 2 * N
    fine = NavierStokes2D(e.viscosity, n, to_field(resample(e.forcing_spectrum, N, n), n), e.drag)  # type: ignore[arg-type]
    values, edges = trajectory_nodes(fine, to_field(resample(to_spectrum(w), N, n), n), 2 * step)
    shrunk = torch.nn.functional.interpolate(to_field(values, n).flatten(1, 2), size=(N, N), mode="bilinear")
    frames = shrunk.unflatten(1, values.shape[1:3])
    return trajectory(to_spectrum(frames), edges, torch.cat([frames[:, :, 0], frames[:, -1:, -1]], 1)), frames[:, 0, 0]


def trajectory_nodes(e: NavierStokes2D, w: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """A sound run on another grid, at the nodes of slabs."""
    edges = torch.linspace(0, T, SLABS + 1, dtype=torch.float64)
    nodes = Slabs(edges, torch.zeros(1, SLABS, DEGREE + 1, 1, 1, dtype=torch.complex128)).nodes
    return to_spectrum(advanced(e, w, nodes.flatten().tolist(), step)).unflatten(1, nodes.shape), edges


DEFECTS: dict[str, Code | Callable[[NavierStokes2D, Tensor, float], tuple[Trajectory, Tensor]]] = {
    "multipliers in float32": Code(double=False), "viscosity off by 1 %": Code(viscosity=1.01), "no dealiasing": Code(dealiased=False),
    "no forcing": Code(forced=False), "first-order steps": Code(exponential=False), "sign of advection": Code(sign=-1.0),
    "a frame out of place": shifted, "bilinear subsampling": subsampled}


def certified(e: NavierStokes2D, made: Code | Callable[..., tuple[Trajectory, Tensor]], w: Tensor, step: float) -> Certificate:
    flow, start = (trajectory(*made.run(e, w, step)), w) if isinstance(made, Code) else made(e, w, step)
    return wellposed.certify(Evolution(e, start), flow, TOL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sound", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    o = parser.parse_args()
    torch.set_num_threads(1)
    sound, step = (5, 0.001) if o.quick else (o.sound, 0.001)
    e, w = turbulence(1, o.seed)
    k, power = e.modes.square.sqrt(), to_spectrum(w).abs().square()
    share = float(power[:, (k > 18) & (k < 21)].mean() / power.max())
    print(f"enstrophy per mode at the cut-off: {share:.1e} of the largest; tol {TOL:g}\n")
    print(f"{'run':26}{'residual':>10}{'at least':>11}{'at most':>11}  verdict")
    missed = 0
    for name, made in {"sound": Code(), **DEFECTS}.items():
        c = certified(e, made, w, step)
        claim = c.claim("galerkin_error")
        print(f"{name:26}{float(c.bound.own.residual[0]):10.1e}{claim.lower:11.1e}{math.inf if claim.upper is None else claim.upper:11.1e}"
              f"  {c.headline.split(' ')[0]}", flush=True)
        missed += (c.verdict is not False) if name != "sound" else c.verdict is not True
    wrong, worst, made = 0, 0.0, 0
    for group, viscosity in enumerate(VISCOSITIES):
        samples = (sound - made) // (len(VISCOSITIES) - group)
        e, w = turbulence(samples, o.seed + 100 + group, viscosity)
        flow = trajectory(*Code().run(e, w, STEPS[group]))
        certificates = [wellposed.certify(Evolution(e, w[k]), flow[k], TOL, two_sided=False) for k in range(samples)]
        upper = [c.claim("galerkin_error").upper or math.inf for c in certificates]
        made, worst, wrong = made + samples, max(worst, *upper), wrong + sum(c.verdict is not True for c in certificates)
        print(f"sound, viscosity {viscosity:g}, steps {STEPS[group]:g}: {samples} runs, at most {max(upper):.1e}", flush=True)
    print(f"\n{len(DEFECTS) - missed} of {len(DEFECTS)} defects refuted; {wrong} of {sound} sound runs not certified; "
          f"the worst of them to {worst:.1e}")
    sys.exit(bool(missed or wrong))


if __name__ == "__main__":
    main()
