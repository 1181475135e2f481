"""config.toml: what a run was asked for, and whether another call asks for the same."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellposed_check.canonical import digest_text

CONFIG = "config.toml"
FORMAT = "wellposed-training/1"
FREE = ("settings.checkpoint_every", "settings.threads", "settings.device")
"""What may change from one call to the next: where and how often, not what."""


def read_config(folder: Path) -> dict[str, Any] | None:
    """What config.toml holds; None where there is none that can be read."""
    try:
        return tomllib.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def unfinished(folder: Path) -> bool:
    """Whether a training run has begun in `folder`, going by its config.toml."""
    return (read_config(folder) or {}).get("format") == FORMAT


def difference(held: Mapping[str, Any], asked: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first entry (name, held, asked) in which two runs differ, by their tables model, settings, data and start."""
    one, two = _identity(held), _identity(asked)
    for name in [*one, *sorted(set(two) - set(one))]:
        if one.get(name) != two.get(name):
            return name, one.get(name), two.get(name)
    return None


def identity(config: Mapping[str, Any]) -> str:
    """SHA-256 of what must be the same for a run to go on."""
    return digest_text(repr(_identity(config)))


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of the four tables by their dotted names, the weights last: with other options they differ too."""
    return {name: x for table in ("model", "settings", "data", "start") for name, x in sorted(_flat(table, config.get(table, {})).items())
            if name not in FREE}


def load_model_config(folder: str | Path) -> dict[str, Any]:
    """The table [model] of a finished run, with "name", after every file of the run has been compared with its manifest.

    Raises:
        ValueError: not a finished run, a file that differs from what was written, or a run without a model.
    """
    from wellposed.training.folder import verify_run

    verify_run(folder)
    config = read_config(Path(folder)) or {}
    if "model" not in config:
        raise ValueError(f"{Path(folder) / CONFIG}: received no table [model], expected that of a trained model; name the folder of "
                         "a run of wellposed.train")
    return dict(config["model"])


def _flat(name: str, x: Any) -> dict[str, Any]:
    if isinstance(x, Mapping):
        return {key: value for k, v in x.items() for key, value in _flat(f"{name}.{k}", v).items()}
    return {} if x is None else {name: x}
