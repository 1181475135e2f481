"""Weights in safetensors: nothing is pickled, complex tensors are stored as real views, the same weights give the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from wellposed.certificate import write_whole
from wellposed.training.config import load_model_config as load_model_config
from wellposed.training.folder import WEIGHTS, verify_run

Tensors = Mapping[str, Tensor]


def save_weights(module: nn.Module | Tensors, path: str | Path) -> Path:
    """Write the parameters and buffers of a module, or a mapping of tensors, to one file, whole or not at all.

    Raises:
        ValueError: something in the state of the module is not a tensor, or has no numbers (the device "meta").
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return write_whole(Path(path), encode(module))


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, from a file or from a finished run, whose files are compared with its manifest first.

    Raises:
        FileNotFoundError: there is none. ValueError: damaged, or not a run.
    """
    path = Path(path)
    if path.is_dir():
        verify_run(path)
        path = path / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"there are no weights at {path}; name a .safetensors file, or the folder of a finished run")
    return decode(path.read_bytes(), str(path))


def load_into(module: nn.Module, weights: Tensors) -> None:
    """Copy weights into a module, bit for bit, whatever the memory format and device of its tensors.

    Raises:
        ValueError: names or shapes that are not those of the module; the first is named.
    """
    own = module.state_dict()
    for name in sorted({*own, *weights}):
        held, asked = own.get(name), weights.get(name)
        if held is None or asked is None or held.shape != asked.shape:
            raise ValueError(f"weights: received {name} {_shape(asked)}, expected {_shape(held)}; build the model with the options that "
                             "the weights were trained with (the table [model] of config.toml)")
    with torch.no_grad():
        for name, held in own.items():
            held.copy_(weights[name])


def encode(module: nn.Module | Tensors) -> bytes:
    """The bytes of a safetensors file; see `save_weights`."""
    given = module.state_dict() if isinstance(module, nn.Module) else module
    stored: dict[str, Tensor] = {}
    for name, x in sorted(given.items()):
        if not isinstance(x, Tensor) or x.is_meta:
            raise ValueError(f"weights: received {name!r} of the type {type(x).__name__}{' on meta' if isinstance(x, Tensor) else ''}, "
                             "expected tensors with numbers; keep other state out of state_dict")
        stored[name] = _plain(x)
    names = [name for name, x in given.items() if x.is_complex()]
    return save(stored, {"complex": json.dumps(sorted(names))} if names else None)


def decode(data: bytes, what: str = "weights") -> dict[str, Tensor]:
    """Tensors by name, from what `encode` gave."""
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        names = json.loads(json.loads(data[8 : 8 + length]).get("__metadata__", {}).get("complex", "[]"))
        return {name: torch.view_as_complex(x) if name in names else x for name, x in tensors.items()}
    except (SafetensorError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{what}: not a safetensors file that can be read ({error}); restore it, or train again") from None


def digest(module: nn.Module | Tensors) -> str:
    """SHA-256 of the weights, of which names, shapes, types and numbers count, but neither device nor memory format."""
    return hashlib.sha256(encode(module)).hexdigest()


def _plain(x: Tensor) -> Tensor:
    """A copy of its own, contiguous and real."""
    x = x.detach().to("cpu", copy=True, memory_format=torch.contiguous_format).resolve_conj().resolve_neg()
    return torch.view_as_real(x).contiguous() if x.is_complex() else x


def _shape(x: Tensor | None) -> str:
    return "no such tensor" if x is None else f"of shape {tuple(x.shape)}"
