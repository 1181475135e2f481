"""The solver of the flow room beside two installed peers: steps per second, float64, one thread; and its orders of convergence.

    python benchmarks/flow_solver.py [--repeats 31] [--sizes 64 128 256] [--flows 1 8]

Peers: exponax 0.2.0 (ETDRK4, jitted: a `lax.scan` over steps, `vmap` over flows) and torch-cfd 0.2.6 (its "RK4-CN", a batch of spectra);
those that are not installed are left out. Decaying turbulence, ν = 1e-3, the same field, grid, step and number of steps for all, from
spectrum to spectrum; compilation and set-up are not counted. "difference" is that of the results, relative: exponax keeps one mode less.
Processes are pinned to one core where the system allows. Runs take turns; a ratio is the median, over the turns, of ours to theirs in
the same turn. Other work on the machine slows ours more than exponax's: it makes many small calls, and exponax's is one compiled loop.
Exits 1 if a target for single flows is missed.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from itertools import pairwise

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from wellposed.flow import NavierStokes2D
from wellposed.flow.galerkin import Galerkin
from wellposed.flow.initial import mcwilliams
from wellposed.flow.solver import solve_to
from wellposed.flow.steppers import METHODS
from wellposed.numerics.vorticity import resample, to_field, to_spectrum

NU, STEP, STEPS = 1e-3, 2e-3, {64: 20, 128: 8, 256: 4}
PEERS = {"exponax": ("etdrk4", 1.0, "pip install exponax==0.2.0 jax"),
         "torch_cfd": ("rk4-cn", 2.5, "pip install --no-deps torch-cfd==0.2.6 && pip install einops tqdm")}
Runs = Mapping[str, Callable[[], np.ndarray]]


def smooth(n: int, flows: int) -> np.ndarray:
    """Frequencies below n/6: truncations of the peers differ by a mode, which then hardly matters within so few steps."""
    low = Galerkin(NavierStokes2D(NU, n // 2))
    return to_field(resample(low.unpack(low.pack(to_spectrum(mcwilliams(n // 2, flows)))), n // 2, n), n).numpy()


def ours(method: str, w: np.ndarray, steps: int) -> Callable[[], np.ndarray]:
    n = w.shape[-1]
    system = Galerkin(NavierStokes2D(NU, n), len(w))
    start, stepper = system.pack(to_spectrum(torch.from_numpy(w))), METHODS[method](system, STEP)

    def run() -> np.ndarray:
        box = start.clone()
        stepper.advance(box, steps)
        return system.unpack(box).numpy()

    return run


def exponax(w: np.ndarray, steps: int) -> Callable[[], np.ndarray]:
    import jax

    jax.config.update("jax_enable_x64", True)
    from exponax.stepper import NavierStokesVorticity

    n = w.shape[-1]
    stepper = NavierStokesVorticity(2, 2 * math.pi, n, STEP, diffusivity=NU, order=4)

    def one(x):
        return jax.lax.scan(lambda x, _: (stepper.step_fourier(x), None), x, None, length=steps)[0]

    call = jax.jit(jax.vmap(one) if len(w) > 1 else lambda x: one(x[0])[None])
    start = jax.numpy.asarray(np.fft.rfft2(w)[:, None])
    return lambda: np.asarray(call(start).block_until_ready())[:, 0] / n**2


def torch_cfd(w: np.ndarray, steps: int) -> Callable[[], np.ndarray]:
    from torch_cfd.grids import Grid
    from torch_cfd.spectral import NavierStokes2DSpectral, RK4CrankNicolsonStepper

    n = w.shape[-1]
    grid = Grid((n, n), domain=((0, 2 * math.pi), (0, 2 * math.pi)))
    equation = NavierStokes2DSpectral(NU, grid, step_fn=RK4CrankNicolsonStepper()).to(torch.float64)
    start = torch.fft.rfft2(torch.from_numpy(w).mT.contiguous())  # its axes are (x, y)

    @torch.inference_mode()
    def run() -> np.ndarray:
        return equation(start, STEP, steps=steps)[0].numpy()

    return run


def measure(runs: Runs, repeats: int, note: str) -> dict[str, np.ndarray]:
    """Seconds of each run in each turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in track(range(1 + repeats), description=note, transient=True):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if repeat:
                times[name].append(time.perf_counter() - began)
    return {name: np.array(t) for name, t in times.items()}


