"""Sequences with targets, from arrays of a user: what kind of task they make, and what is minimised.

    x (samples, length, channels) floating, or (samples, length) tokens, 0 the padding
    y (samples,) classes from 0; (samples, outputs) floating; or for every step (samples, length) classes, (samples, length[, outputs])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

UNIT = (0.1, 10.0)
"""Standard deviations that a network is at home with."""


def answer(model: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    """What the model answers, told of lengths where there are any to tell."""
    return model(x, lengths) if bool((lengths < x.shape[1]).any()) else model(x)


def cross_entropy(model: nn.Module, batch: Any) -> Tensor:
    """Of a class for each sequence."""
    x, lengths, y = batch
    return functional.cross_entropy(answer(model, x, lengths), y)


def cross_entropy_of_steps(model: nn.Module, batch: Any) -> Tensor:
    """Of a class for each step; those after a sequence's end do not count."""
    x, lengths, y = batch
    inside = within(x, lengths)
    return functional.cross_entropy(answer(model, x, lengths)[inside], y[inside])


def mse(model: nn.Module, batch: Any) -> Tensor:
    """Mean squared error of a vector for each sequence."""
    x, lengths, y = batch
    return functional.mse_loss(answer(model, x, lengths), y)


def mse_of_steps(model: nn.Module, batch: Any) -> Tensor:
    """Mean squared error of a vector for each step; those after a sequence's end do not count."""
    x, lengths, y = batch
    inside = within(x, lengths)
    return functional.mse_loss(answer(model, x, lengths)[inside], y[inside])


LOSSES: Mapping[tuple[bool, bool], Callable[[nn.Module, Any], Tensor]] = {  # classes? for every step?
    (True, False): cross_entropy, (True, True): cross_entropy_of_steps, (False, False): mse, (False, True): mse_of_steps}


def within(x: Tensor, lengths: Tensor) -> Tensor:
    """Which steps (batch, length) come before the end of their sequence."""
    return torch.arange(x.shape[1], device=x.device) < lengths[:, None]


@dataclass(frozen=True, eq=False)
class Examples:
    """Sequences, their lengths and targets, in the form that a network takes.

    Attributes:
        classes, stepwise: is y classes, or floating? is there one for every step?
        outputs: how many classes, or channels of y. vocabulary: how many tokens, the padding 0 among them; None for real inputs.
        notes: what may not be meant so.
    """

    x: np.ndarray
    lengths: np.ndarray
    y: np.ndarray
    classes: bool
    stepwise: bool
    outputs: int
    vocabulary: int | None
    notes: tuple[str, ...] = ()

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.x, self.lengths, self.y

    @property
    def loss(self) -> Callable[[nn.Module, Any], Tensor]:
        return LOSSES[self.classes, self.stepwise]

    def part(self, chosen: np.ndarray) -> Examples:
        """Some of them, as if of the same origin."""
        return Examples(self.x[chosen], self.lengths[chosen], self.y[chosen], self.classes, self.stepwise, self.outputs, self.vocabulary)


def examples(x: Any, y: Any, lengths: Any = None, head: str | None = None) -> Examples:
    """What the arrays make.

    Args:
        lengths: steps of each sequence that count; None for all, of tokens up to the last that is not 0.
        head: "mean" or "last" for one answer a sequence, "step" for one a step; None chooses by the shape of y.

    Raises:
        ValueError: what is wrong with which array, and what to do.
    """
    x, y = _inputs(np.asarray(x)), np.asarray(y)
    tokens = x.ndim == 2
    if not len(x) or len(x) != len(np.atleast_1d(y)):
        raise ValueError(f"received x {x.shape} and y {y.shape}, expected as many targets as sequences, at least one; the first axis "
                         "counts them")
    ends = _lengths(x, lengths)
    given = y
    y, classes, stepwise = _targets(given, x.shape[1], head)
    if not classes and not np.isfinite(y).all():
        raise ValueError(_not_finite("y", y))
    inside = np.arange(x.shape[1]) < ends[:, None]
    shown = y[inside] if stepwise else y
    doubts = _doubts(shown, stepwise and head is None and np.ndim(given) == 2) if not classes else ()
    notes = (*(_token_notes(x, inside) if tokens else scale_notes("x", x[inside])), *([] if classes else scale_notes("y", shown)))
    outputs, more = _classes(shown) if classes else (y.shape[-1], ())
    return Examples(x, ends, y, classes, stepwise, outputs, int(x.max()) + 1 if tokens else None, (*notes, *more, *doubts))


def _inputs(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind in "iu" and x.ndim == 2 and x.shape[1]:
        if x.min(initial=0) < 0 or x.max(initial=0) >= 2**24:
            raise ValueError(f"received tokens x from {x.min()} to {x.max()}, expected numbers from 1, and 0 for padding; renumber them")
        return x.astype(np.int32)
    if x.dtype.kind != "f" or x.ndim != 3 or not x.shape[1] * x.shape[2]:
        hint = "; for one channel give x[..., None]" if x.ndim == 2 and x.dtype.kind == "f" else \
            "; of other numbers make x.astype('float32')" if x.ndim == 3 and x.dtype.kind in "iub" else ""
        raise ValueError(f"received x {x.shape} of the type {x.dtype}, expected floating (samples, length, channels), or integers "
                         f"(samples, length), which are tokens{hint or '; reshape it'}")
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    if not np.isfinite(x).all():
        raise ValueError(_not_finite("x", x))
    return x


def _not_finite(name: str, x: np.ndarray) -> str:
    first = int(np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(1))[0])
    return f"received {name} with numbers that are not finite, first in sample {first}, expected finite float32; leave such samples out"


