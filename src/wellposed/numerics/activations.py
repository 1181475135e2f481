"""Activations by name, as run folders keep them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"gelu": nn.GELU, "silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh}
"""The activations that a run folder can name; any other module can be passed, and is then the caller's to rebuild."""


def named(activation: nn.Module) -> str:
    """As a run folder names it: as `ACTIVATIONS` does, or the class and what it says of itself."""
    for name, kind in ACTIVATIONS.items():
        if repr(kind()) == repr(activation) and type(kind()) is type(activation):
            return name
    return repr(activation)


def activation_of(activation: str | nn.Module) -> nn.Module:
    """A module, new where it is named.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(activation, nn.Module):
        return activation
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: received {activation!r}, expected one of {', '.join(ACTIVATIONS)}, or a module")
    return ACTIVATIONS[activation]()
