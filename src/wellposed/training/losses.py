"""What is minimised, for data that are inputs and a target."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Loss = Callable[[nn.Module, Any], Tensor]


def relative_l2(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over the samples of |u - y| / |y|, Euclidean norms over all other axes; shapes (samples, ...)."""
    error = torch.linalg.vector_norm((prediction - target).flatten(1), dim=1)
    return (error / torch.linalg.vector_norm(target.flatten(1), dim=1)).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relative_l2": relative_l2, "mse": functional.mse_loss, "l1": functional.l1_loss, "cross_entropy": functional.cross_entropy}
SAME_SHAPE = ("relative_l2", "mse", "l1")


def supervised(loss: str | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """For batches of (inputs ..., target): the model is called with the inputs, `loss` with its answer and the target.

    Args:
        loss: one of `LOSSES`, or (prediction, target) -> scalar.

    Raises:
        ValueError: a name that there is not.
    """
    if isinstance(loss, str) and loss not in LOSSES:
        raise ValueError(f"train: received loss={loss!r}, expected one of {', '.join(LOSSES)}, or a function of prediction and target")
    measure = LOSSES[loss] if isinstance(loss, str) else loss
    same = isinstance(loss, str) and loss in SAME_SHAPE

    def of_batch(model: nn.Module, batch: Any) -> Tensor:
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            raise ValueError(f"train: received a batch of the type {type(batch).__name__}, expected (inputs ..., target); other batches "
                             "need an Objective with a loss of its own")
        *inputs, target = batch
        if same and not (target.is_floating_point() or target.is_complex()):
            raise ValueError(f"train: received targets of the type {target.dtype}, expected floating numbers for loss={loss!r}; convert "
                             "them, as by y.astype('float32'), or name cross_entropy for classes")
        prediction = model(*inputs)
        if same and prediction.shape != target.shape:  # torch would broadcast
            raise ValueError(f"train: received targets of shape {tuple(target.shape)} where the model answers {tuple(prediction.shape)}, "
                             "expected the same shape; reshape the targets, or name another loss")
        return measure(prediction, target)

    of_batch.__dict__["called"] = name_of(loss)
    return of_batch


def name_of(call: Any) -> str:
    """What config.toml calls a function: its name, or where it is defined; and of one without a name of its own also what it does."""
    if isinstance(call, str):
        return call
    if "called" in getattr(call, "__dict__", {}):
        return str(call.called)
    if isinstance(call, partial):
        given = ", ".join([*map(repr, call.args), *(f"{k}={v!r}" for k, v in sorted(call.keywords.items()))])
        return f"{name_of(call.func)}({given})"
    of = call if hasattr(call, "__qualname__") else type(call)
    name = f"{of.__module__}.{of.__qualname__}"
    return f"{name} {_digest(call)}" if "<l" in name and hasattr(call, "__code__") else name  # <lambda>, <locals>


def _digest(call: Any) -> str:
    """Of the code, and of the numbers and texts that it closes over."""
    def told(code: Any) -> list[Any]:
        return [code.co_code, code.co_names, *(told(c) if hasattr(c, "co_code") else repr(c) for c in code.co_consts)]

    held = [cell.cell_contents for cell in call.__closure__ or ()]
    closed = [x for x in (*held, *(call.__defaults__ or ())) if isinstance(x, int | float | str)]
    return hashlib.sha256(repr([told(call.__code__), closed]).encode()).hexdigest()[:12]
