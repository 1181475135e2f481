"""How much sharper than the strain is the proved numerical abscissa, and what does one moment of it cost?

    python benchmarks/flow_abscissa.py [--moments 6] [--wide]

Forced: the benchmark flow of the Fourier neural operator, [0, 1]², ν = 10⁻³, f = .1 (sin + cos) 2π(x + y), a random initial field, from
time 5 on. Decaying: turbulence after McWilliams (1984), [0, 2π]², ν = 10⁻³, mean |u|² = 1/2 at the start, from time 4.5 on; below 128
nodes per axis it is not resolved. Every bound is checked by wellposed_check. `strain` is s - ν (2π/L)², `bound` what is proved of λ_ν,
`found` the growth of an error, so that only what is between these two can still be gained; all three are means over the moments.
`factor` is e^∫(strain - bound) over the time that they span: by how much the bound of an error at its start shrinks. --wide: also
turbulence with 128², on all its 7224 unknowns, which takes about a minute. Exit status 1 if a bound is refused.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from wellposed.flow.abscissa import Abscissa, Against, abscissa
from wellposed.flow.band import Band
from wellposed.flow.strain import strain
from wellposed.numerics.vorticity import ETDRK4, Modes, Spectrum, resample, to_spectrum
from wellposed_check.flow.abscissa import proved

NU, DRAWN, OVERSAMPLING = 1e-3, 128, 4


@dataclass(frozen=True)
class Flow:
    """Moments of one flow, `every` units of time apart."""

    name: str
    length: float
    every: float
    moments: list[Spectrum]


def forced(n: int, moments: int) -> Flow:
    noise = torch.randn(2, DRAWN, DRAWN, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    k = torch.fft.fftfreq(DRAWN, 1 / DRAWN, dtype=torch.float64)
    decay = DRAWN**2 * math.sqrt(2) * 7**1.5 * (4 * math.pi**2 * (k[:, None] ** 2 + k**2) + 49) ** -1.25
    decay[0, 0] = 0.0
    w = to_spectrum(torch.fft.ifft2(decay * torch.complex(*noise)).real)
    phase = 2 * math.pi / n * (torch.arange(n, dtype=torch.float64) + torch.arange(n, dtype=torch.float64)[:, None])
    modes = Modes.of(n)
    method = ETDRK4(modes, NU, 0.05, to_spectrum(0.1 * (torch.sin(phase) + torch.cos(phase))))
    return Flow("forced", 1.0, 4.0 / max(1, moments - 1), list(_run(method, resample(w, DRAWN, n), 5.0, 4.0, moments)))


def decaying(n: int, moments: int) -> Flow:
    noise = torch.randn(DRAWN, DRAWN, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = Modes.of(DRAWN, length=2 * math.pi)
    k = drawn.square.sqrt()
    psi = to_spectrum(noise) * torch.where(k > 0, 1 / (k.clamp(min=1.0) * (1 + (k / 4) ** 4)), 0.0)
    energy = (drawn.square * psi.abs() ** 2).sum() + (drawn.square * psi.abs() ** 2)[:, 1:-1].sum()
    w = psi * drawn.square / (2 * energy).sqrt()
    method = ETDRK4(Modes.of(n, length=2 * math.pi), NU, 0.01 if n > 64 else 0.02)
    return Flow("decaying", 2 * math.pi, 0.6 / max(1, moments - 1), list(_run(method, resample(w, DRAWN, n), 4.5, 0.6, moments)))


def _run(method: ETDRK4, w: Spectrum, start: float, span: float, moments: int) -> Iterator[Spectrum]:
    step = -float(torch.log(method.whole[0, 1])) / (NU * float(method.modes.square[0, 1]))
    w, done = w * method.modes.kept, 0
    for time in start + span * np.linspace(0, 1, moments):
        while done < round(time / step):
            w, done = method.step(w), done + 1
        yield w


def measure(flow: Flow, against: Against, box: int | None) -> tuple[list[tuple[float, Abscissa]], float, int]:
    """The bound by the strain and by the matrix at every moment, seconds of one check, and how many the checker refuses."""
    n, out, spent, refused = flow.moments[0].shape[-2], [], 0.0, 0
    band = Band.kept(n, flow.length)
    for w in flow.moments:
        s = float(strain(band.cut(w), band, OVERSAMPLING * n))
        found = abscissa(w, viscosity=NU, drag=0.0, length=flow.length, strain=s, against=against, box=box)
        began = perf_counter()
        refused += not proved(band.cut(w).numpy(), NU, 0.0, flow.length, s, found.box, found.upper, galerkin=against == "galerkin")
        spent += perf_counter() - began
        out.append((s - NU * (2 * math.pi / flow.length) ** 2, found))
    return out, spent / len(out), refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=6)
    parser.add_argument("--wide", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[tuple[Flow, Against, int | None]] = [(forced(n, options.moments), "pde", None) for n in (32, 64, 128)]
    rows.extend([(forced(64, options.moments), "galerkin", None), (forced(64, 1), "galerkin", 21)])
    rows.extend((decaying(n, options.moments), "galerkin", None) for n in (32, 64))
    rows.append((decaying(128, options.moments), "pde", None))
    rows.extend([(decaying(128, 1), "galerkin", 42)] if options.wide else [])
    table = Table("flow", "n", "errors", "box", "strain", "bound", "found", "factor", "ms, median", "ms, check", "refused")
    lost = 0
    for flow, against, box in rows:
        found, checking, refused = measure(flow, against, box)
        crude, upper, ritz = (np.array(x) for x in zip(*((s, a.upper, a.ritz) for s, a in found), strict=True))
        gain = crude - upper
        boxes = sorted({a.box for _, a in found})
        table.add_row(flow.name, str(flow.moments[0].shape[-2]), against, "-".join(str(b) for b in dict.fromkeys([boxes[0], boxes[-1]])),
                      f"{crude.mean():.4f}", f"{upper.mean():.4f}", f"{ritz.mean():.4f}",
                      f"{math.exp(float((gain[1:] + gain[:-1]).sum()) / 2 * flow.every):.2f}" if len(gain) > 1 else "",
                      f"{1e3 * float(np.median([a.seconds for _, a in found])):.1f}", f"{1e3 * checking:.1f}", str(refused))
        lost += refused
    Console(width=130).print(table)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
