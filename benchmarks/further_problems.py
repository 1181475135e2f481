"""Helmholtz, one step of Navier-Stokes, multiscale, Neumann and mixed Darcy: MgNO, FNO and residual CNN, a minute each, win or lose.

    python benchmarks/further_problems.py [--seconds 60] [--seeds 3] [--part 0/2]

Sizes and learning rates are those that `trained_operators.py` finds best for each network and kind of training, not tuned again.
Darcy: on the bound and on labels, both from the lift. Helmholtz (400 speeds, 100 cells a side; labels from a mesh twice as fine,
about .6 % off in the median, far more at resonances, the same for everyone) and Navier-Stokes (400 fields, viscosity 1e-3,
64 x 64): labels, fields as they are. No guarantee is cheap there: errors are against labels. Runs are kept and shared as there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.cache import Cache, add_arguments, key, opened
from peers.contest import RATES, SIZES, array_errors, circumstances, errors, steps_within, train_arrays, train_darcy
from rich.console import Console
from rich.table import Table
from truth import FOLDER, truth

from wellposed.elliptic import Darcy
from wellposed.elliptic.families import draw
from wellposed.elliptic.helmholtz import generate_helmholtz
from wellposed.elliptic.one_step import generate_one_step

COUNT, TEST = 400, 60
NETWORKS = ("MgNO", "FNO", "CNN")
MIXED = {"bottom": "neumann", "right": "dirichlet", "top": "neumann", "left": "dirichlet"}
Arrays = tuple[np.ndarray, np.ndarray]


def darcy(field: str, boundary: str | Mapping[str, str]) -> Darcy:
    # with Neumann sides alone a constant source would be balanced away
    source = "random" if boundary == "neumann" else "one"
    return draw(field, 64, COUNT + TEST, seed=20_000, source=source, boundary=boundary)


def kept(name: str, make: Callable[[], Arrays]) -> Arrays:
    """Inputs and labels, computed once."""
    file = FOLDER / f"{name}.npz"
    if not file.exists():
        x, y = make()
        FOLDER.mkdir(parents=True, exist_ok=True)
        np.savez(file.with_suffix(".part.npz"), x=x, y=y)
        file.with_suffix(".part.npz").replace(file)
    with np.load(file) as arrays:
        return arrays["x"], arrays["y"]


def helmholtz() -> Arrays:
    problem = generate_helmholtz(samples=COUNT + TEST, seed=20_000)
    speed = np.asarray(problem.speed)
    return ((speed - 20.0)[:, None], np.asarray(problem.solve(finer=2))[:, None])


def one_step() -> Arrays:
    problem = generate_one_step(samples=COUNT + TEST, seed=20_000)
    return np.asarray(problem.vorticity)[:, None], np.asarray(problem.solve(1e-6))[:, None]


DARCY: dict[str, tuple[str, str | Mapping[str, str]]] = {
    "Darcy, multiscale": ("multiscale", "dirichlet"), "Darcy, Neumann": ("two-phase", "neumann"), "Darcy, mixed": ("two-phase", MIXED)}
FIELDS: dict[str, tuple[Callable[[], Arrays], str]] = {
    "Helmholtz": (helmholtz, "neumann"), "Navier-Stokes, one step": (one_step, "periodic")}


def groups() -> list[tuple[str, str, str]]:
    """(problem, inputs, loss)."""
    return [(name, "raw", "l2") for name in FIELDS] + [(name, "lift", loss) for loss in ("bound", "l2") for name in DARCY]


class Further:
    """Data, made when they are first needed, and one training with its errors."""

    def __init__(self) -> None:
        self._data: dict[str, Any] = {}

    def data(self, name: str) -> Any:
        if name not in self._data:
            if name in DARCY:
                problem = darcy(*DARCY[name])
                self._data[name] = problem[:COUNT], np.asarray(problem[:COUNT].solve(1e-9)), problem[COUNT:]
            else:
                self._data[name] = kept(name.split(",")[0].lower(), FIELDS[name][0])
        return self._data[name]

    def run(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        if settings["what"] == "calibration":
            return {"steps": steps_within(lambda steps: self.fit({**settings, "steps": steps}), settings["seconds"])}
        try:
            model, run = self.fit(settings)
        except FloatingPointError:  # it diverges at the rate that another problem has chosen: a third of it, and the table says so
            model, run = self.fit({**settings, "lr": settings["lr"] / 3})
            return {"diverged": True, **self.measure(settings, model, run)}
        return self.measure(settings, model, run)

    def measure(self, settings: Mapping[str, Any], model: Any, run: Any) -> dict[str, Any]:
        data, found = self.data(settings["problem"]), circumstances(model, run)
        if settings["problem"] in DARCY:
            return found | errors(model, settings, truth(data[2]))
        return found | array_errors(model, data[0][COUNT:], data[1][COUNT:])

    def fit(self, settings: Mapping[str, Any]) -> Any:
        data = self.data(settings["problem"])
        if settings["problem"] in DARCY:
            return train_darcy(settings, data[0], data[1])
        return train_arrays(settings, data[0][:COUNT], data[1][:COUNT], FIELDS[settings["problem"]][1])


def tuned(contest: Cache, network: str, inputs: str, loss: str) -> tuple[dict[str, Any], float]:
    """Size and rate that `trained_operators.py` found best on its validation fields; the first of each where it has not run."""
    rows = [(row["settings"], row["result"]) for row in contest.entries() if row["settings"]["what"] == "training"]
    own = "energy_validation" if loss == "bound" else "l2_validation"
    mine = [(result[own], key(s), s) for s, result in rows
            if (s["network"], s["inputs"], s["loss"], s["seed"]) == (network, inputs, loss, 0)]
    if not mine:
        return SIZES[network, inputs, loss][0], RATES[0]
    best = min(mine)[2]
    return best["size"], best["lr"]


def settings(cache: Cache, further: Further, contest: Cache, group: tuple[str, str, str], network: str, seconds: float, seed: int) -> Any:
    problem, inputs, loss = group
    size, lr = tuned(contest, network, inputs, loss)
    size = dict(size)
    if problem == "Helmholtz" and network == "MgNO":
        size["levels"] = 3  # 100 cells can be halved twice
    common = {"network": network, "inputs": inputs, "loss": loss, "problem": problem, "size": size, "lr": lr}
    pilot = {"what": "calibration", **common, "seed": 0, "seconds": seconds}
    cache.fill([pilot], further.run)
    return {"what": "training", **common, "seed": seed, "steps": cache.get(pilot)["steps"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--contest", type=Path, default=FOLDER / "trained_operators.jsonl", help="cache of trained_operators.py")
    add_arguments(parser, "further_problems")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console, cache, contest, further = Console(), opened(options), Cache(options.contest), Further()
    runs = len(groups()) * len(NETWORKS) * options.seeds
    console.print(f"{runs} trainings of {options.seconds:.0f} s, about {runs * (options.seconds + 15) / 60:.0f} minutes less what "
                  f"{options.cache} holds")
    found: dict[Any, list[Any]] = {}
    for seed in range(options.seeds):
        work = [(group, network) for group in groups() for network in NETWORKS]
        turn = len(work) * cache.part[0] // cache.part[1]
        for group, network in [*work[turn:], *work[:turn]]:
            asked = settings(cache, further, contest, group, network, options.seconds, seed)
            cache.fill([asked], further.run)
            found.setdefault((group, network), []).append(cache.get(asked))
    if options.part is None:
        show(console, found)


def show(console: Console, found: Mapping[Any, list[dict[str, float]]]) -> None:
    table = Table("problem", "trained on", *(f"{name} energy, L2 %" for name in NETWORKS), "MgNO / FNO", "MgNO / CNN", box=None,
                  title="mean test errors over seeds; ratios of what was trained for (bound: energy)")
    for group in groups():
        problem, _, loss = group
        means = {name: {k: float(np.mean([r[k] for r in found[group, name]])) for k in ("energy", "l2") if k in found[group, name][0]}
                 for name in NETWORKS}
        own = "energy" if loss == "bound" else "l2"
        cells = [", ".join(f"{100 * means[name][k]:.2f}" if k in means[name] else "-" for k in ("energy", "l2"))
                 + " *" * any("diverged" in r for r in found[group, name]) for name in NETWORKS]
        ratios = [f"{means['MgNO'][own] / means[name][own]:.2f}" for name in NETWORKS[1:]]
        table.add_row(problem, "the bound" if loss == "bound" else "labels", *cells, *ratios)
    console.print(table)
    console.print("* diverged at the rate chosen for two-phase fields; trained at a third of it")


if __name__ == "__main__":
    main()
