"""What the layers of this room accept."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

EXECUTIONS = ("auto", "scan", "convolution", "chunks", "steps")


def own_precision(u: Tensor) -> AbstractContextManager[Any]:
    """Autocast off: states and decays keep the precision of the parameters."""
    kind = u.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def demand_sequence(name: str, u: Any, features: int) -> None:
    """Raises: ValueError: u is not (batch, length, features), floating."""
    if not isinstance(u, Tensor) or u.ndim != 3 or u.shape[-1] != features or not u.shape[1] or not u.is_floating_point():
        got = f"{tuple(u.shape)} of the type {u.dtype}" if isinstance(u, Tensor) else type(u).__name__
        raise ValueError(f"{name}: received {got}, expected a floating tensor (batch, length, {features}) of at least one step")


def demand_step(name: str, u: Any, state: Any, features: int, shape: tuple[int, ...]) -> None:
    """Raises: ValueError: u is not (batch, features), or state not what `initial_state(batch)` gives."""
    if not isinstance(u, Tensor) or u.ndim != 2 or u.shape[-1] != features or not u.is_floating_point():
        got = f"{tuple(u.shape)} of the type {u.dtype}" if isinstance(u, Tensor) else type(u).__name__
        raise ValueError(f"{name}.step: received {got}, expected one step, a floating tensor (batch, {features})")
    demand_state(name, state, len(u), shape)


def demand_state(name: str, state: Any, batch: int, shape: tuple[int, ...]) -> None:
    """Raises: ValueError: the state is not (batch, *shape)."""
    if not isinstance(state, Tensor) or tuple(state.shape) != (batch, *shape):
        got = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
        raise ValueError(f"{name}: received a state {got}, expected {(batch, *shape)}, as initial_state({batch}) or the last call gave it")


def rates(name: str, rate: Any, u: Tensor) -> Tensor:
    """Factors of the step sizes as (batch, length).

    Raises:
        ValueError: another shape, or factors that are not positive.
    """
    rate = torch.as_tensor(rate, dtype=torch.float64, device=u.device)
    full = rate[:, None] if rate.ndim == 1 else rate
    if full.ndim != 2 or full.shape[0] != len(u) or full.shape[1] not in (1, u.shape[1]) or not bool((full > 0).all()):
        raise ValueError(f"{name}: received rate {tuple(rate.shape)}, expected positive factors of the step sizes, one for each sequence "
                         f"({len(u)},) or for each of its steps {tuple(u.shape[:2])}")
    return full.expand(u.shape[:2])


def choose(name: str, execution: str, default: str, carried: bool, bidirectional: bool, varying: bool) -> str:
    """How to compute it.

    Raises:
        ValueError: an unknown name, or a combination that there is not.
    """
    if execution not in EXECUTIONS:
        raise ValueError(f"{name}: received execution={execution!r}, expected one of {', '.join(EXECUTIONS)}")
    if carried and bidirectional:
        raise ValueError(f"{name}: received a state for a bidirectional layer, expected a layer with one direction: its answer needs what "
                         "comes later too; build it with bidirectional=False")
    if carried and execution == "convolution":
        raise ValueError(f"{name}: received a state with execution='convolution', expected 'auto', 'scan', 'chunks' or 'steps'")
    if varying and execution not in ("auto", "scan"):
        raise ValueError(f"{name}: received rate with execution={execution!r}, expected 'auto' or 'scan'")
    return default if execution == "auto" else execution
