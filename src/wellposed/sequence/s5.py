"""The S5 layer: one diagonal state-space model with many inputs and outputs, in real arithmetic.

    x' = Lambda x + B u,   y = Re C x + D u,   discretized with one step size per mode.

Source: Smith, Warrington and Linderman, *Simplified State Space Layers for Sequence Modeling* (ICLR 2023); Yu et al., *S5-PTD*
(ICLR 2024).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from wellposed.certificate import certify
from wellposed.sequence.arguments import choose, demand_sequence, demand_state, demand_step, own_precision, rates
from wellposed.sequence.bank import Bank
from wellposed.sequence.discretization import Discrete, discretize, eigenvalues
from wellposed.sequence.gain import Modes, System
from wellposed.sequence.initial import initial, input_scale, stored_bank
from wellposed.sequence.kept import Kept
from wellposed.sequence.kernel import filtered
from wellposed.sequence.pairs import Pairs, mul, pair, unpair
from wellposed.sequence.scan import scan, stepwise
from wellposed.sequence.stages import certify_network, decline, numbers, stages_of
from wellposed.sequence.varying import varying_scan

CHUNK = 1024
"""Steps whose states are held at once with execution="chunks"."""


class S5(nn.Module):
    """(batch, length, features) -> the same shape; linear.

    Args:
        features: inputs and outputs. state: size of the state of all blocks. blocks: that begin as systems of their own; they divide it.
        init: "damped", perturb-then-diagonalize in closed form; "s5" or "s4d"; "published". theta: of "damped", in (0, 1].
        measure: "legs", "lagt" or "legt". bidirectional: add the same states run from the end, with a C of their own.
        discretization: "zoh" or "bilinear". steps: least and largest step size, drawn log-uniformly, one for each mode.

    Attributes:
        log_decay, frequency, log_step: log(-Re Lambda), Im Lambda, and of the step size (modes,), one of each conjugate pair.
        B (2, modes, features) and C (directions, 2, features, modes): real and imaginary parts. D (features,).
        eigenvectors (2, state / blocks, modes of a block), weights (modes,): where it began; no parameters.

    Raises:
        ValueError: sizes, names or steps out of range.
    """

    log_decay: Tensor
    frequency: Tensor
    log_step: Tensor
    weights: Tensor
    eigenvectors: Tensor

    def __init__(self, features: int, state: int = 64, blocks: int = 1, init: str = "damped", theta: float = 0.1, *,
                 measure: str = "legs", bidirectional: bool = False, discretization: str = "zoh",
                 steps: tuple[float, float] = (1e-3, 1e-1)) -> None:
        super().__init__()
        sizes = all(isinstance(x, int) and x >= 1 for x in (features, state, blocks))
        if not sizes or state % blocks or not 0 < steps[0] <= steps[1]:
            raise ValueError(f"S5: received features={features!r}, state={state!r}, blocks={blocks!r} and steps={steps!r}, expected "
                             "positive integers, blocks that divide state, and two positive numbers, the least step size and the largest")
        begun = initial(init, state // blocks, theta, measure)
        discretize(torch.zeros(()), torch.zeros(()), torch.zeros(()), discretization)
        self.features, self.state, self.blocks, self.init, self.theta, self.measure = features, state, blocks, init, theta, measure
        self.bidirectional, self.discretization = bidirectional, discretization
        kind, modes = torch.get_default_dtype(), len(begun.weights) * blocks
        low, high = (math.log(s) for s in steps)
        into = torch.randn(blocks, state // blocks, features).double().numpy() / math.sqrt(features)
        out = torch.randn(2 if bidirectional else 1, features, blocks, state // blocks).double().numpy() / math.sqrt(state)
        self.log_decay = nn.Parameter(torch.from_numpy(np.tile(np.log(-np.real(begun.eigenvalues)), blocks)).to(kind))
        self.frequency = nn.Parameter(torch.from_numpy(np.tile(np.imag(begun.eigenvalues), blocks)).to(kind))
        self.log_step = nn.Parameter(low + (high - low) * torch.rand(modes))
        self.B = nn.Parameter(pair((begun.inverse @ into).reshape(modes, features), kind))
        self.C = nn.Parameter(pair((out @ begun.eigenvectors).reshape(len(out), features, modes), kind).transpose(0, 1).contiguous())
        self.D = nn.Parameter(torch.randn(features))
        self._kept = Kept()
        self.register_buffer("weights", torch.from_numpy(np.tile(begun.weights, blocks)).to(kind))
        self.register_buffer("eigenvectors", pair(begun.eigenvectors, kind))

    def forward(self, u: Float[Tensor, "batch length features"], state: Tensor | None = None, *, rate: Any = None,
                execution: str = "auto") -> Any:
        """y, or (y, the state after the last step) if a state was given.

        Args:
            state: (batch, 2, modes), as `initial_state` or an earlier call gave it.
            rate: factors of the step sizes, (batch,) or (batch, length): sequences sampled at other, or at irregular times.
            execution: "scan", "convolution" (of the states, by FFT), "chunks" (a scan of 1,024 steps at a time, in little memory),
                "steps" (one after the other); they agree to rounding. "auto" takes the scan.

        Raises:
            ValueError: shapes, or arguments that do not go together; what was expected is said.
        """
        demand_sequence("S5", u, self.features)
        how = choose("S5", execution, "scan", state is not None, self.bidirectional, rate is not None)
        if state is not None:
            demand_state("S5", state, len(u), self._state_shape)
        full = None if rate is None else rates("S5", rate, u)
        with own_precision(u):
            u = u.to(self.D.dtype)
            y, last = self._direction(u, state, how, full, 0)
            if self.bidirectional:
                y = y + self._direction(u.flip(1), None, how, None if full is None else full.flip(1), 1)[0].flip(1)
            y = torch.addcmul(y, u, self.D)
        return y if state is None else (y, last)

    def step(self, u: Float[Tensor, "batch features"], state: Tensor) -> tuple[Float[Tensor, "batch features"], Tensor]:
        """One step: (y, next state). The state is (batch, 2, modes).

        Raises:
            ValueError: shapes; a bidirectional layer.
        """
        choose("S5.step", "steps", "steps", True, self.bidirectional, False)
        demand_step("S5", u, state, self.features, self._state_shape)
        with own_precision(u):
            u = u.to(self.D.dtype)
            multiplier, into, out = self._kept(self._stepping, self.log_decay, self.frequency, self.log_step, self.B, self.C, self.weights)
            x = mul(multiplier, state.transpose(0, 1)).transpose(0, 1) + (u @ into).unflatten(-1, (2, -1))
            return x.flatten(1) @ out + self.D * u, x

    def _stepping(self) -> tuple[Pairs, Tensor, Tensor]:
        """Multipliers (2, 1, modes), and the matrices from inputs to states and from states to answers, in the layer's precision."""
        (multiplier, into), out = self._discrete(), self._out(0)
        return multiplier.to(out.dtype)[:, None], into.to(out.dtype).flatten(0, 1).T, out.T

    def initial_state(self, batch: int) -> Tensor:
        """Zeros, (batch, 2, modes)."""
        return self.D.new_zeros(batch, *self._state_shape)

    def discrete(self) -> Discrete:
        """Multipliers and gains of one step, float64 pairs (2, modes)."""
        return discretize(self.log_decay, self.frequency, self.log_step, self.discretization)

    def bank(self, block: int = 0) -> Bank:
        """The stored eigenvalues of a block and the stored eigenvectors, for an audit.

        B is HiPPO's own b in their coordinates, scaled as the initialization does.
        """
        each = len(self.weights) // self.blocks
        part = slice(block * each, (block + 1) * each)
        values = unpair(eigenvalues(self.log_decay[part], self.frequency[part]))
        return stored_bank(values, unpair(self.eigenvectors), self.weights[part].cpu().numpy(), self.measure,
                           input_scale(self.init, self.theta))

    def extra_repr(self) -> str:
        return (f"{self.features}, state={self.state}, blocks={self.blocks}, init={self.init!r}, theta={self.theta}, "
                f"measure={self.measure!r}, bidirectional={self.bidirectional}, discretization={self.discretization!r}")

    @property
    def _state_shape(self) -> tuple[int, ...]:
        return (2, len(self.weights))

    def _discrete(self) -> tuple[Pairs, Pairs]:
        """Multipliers (2, modes), and the input matrix times the gains (2, modes, features), float64."""
        multiplier, gain = self.discrete()
        return multiplier, mul(gain[..., None], self.B.double())

    def _out(self, direction: int) -> Float[Tensor, "features two_modes"]:
        """The real matrix that takes real and imaginary parts of the states to the answer."""
        c = self.C[direction] * self.weights
        return torch.cat([c[0], -c[1]], -1)

    def _direction(self, u: Tensor, state: Tensor | None, how: str, rate: Tensor | None, direction: int) -> tuple[Tensor, Tensor]:
        multiplier, into = self._discrete()
        out, matrix = self._out(direction), into.to(u.dtype).flatten(0, 1)
        first = None if state is None else state.permute(1, 2, 0)
        if rate is not None:
            return self._at_rates(u, rate, first, out)
        if how != "chunks" or u.shape[1] <= CHUNK:
            return _run(u, multiplier, matrix, out, first, how)
        answers, last = [], self.initial_state(len(u)) if state is None else state
        for k in range(0, u.shape[1], CHUNK):
            y, last = checkpoint(_run, u[:, k : k + CHUNK], multiplier, matrix, out, last.permute(1, 2, 0), "scan",  # type: ignore[misc]
                                 use_reentrant=False)
            answers.append(y)
        return torch.cat(answers, 1), last

    def _at_rates(self, u: Tensor, rate: Tensor, first: Tensor | None, out: Tensor) -> tuple[Tensor, Tensor]:
        multiplier, gain = discretize(self.log_decay[:, None, None], self.frequency[:, None, None],
                                      self.log_step[:, None, None] + rate.log(), self.discretization)
        drive = mul(gain.to(u.dtype), torch.einsum("cmh,blh->cmbl", self.B, u))
        states = varying_scan(multiplier.to(u.dtype), drive, drive.new_zeros(drive.shape[:3]) if first is None else first)
        return torch.einsum("mbl,hm->blh", states.flatten(0, 1), out), states[..., -1].permute(2, 0, 1)


