"""The conformance suite of an operator, any `torch.nn.Module`: what its users will rely on without asking."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Build = Callable[[], nn.Module]
SEED = 0
WORDS = ("received", "expected")


@dataclass(frozen=True)
class Operator:
    """An operator under test: how to build it, and what to call it with.

    Attributes:
        build: makes a new one, drawing its weights from torch's generator. inputs: of a call; the first axis counts samples.
        channel_axis: of the first input; None if any number of channels will do.
        train_differs: whether it declares another answer in training mode, as dropout and batch statistics have.
    """

    build: Build
    inputs: tuple[Tensor, ...]
    channel_axis: int | None = 1
    train_differs: bool = False

    def model(self, seed: int = SEED) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.build()

    def call(self, model: nn.Module, *inputs: Tensor) -> Any:
        """The answer to `inputs`, or to the operator's own; what is random in it starts from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            return model(*(x.clone() for x in inputs or self.inputs))


def check_operator(build: Build, *inputs: Tensor, channel_axis: int | None = 1, train_differs: bool = False,
                   skip: Collection[str] = ()) -> None:
    """What every operator must pass, check by check (after scikit-learn's `check_estimator`).

    Args:
        build: makes a new operator, with weights from torch's generator: ``lambda: MgNO(channels=8)``.
        inputs: a call of it, with at least two samples along the first axis.
        channel_axis: the axis of the first input whose length is fixed by the operator; None if any will do.
        train_differs: it declares that it answers otherwise in training mode.
        skip: names of checks, those of `CHECKS`, that do not apply; say why beside the call.

    Raises:
        AssertionError: the first broken promise, and how to mend it. ValueError: this call of the suite itself makes no sense.

    Example:
        ``check_operator(lambda: nn.Linear(3, 2), torch.randn(4, 3), skip=["errors"])  # torch has its own errors``
    """
    if not inputs or any(not isinstance(x, Tensor) or x.ndim == 0 or len(x) < 2 for x in inputs):
        raise ValueError("check_operator: received no inputs, or inputs without two samples along the first axis, expected tensors of "
                         "shape (samples, ...), samples >= 2")
    unknown = sorted(set(skip) - set(CHECKS))
    if unknown:
        raise ValueError(f"check_operator: received skip={unknown}, expected names of {', '.join(CHECKS)}")
    operator = Operator(build, inputs, channel_axis, train_differs)
    for name, check in CHECKS.items():
        if name not in skip:
            check(operator)


def check_gradients(o: Operator) -> None:
    """Every parameter gets a gradient, and it is finite."""
    model = o.model()
    total = sum((x.abs().square().sum() for x in _tensors(o.call(model)) if x.requires_grad), torch.zeros(()))
    assert total.requires_grad or not list(model.parameters()), (
        "no answer depends on the parameters: something detaches them, such as .data, .item() or torch.no_grad()")
    if total.requires_grad:
        total.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None or not p.requires_grad, (
            f"the parameter {name} gets no gradient: it is not used, or detached on the way; use it, or make it a buffer")
        assert p.grad is None or bool(torch.isfinite(p.grad).all()), (
            f"the gradient of {name} is not finite: look for a root, a logarithm or a quotient at zero")


def check_determinism(o: Operator) -> None:
    """Two calls agree bit for bit, and so do two operators built from the same seed."""
    model = o.model().eval()
    first = o.call(model)
    _same(first, o.call(model), "two calls with the same input differ: a call must not leave a state behind")
    _same(first, o.call(o.model().eval()), "two operators built after the same torch.manual_seed differ: draw every weight from torch's "
          "generator, and nothing from the clock, numpy or the order of a set")


def check_input_kept(o: Operator) -> None:
    """A call does not write into its input."""
    given = [x.clone() for x in o.inputs]
    with torch.no_grad():
        o.model()(*given)
    for k, (x, before) in enumerate(zip(given, o.inputs, strict=True)):
        assert _equal(x, before), f"input {k} was changed by the call: clone it before an operation in place"


