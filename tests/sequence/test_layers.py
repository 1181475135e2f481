"""S4 and S5: all ways to run them agree, they are stable whatever their parameters, and they go where models go."""

from __future__ import annotations

import copy
import itertools
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wellposed.sequence import S4, S5, siso
from wellposed.sequence import s5 as mimo
from wellposed.sequence.discretization import RULES
from wellposed.testing import check_operator

LAYERS = {"S4": S4, "S5": S5}
EXECUTIONS = {"S4": ("scan", "convolution", "chunks", "steps"), "S5": ("scan", "convolution", "chunks", "steps")}
LENGTHS = (1, 3, 63, 64, 65, 200)
BEGINNINGS: tuple[dict[str, Any], ...] = (
    {"state": 1}, {"state": 8}, {"state": 7, "theta": 0.5}, {"state": 4, "init": "s4d"}, {"state": 5, "init": "s5"},
    {"state": 5, "init": "published"}, {"state": 6, "measure": "lagt"}, {"state": 5, "measure": "legt"})


@pytest.fixture(params=LAYERS)
def name(request) -> str:
    return request.param


def layer(name: str, features: int = 3, **options: Any) -> Any:
    torch.manual_seed(0)
    return LAYERS[name](features, **{"state": 8, **options}).double()


def sequence(length: int, features: int = 3, batch: int = 2) -> Tensor:
    return torch.randn(batch, length, features, dtype=torch.float64)


def close(one: Tensor, two: Tensor, tolerance: float = 1e-12) -> None:
    assert one.shape == two.shape
    assert float((one - two).detach().abs().max()) <= tolerance * float(two.detach().abs().max())


def gradients(model: nn.Module, y: Tensor, u: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad((y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).sum(), [u, *model.parameters()]))


def as_written(model: Any, u: Tensor) -> Tensor:
    """The recurrence in complex numbers, from the layer's multipliers and gains, by a loop."""
    multiplier, gain = (torch.complex(*z) for z in model.discrete())
    b, c = torch.complex(*model.B), torch.complex(*model.C.unbind(1))
    directions = []
    for direction in range(len(c)):
        x, answers = torch.zeros(len(u), *multiplier.shape, dtype=torch.complex128), []
        for k in range(u.shape[1]):
            now = (u if direction == 0 else u.flip(1))[:, k].to(b.dtype)
            if isinstance(model, S4):
                x = multiplier * x + gain * b * now[..., None]
                answers.append((c[direction] * model.weights * x).sum(-1).real)
            else:
                x = multiplier * x + gain * (now @ b.T)
                answers.append((x * model.weights @ c[direction].T).real)
        y = torch.stack(answers, 1)
        directions.append(y if direction == 0 else y.flip(1))
    return torch.stack(directions).sum(0) + model.D * u


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bidirectional", [False, True])
@torch.no_grad()
def test_executions_agree(name, rule, bidirectional):
    cases = [*itertools.product(BEGINNINGS, (65,)), *itertools.product(BEGINNINGS[1:2], LENGTHS)]
    for options, length in cases:
        model, u = layer(name, bidirectional=bidirectional, discretization=rule, **options), sequence(length)
        expected = as_written(model, u)
        for execution in EXECUTIONS[name]:
            close(model(u, execution=execution), expected)
        close(model(u), expected)
        close(model(u, rate=torch.ones(2)), expected)
        close(copy.deepcopy(model).float()(u.float()).double(), expected, 1e-3)