def _run(u: Tensor, multiplier: Pairs, matrix: Tensor, out: Tensor, first: Tensor | None, how: str) -> tuple[Tensor, Tensor]:
    """The states as (2, modes, batch, length): products with the transposed input put the length last, where a scan runs along it."""
    batch, length, _ = u.shape
    drive = torch.mm(matrix, u.reshape(batch * length, -1).T).view(2, -1, batch, length)
    run = {"scan": scan, "steps": stepwise, "chunks": scan, "convolution": filtered}[how]
    states = run(multiplier, drive, first)
    y = torch.mm(states.reshape(-1, batch * length).T, out.T).view(batch, length, -1)
    return y, states[..., -1].permute(2, 0, 1)


@stages_of.register
def _stages(layer: S5) -> list[Any]:
    if torch.finfo(layer.D.dtype).bits < 32:
        decline(layer, f"its parameters are {layer.D.dtype}, in which multipliers near one round to one and above; take float32, with "
                       "autocast if speed is wanted")
    multiplier, into = layer.discrete()[0], unpair(layer._discrete()[1])
    values = unpair(multiplier)
    ways = [Modes(values, b=into, c=unpair(c)) for c in layer.C.double() * layer.weights.double()]
    return [System(ways[0], numbers(layer.D), *ways[1:])]


certify.register(S5, certify_network)
