"""What is minimised, for data that are inputs and a target."""

from __future__ import annotations

from collections.abc import Callable
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
        prediction = model(*inputs)
        if same and prediction.shape != target.shape:  # torch would broadcast
            raise ValueError(f"train: received targets of shape {tuple(target.shape)} where the model answers {tuple(prediction.shape)}, "
                             "expected the same shape; reshape the targets, or name another loss")
        return measure(prediction, target)

    of_batch.__dict__["called"] = name_of(loss)
    return of_batch


def name_of(loss: Any) -> str:
    """What config.toml calls a loss: a name, or where the function is defined."""
    if isinstance(loss, str):
        return loss
    if "called" in getattr(loss, "__dict__", {}):
        return str(loss.called)
    of = loss if hasattr(loss, "__qualname__") else type(loss)
    return f"{of.__module__}.{of.__qualname__}"
