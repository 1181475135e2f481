"""S4 and S5 out of PyTorch: ONNX in onnxruntime, and torch.compile in one graph.

    python benchmarks/sequence_export.py [--length 200] [--backend aot_eager]

Needs onnx, onnxscript and onnxruntime. Differences are relative to the largest number of the layer's own answer; gradients by all
parameters. "inductor" needs a C++ compiler, and minutes. Exits 1 if a difference is above 1e-4, or if a compiler complains about
complex numbers.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import warnings
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from wellposed.sequence import S4, S5

ALLOWED = 1e-4
OPTIONS: dict[str, dict[str, Any]] = {"": {}, ", bidirectional": {"bidirectional": True}, ", bilinear": {"discretization": "bilinear"}}


class Step(nn.Module):
    """`step` as a forward pass, which exporters take."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer.step(u, state)


def difference(one: Any, two: Any) -> float:
    """The largest, each relative to the largest number of `two`."""
    both = zip(*((x,) if isinstance(x, Tensor) else tuple(x) for x in (one, two)), strict=True)
    return max(float((x - y).detach().abs().max() / y.detach().abs().max().clamp(min=1e-30)) for x, y in both)


def in_onnxruntime(model: nn.Module, *inputs: Tensor) -> list[Tensor]:
    """The answers of the exported file."""
    import onnxruntime

    program = torch.onnx.export(model.eval(), inputs, dynamo=True, verbose=False)
    assert program is not None
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    given = {slot.name: x.numpy() for slot, x in zip(session.get_inputs(), inputs, strict=True)}
    return [torch.from_numpy(np.asarray(x)) for x in session.run(None, given)]


def exported(model: nn.Module, *inputs: Tensor) -> float:
    found = in_onnxruntime(model, *inputs)
    with torch.no_grad():
        own = model(*inputs)
    return difference(found, own)


def compiled(model: nn.Module, u: Tensor, backend: str) -> tuple[float, float, int]:
    """Differences of the answer and of the gradients, and how many warnings speak of complex numbers."""
    torch.compiler.reset()
    weights = torch.linspace(-1, 2, u.numel()).view(u.shape)

    def gradients(y: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((y * weights).sum(), list(model.parameters()))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y = torch.compile(model, fullgraph=True, backend=backend)(u)
        by_parameters = gradients(y)
    own = model(u)
    return difference(y, own), difference(by_parameters, gradients(own)), sum("complex" in str(w.message) for w in caught)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--backend", default="aot_eager")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("layer", "way", "difference", "gradients", "seconds", title=f"2 sequences, {options.length} steps, 8 features, 16 states")
    worst, complaints = 0.0, 0
    for layer in (S4, S5):
        for what, arguments in OPTIONS.items():
            torch.manual_seed(0)
            model, u = layer(8, 16, **arguments), torch.randn(2, options.length, 8)
            began = time.perf_counter()
            found = exported(model, u)
            table.add_row(layer.__name__ + what, "forward, onnxruntime", f"{found:.1e}", "", f"{time.perf_counter() - began:.1f}")
            worst = max(worst, found)
            if not model.bidirectional:
                began = time.perf_counter()
                found = exported(Step(model), u[:, 0], torch.randn_like(model.initial_state(2)))
                table.add_row(layer.__name__ + what, "step, onnxruntime", f"{found:.1e}", "", f"{time.perf_counter() - began:.1f}")
                worst = max(worst, found)
            began = time.perf_counter()
            found, by_parameters, complex_ = compiled(model, u, options.backend)
            table.add_row(layer.__name__ + what, f"torch.compile, {options.backend}", f"{found:.1e}", f"{by_parameters:.1e}",
                          f"{time.perf_counter() - began:.1f}")
            worst, complaints = max(worst, found, by_parameters), complaints + complex_
    Console().print(table)
    print(f"largest difference {worst:.1e} (allowed {ALLOWED:.0e}); {complaints} warnings about complex numbers")
    sys.exit(worst > ALLOWED or complaints > 0)


if __name__ == "__main__":
    main()
