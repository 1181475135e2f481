"""What a module does to a sequence, as the stages of which `wellposed.sequence.gain` bounds the gain; in evaluation, not in training.

Register a module of your own with ``stages_of.register(Mine)``: a function that takes it and returns its stages, those of its parts
by `read`.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, NoReturn

import numpy as np
from torch import Tensor, nn

from wellposed.certificate import Certificate
from wellposed.sequence.gain import Linear, Pointwise, Scale, certify_stable, certify_stages


class Declined(ValueError):
    """No bound of use is known for a module. This says nothing against it."""


@singledispatch
def stages_of(module: Any) -> list[Any]:
    """The stages of a module that acts on sequences (batch, steps, features).

    Raises:
        Declined: a module that has no bound of use, or of a type that nobody has registered.
    """
    decline(module, "no bound is known for its type; register one with wellposed.sequence.stages.stages_of.register")


def read(module: Any) -> list[Any]:
    """As `stages_of`, once it is known that what the rule reads is what runs: no forward of a subclass, no hooks.

    Raises:
        Declined: it is not; or as `stages_of`.
    """
    known = next((kind for kind in type(module).__mro__ if kind in stages_of.registry), None)
    if known not in (None, object) and type(module).forward is not known.forward:  # type: ignore[attr-defined]
        decline(module, f"its forward is not that of {known.__name__}; give it a rule with "
                        "wellposed.sequence.stages.stages_of.register")
    if isinstance(module, nn.Module) and (module._forward_hooks or module._forward_pre_hooks):
        decline(module, "it has hooks, which may change what it takes and gives; remove them, or fold them into the weights")
    return stages_of(module)


def decline(module: Any, why: str) -> NoReturn:
    """Raises: Declined, with the name of the module and the reason."""
    raise Declined(f"received {type(module).__name__}, expected modules whose gain is known: {why}")


def numbers(x: Tensor) -> np.ndarray:
    """A parameter in float64, which holds every float32 number exactly."""
    return x.detach().double().cpu().numpy().copy()


@stages_of.register
def _linear(module: nn.Linear) -> list[Any]:
    return [Linear(numbers(module.weight))]


@stages_of.register
def _sequential(module: nn.Sequential) -> list[Any]:
    return [stage for part in module for stage in read(part)]


@stages_of.register
def _identity(module: nn.Identity) -> list[Any]:  # noqa: ARG001
    return []


@stages_of.register
def _dropout(module: nn.Dropout) -> list[Any]:
    if module.training and module.p > 0:
        decline(module, "it is in training mode and drops at random; call eval()")
    return []


@stages_of.register
def _gelu(module: nn.GELU) -> list[Any]:
    if module.approximate != "none":
        decline(module, f"the constant of approximate={module.approximate!r} is not in the table; take approximate='none'")
    return [Pointwise("gelu")]


@stages_of.register(nn.ReLU)
@stages_of.register(nn.Tanh)
@stages_of.register(nn.SiLU)
@stages_of.register(nn.Sigmoid)
def _function(module: nn.Module) -> list[Any]:
    return [Pointwise(type(module).__name__.lower())]


@stages_of.register
def _leaky(module: nn.LeakyReLU) -> list[Any]:
    if not -1 <= module.negative_slope <= 1:
        decline(module, f"its slope is {module.negative_slope!r}, and the table has slopes from -1 to 1")
    return [Pointwise("leaky_relu")]


@stages_of.register
def _norm(module: nn.BatchNorm1d) -> list[Any]:
    mean, variance = module.running_mean, module.running_var
    if module.training or mean is None or variance is None:
        decline(module, "it takes the statistics of its batch; call eval(), and keep track_running_stats=True")
    weight = np.ones(module.num_features) if module.weight is None else numbers(module.weight)
    return [Scale(weight / np.sqrt(numbers(variance) + module.eps))]


@stages_of.register
def _glu(module: nn.GLU) -> list[Any]:
    decline(module, "x sigmoid(y) has no global Lipschitz constant: its slope grows with x")


@stages_of.register
def _layer_norm(module: nn.LayerNorm) -> list[Any]:
    decline(module, f"its only global constant is max|weight| / sqrt(eps), here for eps={module.eps:g}, which is of no use")


def demand_no_tol(tol: float | None, gain: bool) -> None:
    """Raises: ValueError: something is required of a gain that is not asked for."""
    if tol is not None and not gain:
        raise ValueError(f"certify: received tol={tol!r} with gain=False, expected one of them: tol is required of the gain")


def certify_network(module: Any, tol: float | None = None, *, length: int | None = None, gain: bool = True) -> Certificate:
    """A certificate of a layer or a network in evaluation mode: its recurrences are stable, and its L2 gain is so much at most.

    Args:
        tol: what is required of the gain. length: of the inputs, from state zero; None for any length, or what the module needs.
        gain: False certifies stability alone, of networks for which no bound of the gain is known too.

    Raises:
        Declined: a module without a bound of use, and why. ValueError: as `wellposed.sequence.gain.certify_stages`.
    """
    demand_no_tol(tol, gain)
    if gain:
        return certify_stages(read(module), tol, length)
    return certify_stable([stage for part in module.modules() if hasattr(part, "discrete") for stage in read(part)])
