"""What a problem or data set becomes when a model is trained on it: `objective` is taught new types by `register`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from wellposed.training.data import Arrays, Data, dataset, digest, digest_batch, kind_of
from wellposed.training.files import read_samples
from wellposed.training.losses import LOSSES, Loss, name_of, supervised
from wellposed.training.schedule import indices
from wellposed.training.settings import Settings


@dataclass(frozen=True)
class Objective:
    """What is minimised, over what, and how it is judged.

    Attributes:
        loss: (model, batch) -> scalar.
        data: has a length, and gives a batch for a list of indices; None where `sample_on_the_fly` gives the batches.
        validation: data that is not trained on. The best weights are those with the least `criterion` there.
        metrics: (model, validation) -> further numbers of each report.
        criterion: "loss", or one of `metrics`: what makes weights the best; the smaller the better.
        sample_on_the_fly: (step, seed) -> batch, endless data; it depends on its arguments alone, so that a resumed run sees the same.
        begin: called as begin(step, steps) before each step, such as to train coarse meshes first; depends on its arguments alone.
        augment: (batch, generator) -> batch, of each batch that is trained on; the generator is kept in checkpoints.
        name: what config.toml calls it. fingerprint: SHA-256 that it is known by; by default that of data and validation.

    Raises:
        ValueError: neither data nor sample_on_the_fly, or both.
    """

    loss: Loss
    data: Data | None = None
    validation: Data | None = None
    metrics: Callable[[nn.Module, Any], dict[str, float]] | None = None
    criterion: str = "loss"
    sample_on_the_fly: Callable[[int, int], Any] | None = None
    begin: Callable[[int, int], None] | None = None
    augment: Callable[[Any, np.random.Generator], Any] | None = None
    name: str | None = None
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        if (self.data is None) == (self.sample_on_the_fly is None):
            raise ValueError(f"Objective: received {'neither' if self.data is None else 'both'} of data and sample_on_the_fly, expected "
                             "one of them")

    def batch(self, step: int, settings: Settings, rank: int = 0, processes: int = 1) -> Any:
        """The batch of a step, which depends on the seed and the step alone."""
        if self.data is not None:
            return self.data[indices(step, len(self.data), settings, rank, processes)]
        assert self.sample_on_the_fly is not None
        return self.sample_on_the_fly(step * processes + rank, settings.seed)

    def describe(self, seed: int) -> dict[str, Any]:
        """The table [data] of config.toml, by which another call is known to ask for the same."""
        kind = name_of(self.sample_on_the_fly) if self.data is None else kind_of(self.data)
        return {"kind": self.name or kind, "loss": name_of(self.loss),
                "criterion": self.criterion, "sha256": self.fingerprint or self._fingerprint(seed),
                "augment": None if self.augment is None else name_of(self.augment),
                "samples": None if self.data is None else len(self.data),
                "validation": None if self.validation is None else digest(self.validation)}

    def _fingerprint(self, seed: int) -> str:
        if self.data is not None:
            return digest(self.data)
        assert self.sample_on_the_fly is not None
        return digest_batch([self.sample_on_the_fly(step, seed) for step in (0, 1)])


@singledispatch
def objective(data: Any, model: nn.Module, *, loss: Any = None) -> Objective:  # noqa: ARG001
    """What training `model` on `data` minimises; options depend on the type of the data.

    Known are an `Objective`, a tuple of arrays (inputs ..., target), a torch data set, and the path of an .npz file with x and y or of a
    folder of them. Teach it a problem of your own with ``wellposed.training.objective.register(Problem)``; an attribute `settings` of
    the registered function holds what `Settings` takes where the caller does not say, or is a function of the problem that gives it.

    Raises:
        TypeError: the type is not known. ValueError: what the data should be like is said.
    """
    known = ", ".join(sorted(t.__name__ for t in objective.registry if t is not object))
    hint = "; give its dataset instead" if isinstance(data, DataLoader) else ""
    raise TypeError(f"train: received data of the type {type(data).__name__}, expected arrays (x, y), a data set of torch, a path, an "
                    f"Objective, or a type that has been registered ({known}){hint}")


@objective.register
def _given(data: Objective, model: nn.Module, *, loss: Any = None) -> Objective:  # noqa: ARG001
    if loss is not None:
        raise ValueError("train: received an Objective and loss=, expected the loss inside it: dataclasses.replace(objective, loss=...)")
    return data


@objective.register(tuple)
@objective.register(list)
def _arrays(data: Any, model: nn.Module, *, loss: Any = None) -> Objective:
    """Arrays (inputs ..., target), (samples, ...) each; the relative L2 loss by default."""
    if len(data) < 2:
        raise ValueError(f"train: received {len(data)} arrays, expected inputs and a target, as in train(model, (x, y), ...)")
    names = ["x", "y"] if len(data) == 2 else [*(f"input {i}" for i in range(len(data) - 1)), "the target"]
    arrays = Arrays(data, floating(model), names)
    if loss in (None, "relative_l2"):
        _no_zeros(arrays.tensors[-1])
    return pairs(arrays, loss)


@objective.register
def _dataset(data: Dataset, model: nn.Module, *, loss: Any = None) -> Objective:
    return pairs(dataset(data, floating(model)), loss)


@objective.register(str)
@objective.register(Path)
def _files(data: str | Path, model: nn.Module, *, loss: Any = None, each: str | None = None) -> Objective:
    """An .npz file with x and y, or a folder of them, each one sample or a batch."""
    return _arrays(read_samples(Path(data), each), model, loss=loss)


def pairs(data: Data, loss: Any = None) -> Objective:
    """The objective of batches (inputs ..., target)."""
    return Objective(supervised(loss or "relative_l2"), data)


def floating(model: nn.Module) -> torch.dtype:
    """The type of the first floating parameter: what the data are converted to."""
    kinds = (p.dtype.to_real() if p.is_complex() else p.dtype for p in model.parameters() if p.is_floating_point() or p.is_complex())
    return next(kinds, torch.get_default_dtype())


def _no_zeros(target: Tensor) -> None:
    zero = (target == 0).flatten(1).all(1) if target.ndim > 1 else target == 0
    if bool(zero.any()):
        raise ValueError(f"train: received a target that is zero everywhere (sample {int(zero.nonzero()[0])}), where a relative error is "
                         f"not defined; name another loss ({', '.join(k for k in LOSSES if k != 'relative_l2')})")
