"""One step of flow: labels that are right, and bounds that are crude but bounds."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

import wellposed
import wellposed_check
from wellposed.certificate import Certificate, issue
from wellposed.elliptic import OneStep, generate_one_step
from wellposed.elliptic.one_step import gaussian_vorticity
from wellposed.numerics.vorticity import resample, to_field, to_spectrum
from wellposed.testing import check_claim, forgeries, survivors
from wellposed.testing.conformance import check_broken, check_round_trip
from wellposed_check import Refused, check
from wellposed_check.canonical import encode

CLAIM = "elliptic.error_at_least/1"
LAPLACE = 4 * math.pi**2  # smallest eigenvalue but zero


def rms(x: Any) -> np.ndarray:
    return np.sqrt(np.square(np.asarray(x)).mean((1, 2)))


def smooth(n: int, seed: int, top: int = 3, samples: int = 1) -> np.ndarray:
    """Frequencies up to `top`, mean zero, unit root mean square."""
    rng, x = np.random.default_rng(seed), 2 * np.pi * np.arange(n) / n
    w = np.zeros((samples, n, n))
    for k in range(-top, top + 1):
        for m in range(top + 1):
            a, b = rng.standard_normal((2, samples, 1, 1))
            w += a * np.cos(k * x + m * x[:, None]) + b * np.sin(k * x + m * x[:, None])
    w -= w.mean((1, 2), keepdims=True)
    return w / rms(w)[:, None, None]


# ---- labels


def test_a_label_that_is_known():
    """Taylor and Green's vortices decay and stay."""
    x = 2 * np.pi * np.arange(8) / 8
    w = np.cos(x) * np.cos(x)[:, None]
    assert OneStep(w, 0.01, 2.0).solve()[0] == pytest.approx(w * math.exp(-2 * LAPLACE * 0.02), abs=1e-13)


def test_one_resolution_agrees_with_another():
    """The same functions on 24 and 48 nodes: labels agree in the frequencies of both, and a finer grid to compute on changes little."""
    w, f = 3 * smooth(48, 0), smooth(48, 1)
    coarse, fine = OneStep(w[:, ::2, ::2], 1e-2, 0.5, f[:, ::2, ::2]), OneStep(w, 1e-2, 0.5, f)
    common = to_field(resample(to_spectrum(torch.from_numpy(np.asarray(fine.solve()))), 48, 24), 24).numpy()
    assert np.abs(coarse.solve(grid=72) - common).max() < 1e-7
    assert np.abs(coarse.solve() - common).max() < 1e-4
    assert np.abs(fine.solve(grid=96) - fine.solve()).max() < 1e-7


def test_samples_and_kinds():
    problem = generate_one_step(16, 3)
    labels = problem.solve()
    assert isinstance(labels, np.ndarray)
    assert np.asarray(problem[1].solve()) == pytest.approx(labels[1:2], abs=1e-7)
    assert [len(one) for one in problem] == [1, 1, 1]
    with pytest.raises(IndexError, match="sample 3"):
        problem[3]
    tensors = OneStep(problem.vorticity.float(), problem.viscosity, problem.interval, problem.forcing)
    assert isinstance(tensors.solve(), torch.Tensor)
    assert tensors.solve().numpy() == pytest.approx(labels, abs=1e-6)  # type: ignore[union-attr]


# ---- generated problems


def test_sample_k_depends_on_seed_and_k_alone():
    few, many = generate_one_step(12, 2, 5), generate_one_step(12, 5, 5)
    assert torch.equal(few.vorticity, many.vorticity[:2])
    with ThreadPoolExecutor(2) as pool:
        assert torch.equal(generate_one_step(12, 5, 5, executor=pool).vorticity, many.vorticity)
    assert not torch.equal(generate_one_step(12, 2, 6).vorticity, few.vorticity)
    assert not torch.equal(few.vorticity[0], few.vorticity[1])


def test_one_seed_is_one_function_at_every_resolution():
    """Truncated to fewer frequencies, so compared by them."""
    coarse, fine = (torch.from_numpy(gaussian_vorticity(n, np.random.default_rng(3)))[None] for n in (16, 200))
    assert (to_field(resample(to_spectrum(fine), 200, 16), 16) - coarse).abs().max() < 1e-14
    assert abs(float(fine.mean())) < 1e-16


