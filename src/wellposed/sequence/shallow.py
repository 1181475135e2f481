"""Floors of nested operators: how often one is right who reads the top of a tree only.

A network that has learned nothing of nesting still scores far above a tenth. A figure says something where it exceeds these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from wellposed.sequence.listops import CLOSE, FIRST_OPERATOR
from wellposed.sequence.split import Split

DRAWS, TREES = 128, 2000
LEVELS = {"and its digits": 1, "and its children's operators": 1, "two levels": 2, "three levels": 3, "five levels": 5}
Draw = Callable[[int], np.ndarray]


def floors(train: Split, test: Split, seed: int = 0) -> dict[str, float]:
    """Accuracy on `test` of predictors that read only the top of a tree; what they cannot read they know in distribution, from `train`.

    "the commonest value", "the root's operator", that "and its digits", that "and its children's operators"; "two levels" reads the
    children's digits and the operators below them too, and so on. Below what is read, a value is drawn from the values its operator has
    in `train`; the answer is the commonest of 128 such readings. Estimates from at most 2,000 trees of each split.

    Raises:
        ValueError: a split without trees.
    """
    if not len(train.y) or not len(test.y):
        raise ValueError(f"received {len(train.y)} trees to learn from and {len(test.y)} to answer, expected some of each; generate more")
    values, inner = train.y[:TREES], _inner_values(train)
    answers = test.y[:TREES]
    commonest = {op: _mode(values[train.x[:TREES, 0] == op]) for op in np.unique(train.x[:TREES, 0])}
    overall = _mode(values)
    out = {"the commonest value": np.mean(answers == overall),
           "the root's operator": np.mean(answers == [commonest.get(op, overall) for op in test.x[:TREES, 0]])}
    for name, depth in LEVELS.items():
        rng = np.random.default_rng([seed, depth])
        known = inner if name != "and its digits" else {op: np.concatenate(list(inner.values())) for op in inner}
        read = [_mode(_read(tokens, depth, _draw(known, rng))) for tokens in _trees(test)]
        out[name] = np.mean(answers == read)
    return {name: float(accuracy) for name, accuracy in out.items()}


def _trees(split: Split) -> Iterator[list[int]]:
    return (x[:n].tolist() for x, n in zip(split.x[:TREES], split.lengths[:TREES], strict=True))


def _mode(values: np.ndarray) -> int:
    return int(np.bincount(np.atleast_1d(values), minlength=10).argmax())


def _draw(known: dict[int, np.ndarray], rng: np.random.Generator) -> Draw:
    return lambda op: known[op][(rng.random(DRAWS) * len(known[op])).astype(int)]


def _inner_values(train: Split) -> dict[int, np.ndarray]:
    """What each operator came to, below the roots."""
    found: dict[int, list[int]] = {op: [0] for op in range(FIRST_OPERATOR, CLOSE)}
    for tokens in _trees(train):
        _read(tokens, len(tokens), None, found)
    return {op: np.array(values[1:] or values) for op, values in found.items()}


def _read(tokens: list[int], depth: int, draw: Draw | None, found: dict[int, list[int]] | None = None) -> np.ndarray:
    """The root's value, where subtrees below `depth` operators are drawn; `found` collects those that are read."""
    stack: list[tuple[int, list]] = []
    hidden = 0
    for token in tokens:
        if hidden:
            hidden += (token >= FIRST_OPERATOR) - 2 * (token == CLOSE)
        elif token == CLOSE:
            op, values = stack.pop()
            value = _apply(op, values)
            if not stack:
                return value
            stack[-1][1].append(value)
            if found is not None:
                found[op].append(int(value))
        elif token < FIRST_OPERATOR:
            stack[-1][1].append(token - 1)
        elif len(stack) == depth and draw is not None:
            stack[-1][1].append(draw(token))
            hidden = 1
        else:
            stack.append((token, []))
    raise ValueError(f"received {len(tokens)} symbols without the root's closing bracket, expected a whole tree; do not cut trees")


def _apply(op: int, values: list) -> np.ndarray:
    v = np.sort(np.array(np.broadcast_arrays(*values)), 0)
    n = len(v)
    return (v[0], v[-1], (v[(n - 1) // 2] + v[n // 2]) // 2, v.sum(0) % 10)[op - FIRST_OPERATOR]
