"""From the parameters and arrays of a witness to the stages of a network, refusing whatever the theorems do not cover."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.sequence.evidence import paired
from wellposed_check.sequence.symbol import Modes, System
from wellposed_check.statement import Evidence

MOST, LONGEST, LARGEST, NEAREST = 2000, 2**24, 2.0**300, 2.0**-40
FIELDS = {"siso": (), "mimo": (), "linear": (), "scale": (), "pointwise": ("function",), "residual": ("stages",), "mean": ("steps",)}
ONE_WAY = {"siso": ("eigenvalues", "residues"), "mimo": ("eigenvalues", "b", "c")}
REST = {"siso": ("feedthrough",), "mimo": ("feedthrough",), "linear": ("weight",), "scale": ("factors",)}
LIPSCHITZ = {"identity": 1.0, "relu": 1.0, "leaky_relu": 1.0, "tanh": 1.0, "sigmoid": 0.25, "gelu": 1.12891, "silu": 1.09984}
Array = np.ndarray


@dataclass(frozen=True)
class Stage:
    """One stage. `place` is "0", or "2.1" for the second stage in the branch of the third, which are its `inner` ones."""

    kind: str
    place: str
    arrays: dict[str, Array] = field(default_factory=dict)
    value: Any = None
    inner: tuple[Stage, ...] = ()

    def system(self) -> System:
        """Of a "siso" or "mimo" stage."""
        a, names, worst = self.arrays, ONE_WAY[self.kind], self.largest()
        demand(worst <= 1.0 - NEAREST, f"stage {self.place} is unstable, or nearer to that than 2^-40: the largest |lam| is {worst!r}")
        ways = [[paired(a[way + name]) for name in names] for way in ("", "backward_") if way + names[0] in a]
        return System(tuple(Modes.of(w[0], w[-1], w[1] if len(w) == 3 else None) for w in ways), a["feedthrough"])

    def largest(self) -> float:
        """The largest |lam|, rounded."""
        return max(float(np.abs(paired(x)).max()) for name, x in self.arrays.items() if name.endswith("eigenvalues"))


def read_network(evidence: Evidence) -> tuple[tuple[Stage, ...], int | None]:
    """The stages, and the number of steps, None for any number."""
    steps, left = evidence.parameters["length"], {name: x for name, x in evidence.arrays.items() if name.startswith("stages.")}
    demand(steps is None or (type(steps) is int and 1 <= steps <= LONGEST), f"the length is {steps!r}, not null or 1 to {LONGEST}")
    demand(bool(left), "the network has no numbers")
    stages = _chain(evidence.parameters["stages"], "", left)
    demand(not left, f"the witness has arrays of stages that are not there: {sorted(left)[:3]}")
    _width(stages, None, steps, top=True)
    return stages, steps


def _chain(given: Any, inside: str, left: dict[str, Array]) -> tuple[Stage, ...]:
    demand(isinstance(given, list) and 1 <= len(given) <= MOST, f"the stages are {str(given)[:80]}, expected a list that is not empty")
    demand(inside.count(".") < 8, "residuals are nested more than eight deep")
    return tuple(_stage(s, f"{inside}{k}", left) for k, s in enumerate(given))


def _stage(given: Any, place: str, left: dict[str, Array]) -> Stage:
    kind = given["stage"]
    demand(kind in FIELDS and set(given) == {"stage", *FIELDS[kind]}, f"stage {place} is {str(given)[:80]}, not one of {', '.join(FIELDS)}")
    value = given[FIELDS[kind][0]] if FIELDS[kind] else None
    demand(kind != "pointwise" or value in LIPSCHITZ, f"stage {place}: no bound is known for {value!r}")
    demand(kind != "mean" or (type(value) is int and 1 <= value <= LONGEST), f"stage {place}: a mean over {value!r} steps")
    way = ONE_WAY.get(kind, ())
    names, back = {*way, *REST.get(kind, ())}, {"backward_" + name for name in way}
    arrays = {name: left.pop(f"stages.{place}.{name}") for name in names | back if f"stages.{place}.{name}" in left}
    demand(set(arrays) in (names, names | back), f"stage {place} has the arrays {sorted(arrays)}, expected {sorted(names)}")
    demand(all(x.size and np.abs(x).max() <= LARGEST for x in arrays.values()), f"stage {place} has numbers above 2^300, or none")
    return Stage(kind, place, arrays, value, _chain(value, f"{place}.", left) if kind == "residual" else ())


def _width(stages: tuple[Stage, ...], width: int | None, steps: int | None, top: bool = False) -> tuple[int | None, int | None]:
    """The numbers of features that go in and come out, None where any number does."""
    first = width
    for k, s in enumerate(stages):
        takes, gives = _width(s.inner, width, steps) if s.kind == "residual" else _shape(s)
        demand(width is None or takes in (None, width), f"stage {s.place} takes {takes} features and gets {width}")
        demand(s.kind != "residual" or takes == gives, f"stage {s.place}: the branch makes {gives} features of {takes}")
        last = top and not any(t.kind in ("siso", "mimo", "mean", "residual") for t in stages[k + 1 :])
        demand(s.kind != "mean" or (last and (steps is None or s.value <= steps)),
               f"stage {s.place}: a mean over at most the length, after which no steps are left, was expected")
        first, width = takes if first is None else first, gives or width
    return first, width


def _shape(s: Stage) -> tuple[int | None, int | None]:
    if s.kind in ("linear", "scale"):
        shape = next(iter(s.arrays.values())).shape
        demand(len(shape) == 1 + (s.kind == "linear") and max(shape) <= MOST, f"stage {s.place}: its numbers have the shape {shape}")
        return shape[-1], shape[0]
    if s.kind not in ONE_WAY:
        return None, None
    d, siso = s.arrays["feedthrough"], s.kind == "siso"
    outputs, inputs = (len(d),) * 2 if siso else (len(s.arrays["c"]), s.arrays["b"].shape[1])
    for way in ("", "backward_")[: 1 + ("backward_eigenvalues" in s.arrays)]:
        found = tuple(s.arrays[way + name].shape for name in ONE_WAY[s.kind])
        m = found[0][-2]
        shapes = ((outputs, m, 2),) * 2 if siso else ((m, 2), (m, inputs, 2), (outputs, m, 2))
        demand(found == shapes and d.shape == (min(outputs, inputs),) and max(m, outputs, inputs) <= MOST,
               f"stage {s.place}: {ONE_WAY[s.kind]} and feedthrough have the shapes {found} and {d.shape}, expected {shapes}, up to {MOST}")
    return inputs, outputs