@pytest.mark.parametrize("execution", ["convolution", "chunks", "scan"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_agree(name, execution, bidirectional):
    for length, rule in ((1, "zoh"), (65, "bilinear"), (130, "zoh")):
        model, u = layer(name, bidirectional=bidirectional, discretization=rule), sequence(length).requires_grad_()
        expected = gradients(model, as_written(model, u), u)
        for found, wanted in zip(gradients(model, model(u, execution=execution), u), expected, strict=True):
            close(found, wanted, 1e-10)
        for found, wanted in zip(gradients(model, model(u, rate=torch.ones(2, length)), u), expected, strict=True):
            close(found, wanted, 1e-10)


def test_long_sequences_in_chunks(name):
    """Longer than S5's chunks, and with the gradients that are computed anew."""
    model, u = layer(name), sequence(2500, batch=1).requires_grad_()
    close(model(u, execution="chunks"), model(u, execution="scan"))
    for found, wanted in zip(gradients(model, model(u, execution="chunks"), u), gradients(model, model(u, execution="scan"), u), strict=True):
        close(found, wanted, 1e-9)


@pytest.mark.parametrize("execution", ["auto", "scan", "chunks", "steps"])
@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
@torch.no_grad()
def test_streams(name, chunk, execution):
    length = 1300 if chunk == 1000 else 100
    model, u = layer(name), sequence(length)
    expected, state = as_written(model, u), model.initial_state(2)
    answers = []
    for k in range(0, length, chunk):
        y, state = model(u[:, k : k + chunk], state, execution=execution)
        answers.append(y)
    close(torch.cat(answers, 1), expected)
    last = model(u, model.initial_state(2))[1]
    close(state, last)


@torch.no_grad()
def test_steps_are_the_same_sequence(name):
    for options, rule in itertools.product(BEGINNINGS, RULES):
        model, u = layer(name, discretization=rule, **options), sequence(40)
        state, answers = model.initial_state(2), []
        for now in u.unbind(1):
            y, state = model.step(now, state)
            answers.append(y)
        close(torch.stack(answers, 1), as_written(model, u))
        close(state, model(u, model.initial_state(2))[1])


@torch.no_grad()
def test_steps_follow_the_parameters(name):
    """Whatever is kept between steps is forgotten when a parameter changes."""
    model, u = layer(name), sequence(1)[:, 0]
    for change in (lambda p: p.add_(0.1), lambda p: p.data.mul_(1.1), lambda p: setattr(p, "data", p.data * 1.1), lambda p: p.copy_(p * 1.1)):
        for parameter in model.parameters():
            model.step(u, model.initial_state(2))
            change(parameter)
            close(model.step(u, model.initial_state(2))[0], model(u[:, None])[:, 0])
    model.float()
    close(model.step(u.float(), model.initial_state(2))[0], model(u[:, None].float())[:, 0], 1e-5)


def test_steps_have_gradients(name):
    model, u = layer(name), sequence(5).requires_grad_()
    with torch.no_grad():
        model.step(u[:, 0], model.initial_state(2))
    state, answers = model.initial_state(2), []
    for now in u.unbind(1):
        y, state = model.step(now, state)
        answers.append(y)
    for found, wanted in zip(gradients(model, torch.stack(answers, 1), u), gradients(model, as_written(model, u), u), strict=True):
        close(found, wanted, 1e-10)


@pytest.mark.parametrize("rule", RULES)
def test_rates_are_factors_of_the_step_sizes(name, rule):
    for bidirectional, length in itertools.product((False, True), (1, 150)):
        model, u = layer(name, bidirectional=bidirectional, discretization=rule), sequence(length).requires_grad_()
        faster = copy.deepcopy(model)
        faster.log_step.data += np.log(1.7)
        close(model(u, rate=[1.7, 1.0])[:1], faster(u[:1]))
        close(model(u, rate=torch.tensor([1.7, 1.0]))[1:], model(u[1:]))
        close(model(u, rate=np.full((2, length), 1.7)), faster(u))
        for found, wanted in zip(gradients(model, model(u, rate=[1.7, 1.7]), u), gradients(faster, faster(u), u), strict=True):
            close(found, wanted, 1e-10)


@torch.no_grad()
def test_rates_of_every_step(name):
    """Each step is one of a layer with its own step size; states pass on."""
    model, u, rate = layer(name), sequence(150), 0.3 + torch.rand(2, 150, dtype=torch.float64)
    x, answers = model.initial_state(1), []
    for k in range(150):
        other = copy.deepcopy(model)
        other.log_step.data += rate[0, k].log()
        y, x = other(u[:1, k : k + 1], x)
        answers.append(y)
    y, last = model(u, model.initial_state(2), rate=rate)
    close(y[:1], torch.cat(answers, 1))
    close(last[:1], x)
    middle = model(u[:, :70], model.initial_state(2), rate=rate[:, :70])[1]
    close(model(u[:, 70:], middle, rate=rate[:, 70:])[0], y[:, 70:])


def test_rates_have_gradients(name):
    model, u = layer(name, 1, state=3), sequence(4, 1)
    rate = (0.5 + torch.rand(2, 4, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: model(u, rate=r), (rate,))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [1.0, 30.0, 1e3])
def test_stable_whatever_the_parameters(name, rule, size):
    """|multiplier| < 1, in float64 and rounded to float32; answers and gradients are finite."""
    for seed in range(6):
        model = layer(name, discretization=rule).float()
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter.data.uniform_(-size, size)
            if seed % 2:
                parameter.data = size * parameter.data.sign()
        multiplier = model.discrete().multiplier
        assert multiplier.dtype == torch.float64
        assert float(multiplier.detach().square().sum(0).max()) < 1
        assert float(multiplier.detach().float().double().square().sum(0).max()) < 1
        u = torch.randn(1, 100, 3, requires_grad=True)
        for execution in ("auto", "scan"):
            y = model(u, execution=execution)
            assert bool(torch.isfinite(y).all())
            assert all(bool(torch.isfinite(g).all()) for g in gradients(model, y, u))


@torch.no_grad()
def test_a_dropped_state_would_be_seen(monkeypatch):
    s4, s5, u = layer("S4"), layer("S5"), sequence(2100, batch=1)
    expected, run = [s4(u, execution="scan"), s5(u, execution="scan")], mimo._run
    monkeypatch.setattr(siso, "scan", lambda m, ends, first: torch.zeros_like(ends))
    monkeypatch.setattr(mimo, "_run", lambda u, m, into, out, first, how: run(u, m, into, out, None, how))
    for model, wanted in zip((s4, s5), expected, strict=True):
        with pytest.raises(AssertionError):
            close(model(u, execution="chunks"), wanted)


@torch.no_grad()
def test_a_missing_factor_of_two_would_be_seen(name):
    """The pairs of conjugates stand for all eigenvalues of the matrix: the answer of the state-space model itself."""
    model, u = layer(name), sequence(50)
    single = copy.deepcopy(model)
    single.weights[:] = 1
    for execution in EXECUTIONS[name]:
        with pytest.raises(AssertionError):
            close(single(u, execution=execution), as_written(model, u))


@pytest.mark.parametrize("init", ["damped", "s4d", "published"])
@torch.no_grad()
def test_it_begins_as_the_system_in_the_state_space(init):
    """exp(A t) and integrals, real matrices alone, with C = the output vector that was drawn."""
    import scipy.linalg

    from wellposed.sequence import damped_hippo

    model, u = layer("S4", 2, state=6, init=init, theta=0.3), sequence(30, 2)
    bank = damped_hippo(6, 0.3 if init == "damped" else 1.0) if init != "published" else model.bank()
    a = (bank.eigenvectors * bank.eigenvalues) @ np.linalg.inv(bank.eigenvectors)
    into = bank.eigenvectors @ bank.B
    vectors = torch.complex(*model.eigenvectors).numpy()
    for h in range(2):
        full = torch.complex(*model.C[0])[h].numpy()
        out = np.linalg.lstsq(np.vstack([np.real(vectors.T), np.imag(vectors.T)]), np.concatenate([np.real(full), np.imag(full)]), rcond=None)[0]
        step = float(model.log_step[h].exp())
        grown = scipy.linalg.expm(step * np.block([[a, into[:, None]], [np.zeros((1, 7))]]))
        x, answers = np.zeros(6, complex), []
        for k in range(30):
            x = grown[:6, :6] @ x + grown[:6, 6] * float(u[0, k, h])
            answers.append((out @ x).real)
        close(torch.tensor(answers) + model.D[h] * u[0, :, h], model(u)[0, :, h], 1e-5)


def test_they_are_operators(name):
    check_operator(lambda: LAYERS[name](3, state=8), torch.randn(2, 9, 3), channel_axis=2)
    other = {"bidirectional": True, "discretization": "bilinear"}
    check_operator(lambda: LAYERS[name](3, state=8, **other), torch.randn(2, 70, 3), channel_axis=2, skip=["export"])  # slow


class Both(nn.Module):
    """A pass and a step, for one export."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, u: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        return self.layer(u), *self.layer.step(u[:, 0], state)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_onnx(name):
    for library in ("onnx", "onnx_ir", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    torch.manual_seed(0)
    model = Both(LAYERS[name](3, state=8)).eval()
    inputs = torch.randn(2, 20, 3), torch.randn_like(model.layer.initial_state(2))
    with torch.no_grad():
        expected = model(*inputs)
    for found, wanted in zip(in_onnxruntime(model, inputs), expected, strict=True):
        close(found, wanted, 1e-5)


def in_onnxruntime(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    import onnxruntime

    program = torch.onnx.export(model, inputs, dynamo=True, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {slot.name: x.numpy() for slot, x in zip(session.get_inputs(), inputs, strict=True)}
    return [torch.from_numpy(x) for x in session.run(None, given)]


@pytest.mark.slow
def test_compiled_in_one_graph(name):
    """And without a warning about complex numbers."""
    torch.manual_seed(0)
    model, u = LAYERS[name](3, state=8), torch.randn(2, 9, 3, requires_grad=True)
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*omplex.*")
        found = gradients(model, torch.compile(model, fullgraph=True, backend="aot_eager")(u), u)
    for one, two in zip(found, gradients(model, model(u), u), strict=True):
        close(one, two, 1e-4)


@pytest.mark.parametrize(("call", "said"), [
    (lambda n: LAYERS[n](0), "features=0"), (lambda n: LAYERS[n](2.5), "features=2.5"), (lambda n: LAYERS[n](3, 0), "0"),
    (lambda n: LAYERS[n](3, init="best"), "best"), (lambda n: LAYERS[n](3, theta=0.0), "theta"), (lambda n: LAYERS[n](3, measure="fou"), "fou"),
    (lambda n: LAYERS[n](3, discretization="euler"), "euler"), (lambda n: LAYERS[n](3, steps=(0.0, 1.0)), "steps"),
    (lambda n: LAYERS[n](3, steps=(0.2, 0.1)), "steps"),
    (lambda n: layer(n)(torch.ones(2, 5, 4)), "2, 5, 4"), (lambda n: layer(n)(torch.ones(5, 3)), r"\(5, 3\)"), (lambda n: layer(n)([1.0]), "list"),
    (lambda n: layer(n)(torch.ones(2, 0, 3)), "at least one step"), (lambda n: layer(n)(torch.ones(2, 5, 3, dtype=torch.long)), "int64"),
    (lambda n: layer(n)(sequence(5), execution="fast"), "fast"), (lambda n: layer(n)(sequence(5), layer(n).initial_state(3)), r"received a state \(3"),
    (lambda n: layer(n)(sequence(5), layer(n).initial_state(2), execution="convolution"), "convolution"),
    (lambda n: layer(n, bidirectional=True)(sequence(5), layer(n).initial_state(2)), "bidirectional=False"),
    (lambda n: layer(n, bidirectional=True).step(sequence(1)[:, 0], layer(n).initial_state(2)), "bidirectional=False"),
    (lambda n: layer(n).step(sequence(5), layer(n).initial_state(2)), "expected one step"),
    (lambda n: layer(n).step(sequence(1)[:, 0], torch.zeros(2, 3)), r"state \(2, 3\)"),
    (lambda n: layer(n)(sequence(5), rate=[1.0, 0.0]), "positive"), (lambda n: layer(n)(sequence(5), rate=[1.0, float("nan")]), "positive"),
    (lambda n: layer(n)(sequence(5), rate=torch.ones(3)), r"\(3,\)"), (lambda n: layer(n)(sequence(5), rate=torch.ones(2, 4)), r"\(2, 4\)"),
    (lambda n: layer(n)(sequence(5), rate=torch.ones(2), execution="convolution"), "convolution")])
def test_bad_input_is_named(name, call, said):
    with pytest.raises(ValueError, match=said) as raised:
        call(name)
    assert all(word in str(raised.value) for word in ("received", "expected"))


def test_blocks_divide_the_state():
    with pytest.raises(ValueError, match="blocks=3"):
        S5(4, 8, 3)
    model = S5(4, 8, 2)
    assert torch.equal(model.frequency[:2], model.frequency[2:])


@pytest.mark.parametrize("execution", ["auto", "scan", "chunks", "steps"])
@torch.no_grad()
def test_autocast_keeps_the_states(name, execution):
    model, u = layer(name).float(), sequence(100).float()
    y, state = model(u, model.initial_state(2), execution=execution)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low, kept = model(u.bfloat16().float(), model.initial_state(2), execution=execution)
        assert low.dtype == kept.dtype == torch.float32
        kept = model.step(u[:, 0].bfloat16(), model.initial_state(2))
    for x, wanted in zip(kept, model.step(u[:, 0].bfloat16().float(), model.initial_state(2)), strict=True):
        assert torch.equal(x, wanted)
    close(low, y, 0.02)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        close(model(u, model.initial_state(2), execution=execution)[1], state, 1e-6)


@torch.no_grad()
def test_copies_and_pickles(name):
    model, u = layer(name, bidirectional=True), sequence(30)
    expected = model(u)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(u), expected)
    other = LAYERS[name](3, state=8, bidirectional=True).double()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(u), expected)
    assert not any(p.is_complex() for p in model.state_dict().values())


def test_copies_after_steps(name):
    model, u = layer(name), sequence(1)[:, 0]
    with torch.no_grad():
        expected = model.step(u, model.initial_state(2))[0]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other.step(u, model.initial_state(2))[0], expected)
        assert other.state_dict().keys() == model.state_dict().keys()


@torch.no_grad()
def test_audits_know_where_a_layer_began(name):
    bank = layer(name).bank()
    assert bank.eigenvectors.shape == (8, 8)
    np.testing.assert_allclose(bank.eigenvectors @ bank.B, 0.95 * np.sqrt(2 * np.arange(8) + 1), rtol=1e-5)  # c = 1 - theta/2


def test_no_warnings(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, u = layer(name, bidirectional=True), sequence(70).requires_grad_()
        for execution in EXECUTIONS[name]:
            gradients(model, model(u, execution=execution), u)
