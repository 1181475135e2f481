"""Data to train on: anything with a length that takes a list of indices and gives a batch."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset, default_collate

from wellposed.training.randomness import Randomness

LOOK = 64
"""How many samples of a data set that only gives samples enter its digest."""


class Data(Protocol):
    """What training reads. A `digest()` of its own, where there is one, is what a run is known by."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: list[int], /) -> Any: ...


class Arrays:
    """Arrays with one sample per entry of the first axis; a batch is a tuple of tensors.

    Args:
        arrays: numpy's or torch's, (samples, ...) each.
        like: floating numbers become of this type, complex ones of its complex type.
        names: what the arrays are called in errors.

    Raises:
        ValueError: no arrays, no samples, different numbers of samples, numbers that are not finite. TypeError: no numbers.
    """

    def __init__(self, arrays: Sequence[Any], like: torch.dtype = torch.float32, names: Sequence[str] = ("x", "y")) -> None:
        names = [names[i] if i < len(names) else f"array {i}" for i in range(len(arrays))]
        self.tensors = tuple(_tensor(name, x, like) for name, x in zip(names, arrays, strict=True))
        lengths = {name: len(x) for name, x in zip(names, self.tensors, strict=True)}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise ValueError(f"data: received {', '.join(f'{name} with {n} samples' for name, n in lengths.items()) or 'no arrays'}, "
                             "expected the same number of samples in each, at least one; the first axis counts them")

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, indices: list[int], /) -> tuple[Tensor, ...]:
        return tuple(x[indices] for x in self.tensors)

    def digest(self) -> str:
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return digest_batch(self.tensors)


class Samples:
    """A data set of torch, which gives one sample at a time: the batch is made by its `collate`, or torch's."""

    def __init__(self, dataset: Any, like: torch.dtype = torch.float32) -> None:
        self.dataset, self.like = dataset, like
        self.collate: Callable[[list[Any]], Any] = getattr(dataset, "collate", default_collate)
        if len(dataset) == 0:
            raise ValueError(f"data: received a {type(dataset).__name__} without samples, expected at least one")

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: list[int], /) -> Any:
        fetch = getattr(self.dataset, "__getitems__", None)
        return cast(self.collate(fetch(indices) if fetch else [self.dataset[i] for i in indices]), self.like)

    def digest(self) -> str:
        """Of its length and a few samples, spread evenly: all of them may be too many."""
        if hasattr(self.dataset, "digest"):
            return str(self.dataset.digest())
        few = np.unique(np.linspace(0, len(self) - 1, LOOK).astype(int)).tolist()
        with Randomness(0).own():  # samples may be transformed at random
            return digest_batch((len(self), [self[[i]] for i in few]))


@dataclass(frozen=True)
class Part:
    """Some samples of other data."""

    data: Data
    chosen: np.ndarray

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, indices: list[int], /) -> Any:
        return self.data[self.chosen[indices].tolist()]

    def digest(self) -> str:
        return digest_batch((digest(self.data), self.chosen))


def split(data: Data, fraction: float, seed: int) -> tuple[Part, Part]:
    """The data without a part drawn from the seed, and that part."""
    if not 0 < fraction < 1 or len(data) < 2:
        raise ValueError(f"train: received validation={fraction} with {len(data)} samples, expected a part between 0 and 1 of at least 2 "
                         "samples, or data of its own")
    count = min(max(1, round(fraction * len(data))), len(data) - 1)
    order = np.random.default_rng([seed, 2**32]).permutation(len(data))
    return Part(data, np.sort(order[count:])), Part(data, np.sort(order[:count]))


def kind_of(data: Data) -> str:
    """What config.toml calls it."""
    inner = data.data if isinstance(data, Part) else data.dataset if isinstance(data, Samples) else None
    return type(data).__name__ if inner is None else kind_of(inner)


def digest(data: Data) -> str:
    """SHA-256 of what training reads."""
    own = getattr(data, "digest", None)
    return str(own()) if own else Samples(data).digest() if isinstance(data, Dataset) else digest_batch(
        (len(data), data[list(range(min(len(data), LOOK)))]))


def digest_batch(batch: Any) -> str:
    """SHA-256 of tensors, arrays, numbers and texts, in sequences and mappings."""
    state = hashlib.sha256()
    _feed(state, batch)
    return state.hexdigest()


def each_tensor(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same batch with every tensor changed; tuples, lists, mappings and objects with tensors as attributes are entered."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(each_tensor(x, change) for x in batch))
    if isinstance(batch, tuple | list):
        return type(batch)(each_tensor(x, change) for x in batch)
    if isinstance(batch, Mapping):
        return {k: each_tensor(x, change) for k, x in batch.items()}
    if hasattr(batch, "__dict__") and any(isinstance(x, Tensor) for x in vars(batch).values()):
        changed = copy.copy(batch)
        vars(changed).update({k: each_tensor(x, change) for k, x in vars(batch).items()})
        return changed
    return batch


def cast(batch: Any, like: torch.dtype) -> Any:
    """Floating numbers in the type that the model computes in."""
    return each_tensor(batch, lambda x: x.to(like) if x.is_floating_point() else x.to(like.to_complex()) if x.is_complex() else x)


def dataset(x: Any, like: torch.dtype) -> Data:
    """A data set of torch, as training reads it.

    Raises:
        TypeError: it has no length or no indices.
    """
    if isinstance(x, IterableDataset):
        raise TypeError(f"data: received {type(x).__name__}, which gives its samples in one order only, expected a data set with indices, "
                        "or an Objective with sample_on_the_fly")
    return Arrays(x.tensors, like) if isinstance(x, TensorDataset) else Samples(x, like)


def _tensor(name: str, x: Any, like: torch.dtype) -> Tensor:
    try:
        tensor = cast(torch.as_tensor(x), like)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"data: received {name} of the type {type(x).__name__} ({error}), expected an array of numbers") from None
    if tensor.ndim == 0:
        raise ValueError(f"data: received {name} without axes, expected (samples, ...)")
    if (tensor.is_floating_point() or tensor.is_complex()) and not bool(torch.isfinite(tensor).all()):
        bad = int((~torch.isfinite(tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None])).any(1).nonzero()[0])
        raise ValueError(f"data: received {name} with numbers that are not finite, first in sample {bad}; leave such samples out, or mend "
                         "them")
    return tensor.detach()


def _feed(state: Any, x: Any) -> None:
    if isinstance(x, Tensor):
        x = x.detach().cpu().resolve_conj().resolve_neg()
        x = (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy()
    if isinstance(x, np.ndarray):
        state.update(f"array {x.dtype.str} {x.shape} ".encode())
        state.update(np.ascontiguousarray(x).data if x.size else b"")
    elif isinstance(x, Mapping):
        _feed(state, [(str(k), v) for k, v in sorted(x.items(), key=lambda item: str(item[0]))])
    elif isinstance(x, tuple | list):
        state.update(f"sequence {len(x)} ".encode())
        for entry in x:
            _feed(state, entry)
    elif hasattr(x, "__dict__") and not isinstance(x, type):
        _feed(state, vars(x))
    else:
        state.update(f"{type(x).__name__} {x!r} ".encode())