def test_the_law_of_the_field():
    """Mean square over 200 draws: the sum of the eigenvalues of the covariance."""
    drawn = np.stack([gaussian_vorticity(16, np.random.default_rng([0, k])) for k in range(200)])
    k = np.arange(-7, 8)
    eigenvalues = 2 * 7**3 * (LAPLACE * (k[:, None] ** 2 + k**2) + 49) ** -2.5
    expected = eigenvalues.sum() - eigenvalues[7, 7]
    assert np.square(drawn).mean() == pytest.approx(expected, rel=0.1)
    assert np.sqrt(expected) == pytest.approx(0.26, abs=0.01)


def test_spin_up_is_a_step_before_the_step():
    first = generate_one_step(16, 2, viscosity=1e-2, interval=0.7)
    later = generate_one_step(16, 2, viscosity=1e-2, interval=0.7, spin_up=0.7)
    assert later.vorticity.numpy() == pytest.approx(first.solve(), abs=1e-7)
    assert generate_one_step(16, forcing=0.0).forcing is None


# ---- the bounds


def distance(problem: OneStep, v: np.ndarray) -> Any:
    return wellposed.certify(problem, v).bound


def answers(problem: OneStep, truth: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    w, noise = problem.vorticity.numpy(), rng.standard_normal(truth.shape)
    return [truth, w, 0 * w, -truth, 3 * truth, truth + 0.2, noise, truth + 1e-6 * noise, 5 * noise + 1, np.roll(w, 3, 1)]


@pytest.mark.parametrize("seed", range(8))
def test_the_truth_is_inside(seed: int):
    """Also for answers with a mode at the Nyquist frequency: the error is that of interpolants, on a grid twice as fine."""
    rng = np.random.default_rng(seed)
    n, nu, time = (8, 9, 12, 15)[seed % 4], 10 ** rng.uniform(-3, -1), 10 ** rng.uniform(-2, 0.5)
    w = rng.uniform(0.5, 4) * smooth(n, seed, 2, samples=2) + (0.3 if seed % 2 else 0)
    problem = OneStep(w, nu, time, smooth(n, seed + 50, 2) * rng.uniform(0, 3) + 0.1 * (seed % 3) if seed % 4 else None)

    def fine(x: np.ndarray) -> torch.Tensor:
        return to_field(resample(to_spectrum(torch.from_numpy(np.asarray(x))), n, 4 * n), 4 * n)

    forcing = None if problem.forcing is None else fine(problem.forcing.numpy())
    truth = np.asarray(OneStep(fine(w).numpy(), nu, time, forcing).solve(1e-9))
    for v in answers(problem, truth[:, ::4, ::4], rng):
        d, error, scale = distance(problem, v), rms(truth - fine(v).numpy()), rms(truth)
        assert (d.lower <= error * (1 + 1e-7) + 1e-8 * scale).all()
        assert (error <= d.upper * (1 + 1e-7)).all()
        assert (scale <= d.size * (1 + 1e-7)).all()
        assert (d.relative <= error / scale * (1 + 1e-7) + 1e-8).all()


@pytest.mark.parametrize("time", [0.01, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("amount", [0.0, 0.5, 40.0])
def test_the_bound_of_the_flow_is_attained(amount: float, time: float):
    """cos 2πx under its own multiple as forcing: no transport, and R is the flow, but for the rule by which R is integrated."""
    nu, x = 0.02, 2 * np.pi * np.arange(16) / 16
    wave = np.cos(x) * np.ones((16, 1))
    rate = LAPLACE * nu
    exact = (math.exp(-rate * time) + amount * -math.expm1(-rate * time) / rate) / math.sqrt(2)
    problem = OneStep(wave, nu, time, amount * wave)
    size = float(distance(problem, wave).size[0])
    assert rms(problem.solve())[0] == pytest.approx(exact, rel=1e-7)
    assert exact <= size <= exact * (1 + (rate * time) ** 2 / 6 + 1e-6)
    assert float(distance(problem, 3 * np.asarray(problem.solve())).lower[0]) >= 3 * exact - size - 1e-6


@pytest.mark.parametrize("time", [1e-3, 0.1, 1.0, 5.0, 17.0, 1e3, 1e30])
def test_the_decay_is_rounded_upwards_and_hardly(time: float):
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 40
    w = np.resize([1.0, -1.0], 8) * np.ones((8, 1))  # root mean square 1 and mean 0, exactly
    size = float(distance(OneStep(w, 1.0, time), w).size[0])
    exact = mp.exp(-4 * mp.pi**2 * mp.mpf(time))
    assert mp.mpf(size) >= exact
    assert size <= float(exact) * (1 + 1e-8 + 1e-10 * (40 * time) ** 4) + 1e-70


def test_the_mean_counts_exactly():
    w, f = smooth(9, 0) + 0.25, np.full((9, 9), 0.5)
    problem = OneStep(w, 0.1, 2.0, f)
    truth = np.asarray(problem.solve())
    d = distance(problem, truth + 0.125)
    assert d.lower[0] == pytest.approx(0.125, abs=1e-9)
    assert distance(problem, truth).lower[0] < 1e-9
    assert distance(OneStep(w, 0.1, 2.0), np.full_like(w, 0.25)).lower[0] < 1e-15


@pytest.mark.parametrize("n", [8, 9])
def test_what_is_at_the_nyquist_frequency_counts_half(n: int):
    """Against the norm of the interpolant itself: never more, and exactly it where a mode is at that frequency in one direction."""
    signs = np.resize([1.0, -1.0], n)
    zero = OneStep(np.zeros((n, n)), 1.0, 1.0)
    for v, exact in ((signs * np.ones((n, 1)), True), (signs[:, None] * np.cos(2 * np.pi * np.arange(n) / n), True),
                     (signs * signs[:, None], False), (np.random.default_rng(0).standard_normal((n, n)), False)):
        v = v - v.mean()
        norm = float(rms(to_field(resample(to_spectrum(torch.from_numpy(v[None])), n, 3 * n), 3 * n))[0])
        lower = float(distance(zero, v).lower[0])
        assert lower <= norm * (1 + 1e-14)
        assert lower >= norm * (1 - 1e-9) or not (exact or n % 2)


@pytest.mark.parametrize("shift", [0.0, 1e8])
@pytest.mark.parametrize("scale", [1e-120, 1.0, 1e120])
def test_no_rounding_makes_the_bounds_lie(shift: float, scale: float):
    """The bounds of the theorem, from the stored numbers, in 60 digits."""
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 60
    for seed in range(6):
        rng = np.random.default_rng(seed)
        n, nu, time = 5, 10 ** rng.uniform(-4, 0), 10 ** rng.uniform(-3, 1)
        w, f, v = (scale * (rng.standard_normal((n, n)) + shift * k) for k in (1, 0, 1))
        v = v if seed % 2 else 4 * (v - scale * shift)
        d = distance(OneStep(w, nu, time, f), v)

        def mean(x: np.ndarray, power: int = 1) -> Any:
            return mp.fsum(mp.mpf(y) ** power for y in x.ravel().tolist()) / 25

        rate = 4 * mp.pi**2 * mp.mpf(nu)
        norm = {k: mp.sqrt(mean(x, 2)) for k, x in (("w", w), ("f", f), ("v", v))}
        rest = mp.exp(-rate * time) * norm["w"] - mp.expm1(-rate * time) / rate * norm["f"]
        off, later = abs(mean(v) - mean(w) - time * mean(f)), abs(mean(w) + time * mean(f))
        assert float(d.lower[0]) <= max(off, norm["v"] - abs(mean(v)) - rest)
        assert float(d.upper[0]) >= off + norm["v"] + rest
        assert float(d.size[0]) >= later + rest
        assert float(d.relative[0]) * mp.mpf(float(d.size[0])) <= float(d.lower[0])
        assert float(d.upper[0]) <= (off + norm["v"] + rest) * (1 + min(1, (float(rate) * time) ** 2)) + 1e-6 * norm["w"] + 1e-70


def test_scales():
    """Tiny and huge flows: the bounds scale with them."""
    w = smooth(8, 0)
    one = distance(OneStep(w, 0.1, 1.0), 3 * w)
    for scale in (1e-60, 1e100):
        d = distance(OneStep(scale * w, 0.1, 1.0), 3 * scale * w)
        assert d.lower / scale == pytest.approx(one.lower, rel=1e-9)
        assert d.relative == pytest.approx(one.relative, rel=1e-9)


def test_two_flows_of_one_enstrophy_cannot_be_told_apart():
    """What "crude" means: a wrong field with the right mean and less enstrophy is not refuted."""
    problem = generate_one_step(16, 1)
    certificate = wellposed.certify(problem, np.roll(problem.solve(), 8, 2), tol=0.1)
    assert certificate.verdict is None
    assert any("CRUDE BOUNDS, nothing sharper is proved" in text for text, _ in certificate.claim(CLAIM).assumptions)


# ---- the certificate


def reissued(certificate: Certificate, tol: float | None = None, kind: str = "elliptic.OneStep", parameters: dict[str, Any] | None = None,
             arithmetic: str = "margin", **arrays: np.ndarray | None) -> Certificate:
    """A certificate of changed evidence in which everything follows."""
    changed = {k: v for k, v in (certificate.arrays | arrays).items() if v is not None}
    stated = certificate.document["subject"]["problem"]["parameters"] | (parameters or {})
    return issue(kind, stated, changed, {CLAIM: tol}, arithmetic, certificate.document["provenance"])


def symmetric(forced: bool = False) -> OneStep:
    """Fields that transposing leaves as they are, with a mean: what else the claim does not see is then not there to be forged."""
    w = smooth(6, 1, 2) + 0.5
    return OneStep(w + w.transpose(0, 2, 1), 0.05, 0.5, np.cos(2 * np.pi * np.arange(6) / 6) + np.ones((6, 1)) if forced else None)


def test_conformance():
    problem = symmetric()
    good = np.asarray(problem.solve())
    good = (good + good.transpose(0, 2, 1)) / 2 + 0.25  # a mean that is wrong, so that the lower bound is not zero
    check_claim(wellposed.certify(problem, good, tol=2.2), wellposed.certify(problem, 8 * good, tol=2.2), "error_at_least")


@pytest.mark.parametrize("how", ["scaled", "noise", "mean"])
def test_broken_operators_do_not_pass(how: str):
    problem = generate_one_step(12, 2)
    u = np.asarray(problem.solve())
    wrong = {"scaled": 10 * u, "noise": np.random.default_rng(0).standard_normal(u.shape), "mean": u + 2}[how]
    check_broken(lambda: wellposed.certify(problem, wrong, tol=2.0), "error_at_least")
    assert wellposed.certify(problem, wrong, tol=2.0).verdict is False
    assert wellposed.certify(problem, u, tol=2.0).verdict is True


def test_forgeries_are_refused_but_for_true_certificates_of_another_question(tmp_path: Path):
    """Mean and enstrophy are all that is read: a transposed field, or one of the other sign, has the same claim, and another digest."""
    problem = generate_one_step(6, 1)
    certificate = wellposed.certify(problem, problem.solve(), tol=2.2)
    left = survivors(certificate, np.random.default_rng(0))
    assert {f.strength for f in left} <= {"full"}
    assert {f.description.split(": ")[1] for f in left} <= {"transposed", "sign"}
    arrays = certificate.arrays
    np.savez(tmp_path / "problem.npz", vorticity=arrays["vorticity"], forcing=arrays["forcing"])
    np.savez(tmp_path / "answer.npz", advanced=arrays["advanced"])
    for forgery in left:
        folder = forgery.write(tmp_path / "forged")
        assert check(folder, tmp_path / "problem.npz", tmp_path / "answer.npz").status == "refused"
    assert any("viscosity" in f.description for f in forgeries(certificate, np.random.default_rng(0)))


@pytest.mark.parametrize("name", ["vorticity", "forcing", "advanced"])
def test_another_number_is_another_claim(name: str):
    certificate = wellposed.certify(symmetric(forced=True), smooth(6, 3) + 2, tol=0.3)
    x = certificate.arrays[name].copy()
    x[0, 1, 2] += 0.01
    assert reissued(certificate, 0.3, **{name: x}).claim(CLAIM).lower != certificate.claim(CLAIM).lower
    assert reissued(certificate, 0.3, **{name: x}).claim(CLAIM).upper != certificate.claim(CLAIM).upper


@pytest.mark.parametrize(("changes", "parameters"), [
    ({"advanced": np.zeros((1, 5, 5))}, {}), ({"forcing": np.zeros((1, 5, 5))}, {}), ({"vorticity": np.zeros((6, 6))}, {}),
    ({"vorticity": np.zeros((2, 6, 6))}, {}), ({"advanced": None}, {}), ({"vorticity": None}, {}),
    ({}, {"viscosity": encode(0.0)}), ({}, {"viscosity": encode(-1.0)}), ({}, {"interval": encode(0.0)}), ({}, {"interval": encode(1e200)}),
    ({}, {"viscosity": None}), ({}, {"note": "added"})], ids=str)
def test_evidence_that_does_not_carry_the_claim(changes: dict[str, Any], parameters: dict[str, Any]):
    certificate = wellposed.certify(symmetric(), smooth(6, 3))
    with pytest.raises((Refused, KeyError)):
        reissued(certificate, None, parameters=parameters, **changes)


def test_other_arithmetic_and_other_types():
    certificate = wellposed.certify(symmetric(), smooth(6, 3))
    with pytest.raises(Refused, match="margin"):
        reissued(certificate, arithmetic="enclosed")
    with pytest.raises(Refused, match=r"elliptic\.Helmholtz has the parameters"):
        reissued(certificate, kind="elliptic.Helmholtz")


PROBE = """
import sys
from wellposed_check.__main__ import main
status = main(sys.argv[1:])
print(status, *sorted({name.split(".")[0] for name in sys.modules} & {"torch", "scipy", "wellposed", "safetensors"}))
"""


@pytest.mark.parametrize(("tol", "code"), [(2.2, "0"), (0.5, "3"), (None, "0")])
def test_it_is_checked_with_numpy_alone(tol: float | None, code: str, tmp_path: Path):
    problem = generate_one_step(16, 3)
    certificate = wellposed.certify(problem, problem.solve(), tol)
    certificate.save(tmp_path)
    check_round_trip(certificate)
    printed = subprocess.run([sys.executable, "-c", PROBE, str(tmp_path)], capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[-1] == code
    assert "the largest of 3 samples" in certificate.claim(CLAIM).quantity
    schema = json.loads((Path(wellposed_check.__file__).parent / "certificate.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(certificate.document)


# ---- bad input

W = np.zeros((2, 8, 8))


@pytest.mark.parametrize(("call", "words"), [
    (lambda: OneStep(np.zeros((8, 9)), 1.0, 1.0), ("vorticity", "(1, 8, 9)", "periodic square")),
    (lambda: OneStep(np.zeros((3, 3)), 1.0, 1.0), ("vorticity", "(1, 3, 3)", "at least 4")),
    (lambda: OneStep(np.full((8, 8), np.inf), 1.0, 1.0), ("vorticity", "inf")),
    (lambda: OneStep(W, 0.0, 1.0), ("viscosity", "0.0", "positive")), (lambda: OneStep(W, 1.0, -1.0), ("interval", "-1.0", "positive")),
    (lambda: OneStep(W, 1.0, float("nan")), ("interval", "nan")),
    (lambda: OneStep(W, 1.0, 1.0, np.zeros((3, 8, 8))), ("forcing", "(3, 8, 8)", "(2, 8, 8)")),
    (lambda: generate_one_step(3), ("resolution 3", "4 nodes")), (lambda: generate_one_step(8, 0), ("samples 0", "1 sample")),
    (lambda: generate_one_step(8, spin_up=-1.0), ("spin_up -1.0", "not negative")),
    (lambda: wellposed.certify(OneStep(W, 1.0, 1.0), np.zeros((2, 9, 9))), ("vorticity", "(2, 9, 9)", "(2, 8, 8)")),
    (lambda: wellposed.certify(OneStep(W, 1.0, 1.0), np.full((2, 8, 8), np.nan)), ("vorticity", "nan")),
    (lambda: wellposed.certify(OneStep(W, 1.0, 1.0), W, tol=0.0), ("tol=0.0", "positive number")),
], ids=str)
def test_bad_input_gets_one_clear_error(call: Callable[[], Any], words: tuple[str, ...]):
    with pytest.raises(ValueError, match="received") as caught:
        call()
    assert all(word in str(caught.value) for word in (*words, "expected")), str(caught.value)
    assert "\n" not in str(caught.value)
