"""By how much a network of linear recurrences can enlarge a difference of its inputs, enclosed by the checker's own bounds.

Describe the network as a list of stages, from arrays of any origin (`wellposed.sequence.stages.stages_of` reads modules), then
`gain(stages)` for the bounds or `certify_stages(stages)` for a certificate. Theorems: docs/theorems/gain.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from wellposed.certificate import Certificate, issue, provenance
from wellposed.sequence import gain_proof
from wellposed.sequence.evidence import parts
from wellposed_check import Refused
from wellposed_check.sequence import gain as claim
from wellposed_check.sequence.network import Stage, read_network
from wellposed_check.sequence.stable import excess
from wellposed_check.statement import Evidence

RTOL = 1e-3


@dataclass(frozen=True, eq=False)
class Modes:
    """One direction of a recurrence x_k = lam x_{k-1} + b u_k, y_k = Re(c x_k), complex and diagonal.

    Attributes:
        eigenvalues: lam, (features, modes) of scalar systems, one for each feature, or (modes,) of one system with matrices.
        residues: of scalar systems, c b. b, c: of one with matrices.
    """

    eigenvalues: Complex[np.ndarray, "*features modes"]
    residues: Complex[np.ndarray, "features modes"] | None = None
    b: Complex[np.ndarray, "modes inputs"] | None = None
    c: Complex[np.ndarray, "outputs modes"] | None = None


@dataclass(frozen=True, eq=False)
class System:
    """y_k = Re(c x_k) + d u_k, with a second recurrence that runs from the end if `backward` is given: both outputs are added.

    Where only one of each conjugate pair is stored and the layer takes 2 Re(c x), give twice the residues or twice c.

    Attributes:
        feedthrough: d, one number for each feature (on the diagonal, where outputs and inputs differ in number).
    """

    forward: Modes
    feedthrough: Float[np.ndarray, " features"]
    backward: Modes | None = None


@dataclass(frozen=True, eq=False)
class Linear:
    """A matrix that acts on the features of each step; a constant that is added does not matter."""

    weight: Float[np.ndarray, "outputs inputs"]


@dataclass(frozen=True, eq=False)
class Scale:
    """A factor for each feature."""

    factors: Float[np.ndarray, " features"]


@dataclass(frozen=True)
class Pointwise:
    """A function of each number, by name: those of `wellposed_check.sequence.network.LIPSCHITZ`."""

    function: str


@dataclass(frozen=True)
class Residual:
    """u + branch(u)."""

    stages: Sequence[Any]


@dataclass(frozen=True)
class Mean:
    """Mean over the steps, of which there are at least so many (with a mask: that many are not masked)."""

    steps: int


class Gain(NamedTuple):
    """lower <= least g with |F(u) - F(v)|_2 <= g |u - v|_2 <= upper; `lower` is None for a network of more than one stage."""

    lower: float | None
    upper: float


def gain(stages: Sequence[Any], length: int | None = None, rtol: float = RTOL) -> Gain:
    """The gain, enclosed: a theorem about the stored numbers, rounding of this computation included.

    Args:
        stages: `System`, `Linear`, `Scale`, `Pointwise`, `Residual`, `Mean`.
        length: of the inputs, from state zero; None for any length.
        rtol: relative width aimed at for each stage, for any length; for a fixed length the bounds are wider (up to 1.4 for scalar
            systems, up to a factor of two for large matrices; of no use where modes are within 1e-11 of the circle).

    Raises:
        ValueError: stages that do not fit together; an unstable one, which has no gain; rtol out of range.
    """
    parameters, arrays = evidence(stages, length, rtol)
    found = claim.state(Evidence(parameters, arrays), "margin")
    assert found.upper is not None
    return Gain(found.lower, found.upper)


def certify_stages(stages: Sequence[Any], tol: float | None = None, length: int | None = None, *, rtol: float = RTOL) -> Certificate:
    """A certificate about a network: its gain, and that every recurrence in it is stable.

    An unstable network has no gain: then the certificate fails, by its stability alone.

    Args:
        tol: what is required of the gain; None requires nothing of it. Others as `gain` takes them.

    Raises:
        ValueError: as `gain`; tol out of range.
    """
    if tol is not None and not 0 < tol < float("inf"):
        raise ValueError(f"certify_stages: received tol={tol!r}, expected a positive number, or None")
    parameters, arrays = described(stages, length)
    values = [x for name, x in arrays.items() if name.endswith("eigenvalues")]
    requirements: dict[str, float | None] = {"sequence.stable/1": 0.0} if values else {}
    if all(excess(x) < 0 for x in values):
        parameters, arrays = evidence(stages, length, rtol)
        requirements["sequence.gain/1"] = tol
    return issue("sequence.Network", parameters, arrays, requirements, "margin", provenance())


def certify_stable(stages: Sequence[Any]) -> Certificate:
    """A certificate about recurrences alone: that each is stable."""
    parameters, arrays = described(stages, None)
    return issue("sequence.Network", parameters, arrays, {"sequence.stable/1": 0.0}, "margin", provenance())


def described(stages: Sequence[Any], length: int | None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The parameters and arrays by which a certificate names the network.

    Raises:
        ValueError: stages that do not fit together.
    """
    arrays: dict[str, np.ndarray] = {}
    parameters = {"length": length, "stages": [_described(s, str(k), arrays) for k, s in enumerate(stages)]}
    _read(parameters, arrays)
    return parameters, arrays