def _lengths(x: np.ndarray, lengths: Any) -> np.ndarray:
    steps = x.shape[1]
    if lengths is None:
        ends = np.full(len(x), steps) if x.ndim == 3 else steps - (x[:, ::-1] != 0).argmax(1)
        empty = np.flatnonzero((x == 0).all(1)) if x.ndim == 2 else []
        if len(empty):
            raise ValueError(f"received a sequence of nothing but padding, sample {empty[0]}, expected at least one token above 0; leave "
                             "it out, or count tokens from 1")
        return ends.astype(np.int64)
    ends = np.asarray(lengths)
    ends = ends.reshape(-1) if ends.size == len(x) else ends
    if ends.shape != (len(x),) or ends.dtype.kind not in "iu" or ends.min() < 1 or ends.max() > steps:
        raise ValueError(f"received lengths {ends.shape} of the type {ends.dtype}, expected an integer from 1 to {steps} for each of the "
                         f"{len(x)} sequences")
    return ends.astype(np.int64)


def _targets(y: np.ndarray, steps: int, head: str | None) -> tuple[np.ndarray, bool, bool]:
    """y, is it classes, is it stepwise."""
    fits, kind = y.ndim > 1 and y.shape[1] == steps, y.dtype.kind
    if kind in "iub" and y.ndim == 2 and y.shape[1] == 1 and steps > 1:
        y = y[:, 0]  # as MATLAB keeps vectors
    stepwise = head == "step" or (head is None and fits and (y.ndim == 3 or kind in "iu" or y.shape[1] > 1))
    if stepwise and fits and kind == "f" and y.ndim in (2, 3) and y.size:
        return y.reshape(len(y), steps, -1).astype(np.float32), False, True
    if kind in "iub" and (y.ndim == 2 and fits if stepwise else y.ndim == 1):
        return y.astype(np.int64), True, stepwise
    if kind == "f" and not stepwise and y.ndim == 2 and y.size:
        return y.astype(np.float32), False, False
    expected = f"integers (samples, {steps}), or floating (samples, {steps}[, outputs])" if stepwise else (
        f"integers (samples,), which are classes, floating (samples, outputs), or one of these for every step (samples, {steps}, ...)")
    hint = "; give y.astype(int) for classes, y[:, None] for numbers" if y.ndim == 1 and kind == "f" else "; reshape or convert it"
    raise ValueError(f"received y {y.shape} of the type {y.dtype}{' with head step' if head == 'step' else ''}, expected {expected}{hint}")


def _classes(y: np.ndarray) -> tuple[int, tuple[str, ...]]:
    """How many there are."""
    found = np.unique(y)
    if found[0] != 0 or len(found) < 2 or len(found) <= found[-1] / 2:
        raise ValueError(f"received {len(found)} different classes from {found[0]} to {found[-1]}, expected at least two, counted from 0 "
                         "without large gaps; renumber them: y = np.unique(y, return_inverse=True)[1].reshape(y.shape)")
    missing = np.setdiff1d(np.arange(found[-1]), found)
    return int(found[-1]) + 1, (f"no example of the classes {', '.join(map(str, missing))}",) if len(missing) else ()


def _doubts(y: np.ndarray, either: bool) -> tuple[str, ...]:
    whole = ("y has whole numbers alone, and is floating: give y.astype(int) if they are classes",) * bool((y == np.round(y)).all())
    return (*whole, *(("y is taken as a number for each step; --head mean takes it as so many numbers for each sequence",) * either))


def _token_notes(x: np.ndarray, inside: np.ndarray) -> tuple[str, ...]:
    count = int((x[inside] == 0).sum())
    text = f"the token 0, the padding, is inside sequences {count:,} times: if it means something, add 1 to all tokens"
    return (text,) * (count > 0)


def scale_notes(name: str, values: np.ndarray) -> tuple[str, ...]:
    """Whether numbers (..., channels) are far from unit scale."""
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    spread = flat.std(0)
    constant = np.flatnonzero(spread <= 1e-12 * np.abs(flat).max(0))
    if len(constant) == flat.shape[1]:
        raise ValueError(f"received {name} that is the same number everywhere, expected one that varies; there is nothing to learn")
    far = np.flatnonzero((spread < UNIT[0]) | (spread > UNIT[1]))
    offset = np.abs(flat.mean(0)).max()
    if not len(far) and offset <= UNIT[1]:
        return ()
    return (f"{name} has standard deviations from {spread.min():.3g} to {spread.max():.3g} and means up to {offset:.3g}: networks learn "
            f"better near 1 and 0; store ({name} - mean) / std in the file, and keep mean and std to do the same with new data",)
