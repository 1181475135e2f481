"""Is the bound of a flow ever below its true error? Trajectories that are wrong in many ways, by 1e-2 to 1e-10, in six flows.

    python benchmarks/flow_guarantee.py [--samples 12] [--resolution 32] [--quick]

Two flows, the forced one of the Fourier neural operator's benchmark and decaying turbulence after McWilliams (1984), at three viscosities
each; seven trajectories of every sample: runs with coarse steps, smooth and rough perturbations, splined frames, frames such as a network
gives, polynomials that do not join, a wrong start. The truth is integrated by other code, the plain steps of wellposed.numerics.vorticity,
with steps a hundredth of the coarse ones; how far it is off is measured by doubling them, and nothing smaller than fifty times that is
judged. Then some of the same trajectories against the equation itself, whose solution is taken from three times as fine a grid.

Printed: bound over true error, least, median and largest, at all times of frames, edges of slabs and just beside them too. Exits 1 if a
bound is below.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from wellposed.flow import NavierStokes2D, Slabs, Trajectory, solve
from wellposed.flow.bound import of_frames
from wellposed.flow.slabs import spline
from wellposed.numerics.vorticity import ETDRK4, Modes, resample, to_field, to_spectrum

VISCOSITIES = (1e-2, 1e-3, 5e-4)
T = 0.6


def forced(n: int, viscosity: float, samples: int, seed: int, warm: float = 1.0) -> tuple[NavierStokes2D, Tensor]:
    """[0, 1]², f = 0.1 (sin + cos)(2π (x + y)), a Gaussian random field N(0, 7³ (4π²|k|² + 49)^-2.5); Li et al., ICLR 2021."""
    e = NavierStokes2D(viscosity, n, lambda x, y: 0.1 * (torch.sin(2 * math.pi * (x + y)) + torch.cos(2 * math.pi * (x + y))), length=1.0)
    m = Modes.of(256)
    w = _white(256, samples, seed) * 2**0.5 * 7**1.5 * (m.square + 49) ** -1.25 * 256
    w = resample(w, 256, n) * e.modes.kept
    w[..., 0, 0] = 0.0
    return e, advanced(e, to_field(w, n), [warm], 0.02)[:, -1]


def decaying(n: int, viscosity: float, samples: int, seed: int, warm: float = 1.0) -> tuple[NavierStokes2D, Tensor]:
    """[0, 2π]², amplitudes of the stream function 1 / (|k| (1 + (|k|/4)⁴)), mean square velocity one half; McWilliams, JFM 146 (1984)."""
    e, m = NavierStokes2D(viscosity, n), Modes.of(256, length=2 * math.pi)
    k = m.square.sqrt()
    psi = _white(256, samples, seed) * torch.where(k > 0, 1 / torch.where(k > 0, k * (1 + (k / 4) ** 4), 1.0), 0.0)
    w = resample(psi * m.square, 256, n) * e.modes.kept
    w = w / _speed(e, w)[:, None, None] * 0.5**0.5
    return e, advanced(e, to_field(w, n), [warm], 0.01)[:, -1]


FLOWS = {"forced": forced, "decaying": decaying}


def _white(n: int, samples: int, seed: int) -> Tensor:
    return to_spectrum(torch.from_numpy(np.random.default_rng(seed).standard_normal((samples, n, n))))


def _speed(e: NavierStokes2D, w: Tensor) -> Tensor:
    """The root mean square of the velocity of a spectrum, by nodal values."""
    m, n = e.modes, e.resolution
    u, v = (to_field(x * m.inverse * w, n) for x in (1j * m.y, -1j * m.x))
    return (u.square() + v.square()).mean((-2, -1)).sqrt()


def distance(e: NavierStokes2D, a: Tensor, b: Tensor | float = 0.0) -> Tensor:
    """The root mean square of the difference of two velocities, of nodal vorticities."""
    return _speed(e, to_spectrum(a - b))


def advanced(e: NavierStokes2D, w: Tensor, times: list[float], step: float, began: float = 0.0) -> Tensor:
    """Frames (batch, time, n, n) at `times`, by the plain steps of `wellposed.numerics.vorticity`."""
    spectrum, out, methods = to_spectrum(w) * e.modes.kept, [], {}
    for a, b in zip([began, *times[:-1]], times, strict=True):
        count = max(1, math.ceil((b - a) / step - 1e-9))
        h = float(f"{(b - a) / count:.12g}")
        if b > a and h not in methods:
            methods[h] = ETDRK4(e.modes, e.viscosity, h, e.forcing_spectrum, e.drag)
        for _ in range(count if b > a else 0):
            spectrum = methods[h].step(spectrum)
        out.append(to_field(spectrum, e.resolution))
    return torch.stack(out, 1)


# trajectories that are wrong


def onpolynomials_of(e: NavierStokes2D, w: Tensor, step: float) -> Trajectory:
    """A run of the solver with slabs a tenth wide, seen at all times."""
    run = solve(e, w, torch.linspace(0, T, 7, dtype=torch.float64), slab=0.11, step=step)
    return Trajectory.of(polynomials_of(run), torch.tensor(times_of(), dtype=torch.float64))


def fields(e: NavierStokes2D, shape: tuple[int, ...], seed: int, slope: float = 2.0, kept: bool = True) -> Tensor:
    """Spectra of random fields (..., n, n/2 + 1), whose velocities have root mean squares of one."""
    n, k = e.resolution, e.modes.square.sqrt() / e.lowest
    w = _white(n, math.prod(shape), seed) * (k > 0) / (1 + k / 3) ** slope * (e.modes.kept if kept else 1.0)
    return (w / _speed(e, w)[:, None, None]).unflatten(0, shape)


def polynomials_of(flow: Trajectory) -> Slabs:
    assert flow.coefficients is not None
    return flow.coefficients


def _moved(flow: Trajectory, by: Tensor) -> Trajectory:
    own = polynomials_of(flow)
    return Trajectory.of(Slabs(own.edges, own.values + by), flow.times)


def coarse(e: NavierStokes2D, flow: Trajectory, size: Tensor, seed: int) -> Trajectory:  # noqa: ARG001
    """A run with steps so long that errors of `size` may be expected: 1e-4 at 0.05, of order four."""
    return onpolynomials_of(e, flow.vorticity[:, 0], 0.05 * float((size.max() / 1e-4) ** 0.25))


def smooth(e: NavierStokes2D, flow: Trajectory, size: Tensor, seed: int) -> Trajectory:
    """An error that grows from zero."""
    own = polynomials_of(flow)
    by = size[:, None, None] * fields(e, (len(flow),), seed)
    return _moved(flow, by[:, None, None] * torch.sin(3 * own.nodes)[..., None, None])


def rough(e: NavierStokes2D, flow: Trajectory, size: Tensor, seed: int) -> Trajectory:
    """Other errors at every node in time, in all modes kept; slabs join."""
    by = size[:, None, None, None, None] * fields(e, polynomials_of(flow).values.shape[:3], seed, 1.0)
    by[:, 1:, 0] = by[:, :-1, -1]
    by[:, 0, 0] = 0.0
    return _moved(flow, by)


def apart(e: NavierStokes2D, flow: Trajectory, size: Tensor, seed: int) -> Trajectory:
    """Another constant error on each slab."""
    return _moved(flow, size[:, None, None, None, None] * fields(e, polynomials_of(flow).values.shape[:2], seed)[:, :, None])


def started(e: NavierStokes2D, flow: Trajectory, size: Tensor, seed: int) -> Trajectory:
    """The right flow from a start that is off."""
    w = to_field(to_spectrum(flow.vorticity[:, 0]) + size[:, None, None] * fields(e, (len(flow),), seed), e.resolution)
    return onpolynomials_of(e, w, 0.01)


def splined(e: NavierStokes2D, flow: Trajectory, size: Tensor, seed: int) -> Trajectory:
    """Frames alone, as densely as it takes, with noise in all modes of the grid."""
    times = torch.unique(torch.cat([torch.arange(0, T + 1e-9, 0.01, dtype=torch.float64), flow.times]).round(decimals=9))
    noise = fields(e, (len(flow), len(times)), seed, 1.0, kept=False) * size[:, None, None, None]
    noise[:, 0] = 0.0
    return Trajectory(times, to_field(polynomials_of(flow).at(times) + noise, e.resolution))


def network(e: NavierStokes2D, flow: Trajectory, size: Tensor, seed: int, spacing: float = 0.05) -> Trajectory:
    """What a network gives: an error that grows smoothly, and a tenth of it that is another at each frame, splined and seen at nodes."""
    own = polynomials_of(flow)
    end = float(own.edges[-1])
    frames = torch.linspace(0, end, round(end / spacing) + 1, dtype=torch.float64)
    trend = fields(e, (len(flow), 1), seed) * (frames / end)[:, None, None] + 0.1 * fields(e, (len(flow), len(frames)), seed + 1)
    trend[:, 0] = 0.0
    error = spline(frames, trend * size[:, None, None, None]).at(own.nodes.flatten()).unflatten(1, own.nodes.shape)
    return _moved(flow, error)


KINDS: dict[str, Callable[[NavierStokes2D, Trajectory, Tensor, int], Trajectory]] = {
    "coarse steps": coarse, "smooth": smooth, "rough": rough, "do not join": apart, "wrong start": started, "splined frames": splined,
    "network-like": network}


def times_of() -> list[float]:
    """Edges of slabs, just beside them, and others."""
    return [0.0, 0.034, 0.1, 0.1001, 0.2, 0.2999, 0.3, 0.454, 0.5, T]


class Truth:
    """Frames of the exact flow at `times_of`, on any grid, and how far they are off."""

    def __init__(self, e: NavierStokes2D, start: Tensor, step: float) -> None:
        self.e, self.frames = e, advanced(e, start, times_of(), step)
        self.off = distance(e, self.frames, advanced(e, start, times_of(), 2 * step)).amax(1) / 15

    def ratios(self, e: NavierStokes2D, flow: Trajectory, start: Tensor, against: str) -> tuple[np.ndarray, np.ndarray]:
        """Bound over true error (batch, times), NaN where the truth is not known well enough; and which samples have a bound below."""
        found, n, m = of_frames(e, flow, against, start), e.resolution, self.e.resolution
        where = torch.searchsorted(flow.times, torch.tensor(times_of(), dtype=torch.float64) - 1e-7)
        true = distance(self.e, to_field(resample(to_spectrum(flow.vorticity[:, where]), n, m), m), self.frames)
        error = found.error[:, where]
        ratio = torch.where(true > 50 * self.off[:, None] + 1e-14, error / true, torch.nan)
        return ratio.numpy(), (error < true - 2 * self.off[:, None] - 1e-14).any(1).numpy()


def finer(e: NavierStokes2D, times: int) -> NavierStokes2D:
    """The same on so many times as many nodes."""
    n, m = e.resolution, times * e.resolution
    f = None if e.forcing is None else to_field(resample(to_spectrum(e.forcing), n, m), m)
    return NavierStokes2D(e.viscosity, m, f, e.drag, e.length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=12, help="of each flow at each viscosity")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    o = parser.parse_args()
    torch.set_num_threads(1)
    samples, step, least = (2, 2.5e-3, -6) if o.quick else (o.samples, 5e-4, -10)
    few, n = min(samples, 3), o.resolution
    table: dict[tuple[str, str], list[np.ndarray]] = {}
    count, below, off = {"galerkin": 0, "pde": 0}, 0, 0.0
    rng = np.random.default_rng(o.seed)
    for name, make in FLOWS.items():
        for viscosity in VISCOSITIES:
            seed = int(rng.integers(2**31))
            e, start = make(n, viscosity, samples, seed)
            fine = finer(e, 3)
            truth = {"galerkin": Truth(e, start, step),
                     "pde": Truth(fine, to_field(resample(to_spectrum(start[:few]), n, 3 * n), 3 * n), 8 * step)}
            off, good = max(off, float(truth["galerkin"].off.max())), onpolynomials_of(e, start, 0.005)
            for kind, wrong in KINDS.items():
                size = torch.from_numpy(10 ** rng.uniform(least, -2, samples)) * distance(e, start)
                flow = wrong(e, good, size if kind != "coarse steps" else size[:1], seed + 1)
                for against, some in (("galerkin", samples), ("pde", few)):
                    ratios, lost = truth[against].ratios(e, flow[slice(0, some)], start[:some], against)
                    table.setdefault((against, kind), []).append(ratios)
                    count[against] += some
                    below += int(lost.sum())
            print(f"{name}, viscosity {viscosity:g}: {sum(count.values())} judged, {below} bounds below", flush=True)
    print(f"\nreference off by at most {off:.1e}\n{'against':10}{'trajectory':18}{'least':>9}{'median':>9}{'largest':>10}")
    for (against, kind), found in table.items():
        r = np.concatenate([x[np.isfinite(x)] for x in found])
        print(f"{against:10}{kind:18}{r.min():9.3f}{np.median(r):9.2f}{r.max():10.1f}")
    print(f"\n{count['galerkin']} trajectories against the Galerkin system, {count['pde']} against the equation itself: "
          f"{below} with a bound below the true error")
    sys.exit(bool(below))


if __name__ == "__main__":
    main()
