"""The refiner as it was published, labelled by what its loss measures; beside it the same with a residual that sees time.

The published loss takes ∂w/∂t from a time step that *starts at the predicted w(t) itself*: it measures the truncation of that step,
O(dt²), and rounding, for any w. Two times of the prediction are never compared; the frames may be shuffled and the loss is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from wellposed.flow.equation import NavierStokes2D
from wellposed.numerics.vorticity import advection, to_spectrum

DT, ALPHA = 1e-6, 10**-1.5
Loss = Callable[[NavierStokes2D, Complex[Tensor, "batch time n half"], Float[Tensor, " time"]], Tensor]


def truncation_of_a_step(equation: NavierStokes2D, w: Complex[Tensor, "batch time n half"], times: Float[Tensor, " time"]) -> Tensor:
    """The published loss, of each sample: the time mean of Σ |R̂_k|²/(α + |k|²), ∂w/∂t from Crank-Nicolson steps of ±1e-6 that start at w.

    `times` do not enter it. Source: Cao et al., ICLR 2025, and its released code.
    """
    del times
    explicit, linear = _explicit(equation, w), equation.viscosity * equation.modes.square + equation.drag

    def slope(dt: float) -> Tensor:
        after = ((1 - dt / 2 * linear) * w + dt * explicit) / (1 + dt / 2 * linear)
        return (after - w) / dt

    return _dual(equation, (slope(DT) + slope(-DT)) / 2 - explicit + linear * w)


def residual_of_differences(equation: NavierStokes2D, w: Complex[Tensor, "batch time n half"], times: Float[Tensor, " time"]) -> Tensor:
    """The same norm with ∂w/∂t from frames before and after, second order: what the loss is said to be."""
    before, after = times[1:-1] - times[:-2], times[2:] - times[1:-1]
    weights = torch.stack([-after / (before * (before + after)), (after - before) / (before * after), before / (after * (before + after))])
    slope = sum(c[:, None, None] * part for c, part in zip(weights, (w[:, :-2], w[:, 1:-1], w[:, 2:]), strict=True))
    inner = w[:, 1:-1]
    linear = equation.viscosity * equation.modes.square + equation.drag
    return _dual(equation, slope - _explicit(equation, inner) + linear * inner)


def _explicit(equation: NavierStokes2D, w: Tensor) -> Tensor:
    out, f = advection(w, equation.modes), equation.forcing_spectrum
    return out if f is None else out + f * equation.modes.kept


def _dual(equation: NavierStokes2D, r: Tensor) -> Tensor:
    twice = torch.full_like(equation.modes.x, 2.0)
    twice[..., [0, -1]] = 1.0
    weights = twice / (ALPHA + equation.modes.square)
    return (weights * torch.view_as_real(r).square().sum(-1)).sum((-2, -1)).mean(-1)


class LastLayer(nn.Module):
    """The last spectral layer, untruncated and in float64: a factor and a bias for each mode in space and time, 1 and 0 at first.

    Frames (batch, time, n, n) are left-padded with zeros to twice their number, transformed, changed, transformed back; the first stays.
    """

    def __init__(self, frames: Float[Tensor, "batch time n n"], kept: Tensor) -> None:
        super().__init__()
        self.frames, self.kept = frames, kept
        shape = (2 * frames.shape[1] - 2, *frames.shape[2:-1], frames.shape[-1] // 2 + 1, 2)
        self.factor = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(len(frames), *shape, dtype=torch.float64))

    def forward(self) -> Complex[Tensor, "batch time n half"]:
        """Spectra of the frames."""
        w = to_spectrum(self.frames) * self.kept
        change = w[:, 1:] - w[:, :1]
        padded = torch.fft.fft(torch.cat([torch.zeros_like(change), change], 1), dim=1, norm="forward")
        padded = padded * (1 + torch.view_as_complex(self.factor)) + torch.view_as_complex(self.bias)
        change = torch.fft.ifft(padded, dim=1, norm="forward")[:, change.shape[1]:] * self.kept
        return torch.cat([w[:, :1], w[:, :1] + change], 1)


@dataclass(frozen=True, eq=False)
class Tuned:
    """Attributes: frames, spectra (batch, time, n, n/2 + 1), after the last step. losses: the mean over samples before each step."""

    frames: Complex[Tensor, "batch time n half"]
    losses: list[float]


def refine_as_published(equation: NavierStokes2D, times: Float[Tensor, " time"], frames: Float[Tensor, "batch time n n"], loss: Loss,
                        steps: int = 50, lr: float = 1e-4, bias_lr: float = 1e-2) -> Tuned:
    """Adam on the last layer, all before it frozen.

    Args:
        loss: `truncation_of_a_step`, as published, or `residual_of_differences`. lr, bias_lr: of factors and of biases, as published.
    """
    layer, losses = LastLayer(frames, equation.modes.kept), []
    method = torch.optim.Adam([{"params": [layer.factor], "lr": lr}, {"params": [layer.bias], "lr": bias_lr}])
    with torch.enable_grad():
        for _ in range(steps):
            method.zero_grad()
            value = loss(equation, layer(), times).mean()
            value.backward()
            method.step()
            losses.append(value.item())
    return Tuned(layer().detach(), losses)
