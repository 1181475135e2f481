"""The S4 layer: one diagonal state-space model per feature, real arithmetic throughout.

    x' = Lambda x + B u,   y = Re C x + D u,   discretized with one step size per feature.

Sources: Gu, Goel and Re, *S4* (ICLR 2022); Gu, Goel, Gupta and Re, *S4D* (NeurIPS 2022); Yu et al., *S4-PTD* (ICLR 2024).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from wellposed.certificate import certify
from wellposed.sequence.arguments import choose, demand_sequence, demand_state, demand_step, own_precision, rates
from wellposed.sequence.bank import Bank
from wellposed.sequence.discretization import Discrete, discretize, eigenvalues
from wellposed.sequence.gain import Modes, System
from wellposed.sequence.initial import initial, input_scale, stored_bank
from wellposed.sequence.kept import Kept
from wellposed.sequence.kernel import convolve, kernel
from wellposed.sequence.pairs import Pairs, conj, mul, pair, unpair
from wellposed.sequence.siso import at_rates, by_chunks, by_states
from wellposed.sequence.stages import certify_network, decline, numbers, stages_of


class S4(nn.Module):
    """(batch, length, features) -> the same shape; linear.

    Args:
        features: each has a system of its own. state: size of each system, any positive integer.
        init: "damped", perturb-then-diagonalize in closed form; "s4d"; "s5"; "published". theta: of "damped", in (0, 1].
        measure: "legs", "lagt" or "legt". bidirectional: add the same system run from the end, with a C of its own.
        discretization: "zoh" or "bilinear". steps: least and largest step size, drawn log-uniformly, one for each feature.

    Attributes:
        log_decay, frequency: log(-Re Lambda) and Im Lambda (features, modes), of one of each conjugate pair. B (2, features, modes) and
        C (directions, 2, features, modes): real and imaginary parts. D, log_step (features,).
        eigenvectors (2, state, modes), input (2, modes), weights (modes,): where it began; no parameters.

    Raises:
        ValueError: sizes, names or steps out of range.
    """

    log_decay: Tensor
    frequency: Tensor
    log_step: Tensor
    weights: Tensor
    eigenvectors: Tensor

    def __init__(self, features: int, state: int = 64, init: str = "damped", theta: float = 0.1, *, measure: str = "legs",
                 bidirectional: bool = False, discretization: str = "zoh", steps: tuple[float, float] = (1e-3, 1e-1)) -> None:
        super().__init__()
        if not isinstance(features, int) or features < 1 or not 0 < steps[0] <= steps[1]:
            raise ValueError(f"S4: received features={features!r} and steps={steps!r}, expected a positive integer, and two positive "
                             "numbers, the least step size and the largest")
        begun = initial(init, state, theta, measure)
        discretize(torch.zeros(()), torch.zeros(()), torch.zeros(()), discretization)
        self.features, self.state, self.init, self.theta, self.measure = features, state, init, theta, measure
        self.bidirectional, self.discretization = bidirectional, discretization
        kind = torch.get_default_dtype()
        low, high = (math.log(s) for s in steps)
        directions, drawn = 2 if bidirectional else 1, np.ones((features, 1))
        self.log_decay = nn.Parameter(torch.from_numpy(np.log(-np.real(begun.eigenvalues)) * drawn).to(kind))
        self.frequency = nn.Parameter(torch.from_numpy(np.imag(begun.eigenvalues) * drawn).to(kind))
        self.log_step = nn.Parameter(low + (high - low) * torch.rand(features))
        output = torch.randn(directions, features, state).double().numpy() @ begun.eigenvectors
        b = begun.inverse @ torch.randn(features, state).double().numpy()[..., None] if init == "s5" else begun.B[:, None] * drawn[:, None]
        self.B = nn.Parameter(pair(b[..., 0], kind))
        self.C = nn.Parameter(pair(output, kind).transpose(0, 1).contiguous())
        self.D = nn.Parameter(torch.randn(features))
        self._kept = Kept()
        self.register_buffer("weights", torch.from_numpy(begun.weights).to(kind))
        self.register_buffer("eigenvectors", pair(begun.eigenvectors, kind))

    def forward(self, u: Float[Tensor, "batch length features"], state: Tensor | None = None, *, rate: Any = None,
                execution: str = "auto") -> Any:
        """y, or (y, the state after the last step) if a state was given.

        Args:
            state: (batch, 2, features, modes), as `initial_state` or an earlier call gave it.
            rate: factors of the step sizes, (batch,) or (batch, length): sequences sampled at other, or at irregular times.
            execution: "scan" (all states), "convolution" (by FFT), "chunks" (products with matrices), "steps" (one after the other);
                they agree to rounding. "auto" takes the convolution where it can, else chunks, and for rates a scan.

        Raises:
            ValueError: shapes, or arguments that do not go together; what was expected is said.
        """
        demand_sequence("S4", u, self.features)
        real = torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()  # neither follows complex numbers
        default = "scan" if rate is not None else "chunks" if real or state is not None else "convolution"
        how = choose("S4", execution, default, state is not None, self.bidirectional, rate is not None)
        if state is not None:
            demand_state("S4", state, len(u), self._state_shape)
        with own_precision(u):
            u = u.to(self.D.dtype)
            y, last = self._both(u, state, how, None if rate is None else rates("S4", rate, u))
            y = y + self.D * u
        return y if state is None else (y, last)

    def _both(self, u: Tensor, state: Tensor | None, how: str, rate: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Both directions, without D."""
        multiplier, gain = self.discrete()
        b, outputs = mul(gain, self.B.double()), (self.C * self.weights).double()
        if how == "convolution":
            kernels = [kernel(mul(b, c), multiplier, u.shape[1], u.dtype) for c in outputs]
            return convolve(u.transpose(1, 2), *kernels).transpose(1, 2).contiguous(), None  # gelu's backward is ten times slower otherwise
        y, last = self._direction(u, multiplier, b, outputs[0], state, how, rate)
        if self.bidirectional:
            behind = None if rate is None else rate.flip(1)
            y = y + self._direction(u.flip(1), multiplier, b, outputs[1], state, how, behind)[0].flip(1)
        return y, last

    def _direction(self, u: Tensor, multiplier: Pairs, b: Pairs, c: Pairs, state: Tensor | None, how: str,
                   rate: Tensor | None) -> tuple[Tensor, Tensor]:
        if rate is not None:
            return at_rates(u, rate, self._discrete_at, self.B.double(), c, state)
        if how == "chunks":
            return by_chunks(u, multiplier, b, c, state)
        return by_states(u, multiplier, b, c, state, one_by_one=how == "steps")

    def _discrete_at(self, rate: Tensor) -> Discrete:
        return discretize(self.log_decay[..., None, None], self.frequency[..., None, None],
                          self.log_step[:, None, None, None] + rate.log(), self.discretization)

    def step(self, u: Float[Tensor, "batch features"], state: Tensor) -> tuple[Float[Tensor, "batch features"], Tensor]:
        """One step: (y, next state). The state is (batch, 2, features, modes).

        Raises:
            ValueError: shapes; a bidirectional layer.
        """
        choose("S4.step", "steps", "steps", True, self.bidirectional, False)
        demand_step("S4", u, state, self.features, self._state_shape)
        with own_precision(u):
            u = u.to(self.D.dtype)
            multiplier, b, c = self._kept(self._stepping, self.log_decay, self.frequency, self.log_step, self.B, self.C, self.weights)
            x = mul(multiplier, state.transpose(0, 1)) + b * u[..., None]
            return (c * x).sum((0, -1)) + self.D * u, x.transpose(0, 1)

    def _stepping(self) -> tuple[Pairs, Pairs, Pairs]:
        """Multipliers, b and the conjugates of c, (2, 1, features, modes), in the layer's precision."""
        multiplier, gain = self.discrete()
        b, c = mul(gain, self.B.double()), conj(self.C[0] * self.weights)
        return multiplier.to(c.dtype)[:, None], b.to(c.dtype)[:, None], c[:, None]

    def initial_state(self, batch: int) -> Tensor:
        """Zeros, (batch, 2, features, modes)."""
        return self.D.new_zeros(batch, *self._state_shape)

    def discrete(self) -> Discrete:
        """Multipliers and gains of one step, float64 pairs (2, features, modes)."""
        return discretize(self.log_decay, self.frequency, self.log_step[:, None], self.discretization)

    def kernel(self, length: int) -> Float[Tensor, "directions features length"]:
        """The impulse response, without D."""
        multiplier, gain = self.discrete()
        return torch.stack([kernel(mul(c, mul(gain, self.B.double())), multiplier, length, self.D.dtype)
                            for c in (self.C * self.weights).double()])

    def bank(self, feature: int = 0) -> Bank:
        """The stored eigenvalues of a feature and the stored eigenvectors, for an audit.

        B is HiPPO's own b in their coordinates, scaled as the initialization does: whatever training made of B, C can undo.
        """
        values = unpair(eigenvalues(self.log_decay[feature], self.frequency[feature]))
        return stored_bank(values, unpair(self.eigenvectors), self.weights.cpu().numpy(), self.measure, input_scale(self.init, self.theta))

    def extra_repr(self) -> str:
        return (f"{self.features}, state={self.state}, init={self.init!r}, theta={self.theta}, measure={self.measure!r}, "
                f"bidirectional={self.bidirectional}, discretization={self.discretization!r}")

    @property
    def _state_shape(self) -> tuple[int, ...]:
        return (2, self.features, len(self.weights))


@stages_of.register
def _stages(layer: S4) -> list[Any]:
    if torch.finfo(layer.D.dtype).bits < 32:
        decline(layer, f"its parameters are {layer.D.dtype}, in which multipliers near one round to one and above; take float32, with "
                       "autocast if speed is wanted")
    multiplier, gain = layer.discrete()
    b = mul(gain, layer.B.double())
    values = unpair(multiplier)
    ways = [Modes(values, residues=unpair(mul(b, c))) for c in (layer.C * layer.weights).double()]
    return [System(ways[0], numbers(layer.D), *ways[1:])]


certify.register(S4, certify_network)
