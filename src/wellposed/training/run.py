"""A finished training run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from wellposed.training.config import read_config
from wellposed.training.folder import WEIGHTS, write_run
from wellposed.training.history import read_history
from wellposed.training.loop import Loop
from wellposed.training.progress import duration, number
from wellposed.training.weights import decode, encode, load_into

LOADERS = {"lpn": "wellposed.proximal.LPN.load", "mgno": "wellposed.elliptic.MgNO.load",
           "sequence": "wellposed.sequence.SequenceModel.load", "spacetime-fno": "wellposed.flow.SpacetimeFNO.load"}


@dataclass(frozen=True)
class Run:
    """What training gave: everything in its folder, read.

    Attributes:
        model: as it was given, with the best weights, or the last where nothing was validated; not in training mode.
        folder: where it is. config: what its config.toml holds. history: its reports.
        best: the report of the weights in `model`. steps: how many were done. seconds: how long they took.
        status: "finished", or "patience" where the validation loss had not improved for so many reports.
    """

    model: nn.Module = field(repr=False)
    folder: Path
    config: dict[str, Any] = field(repr=False)
    history: list[dict[str, Any]] = field(repr=False)
    best: dict[str, Any]
    steps: int
    seconds: float
    status: str

    @property
    def message(self) -> str:
        """What happened, in a sentence."""
        shown = "  ".join(f"{k.replace('_', ' ')} {number(v)}" for k, v in self.best.items()
                          if k not in ("step", "epoch", "lr", "seconds") and v is not None)
        why = "" if self.status == "finished" else ", when patience ended,"
        return (f"{type(self.model).__name__}: {self.steps} steps{why} in {duration(self.seconds)}; weights of step "
                f"{self.best.get('step', self.steps)}: {shown}")

    def __str__(self) -> str:
        return f"{self.message}\nin {self.folder}"


def open_run(folder: Path, model: nn.Module) -> Run:
    """A finished run whose files have been verified; its weights go into `model`."""
    load_into(model, decode((folder / WEIGHTS).read_bytes(), str(folder / WEIGHTS)))
    config, history = read_config(folder) or {}, read_history(folder)
    result = config["result"]
    best = next((row for row in history if row["step"] == result["best_step"]), {})
    return Run(model.eval(), folder, config, history, best, result["steps"], result["seconds"], result["status"])


def finish(loop: Loop, config: dict[str, Any], status: str) -> None:
    """Write the finished files of a run, all at once; its checkpoints stay."""
    place, history = loop.position, loop.history.rows if loop.history else []
    last, best_step = loop.learner.weights(), place.best["step"] if place.best else place.step
    result = {"status": status, "steps": place.step, "best_step": best_step, "seconds": round(place.seconds, 3)}
    config = config | {"plan": asdict(loop.plan), "result": result}
    write_run(loop.folder, config=config, history=history, card=card(config, history, loop.folder), weights=loop.best or last,
              files={"last.safetensors": encode(last)} if best_step != place.step else {})


def card(config: dict[str, Any], history: list[dict[str, Any]], folder: Path) -> str:
    """README.md: what was trained on what, and how well."""
    model, result = config["model"], config["result"]
    rows = [row for row in history if row["step"] == result["best_step"]]
    losses = "".join(f"| {k.replace('_', ' ')} | {number(v)} |\n" for k, v in rows[0].items() if v is not None) if rows else ""
    options = ", ".join(f"{k} = {v}" for k, v in config["settings"].items())
    return (f"# {model['name']}\n\n{result['steps']} steps in {duration(result['seconds'])} on {config['data']['kind']}"
            f" (SHA-256 {config['data']['sha256'][:12]}), loss {config['data']['loss']}; ended: {result['status']}. The weights are those "
            f"of step {result['best_step']}:\n\n| | |\n|---|---|\n{losses}\nSettings: {options}.\n\n`config.toml` has all that was asked "
            f"for, `manifest.json` the SHA-256 of each file. The weights:\n\n    {_how_to_load(model['name'], folder)}\n")


def _how_to_load(name: str, folder: Path) -> str:
    return f"{LOADERS.get(name, 'wellposed.training.load_weights')}({str(folder)!r})"
