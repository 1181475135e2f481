"""State dicts from files, as numpy arrays by name: .safetensors, .pt and .pth. Nothing but tensors is unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ENDINGS = (".safetensors", ".pt", ".pth")


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a file, by name; mappings in mappings have names with dots.

    Raises:
        FileNotFoundError: there is no such file. ValueError: it holds other things than tensors, or none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; expected one of {', '.join(ENDINGS)}")
    return _safetensors(path) if path.suffix == ".safetensors" else _torch(path)


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(path.read_bytes())
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a safetensors file that can be read ({error!r}), expected tensors in float32 or float64; convert "
                         "others") from None


def _torch(path: Path) -> dict[str, np.ndarray]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a file of tensors alone ({str(error).splitlines()[0]}), expected what "
                         "torch.save(model.state_dict(), path) writes; other objects are not unpickled: store the state dict, or "
                         "safetensors") from None
    found: dict[str, np.ndarray] = {}
    _flatten(content, "", found)
    return found


def _flatten(content: Any, name: str, found: dict[str, np.ndarray]) -> None:
    if isinstance(content, Mapping):
        for key, x in content.items():
            _flatten(x, f"{name}.{key}".lstrip("."), found)
    elif hasattr(content, "detach"):
        x = content.detach().resolve_conj()
        found[name] = (x if x.is_complex() else x.double()).numpy()
