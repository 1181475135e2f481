"""From x' = Lambda x + B u, held or averaged over steps, to x_k = multiplier x_(k-1) + gain B u_k; stable whatever the parameters.

The real part of an eigenvalue is -exp(log_decay). All of it is computed in float64 and in real pairs: in float32 exp(Lambda step) - 1
loses four digits, and the phase of a long sequence all of them. The multiplier's modulus is at most 1 - 2^-20, so that it is below
one in float32 as well, and exponents are clamped, so that the largest parameters give finite numbers and finite gradients.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.sequence.pairs import Pairs

RULES = ("zoh", "bilinear")
FLOOR = 2.0**-20
LOG_DECAY = (-20.0, 20.0)
LOG_STEP = (-20.0, 4.0)
FREQUENCY = 1e12


class Discrete(NamedTuple):
    """x_k = multiplier x_(k-1) + gain B u_k. Float64, real pairs (2, ...)."""

    multiplier: Pairs
    gain: Pairs


def eigenvalues(log_decay: Float[Tensor, "*axes"], frequency: Float[Tensor, "*axes"]) -> Pairs:
    """Lambda, float64."""
    return torch.stack([-log_decay.double().clamp(*LOG_DECAY).exp(), frequency.double().clamp(-FREQUENCY, FREQUENCY)])


def discretize(log_decay: Float[Tensor, "*axes"], frequency: Float[Tensor, "*axes"], log_step: Float[Tensor, "*axes"],
               rule: str = "zoh") -> Discrete:
    """One step.

    Args:
        log_decay, frequency: log(-Re Lambda) and Im Lambda, 1/time. log_step: of the step's length; the shapes broadcast.
        rule: "zoh", exact for inputs that are constant over a step; "bilinear", Tustin's, which maps the whole imaginary axis.

    Raises:
        ValueError: another rule.
    """
    if rule not in RULES:
        raise ValueError(f"received discretization={rule!r}, expected one of {', '.join(RULES)}")
    step, value = log_step.double().clamp(*LOG_STEP).exp(), eigenvalues(log_decay, frequency)
    a, phi = value[0] * step, value[1] * step
    return _held(a, phi, value) if rule == "zoh" else _averaged(a, phi, step)


def _held(a: Tensor, phi: Tensor, value: Pairs) -> Discrete:
    """multiplier = exp(z), gain = (exp(z) - 1) / Lambda, z = a + i phi."""
    a = a.clamp(max=-FLOOR)
    decay, real, imaginary = a.exp(), phi.cos(), phi.sin()
    less_one = torch.expm1(a) * real - 2 * (phi / 2).sin().square()  # real part of exp(z) - 1, without cancellation
    turn, square = decay * imaginary, value.square().sum(0)
    gain = torch.stack([less_one * value[0] + turn * value[1], turn * value[0] - less_one * value[1]]) / square
    return Discrete(torch.stack([decay * real, turn]), gain)


def _averaged(a: Tensor, phi: Tensor, step: Tensor) -> Discrete:
    """multiplier = (1 + z/2) / (1 - z/2), gain = step / (1 - z/2)."""
    a, phi = a / 2, phi / 2
    below = (1 - a).square() + phi.square()
    multiplier = torch.stack([(1 + a) * (1 - a) - phi.square(), 2 * phi]) / below
    gain = step * torch.stack([1 - a, phi]) / below
    square = multiplier.square().sum(0)
    above = square > (1 - FLOOR) ** 2
    return Discrete(multiplier * torch.where(above, (1 - FLOOR) / torch.where(above, square, 1.0).sqrt(), 1.0), gain)
