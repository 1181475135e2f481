"""S4 and S5 out of PyTorch: ONNX in onnxruntime, and torch.compile in one graph.

    python benchmarks/sequence_export.py [--length 200] [--backend aot_eager]

Where onnxscript or onnxruntime is not installed, only torch.compile. Differences are relative to the largest number of the layer's own
answer; gradients by all parameters. Takes minutes, "inductor" more, and a C++ compiler. Exits 1 if a difference is above 1e-4, or if a
compiler complains about complex numbers.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
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
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
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


def measure(length: int, backend: str, installed: bool) -> Iterator[tuple[str, str, float, float, int, float]]:
    """Layer, way, differences of the answer and of gradients, complaints, seconds."""
    for layer, (what, arguments) in itertools.product((S4, S5), OPTIONS.items()):
        torch.manual_seed(0)
        model, u, name = layer(8, 16, **arguments), torch.randn(2, length, 8), layer.__name__ + what
        if installed:
            began = time.perf_counter()
            yield name, "forward, onnxruntime", exported(model, u), 0.0, 0, time.perf_counter() - began
        if installed and not model.bidirectional:
            began, state = time.perf_counter(), torch.randn_like(model.initial_state(2))
            yield name, "step, onnxruntime", exported(Step(model), u[:, 0], state), 0.0, 0, time.perf_counter() - began
        began = time.perf_counter()
        yield name, f"torch.compile, {backend}", *compiled(model, u, backend), time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--backend", default="aot_eager")
    options = parser.parse_args()
    torch.set_num_threads(1)
    missing = [name for name in ("onnx_ir", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        print(f"without ONNX: {', '.join(missing)} not installed")
    table = Table("layer", "way", "difference", "gradients", "seconds", title=f"2 sequences, {options.length} steps, 8 features, 16 states")
    worst, complaints = 0.0, 0
    for name, way, found, by_parameters, complained, took in measure(options.length, options.backend, not missing):
        table.add_row(name, way, f"{found:.1e}", f"{by_parameters:.1e}" if "compile" in way else "", f"{took:.1f}")
        worst, complaints = max(worst, found, by_parameters), complaints + complained
    Console().print(table)
    good = worst <= ALLOWED and not complaints
    print(f"largest difference {worst:.1e} (allowed {ALLOWED:.0e}), {complaints} warnings about complex numbers: "
          f"{'holds' if good else 'falls short'}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
