"""A training step through the gradient derived by hand, beside autograd's double backward through the potential of the same network.

    python benchmarks/proximal_training_step.py [--repeats 15] [--threads 1]

The double backward is that of torch's own convolutions and softplus, as one would write them, and, third, of the maps by which this package
convolves. Mean square loss, forward and backward, the optimizer left out; interleaved, medians, and the least of all repeats, which a busy
machine changes less. Memory is the peak of all tensors that a step allocates, as torch's profiler sees it. Gradients are compared in
float64, where both are exact but for rounding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from wellposed.proximal import LPN
from wellposed.proximal.linear_maps import Convolution
from wellposed.proximal.softplus import Softplus

CASES: dict[str, tuple[Callable[[], LPN], tuple[int, ...]]] = {
    "published, 28 x 28": (lambda: LPN.published("digits"), (16, 1, 28, 28)),
    "default, 28 x 28": (lambda: LPN.convolutional(1), (64, 1, 28, 28)),
    "photographs, patches of 48": (lambda: LPN.convolutional(1, width=64, sigma=25 / 255), (16, 1, 48, 48)),
    "dense, 1 -> 32 x 3": (lambda: LPN(1), (2048, 1)),
}
WAYS = ("by hand", "double backward", "of our maps")


class Strided(Convolution):
    """As torch has it."""

    def apply(self, w: Tensor, x: Tensor) -> Tensor:
        return functional.conv2d(x, w, stride=self.stride, padding=self.padding)


class Plain(Softplus):
    """Without the slope, which autograd finds."""

    def both(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.value(t), t


def plain(model: LPN) -> LPN:
    """The same network for autograd."""
    for layer in model.net.ordered():
        layer.across, layer.through = (Strided(m.stride, m.padding) if isinstance(m, Convolution) else m
                                       for m in (layer.across, layer.through))
    model.net.activation = Plain(model.net.activation.beta)
    return model


def answer(model: LPN, y: Tensor, way: str) -> Tensor:
    """∇ψ(y)."""
    if way == "by hand":
        return model(y)
    y = y.detach().requires_grad_()
    return torch.autograd.grad(model.potential(y).sum(), y, create_graph=True)[0]


def step(model: LPN, noisy: Tensor, clean: Tensor, way: str) -> list[Tensor]:
    """The gradient of the loss with respect to each parameter."""
    model.zero_grad(set_to_none=True)
    functional.mse_loss(answer(model, noisy, way), clean).backward()
    return [p.grad for p in model.parameters() if p.grad is not None]


def built(name: str, way: str, kind: torch.dtype = torch.float32) -> tuple[LPN, Tensor, Tensor]:
    torch.manual_seed(0)
    build, shape = CASES[name]
    model, clean = build().to(kind), torch.rand(*shape).to(kind)
    noisy = clean + 0.1 * torch.randn_like(clean)
    return plain(model) if way == WAYS[1] else model, noisy, clean


def difference(name: str) -> float:
    """The largest relative difference of the two gradients over all parameters, in the Euclidean norm."""
    one, other = (step(*built(name, way, torch.float64), way) for way in WAYS[:2])
    assert len(one) == len(other)
    return max(float((a - b).norm() / b.norm().clamp(min=1e-30)) for a, b in zip(one, other, strict=True))


def peak(name: str, way: str) -> float:
    """MiB of tensors that one step has at most beside the parameters, the data and their gradients of before."""
    model, noisy, clean = built(name, way)
    step(model, noisy, clean, way)
    model.zero_grad(set_to_none=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        step(model, noisy, clean, way)
    events = [e for e in found.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    return float(np.max(np.cumsum(changes))) / 2**20


def milliseconds(name: str, repeats: int) -> dict[str, list[float]]:
    cases = {way: built(name, way) for way in WAYS}
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(repeats + 2):
        for way in WAYS:
            began = time.perf_counter()
            step(*cases[way], way)
            times[way].append(1e3 * (time.perf_counter() - began))
    return {way: t[2:] for way, t in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    for name in CASES:
        times, memory = milliseconds(name, o.repeats), {way: peak(name, way) for way in WAYS}
        middle, least = ({way: float(f(times[way])) for way in WAYS} for f in (np.median, np.min))
        print(name, f"gradients differ by {difference(name):.0e}")
        own = WAYS[0]
        for way in WAYS:
            faster, least_faster = (f[way] / f[own] for f in (middle, least))
            print(f"  {way:<16}{middle[way]:>8.1f} ms, least {least[way]:>6.1f}, {memory[way]:>5.1f} MiB   by hand {faster:.2f} (least "
                  f"{least_faster:.2f}) x faster, {memory[own] / memory[way]:.2f} x memory", flush=True)


if __name__ == "__main__":
    main()
