"""The gain is enclosed, and the enclosure is one: against grids, dense matrices, and networks that are run."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.linalg import toeplitz
from torch import nn

from wellposed.certificate import issue
from wellposed.sequence import damped_hippo, gain_proof
from wellposed.sequence.gain import Linear, Mean, Modes, Pointwise, Residual, Scale, System, certify_stages, described, gain
from wellposed.sequence.stages import Declined, stages_of
from wellposed.testing import check_claim
from wellposed.testing.conformance import check_broken, check_good, check_round_trip
from wellposed.testing.tamper import forgeries, outcome
from wellposed_check import Refused
from wellposed_check.safetensors import read
from wellposed_check.sequence import symbol
from wellposed_check.sequence.network import LIPSCHITZ


def scalar(rng, features=2, modes=3, near=2.0, both=False) -> System:
    def way():
        far = 10 ** -rng.uniform(0.05, near, (features, modes))
        values = (1 - far) * np.exp(1j * rng.uniform(-np.pi, np.pi, (features, modes)))
        return Modes(values, residues=(rng.normal(size=values.shape) + 1j * rng.normal(size=values.shape)) * far**rng.uniform(0, 1))
    return System(way(), rng.normal(size=features), way() if both else None)


def matrices(rng, inputs=3, outputs=3, modes=4, near=2.0, both=False) -> System:
    def way():
        far = 10 ** -rng.uniform(0.05, near, modes)
        b, c = (rng.normal(size=s) + 1j * rng.normal(size=s) for s in ((modes, inputs), (outputs, modes)))
        return Modes((1 - far) * np.exp(1j * rng.uniform(-np.pi, np.pi, modes)), b=b * far[:, None] ** 0.5, c=c)
    return System(way(), rng.normal(size=min(inputs, outputs)), way() if both else None)


def layer(rng, features=4, n=16, theta=0.1, both=False) -> System:
    """As S4 begins: HiPPO by exponential hold, C at random."""
    bank = damped_hippo(n, theta)
    step = np.exp(rng.uniform(np.log(0.001), np.log(0.1), features))[:, None]

    def way():
        c = rng.normal(size=(features, n)) + 1j * rng.normal(size=(features, n))
        values = np.exp(bank.eigenvalues * step)
        return Modes(values, residues=c * (values - 1) / bank.eigenvalues * bank.B)
    return System(way(), rng.normal(size=features), way() if both else None)


KINDS = {"scalar": lambda rng, both: scalar(rng, int(rng.integers(1, 4)), int(rng.integers(1, 6)), 3.0, both),
         "matrices": lambda rng, both: matrices(rng, int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 6)), 3.0, both),
         "hippo": lambda rng, both: layer(rng, 2, int(rng.choice([4, 9, 16])), 1.0, both)}


def kernel(system: System, length: int) -> np.ndarray:
    """(outputs, inputs, 2 length - 1), lags from 1 - length on, by the recurrence itself."""
    def way(m: Modes) -> np.ndarray:
        out, power = [], np.ones_like(m.eigenvalues)
        for _ in range(length):
            out.append(np.diag((m.residues * power).sum(-1).real) if m.residues is not None else (m.c * power @ m.b).real)
            power = power * m.eigenvalues
        return np.stack(out, -1)
    forward = way(system.forward)
    k = np.concatenate([np.zeros((*forward.shape[:-1], length - 1)), forward], -1)
    if system.backward is not None:
        k[..., :length] += way(system.backward)[..., ::-1]
    where = np.arange(len(system.feedthrough))
    k[where, where, length - 1] += system.feedthrough
    return k


def matrix(system: System, length: int) -> np.ndarray:
    k = kernel(system, length)
    return np.block([[toeplitz(k[i, j, length - 1 :], k[i, j, length - 1 :: -1]) for j in range(k.shape[1])] for i in range(k.shape[0])])


def on_grid(system: System, points: int = 4000) -> float:
    """The largest |G| on a grid that is finer near each eigenvalue, summed mode by mode."""
    ways = [m for m in (system.forward, system.backward) if m is not None]
    near = np.concatenate([np.abs(np.angle(v)) + (1 - np.abs(v)) * x for m in ways for v in m.eigenvalues.ravel() for x in [np.linspace(-3, 3, 121)]])
    t = np.concatenate([np.linspace(0, np.pi, points), near])

    def way(m: Modes) -> np.ndarray:
        scalars = m.residues is not None
        total = 0
        for j in range(m.eigenvalues.shape[-1]):
            r = np.diag(m.residues[:, j]) if scalars else np.outer(m.c[:, j], m.b[j])
            lam = m.eigenvalues[..., j] * np.ones(len(r))
            z = np.exp(-1j * t)[:, None]
            total = total + (r / (1 - lam * z)[..., None] + r.conj() / (1 - lam.conj() * z)[..., None]) / 2
        return total
    g = way(system.forward) + (way(system.backward).conj() if system.backward is not None else 0)
    where = np.arange(len(system.feedthrough))
    g[:, where, where] += system.feedthrough
    return float(np.linalg.norm(g, 2, (1, 2)).max())


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_for_any_length_within_one_per_cent(kind, both):
    rng = np.random.default_rng(1)
    for _ in range(6):
        system = KINDS[kind](rng, both)
        lower, upper = gain([system])
        found = on_grid(system)
        assert lower <= upper <= 1.01 * lower
        assert found <= upper
        assert lower <= found * 1.001
        t = np.linalg.norm(matrix(system, 60), 2)
        assert t <= upper


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_for_a_fixed_length_small_matrices_are_exact(kind, both):
    rng = np.random.default_rng(2)
    for length in (1, 2, 3, 5, 8, 9, 30):
        system = KINDS[kind](rng, both)
        lower, upper = gain([system], length)
        true = np.linalg.norm(matrix(system, length), 2)
        assert lower <= true <= upper <= lower * (1 + 1e-6)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_for_a_fixed_length_circulant_matrices_are_never_below(kind, both, dense, monkeypatch):
    monkeypatch.setattr(gain_proof, "CORNER", 0)
    monkeypatch.setattr(gain_proof, "ROUNDS", 60)
    if not dense:
        monkeypatch.setattr(gain_proof, "DENSE", 0)
        monkeypatch.setattr(gain_proof, "LONG", 0)
    rng, ratios = np.random.default_rng(3), []
    for length in (12, 33, 40, 64):
        system = KINDS[kind](rng, both)
        lower, upper = gain([system], length)
        true = np.linalg.norm(matrix(system, length), 2)
        assert lower <= true <= upper
        ratios.append(upper / true)
    assert max(ratios) <= 1.6


def test_a_layer_at_a_length_beyond_dense_matrices():
    rng = np.random.default_rng(4)
    system = layer(rng, both=True)
    lower, upper = gain([system], 400)
    true = np.linalg.norm(matrix(system, 400), 2)
    assert lower <= true <= upper <= 1.2 * true


def test_what_bounds_the_curvature():
    """|w''| by a second difference, at eigenvalues inside and near the circle."""
    rng = np.random.default_rng(5)
    values = (1 - 10.0 ** -rng.uniform(0, 4, 40)) * np.exp(1j * rng.uniform(-np.pi, np.pi, 40))
    low = rng.uniform(0, 3, 200)
    high = low + 10.0 ** -rng.uniform(1, 6, 200)
    bound = symbol.curvature(values, low[:, None], high[:, None])
    for share in (0.0, 0.3, 1.0):
        t = (low + share * (high - low))[:, None]
        q = values * np.exp(-1j * t)
        assert (np.abs(q * (1 + q) / (1 - q) ** 3) <= bound).all()
        w, h = (lambda t: 1 / (1 - values * np.exp(-1j * t))), 1e-4
        second = (w(t + h) - 2 * w(t) + w(t - h)) / h**2
        smooth = np.abs(1 - q) > 0.05
        np.testing.assert_allclose(second[smooth], (-q * (1 + q) / (1 - q) ** 3)[smooth], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("start", "ramp"), [(1, 1), (1, 7), (5, 1), (5, 4), (16, 16)])
def test_tapered_sums(start, ramp):
    rng = np.random.default_rng(6)
    values = rng.uniform(0, 0.999, 9) * np.exp(1j * rng.uniform(-3, 3, 9))
    w, wrong = symbol.tapered(np.arange(20), 20, start, ramp)(values)
    q = values * np.exp(-2j * np.pi * np.arange(20)[:, None] / 20)
    direct = np.mean([sum(q**m for m in range(n)) for n in range(start, start + ramp)], 0)
    assert (np.abs(w - direct) <= wrong + 1e-12).all()


def run(stages, u):
    """A network on (steps, features), its recurrences run step by step."""
    for s in stages:
        if isinstance(s, System):
            k, n = kernel(s, len(u)), len(u)
            u = np.stack([sum(k[:, :, n - 1 + i - j] @ u[j] for j in range(n)) for i in range(n)])
        elif isinstance(s, Linear):
            u = u @ s.weight.T
        elif isinstance(s, Scale):
            u = u * s.factors
        elif isinstance(s, Pointwise):
            u = getattr(torch.nn.functional, s.function, torch.tanh)(torch.from_numpy(u)).numpy()
        elif isinstance(s, Residual):
            u = u + run(s.stages, u)
        else:
            u = u.mean(0, keepdims=True)
    return u


def climbed(stages, u, rng, rounds=8):
    """A lower bound of the gain: power iteration on the Jacobian, column by column, and the secant along what it finds."""
    step, base, size = 1e-5, run(stages, u), u.size
    jacobian = np.stack([(run(stages, u + step * np.eye(size)[k].reshape(u.shape)) - base).ravel() / step for k in range(size)], 1)
    best = np.linalg.svd(jacobian)[2][0].reshape(u.shape)
    return max(np.linalg.norm(run(stages, u + x * best) - base) / x for x in (1e-4, 1.0))


def test_networks_are_never_above_their_bound():
    rng, closest = np.random.default_rng(7), 0.0
    for trial in range(100):
        steps, width, inner = (int(x) for x in rng.integers(2, 5, 3))
        branch = [matrices(rng, width, width, 2, 1.0, bool(trial % 2)) if trial % 3 else scalar(rng, width, 2, 1.0, bool(trial % 2)),
                  Pointwise(("gelu", "silu", "tanh", "relu")[trial % 4]), Linear(rng.normal(size=(width, width)))]
        stages = [Linear(rng.normal(size=(width, inner))), Scale(rng.normal(size=width)), Residual(branch) if trial % 5 else branch[0]]
        stages += [Mean(steps)] if trial % 2 else []
        lower, upper = gain(stages, steps)
        assert lower is None
        found = climbed(stages, rng.normal(size=(steps, inner)), rng)
        assert found <= upper * (1 + 1e-4)
        closest = max(closest, found / upper)
    assert closest > 0.5


def test_a_chain_of_one():
    rng = np.random.default_rng(8)
    w = rng.normal(size=(5, 3))
    lower, upper = gain([Linear(w)])
    assert lower <= np.linalg.norm(w, 2) <= upper <= lower * (1 + 1e-7)
    assert gain([Scale(np.array([0.5, -3.0]))]) == (3.0, 3.0)
    _, upper = gain([Residual([Scale(np.array([2.0]))]), Mean(4)])
    assert upper == pytest.approx(1.5, rel=1e-12)
    assert upper >= 1.5


@pytest.mark.parametrize("name", LIPSCHITZ)
def test_constants_of_functions(name):
    """The largest slope on a grid, and at most 1e-5 below the constant."""
    x = torch.cat([torch.linspace(-30, 30, 600_001), torch.linspace(1.4, 1.43, 30_001), torch.linspace(2.39, 2.41, 20_001)]).double().requires_grad_()
    f = {"identity": lambda x: x, "relu": torch.relu, "leaky_relu": nn.functional.leaky_relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
         "gelu": nn.functional.gelu, "silu": nn.functional.silu}[name]
    slope = torch.autograd.grad(f(x).sum(), x)[0].abs().max().item()
    assert slope <= LIPSCHITZ[name] <= slope + 1e-5


# attacks on the bounds


@pytest.mark.parametrize(("residue", "lam"), [(1e-250, 0.5), (1e60, 0.9), (1.0, 1 - 2.0**-20), (1e-200, 1 - 2.0**-30), (1.0, 0.0)])
def test_one_mode_in_closed_form(residue, lam):
    """Real lam >= 0 and a residue above zero: the peak is at zero, residue / (1 - lam)."""
    system = System(Modes(np.array([[lam + 0j]]), residues=np.array([[residue + 0j]])), np.zeros(1))
    lower, upper = gain([system])
    true = residue / (1 - lam)
    assert lower <= true * (1 + 1e-12)
    assert true <= max(upper * (1 + 1e-12), 1e-200)
    assert upper <= 1.01 * true + 1e-200
    for length in (1, 3, 300):
        low, high = gain([system], length)
        sums = np.linalg.norm(toeplitz(residue * lam ** np.arange(length), np.zeros(length)) / residue, 2) * residue
        assert low <= sums * (1 + 1e-9)
        assert sums <= max(high, 1e-200)


def test_two_directions_that_cancel():
    """Forward and backward of opposite residues leave 2 i times the odd part: far below the sum of both gains."""
    lam, r = np.array([[0.99 + 0j]]), np.array([[1e6 + 0j]])
    lower, upper = gain([System(Modes(lam, residues=r), np.zeros(1), Modes(lam, residues=-r))])
    found = on_grid(System(Modes(lam, residues=r), np.zeros(1), Modes(lam, residues=-r)), 200_000)
    assert lower <= found <= upper <= 1.01 * found
    nothing = System(Modes(lam, residues=r), np.zeros(1), Modes(0 * lam, residues=-r))
    assert gain([nothing]).upper >= on_grid(nothing)


def test_modes_that_cancel_cost_width_and_not_truth():
    rng = np.random.default_rng(9)
    lam = 0.9 * np.exp(1j * np.array([[0.5, 0.5 + 1e-6, 2.0]]))
    r = np.array([[1e6, -1e6, 1.0]]) * np.exp(0.3j)
    system = System(Modes(lam, residues=r), rng.normal(size=1))
    lower, upper = gain([system])
    assert lower <= on_grid(system, 100_000) * (1 + 1e-6)
    assert on_grid(system, 100_000) <= upper


def test_matrices_that_are_ill_scaled():
    """b and c of opposite sizes mode by mode: only their products count."""
    rng = np.random.default_rng(10)
    for trial in range(20):
        system = matrices(rng, 3, 5, 4, 4.0, bool(trial % 2))
        def scaled(m):
            e = 10.0 ** rng.uniform(-30, 30, m.eigenvalues.shape)
            return Modes(m.eigenvalues, b=m.b * e[:, None], c=m.c / e)
        other = System(scaled(system.forward), system.feedthrough, scaled(system.backward) if system.backward else None)
        lower, upper = gain([other])
        assert lower <= on_grid(system) * (1 + 1e-3)
        assert on_grid(system) <= upper <= 1.01 * lower
        assert gain([other], 7).upper >= np.linalg.norm(matrix(system, 7), 2) * (1 - 1e-9)


def test_zeros():
    zero = System(Modes(np.zeros((3, 1), complex), residues=np.zeros((3, 1), complex)), np.zeros(3))
    flat = System(Modes(np.zeros(2, complex), b=np.zeros((2, 5), complex), c=np.zeros((3, 2), complex)), np.zeros(3))
    for stages in ([zero], [flat], [Linear(np.zeros((2, 2)))], [Scale(np.zeros(2))]):
        for length in (None, 1, 7):
            lower, upper = gain(stages, length)
            assert lower == 0.0
            assert upper <= 1e-200


# claims


GOOD = {"scalar": scalar(np.random.default_rng(12), 1, 1, both=True), "matrices": matrices(np.random.default_rng(13), 2, 2, 1),
        "two directions of matrices": matrices(np.random.default_rng(14), 2, 3, 1, both=True)}


@pytest.mark.parametrize("length", [None, 12])
@pytest.mark.parametrize("kind", GOOD)
def test_conformance(kind, length, monkeypatch):
    """The matrix of a short input itself is no good subject of forgeries: it has the same norm with -lam for lam."""
    monkeypatch.setattr(gain_proof, "CORNER", 0)
    system = GOOD[kind]
    found = gain([system], length, 1e-6)
    louder = System(system.forward, system.feedthrough + 2 * found.upper, system.backward)
    tol = found.upper * (1 + 1e-6)
    check_claim(certify_stages([system], tol, length, rtol=1e-6), certify_stages([louder], tol, length), "gain",
                share=1.0 if kind == "scalar" else 0.3)


@pytest.mark.parametrize("length", [None, 400])
def test_forgeries_of_a_network_tell_the_truth_about_another_one(length, tmp_path):
    """A sign that no gain depends on may change; what is accepted must then hold of the network that was put in."""
    rng = np.random.default_rng(15)
    stages = [Linear(rng.normal(size=(2, 2))), Residual([scalar(rng, 2, 2, 1.0), Pointwise("gelu")]), Scale(rng.normal(size=2))]
    certificate = certify_stages(stages, 1e3, length)
    check_good(certificate, "gain")
    check_round_trip(certificate)
    for k, forgery in enumerate(forgeries(certificate, np.random.default_rng(0), 0.3)):
        if outcome(forgery.write(tmp_path / str(k)), certificate) != "accepted":
            continue
        assert forgery.strength == "full"
        found = read(forgery.witness)
        low, high = found["proof.0.bracket"]
        assert low <= np.linalg.norm(found["stages.0.weight"], 2) * (1 + 1e-9) <= high * (1 + 2e-9)
        values, residues = (found[f"stages.1.0.{name}"] @ [1, 1j] for name in ("eigenvalues", "residues"))
        assert on_grid(System(Modes(values, residues=residues), found["stages.1.0.feedthrough"])) <= found["proof.1.0.bracket"][1]


def test_broken_networks_do_not_pass():
    rng = np.random.default_rng(16)
    system = scalar(rng)
    tol = gain([system]).upper * 1.0001
    for broken in ([system, Scale(np.array([1.0, 1.01]) * 1.01)], [Residual([system])], [system, Pointwise("gelu")],
                   [System(system.forward, system.feedthrough, system.forward), Scale(np.full(2, 2.0))]):
        check_broken(lambda b=broken: certify_stages(b, tol), "gain")


@pytest.mark.parametrize("modulus", [1.0, 1 + 2.0**-52, 1.5, 1e60])
def test_unstable_is_refused(modulus):
    rng = np.random.default_rng(17)
    good = scalar(rng)
    values = good.forward.eigenvalues.copy()
    values[1, 2] = modulus
    bad = System(Modes(values, residues=good.forward.residues), good.feedthrough)
    for stages in ([bad], [System(good.forward, good.feedthrough, bad.forward)], [Residual([bad])]):
        for length in (None, 10):
            with pytest.raises(ValueError, match="unstable"):
                gain(stages, length)
            certificate = certify_stages(stages, 10.0, length)
            assert [c.id for c in certificate.claims] == ["sequence.stable/1"]
            assert certificate.verdict is False
            assert certificate.check().status is False
    parameters, arrays = described([bad], None)
    kept = certify_stages([good], rtol=1e-2)
    with pytest.raises(Refused, match="unstable"):
        issue("sequence.Network", parameters, {**kept.arrays, **arrays}, {"sequence.gain/1": None}, "margin", kept.document["provenance"])


def test_the_sign_of_the_modulus_minus_one_is_exact():
    """3/5 and 4/5 in binary64 have a modulus above one by less than rounding shows."""
    for re, im in ((0.6, 0.8), (np.nextafter(0.6, 0), 0.8), (0.28, 0.96)):
        exact = Fraction(re) ** 2 + Fraction(im) ** 2 - 1
        system = System(Modes(np.array([[re + 1j * im]]), residues=np.ones((1, 1), complex)), np.zeros(1))
        try:
            stable = certify_stages([system]).claim("stable")
        except ValueError:  # stable, and too near to one for a bound of the gain
            assert exact < 0
            continue
        assert stable.holds is (exact < 0)


def altered(system, length=None, **changes):
    kept = certify_stages([system], length=length, rtol=1e-3)
    arrays = {**kept.arrays, **{f"proof.0.{name}": x for name, x in changes.items()}}
    return issue("sequence.Network", kept.document["subject"]["problem"]["parameters"], arrays, {"sequence.gain/1": None}, "margin",
                 kept.document["provenance"])


def test_what_the_checker_refuses(monkeypatch):
    system = scalar(np.random.default_rng(18))
    kept = certify_stages([system]).arrays
    edges, bracket = kept["proof.0.edges"], kept["proof.0.bracket"]
    for changes, said in [({"edges": edges[::8]}, "no edge|upper end"), ({"edges": edges[:-1]}, "increase|no edge"), ({"edges": edges[::-1]}, "increase"),
                          ({"bracket": bracket * [0.5, 0.999]}, "upper end"), ({"bracket": bracket * [1.01, 1.1]}, "lower end"),
                          ({"bracket": bracket[::-1]}, "least, most"), ({"peak": np.array([1.234])}, "no edge")]:
        with pytest.raises(Refused, match=said):
            altered(system, **changes)
    monkeypatch.setattr(gain_proof, "CORNER", 0)
    kept = certify_stages([system], length=40).arrays
    circulant, kernels = kept["proof.0.circulant"], kept["proof.0.extension"]
    for changes, said in [({"circulant": circulant * [1, 0.25, 1]}, "too small"), ({"circulant": circulant * [1, 0.5, 1]}, "extension|too small"),
                          ({"extension": 0 * kernels}, "upper end"), ({"circulant": circulant + np.array([0, 0.5, 0])}, "whole numbers"),
                          ({"extended": np.zeros(0)}, "does not fit"), ({"peak": np.array([3.0, 0.0])}, "lower end")]:
        with pytest.raises(Refused, match=said):
            altered(system, 40, **changes)


@pytest.mark.parametrize(("stages", "said"), [
    ([Linear(np.ones((2, 3))), Scale(np.ones(3))], "takes 3 features and gets 2"), ([Residual([Linear(np.ones((4, 5)))])], "4 features of 5"),
    ([Mean(3), scalar(np.random.default_rng(0))], "no steps are left"), ([Pointwise("glu"), Scale(np.ones(1))], "'glu'"), ([nn.Linear(1, 1)], "type Linear"),
    ([Scale(np.array([np.nan]))], "finite"), ([Scale(np.array([1e200]))], "2\\^300"), ([], "not empty|no numbers"), ([Pointwise("relu")], "no numbers"),
    ([System(Modes(np.zeros((2, 1), complex)), np.zeros(2))], "without b, c"),
    ([System(Modes(np.zeros((2, 1), complex), residues=np.zeros((2, 2), complex)), np.zeros(2))], "shapes"),
    ([System(Modes(np.zeros(2, complex), b=np.zeros((2, 3), complex), c=np.zeros((3, 2), complex)), np.zeros(2))], "shapes")])
def test_bad_stages_are_named(stages, said):
    with pytest.raises(ValueError, match=said):
        gain(stages)


@pytest.mark.parametrize("length", [0, -1, 2.0, True, 2**30])
def test_a_bad_length_is_named(length):
    with pytest.raises(ValueError, match="length"):
        gain([Scale(np.ones(1))], length)


# modules


def test_modules_become_stages():
    norm = nn.BatchNorm1d(6)
    norm(torch.randn(50, 6) * 3)
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Dropout(0.5), nn.Sequential(norm, nn.Identity()), nn.Linear(6, 2), nn.SiLU(), nn.Tanh(),
                          nn.ReLU(), nn.Sigmoid(), nn.LeakyReLU(0.2)).eval().double()
    stages = stages_of(model)
    assert [type(s) for s in stages] == [Linear, Pointwise, Scale, Linear, *[Pointwise] * 5]
    _, upper = gain(stages)
    u, v = torch.randn(2, 30, 4, dtype=torch.double)
    assert (model(u) - model(v)).norm() <= upper * (u - v).norm()
    linear = model[0](u) - model[0](torch.zeros_like(u))
    np.testing.assert_allclose((u.numpy() @ stages[0].weight.T), linear.detach().numpy(), rtol=1e-9)
    scaled = model[3](torch.cat([u, u[:, :2]], 1)) - model[3](torch.zeros(30, 6).double())
    np.testing.assert_allclose(torch.cat([u, u[:, :2]], 1).numpy() * stages[2].factors, scaled.detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize(("module", "said"), [
    (nn.GLU(), "GLU.*sigmoid"), (nn.LayerNorm(3), "LayerNorm.*eps"), (nn.Softmax(-1), "Softmax.*register"), (nn.GELU("tanh"), "GELU.*none"),
    (nn.BatchNorm1d(2), "BatchNorm1d.*eval"), (nn.BatchNorm1d(2, track_running_stats=False).eval(), "BatchNorm1d"), (nn.LeakyReLU(-2), "slope"),
    (nn.Sequential(nn.Linear(1, 1), nn.Bilinear(1, 1, 1)), "Bilinear")])
def test_what_is_declined(module, said):
    with pytest.raises(Declined, match=said):
        stages_of(module)