def check_modes(o: Operator) -> None:
    """Training mode changes nothing, unless that is declared."""
    model = o.model()
    trained = o.call(model.train())
    if not o.train_differs:
        _same(trained, o.call(model.eval()), "training mode changes the answer: declare it with train_differs=True, or leave it out")


def check_batch(o: Operator) -> None:
    """Each sample alone has the answer that it has in the batch, up to rounding."""
    model, samples = o.model().eval(), len(o.inputs[0])
    together = _tensors(o.call(model))
    for k in range(samples):
        alone = _tensors(o.call(model, *(x[k : k + 1] if len(x) == samples else x for x in o.inputs)))
        for one, all_ in zip(alone, together, strict=True):
            assert (len(all_), len(one)) == (samples, 1), (
                f"the answer to {samples} samples has {len(all_)} along its first axis, and {len(one)} to one: it must count samples")
            _close(one, all_[k : k + 1], f"sample {k} alone has another answer than in the batch: no statistics, reshapes or broadcasts "
                   "across the first axis")


def check_dtype(o: Operator) -> None:
    """In double precision it answers in double precision, near the answer in single precision."""
    model = o.model().eval()
    single, double = _tensors(o.call(model)), _tensors(o.call(copy.deepcopy(model).double(), *map(_double, o.inputs)))
    for x, y in zip(single, double, strict=True):
        assert y.dtype == _double(x).dtype, (
            f"after .double() it answers in {y.dtype}, expected {_double(x).dtype}: make tensors with dtype=x.dtype, and keep "
            "constants in buffers")
        _close(x, y.to(x.dtype), "in float64 it answers otherwise than in float32: a constant is rounded, or a type is fixed", 1e3)


def check_devices(o: Operator) -> None:
    """It follows .to(device): all its tensors are parameters, buffers, or made where the input is."""
    model = o.model().eval()
    expected = _tensors(o.call(model))
    try:
        moved = _tensors(copy.deepcopy(model).to("meta")(*(x.to("meta") for x in o.inputs)))
    except NotImplementedError:  # an operation without shapes alone
        moved = expected
    except RuntimeError as error:
        if "meta tensors" not in str(error) or "device" in str(error):
            raise AssertionError(f"on another device it fails ({error}): make tensors with device=x.device, keep constants in "
                                 "buffers") from None
        moved = expected  # it looks at numbers, which "meta" has not
    assert [x.shape for x in moved] == [x.shape for x in expected], "on another device its answer has another shape"
    if torch.cuda.is_available():
        there = _tensors(copy.deepcopy(model).cuda()(*(x.cuda() for x in o.inputs)))
        for x, y in zip(expected, there, strict=True):
            assert y.device.type == "cuda", "on a GPU it answers on the CPU: make tensors with device=x.device"
            _close(x, y.cpu(), "on a GPU it answers otherwise", 1e3)


def check_files(o: Operator) -> None:
    """Its weights survive safetensors and torch.save bit for bit, alone and inside another module."""
    from wellposed.training.weights import decode, encode

    for wrap, where in ((lambda m: m, ""), (nn.Sequential, " inside nn.Sequential")):
        model, other = wrap(o.model()).eval(), wrap(o.model(SEED + 1)).eval()
        try:
            data = encode(model)
        except ValueError as error:
            raise AssertionError(f"its state cannot be stored{where}: {error}") from None
        saved = io.BytesIO()
        torch.save(model.state_dict(), saved)
        saved.seek(0)
        for way, weights in (("safetensors", decode(data)), ("torch.save", torch.load(saved, weights_only=True))):
            fresh = copy.deepcopy(other)
            fresh.load_state_dict(weights)
            _same(o.call(model), o.call(fresh), f"loaded from {way}{where}, it answers otherwise: what determines the answer must be a "
                  "parameter, a persistent buffer or an argument of the constructor")