def agree(peer: str, found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of nodal values, relative to the largest."""
    n = found.shape[-2]
    a, b = np.fft.irfft2(found, s=(n, n)), np.fft.irfft2(expected * n**2, s=(n, n))
    a = a.swapaxes(1, 2) if peer == "torch_cfd" else a * n**2
    return float(abs(a - b).max() / abs(b).max())


def speed(options: argparse.Namespace, console: Console) -> bool:
    table, met = Table("peer, method", "grid", "flows", "ours, steps/s", "theirs, steps/s", "ours / theirs", "target", "difference"), True
    makers = {"exponax": exponax, "torch_cfd": torch_cfd}
    for n in options.sizes:
        for flows in options.flows:
            w, steps = smooth(n, flows), STEPS.get(n, 4)
            runs: dict[str, Callable[[], np.ndarray]] = {}
            for peer in options.peers:
                runs[PEERS[peer][0]], runs[peer] = ours(PEERS[peer][0], w, steps), makers[peer](w, steps)
            differ = {peer: agree(peer, runs[peer](), runs[PEERS[peer][0]]()) for peer in options.peers}
            times = measure(runs, options.repeats, f"{n} x {n}, {flows} flows")
            for peer in options.peers:
                method, target, _ = PEERS[peer]
                ratio = float(np.median(times[peer] / times[method]))
                met &= flows > 1 or ratio >= target
                rates = (f"{flows * steps / np.median(times[name]):,.0f}" for name in (method, peer))
                table.add_row(f"{peer}, {method}", f"{n}", f"{flows}", *rates, f"{ratio:.2f}", f"{target:g}" if flows == 1 else "",
                              f"{differ[peer]:.1e}")
    console.print(table)
    return met


def convergence(console: Console, n: int = 64, interval: float = 0.5) -> bool:
    """Errors against 4,096 steps of ETDRK4, nodal, relative; orders of the halvings."""
    e, w, counts = NavierStokes2D(5e-3, n), to_spectrum(mcwilliams(n)), [32, 64, 128, 256, 512, 1024]
    truth = to_field(solve_to(e, w, interval, interval / 4096), n)
    table, orders = Table("method", *(f"{c} steps" for c in counts)), []
    for method in METHODS:
        found = (to_field(solve_to(e, w, interval, interval / c, method), n) for c in counts)
        errors = [float((x - truth).abs().max() / truth.abs().max()) for x in found]
        slopes = [math.log2(a / b) for a, b in pairwise(errors)]
        table.add_row(method, *(f"{x:.1e}" + (f" ({p:.2f})" if p else "") for x, p in zip(errors, [0.0, *slopes], strict=True)))
        if method == "etdrk4":
            orders = [p for p, x in zip(slopes, errors[1:], strict=True) if x > 5e-12]
    console.print(table)
    return all(abs(p - 4) < 0.1 for p in orders)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--flows", type=int, nargs="+", default=[1, 8])
    options, console = parser.parse_args(), Console(width=140)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)  # torch-cfd makes its coefficients in it
    options.peers = [peer for peer in PEERS if find_spec(peer)]
    for peer in PEERS.keys() - set(options.peers):
        console.print(f"{peer} is not installed and left out; {PEERS[peer][2]}")
    with torch.no_grad():
        met = speed(options, console) if options.peers else False
        met &= convergence(console)
    console.print("all targets met" if met else "a target is missed, or a peer is not there")
    sys.exit(not met)


if __name__ == "__main__":
    main()
