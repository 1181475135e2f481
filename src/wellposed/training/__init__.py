"""Training: one loop for any model, that a kill at any moment cannot hurt, and the run folder that it leaves behind."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wellposed.training.config import load_model_config as load_model_config
    from wellposed.training.folder import add_to_run as add_to_run
    from wellposed.training.folder import verify_run as verify_run
    from wellposed.training.folder import write_run as write_run
    from wellposed.training.objectives import Objective as Objective
    from wellposed.training.objectives import objective as objective
    from wellposed.training.run import Run as Run
    from wellposed.training.settings import Settings as Settings
    from wellposed.training.trained import train as train
    from wellposed.training.weights import load_weights as load_weights
    from wellposed.training.weights import save_weights as save_weights

_WHERE = {
    "Objective": "objectives", "Run": "run", "Settings": "settings", "add_to_run": "folder", "load_model_config": "config",
    "load_weights": "weights", "objective": "objectives", "save_weights": "weights", "train": "trained", "verify_run": "folder",
    "write_run": "folder",
}
__all__ = ["Objective", "Run", "Settings", "add_to_run", "load_model_config", "load_weights", "objective", "save_weights", "train",
           "verify_run", "write_run"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"wellposed.training.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'wellposed.training' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)
