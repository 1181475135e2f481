"""One training of one network under a budget of time, and its errors: what the benchmarks of trained operators have in common."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from peers.surrogates import lifted, raw
from torch import nn
from truth import Truth, relative_l2

import wellposed
from wellposed.elliptic import Darcy, clamp
from wellposed.elliptic.trial import answer
from wellposed.training import Run

RATES = (2e-3, 6e-3)
"""The same two learning rates for everyone; with two sizes each, four settings."""
BETAS = (0.9, 0.99)
COARSE = 0.8
"""On the lift the first part of the steps is made on the mesh half as fine, for everyone whose setting does not say otherwise."""
SHARED = {"levels": 5, "repeated": 1, "separable": 1}
MGNO = ({"channels": 24, "layers": 3, **SHARED, "batch": 4}, {"channels": 16, "layers": 4, **SHARED, "batch": 4})
FNO = ({"width": 24, "modes": 12, "batch": 8}, {"width": 16, "modes": 12, "batch": 4})
CNN = ({"width": 16, "blocks": 3, "batch": 4}, {"width": 24, "blocks": 2, "batch": 4})
SIZES: dict[tuple[str, str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    **{(name, inputs, "l2"): sizes for name, sizes in (("MgNO", MGNO), ("FNO", FNO), ("CNN", CNN)) for inputs in ("lift", "raw")},
    ("MgNO", "lift", "bound"): MGNO,
    ("FNO", "lift", "bound"): ({"width": 24, "modes": 12, "shared": True, "batch": 4},
                               {"width": 16, "modes": 12, "shared": False, "batch": 4}),
    ("CNN", "lift", "bound"): ({"width": 16, "blocks": 3, "shared": True, "batch": 4},
                               {"width": 16, "blocks": 3, "shared": True, "batch": 4, "coarse": 0.0}),
}
"""(network, inputs, loss) -> the two sizes; "batch" and "coarse" are the training's, the rest the network's."""
PILOTS = (10, 50)


def steps_within(train: Callable[[int], Any], seconds: float) -> int:
    """How many steps fit into this time on one thread, from the processor's time of two short trainings.

    The processor's time, so that what else the machine does cannot favour anyone.
    """
    train(1)  # imports, data and first calls of the library are nobody's time
    took = []
    for steps in PILOTS:
        began = time.process_time()
        train(steps)
        took.append(time.process_time() - began)
    return max(1, round(seconds / ((took[1] - took[0]) / (PILOTS[1] - PILOTS[0]))))


def train_darcy(settings: Mapping[str, Any], problem: Darcy, labels: np.ndarray) -> tuple[nn.Module, Run]:
    """A network on a Darcy problem as the settings say: "network", "inputs", "loss", "size", "lr", "steps", "seed"."""
    size, boundary = dict(settings["size"]), problem.boundary if not problem.periodic else "periodic"
    batch, coarse = size.pop("batch"), size.pop("coarse", COARSE)
    torch.manual_seed(settings["seed"])
    if settings["inputs"] == "lift":
        model = lifted(settings["network"], size, boundary, settings["loss"] == "bound")
        given = {} if settings["loss"] == "bound" else {"labels": labels}
        return model, _train(model, problem, settings, batch, loss=settings["loss"], coarse=coarse, **given)
    x, y = raw_inputs(problem), labels[:, None]
    model = raw(settings["network"], size, x, y, boundary, problem)
    return model, _train(model, (x, y), settings, batch)


def train_arrays(settings: Mapping[str, Any], x: np.ndarray, y: np.ndarray, boundary: str) -> tuple[nn.Module, Run]:
    """A network on arrays, (samples, channels, n, n) and (samples, 1, rows, columns)."""
    size = dict(settings["size"])
    batch = size.pop("batch")
    torch.manual_seed(settings["seed"])
    model = raw(settings["network"], size, x, y, boundary)
    return model, _train(model, (x, y), settings, batch)


def _train(model: nn.Module, data: Any, settings: Mapping[str, Any], batch: int, **options: Any) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        return wellposed.train(model, data, folder=folder, quiet=True, steps=settings["steps"], threads=1, batch=batch,
                               lr=settings["lr"], betas=BETAS, seed=settings["seed"], **options)


def raw_inputs(problem: Darcy) -> np.ndarray:
    """log a, and f where it varies: (samples, 1 or 2, n, n)."""
    fields = [problem.coefficient.log().numpy()]
    if not bool((problem.source == problem.source[:1]).all()):
        fields.append(problem.source.numpy())
    return np.stack(fields, 1)


@torch.no_grad()
def predict(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """(samples, rows, columns) in float64."""
    parts = torch.from_numpy(x).float().split(16)
    return torch.cat([model.eval()(part)[:, 0] for part in parts]).double().numpy()


def potentials(model: nn.Module, settings: Mapping[str, Any], problem: Darcy) -> np.ndarray:
    """Nodal values with exact boundary values."""
    if settings["inputs"] == "raw":
        return np.asarray(clamp(problem, predict(model, raw_inputs(problem))))
    found = answer(model.eval(), problem, relax=0)  # pyright: ignore[reportArgumentType]
    return np.asarray(found[0] if isinstance(found, tuple) else found)


def errors(model: nn.Module, settings: Mapping[str, Any], exact: Truth, suffix: str = "") -> dict[str, float]:
    """Mean relative errors in energy, against the exact solution, and in L2, against finite elements."""
    v = potentials(model, settings, exact.problem)
    return {f"energy{suffix}": float(exact.energy(v).mean()), f"l2{suffix}": float(exact.l2(v).mean())}


def array_errors(model: nn.Module, x: np.ndarray, y: np.ndarray, suffix: str = "") -> dict[str, float]:
    return {f"l2{suffix}": float(relative_l2(predict(model, x), y[:, 0]).mean())}


def circumstances(model: nn.Module, run: Run) -> dict[str, Any]:
    """What else is worth keeping of a training."""
    return {"steps": run.steps, "trained_seconds": round(run.seconds, 2), "load": round(os.getloadavg()[0], 2),
            "parameters": sum(p.numel() * (1 + p.is_complex()) for p in model.parameters())}


def named(size: Mapping[str, Any]) -> str:
    """A size in a few words."""
    return " ".join(f"{k}={v}" for k, v in size.items())
