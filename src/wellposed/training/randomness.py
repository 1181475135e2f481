"""All that is random while training: seeded, kept in checkpoints, and given back to the caller as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Randomness:
    """The generators of torch, numpy and Python, and one of the run's own.

    Attributes:
        generator: the run's own, handed to `Objective.augment`.
    """

    def __init__(self, seed: int, rank: int = 0) -> None:
        self.seed, self.rank = seed, rank
        self.generator = np.random.default_rng([seed, 2**33, rank])

    @contextmanager
    def own(self) -> Iterator[None]:
        """Seed the global generators, and restore them at the end."""
        before = self.arrays(), self.numbers()
        self.begin(0)
        try:
            yield
        finally:
            self.restore(*before)

    def begin(self, step: int) -> None:
        """Seed all of them from (seed, step, rank)."""
        seeds = np.random.SeedSequence([self.seed, step, self.rank]).generate_state(3)
        torch.manual_seed(int(seeds[0]))
        np.random.seed(seeds[1])  # noqa: NPY002
        random.seed(int(seeds[2]))
        self.generator = np.random.default_rng([self.seed, 2**33, self.rank, step])

    def arrays(self) -> dict[str, Tensor]:
        """The larger part of the state."""
        legacy = np.random.get_state(legacy=False)  # noqa: NPY002
        return {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(legacy["state"]["key"].astype(np.int64)),
                "python": torch.tensor(random.getstate()[1], dtype=torch.int64),
                **{f"cuda.{i}": x for i, x in enumerate(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])}}

    def numbers(self) -> dict[str, Any]:
        """The rest of it, as JSON can hold it."""
        legacy = np.random.get_state(legacy=False)  # noqa: NPY002
        return {"numpy": {"position": legacy["state"]["pos"], "has_gauss": legacy["has_gauss"], "gauss": float(legacy["gauss"]).hex()},
                "python": None if random.getstate()[2] is None else float(random.getstate()[2] or 0.0).hex(),
                "generator": _hex(self.generator.bit_generator.state)}

    def restore(self, arrays: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on where `arrays` and `numbers` were taken."""
        torch.set_rng_state(arrays["torch"].contiguous())
        legacy, gauss = numbers["numpy"], numbers["python"]
        np.random.set_state({"bit_generator": "MT19937", "state": {  # noqa: NPY002
            "key": arrays["numpy"].numpy().astype(np.uint32), "pos": legacy["position"]}, "has_gauss": legacy["has_gauss"],
            "gauss": float.fromhex(legacy["gauss"])})
        random.setstate((3, tuple(arrays["python"].tolist()), None if gauss is None else float.fromhex(gauss)))
        self.generator.bit_generator.state = _numbers(numbers["generator"])
        for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            if f"cuda.{i}" in arrays:
                torch.cuda.set_rng_state(arrays[f"cuda.{i}"].contiguous(), i)


def _hex(x: Any) -> Any:
    """Whole numbers of 128 bits do not survive every reader of JSON."""
    return {k: _hex(v) for k, v in x.items()} if isinstance(x, Mapping) else hex(x) if isinstance(x, int) else x


def _numbers(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {k: _numbers(v) for k, v in x.items()}
    return int(x, 16) if isinstance(x, str) and x.startswith("0x") else x
