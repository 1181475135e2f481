"""What a call of `train` asks for: settings, an objective, and the tables of config.toml by which it is known again."""

from __future__ import annotations

import difflib
import inspect
import platform
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from importlib.metadata import version
from typing import Any

import tomli_w
import torch
from accelerate import Accelerator
from torch import nn

from wellposed.training.config import FORMAT
from wellposed.training.contents import toml
from wellposed.training.data import split
from wellposed.training.objectives import Objective, objective
from wellposed.training.settings import LENGTHS, Settings
from wellposed.training.weights import digest
from wellposed_check.canonical import digest_text

SETTINGS = tuple(f.name for f in fields(Settings))


def choose(settings: Settings | None, options: Mapping[str, Any], data: Any) -> tuple[Settings, dict[str, Any]]:
    """Settings, and what is left of the options: those of the problem or data.

    Raises:
        ValueError: an option that neither knows.
    """
    given = {k: v for k, v in options.items() if k in SETTINGS}
    others = {k: v for k, v in options.items() if k not in SETTINGS}
    registered = objective.dispatch(type(data))
    known = inspect.signature(registered).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        own = [name for name, p in known.items() if p.kind is p.KEYWORD_ONLY]
        for name in others:
            if name not in own:
                close = difflib.get_close_matches(name, [*SETTINGS, *own], 1)
                raise ValueError(f"train: received {name}={others[name]!r}, expected settings ({', '.join(SETTINGS)}) or options of such "
                                 f"data ({', '.join(own) or 'none'}){f'; perhaps {close[0]} is meant' if close else ''}")
    if settings is None:
        stated: Any = getattr(registered, "settings", {})
        defaults = stated if isinstance(stated, Mapping) else stated(data)
        return Settings(**{**defaults, **given}), others
    if any(name in given for name in LENGTHS):
        given = dict.fromkeys(LENGTHS) | given
    return replace(settings, **given), others


def ask(model: nn.Module, data: Any, loss: Any, validation: Any, chosen: Settings, options: Mapping[str, Any]) -> Objective:
    """The objective, with the validation that was asked for.

    Raises:
        ValueError: a fraction of data that are drawn on the fly; patience without validation; or as the type of the data says.
    """
    if loss is not None:
        options = {**options, "loss": loss}
    asked = objective(data, model, **options)
    if validation is None:
        if chosen.patience is not None and asked.validation is None:
            raise ValueError(f"train: received patience={chosen.patience} without validation, expected validation=0.1, say, or data of "
                             "their own: patience ends training when the loss there no longer falls")
        return asked
    if isinstance(validation, int | float):
        if asked.data is None:
            raise ValueError(f"train: received validation={validation} with data that are drawn on the fly, expected data of their own: "
                             "such data have no parts")
        rest, part = split(asked.data, validation, chosen.seed)
        return replace(asked, data=rest, validation=part)
    own = getattr(objective.dispatch(type(validation)), "per_sample", ())  # such as labels, which belong to the training data
    other = objective(validation, model, **{name: value for name, value in options.items() if name not in own}).data
    if other is None:
        raise ValueError("train: received a validation that is drawn on the fly, expected data with a length")
    return replace(asked, validation=other)


def describe(model: nn.Module, asked: Objective, chosen: Settings, on: Accelerator) -> dict[str, Any]:
    """config.toml without the plan."""
    versions = {"python": platform.python_version(), **{name: version(name) for name in ("wellposed", "torch", "numpy", "accelerate")}}
    config = {
        "format": FORMAT, "model": model_config(model), "settings": asdict(chosen), "data": asked.describe(chosen.seed),
        "start": {"module": _built(model), "weights": digest(model)},
        "environment": {**versions, "device": on.device.type, "processes": on.num_processes,
                        "threads": chosen.threads or torch.get_num_threads()}}
    return tomllib.loads(toml(config).decode())


def _built(model: nn.Module) -> str:
    """SHA-256 of what a module says of itself, which parameters are trained, and how fast: what its weights do not show."""
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    groups: Any = getattr(model, "parameter_groups", None)
    factors = [(len(list(g["params"])), g.get("lr_factor", 1.0)) for g in groups()] if callable(groups) else []  # type: ignore[union-attr]
    return digest_text(repr((repr(model), trained, factors)))


def model_config(model: nn.Module) -> dict[str, Any]:
    """The model's own `config`, where it is a mapping or a dataclass, or else the name of its class.

    Raises:
        ValueError: an entry that TOML cannot hold.
    """
    own: Any = getattr(model, "config", None)
    own = asdict(own) if is_dataclass(own) and not isinstance(own, type) else own
    if not isinstance(own, Mapping):
        return {"name": type(model).__name__}
    for name, value in own.items():
        try:
            tomli_w.dumps({str(name): value} if value is not None else {})
        except TypeError:
            raise ValueError(f"train: received {type(model).__name__}.config with {name} of the type {type(value).__name__}, expected "
                             "numbers, texts, booleans, lists or tables, which config.toml can hold") from None
    return {"name": type(model).__name__, **own}