def evidence(stages: Sequence[Any], length: int | None, rtol: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """As `described`, with the proofs."""
    if not 0 < rtol < 1:
        raise ValueError(f"gain: received rtol={rtol!r}, expected a number between 0 and 1")
    parameters, arrays = described(stages, length)
    for stage in _leaves(_read(parameters, arrays)):
        found = gain_proof.of_stage(stage, length, rtol)
        arrays |= {f"proof.{stage.place}.{name}": x for name, x in found.items()}
    return parameters, arrays


def _read(parameters: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[Stage, ...]:
    try:
        return read_network(Evidence(parameters, arrays))[0]
    except (Refused, IndexError) as error:
        raise ValueError(f"received stages that make no network: {error}; see wellposed.sequence.gain for what each takes") from None


def _leaves(stages: Sequence[Stage]) -> list[Stage]:
    return [s for stage in stages for s in ([stage] if stage.kind != "residual" else _leaves(stage.inner))]


def _described(stage: Any, place: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    if isinstance(stage, Pointwise):
        return {"stage": "pointwise", "function": stage.function}
    if isinstance(stage, Mean):
        return {"stage": "mean", "steps": stage.steps}
    if isinstance(stage, Residual):
        return {"stage": "residual", "stages": [_described(s, f"{place}.{k}", arrays) for k, s in enumerate(stage.stages)]}
    kind, found = _numbers(stage)
    for name, x in found.items():
        kept = parts(x) if name.removeprefix("backward_") in ("eigenvalues", "residues", "b", "c") else np.asarray(x)
        if kept.dtype.kind not in "fiu" or not kept.size or not np.isfinite(kept).all():
            raise ValueError(f"stage {place}: received {name} of shape {np.shape(x)} and type {np.asarray(x).dtype}, expected finite "
                             "numbers")
        arrays[f"stages.{place}.{name}"] = kept.astype(float)
    return {"stage": kind}


def _numbers(stage: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(stage, Linear):
        return "linear", {"weight": stage.weight}
    if isinstance(stage, Scale):
        return "scale", {"factors": stage.factors}
    if not isinstance(stage, System):
        raise ValueError(f"received a stage of the type {type(stage).__name__}, expected System, Linear, Scale, Pointwise, Residual or "
                         "Mean; wellposed.sequence.stages.stages_of makes them of modules")
    scalar = stage.forward.residues is not None
    names = ("eigenvalues", "residues") if scalar else ("eigenvalues", "b", "c")
    ways = {"": stage.forward} | ({"backward_": stage.backward} if stage.backward is not None else {})
    found = {way + name: getattr(modes, name) for way, modes in ways.items() for name in names}
    lacking = [name for name, x in found.items() if x is None]
    if lacking:
        raise ValueError(f"received a System without {', '.join(lacking)}, expected residues, or b and c, the same in both directions")
    return ("siso" if scalar else "mimo"), found | {"feedthrough": stage.feedthrough}