def check_export(o: Operator) -> None:
    """torch.export takes it, and gives the same answer."""
    model = o.model().eval()
    try:
        program = torch.export.export(model, tuple(x.clone() for x in o.inputs))
    except Exception as error:
        raise AssertionError(f"torch.export fails ({_line(error)}): no branches on the numbers in a tensor") from None
    for x, y in zip(_tensors(o.call(model)), _tensors(o.call(program.module())), strict=True):
        _close(x, y, "after torch.export it answers otherwise: something in forward depends on more than its input and its weights")


def check_errors(o: Operator) -> None:
    """Input of the wrong kind gets one error that says what was received and what was expected."""
    model, x = o.model().eval(), o.inputs[0]
    wrong = {"one axis too many": x[None], "one axis only": x.reshape(-1)}
    if o.channel_axis is not None:
        wrong["one channel too many"] = torch.cat([x, x.narrow(o.channel_axis, 0, 1)], o.channel_axis)
    if x.is_floating_point() or x.is_complex():
        wrong["whole numbers"] = torch.ones_like(x, dtype=torch.int64)
    for what, bad in wrong.items():
        error = _raised(model, bad, *o.inputs[1:])
        assert error is not None, (
            f"input with {what}, of shape {tuple(bad.shape)}, gets an answer: raise a ValueError that says what was received and expected")
        assert isinstance(error, ValueError | TypeError), (
            f"input with {what} gets a {type(error).__name__} ({_line(error)}): check the input first, and raise a ValueError")
        missing = [word for word in WORDS if word not in str(error).lower()]
        assert not missing, f"input with {what}: its error does not say what was {' and '.join(missing)}: {error}"


CHECKS: dict[str, Callable[[Operator], None]] = {
    "gradients": check_gradients, "determinism": check_determinism, "input_kept": check_input_kept, "modes": check_modes,
    "batch": check_batch, "dtype": check_dtype, "devices": check_devices, "files": check_files, "errors": check_errors,
    "export": check_export,
}
"""The checks by name, the quick ones first."""


def _raised(model: nn.Module, *inputs: Tensor) -> Exception | None:
    try:
        model(*inputs)
    except Exception as error:
        return error
    return None


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "without a message")


def _tensors(answer: Any) -> list[Tensor]:
    """The tensors of an answer that may be a tuple, a list or a mapping."""
    if isinstance(answer, Tensor):
        return [answer]
    values = answer.values() if isinstance(answer, dict) else answer
    assert isinstance(answer, tuple | list | dict), f"it answers a {type(answer).__name__}: a tensor or a tuple of tensors is expected"
    return [x for value in values for x in _tensors(value)]


def _same(one: Any, two: Any, said: str) -> None:
    for x, y in zip(_tensors(one), _tensors(two), strict=True):
        assert _equal(x, y), said


def _equal(x: Tensor, y: Tensor) -> bool:
    """Bit for bit, but that NaN equals NaN."""
    return x.shape == y.shape and x.dtype == y.dtype and bool(((x == y) | ((x != x) & (y != y))).all())


def _close(x: Tensor, y: Tensor, said: str, factor: float = 1e2) -> None:
    """Up to rounding, relative to the largest number."""
    if not (x.is_floating_point() or x.is_complex()):
        assert _equal(x, y), said
        return
    assert (x.shape, x.dtype) == (y.shape, y.dtype), f"{said} ({y.dtype}, {tuple(y.shape)}; {x.dtype}, {tuple(x.shape)})"
    size = max(float(x.detach().abs().max()) if x.numel() else 0.0, 1e-30)
    error = float((x - y).detach().abs().max()) if x.numel() else 0.0
    assert error <= factor * torch.finfo(x.dtype).eps * size, f"{said} (by {error / size:.1e}, relative to the largest number)"


def _double(x: Tensor) -> Tensor:
    return x.to(torch.complex128) if x.is_complex() else x.double() if x.is_floating_point() else x
