"""Certificates of flows: they hold for good trajectories, not for broken ones, survive files, and forgeries are refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from flows import N, changed, distance, equation, field, frozen, jump_error, noisy, own, reference, short, smooth_error

import wellposed
from wellposed.certificate import Certificate, issue, load
from wellposed.flow import Evolution, NavierStokes2D, Slabs, Trajectory, solve
from wellposed.numerics.vorticity import to_field
from wellposed.testing import check_claim, survivors
from wellposed.testing.conformance import check_broken, check_round_trip
from wellposed_check import Refused, check
from wellposed_check.canonical import encode

TOL = 1e-2


@cache
def question(samples: int = 2) -> Evolution:
    e, flow = short(samples)
    return Evolution(e, flow.vorticity[:, 0], flow.times)


@cache
def certified(against: str = "galerkin", two_sided: bool = True, samples: int = 1, tol: float | None = TOL, error: float = 1e-4) -> Certificate:
    flow = short(samples)[1]
    flow = changed(flow, smooth_error(flow, error))
    if against == "galerkin":
        return wellposed.certify(question(samples), flow, tol, two_sided=two_sided)
    return wellposed.certify(question(samples), flow, 1.0 if tol else None, against="pde", two_sided=two_sided)


def wrong_equation(**changes: float) -> Trajectory:
    """The flow of another equation from the same field."""
    p = question()
    e = p.equation
    options = {"viscosity": e.viscosity, "drag": 0.0, "forcing": e.forcing} | changes
    other = NavierStokes2D(options["viscosity"], N, options["forcing"], options["drag"])
    return solve(other, p.vorticity, p.times, step=0.02, slab=0.1)


BROKEN: dict[str, Callable[[], Trajectory]] = {
    "frozen": lambda: frozen(question().equation, question().vorticity, question().times), "no forcing": lambda: wrong_equation(forcing=None),
    "another viscosity": lambda: wrong_equation(viscosity=0.04), "drag": lambda: wrong_equation(drag=0.05),
    "wrong error": lambda: changed(short()[1], smooth_error(short()[1], 0.5)),
    "slabs that do not join": lambda: changed(short()[1], jump_error(short()[1], 0.1)),
    "another start": lambda: noisy(short()[1], 0.1, first=1.0), "backwards": lambda: Trajectory(short()[1].times, short()[1].vorticity.flip(1)),
    "a turned frame": lambda: Trajectory(short()[1].times, short()[1].vorticity.transpose(-1, -2)), "zero": lambda: Trajectory(
        short()[1].times, 0 * short()[1].vorticity)}


@pytest.mark.parametrize("against", ["galerkin", "pde"])
def test_conformance(against):
    """Without a companion, so that every number counts."""
    broken = wellposed.certify(question(1), frozen(question(1).equation, question(1).vorticity, question(1).times), TOL, against=against)
    check_claim(certified(against, two_sided=False), broken, f"{against}_error", share=0.05)


def test_forgeries_of_both_sides():
    """The polynomials of the answer count no more where a companion shows more: only those may be changed, and the claim stays true."""
    left = survivors(certified(), np.random.default_rng(3), share=0.05)
    assert {f.description.split(":")[0] for f in left} <= {"nodes", "edges", "grid"}, [(f.description, f.strength) for f in left]
    assert {f.strength for f in left} <= {"full"}


REFUTED = ["frozen", "no forcing", "another viscosity", "wrong error", "slabs that do not join", "another start"]


@pytest.mark.parametrize("how", [how for how in BROKEN if how not in REFUTED])
def test_broken_trajectories_do_not_pass(how):
    check_broken(lambda: wellposed.certify(question(), BROKEN[how](), 1e-3), "galerkin_error")


@pytest.mark.parametrize("how", REFUTED)
def test_what_is_wrong_is_refuted_from_both_sides(how):
    certificate = wellposed.certify(question(), BROKEN[how](), 1e-3)
    assert certificate.verdict is False
    claim = certificate.claim("galerkin_error")
    assert claim.lower > 1e-3
    assert check_status(certificate) is False


def check_status(certificate: Certificate):
    return certificate.check().status


def test_without_a_companion_it_is_undecided():
    certificate = wellposed.certify(question(), BROKEN["frozen"](), 1e-3, two_sided=False)
    assert certificate.verdict is None
    assert certificate.claim("galerkin_error").lower == 0.0
    assert check_status(certificate) is None


@pytest.mark.parametrize("against", ["galerkin", "pde"])
@pytest.mark.parametrize("two_sided", [False, True])
def test_what_is_claimed_is_true(against, two_sided):
    """The largest relative error over samples and times lies between the ends."""
    certificate = certified(against, two_sided, samples=2)
    flow = changed(short()[1], smooth_error(short()[1], 1e-4))
    claim = certificate.claim(f"{against}_error")
    assert claim.kind == "theorem"
    assert claim.arithmetic == "margin"
    if against == "galerkin":
        true = reference(question().equation, question().vorticity, flow.times)
        relative = (distance(flow.vorticity, true) / distance(true, 0.0)).max()
        assert claim.lower <= relative <= claim.upper
        assert not two_sided or claim.upper <= 1.05 * claim.lower
    assert [c.id for c in certificate.claims] == [f"flow.{against}_error/1"]
    assert certificate.check().status is True


@pytest.mark.parametrize(("samples", "error"), [(1, 0.0), (3, 1e-9), (1, 1e-2)])
def test_round_trip(samples, error):
    check_round_trip(certified("galerkin", True, samples, None, error))


def test_the_same_numbers_after_a_round_trip(tmp_path):
    good = certified()
    good.save(tmp_path / "kept")
    again = load(tmp_path / "kept")
    assert again.verdict is True
    assert again.claims == good.claims
    assert all(np.array_equal(again.arrays[name], x) for name, x in good.arrays.items())
    assert check(tmp_path / "kept").status is True


@pytest.fixture
def folder(tmp_path):
    """A certificate, its problem and its answer in files."""
    good = certified(samples=2)
    good.save(tmp_path / "kept")
    np.savez(tmp_path / "problem.npz", initial=good.arrays["initial"], forcing=good.arrays["forcing"])
    np.savez(tmp_path / "answer.npz", frames=good.arrays["frames"], times=good.arrays["times"])
    return tmp_path


def test_the_subject_can_be_presented(folder):
    report = check(folder / "kept", folder / "problem.npz", folder / "answer.npz")
    assert report.status is True
    assert "subject presented: initial, forcing, frames, times" in report.headline
    p, flow = question(), changed(short()[1], smooth_error(short()[1], 1e-4))
    np.savez(folder / "mine.npz", initial=p.vorticity.numpy(), forcing=p.equation.forcing.numpy())
    np.savez(folder / "answer.npz", frames=flow.vorticity.numpy(), times=flow.times.numpy())
    assert check(folder / "kept", folder / "mine.npz", folder / "answer.npz").status is True


@pytest.mark.parametrize(("part", "name"), [("problem", "initial"), ("problem", "forcing"), ("answer", "frames"), ("answer", "times")])
def test_another_subject_is_refused(folder, part, name):
    arrays = dict(np.load(folder / f"{part}.npz"))
    arrays[name] = arrays[name] + 1e-9 * (np.arange(arrays[name].size).reshape(arrays[name].shape) == 1)
    np.savez(folder / f"{part}.npz", **arrays)
    report = check(folder / "kept", folder / "problem.npz", folder / "answer.npz")
    assert report.status == "refused"
    assert name in report.headline


def test_a_forcing_that_the_certificate_lacks_is_not_ignored(tmp_path):
    e = equation(forced=False)
    p = Evolution(e, field(N, 1), torch.tensor([0.0, 0.1]))
    wellposed.certify(p, solve(e, p.vorticity, p.times, slab=0.1, step=0.02), TOL).save(tmp_path / "kept")
    np.savez(tmp_path / "problem.npz", initial=p.vorticity.numpy(), forcing=question().equation.forcing.numpy())
    assert check(tmp_path / "kept", tmp_path / "problem.npz").status == "refused"


@pytest.mark.parametrize("change", [{"viscosity": 0.021}, {"drag": 1e-3}, {"length": 6.0}, {"viscosity": 0.0}, {"viscosity": -0.02}, {"length": 0.0},
                                    {"drag": -1.0}, {"viscosity": 1e300}], ids=str)
def test_another_equation_does_not_follow(change):
    """The numbers of the equation are part of the subject; a certificate of one is none of another."""
    good = certified(error=1e-7, tol=1e-5, two_sided=False)
    with pytest.raises(Refused), np.errstate(all="ignore"):
        issued(good, parameters=change)


def test_the_equation_is_visible():
    numbers = certified().document["subject"]["problem"]["parameters"]
    assert numbers == {"viscosity": encode(0.02), "drag": encode(0.0), "length": encode(2 * np.pi)}


def issued(good: Certificate, parameters: dict[str, float] | None = None, **changes: np.ndarray) -> Certificate:
    """The evidence with arrays or numbers exchanged, issued anew: what the checker itself refuses."""
    numbers = good.document["subject"]["problem"]["parameters"] | {k: encode(v) for k, v in (parameters or {}).items()}
    arrays = {k: v for k, v in (good.arrays | changes).items() if v is not None}
    return issue("flow.Evolution", numbers, arrays, {c.id: c.required for c in good.claims}, "margin", good.document["provenance"])


def edited(name: str, change: Callable[[np.ndarray], object]) -> Callable[[Certificate], dict[str, np.ndarray]]:
    def arrays(good: Certificate) -> dict[str, np.ndarray]:
        x = good.arrays[name].copy()
        found = change(x)
        return {name: x if found is None else np.asarray(found)}

    return arrays


def put(*where: object, value: float = 0.1) -> Callable[[np.ndarray], None]:
    def change(x: np.ndarray) -> None:
        x[tuple(where)] += value  # type: ignore[index]

    return change


SWAP = [0, 1, 3, 2, *range(4, 9)]
FORGED: dict[str, tuple[Callable[[Certificate], dict[str, np.ndarray]], str]] = {
    "upper end lowered": (edited("bracket", lambda b: b * [0.5, 0.999]), "upper end"),
    "lower end raised": (edited("bracket", lambda b: b * [1.001, 2.0]), "lower end"),
    "ends swapped": (edited("bracket", lambda b: b[::-1].copy()), "least, most"),
    "three ends": (edited("bracket", lambda b: np.append(b, 1.0)), "least, most"),
    "negative": (edited("bracket", lambda b: b - [1e-3, 0]), "least, most"),
    "not Hermitian": (edited("nodes", put(0, 1, 2, 3, 0, 1)), "real fields"),
    "not Hermitian in the last place": (edited("nodes", put(0, 1, 2, 3, 0, 1, value=1e-16)), "real fields"),
    "an imaginary mean": (edited("nodes", put(0, 1, 2, 0, 0, 1)), "real fields"),
    "a mean": (edited("nodes", put(0, 1, 2, 0, 0, 0)), "mean"),
    "edges that do not increase": (edited("edges", lambda t: t[[0, 2, 1, *range(3, len(t))]]), "increase"),
    "edges twice": (edited("edges", lambda t: t[[0, 1, 1, *range(3, len(t))]]), "increase"),
    "edges moved": (edited("edges", put(2, value=1e-3)), "end of the bracket"),
    "edges shifted": (edited("edges", lambda t: t + 0.01), "times do not begin"),
    "edges stretched": (edited("edges", lambda t: t * 2), "end of the bracket"),
    "one edge": (edited("edges", lambda t: t[:1]), "increase"),
    "times that do not increase": (edited("times", lambda t: t[[0, 2, 1, 3]]), "increase"),
    "times beyond the slabs": (edited("times", put(3, value=1.0)), "beyond"),
    "times moved": (edited("times", put(1, value=0.05)), "end of the bracket"),
    "modes outside of the band": (edited("nodes", lambda v: np.pad(v, ((0, 0),) * 3 + ((1, 1), (0, 1), (0, 0)))), "modes kept"),
    "fewer modes": (edited("nodes", lambda v: v[..., :-1, :]), "modes kept"),
    "fewer slabs": (edited("nodes", lambda v: v[:, :-1]), "modes kept"),
    "other samples": (edited("nodes", lambda v: np.concatenate([v, v])), "modes kept"),
    "one node": (edited("nodes", lambda v: v[:, :, :1]), "modes kept"),
    "nodes swapped": (edited("nodes", lambda v: v[:, :, SWAP]), "end of the bracket"),
    "slabs swapped": (edited("nodes", lambda v: v[:, [1, 0, *range(2, v.shape[1])]]), "end of the bracket"),
    "nodes of single precision": (edited("nodes", lambda v: v.astype(np.float32).astype(float)), "end of the bracket"),
    "one node changed": (edited("nodes", lambda v: _mirrored(v, 1e-6)), "end of the bracket"),
    "another start": (edited("initial", put(0, 3, 4, value=1e-4)), "end of the bracket"),
    "another forcing": (edited("forcing", lambda f: f * 1.0001), "end of the bracket"),
    "no forcing": (lambda good: {"forcing": None}, "end of the bracket"),  # type: ignore[dict-item]
    "a forcing with a mean": (edited("forcing", lambda f: f + 0.1), "mean zero"),
    "a forcing on another grid": (edited("forcing", lambda f: f[::2, ::2]), "forcing"),
    "other frames": (edited("frames", put(0, 2, 3, 4, value=1e-3)), "end of the bracket"),
    "frames swapped": (edited("frames", lambda w: w[:, [0, 2, 1, 3]]), "end of the bracket"),
    "frames of another grid": (edited("frames", lambda w: w[..., ::2, ::2]), "no trajectory"),
    "frames missing": (edited("frames", lambda w: w[:, :-1]), "no trajectory"),
    "a coarse grid for the strain": (edited("grid", lambda g: 0 * g + 6), "grid"),
    "an odd grid for the strain": (edited("grid", lambda g: g + 1), "grid"),
    "another companion": (lambda good: {"companion_nodes": _mirrored(good.arrays["companion_nodes"], 1e-3)}, "end of the bracket"),
    "the answer as its own companion": (lambda good: {f"companion_{k}": good.arrays[k] for k in ("nodes", "edges", "grid")}, "end of the bracket"),
    "a companion of another time": (edited("companion_edges", lambda t: t + 0.1), "companion"),
    "a companion that ends early": (lambda good: {"companion_edges": good.arrays["companion_edges"][:-1],
                                                  "companion_nodes": good.arrays["companion_nodes"][:, :-1]}, "companion does not cover"),
    "a companion that is not real": (edited("companion_nodes", put(0, 1, 2, 3, 0, 1)), "companion_nodes are not spectra"),
    "no companion": (lambda good: dict.fromkeys(("companion_nodes", "companion_edges", "companion_grid")), "end of the bracket"),  # type: ignore[dict-item]
}


def _mirrored(v: np.ndarray, by: float) -> np.ndarray:
    v = v.copy()
    v[0, 1, 2, 1, 2, 0] += by
    return v


@pytest.mark.parametrize("how", FORGED)
def test_what_the_checker_refuses(how):
    """What is said of the answer's own polynomials where they alone count, what is said of a companion where there is one."""
    change, said = FORGED[how]
    good = certified(two_sided="ompanion" in how or "lower" in how, error=1e-7, tol=1e-5)
    assert good.verdict is True
    with pytest.raises(Refused, match=said):
        issued(good, **change(good))


@pytest.mark.parametrize("name", ["initial", "forcing", "frames", "times", "edges", "nodes", "bracket", "companion_edges", "companion_nodes"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(name, value):
    good = certified()
    x = good.arrays[name].copy()
    x.flat[1] = value
    if name == "bracket" and value == np.inf:
        assert issued(good, bracket=x).verdict is None, "a bracket without an upper end is a weaker claim"
        return
    with pytest.raises((Refused, ValueError)), np.errstate(all="ignore"):
        issued(good, **{name: x})


@pytest.mark.parametrize("name", ["initial", "frames", "times", "edges", "nodes", "bracket"])
def test_arrays_that_are_missing_are_refused(name):
    good = certified()
    with pytest.raises((Refused, KeyError, ValueError)):
        issued(good, **{name: None})  # type: ignore[arg-type]


def test_a_frame_just_after_a_tiny_slab_that_does_not_join():
    """Errors are those of the slab in which a time lies, however short it is."""
    e, flow = short(1)
    slabs = own(flow)
    b, width = float(slabs.edges[2]), 3e-11
    edges = torch.cat([slabs.edges[:3], slabs.edges[2:3] + width, slabs.edges[3:]])
    off = smooth_error(flow, 10.0)[:, 1:2, 4:5]
    tiny = slabs.values[:, 1:2, -1:].expand(-1, -1, 9, -1, -1) + off
    values = torch.cat([slabs.values[:, :2], tiny, slabs.values[:, 2:]], 1)
    for place in (0.1, 0.37, 0.9):
        times = torch.tensor([0.0, b + place * width, 0.6], dtype=torch.float64)
        forged = Trajectory.of(Slabs(edges, values), times)
        p = Evolution(e, flow.vorticity[:, 0])
        true = distance(forged.vorticity, reference(e, p.vorticity, times))[0, 1]
        assert true > 1.0
        certificate = wellposed.certify(p, forged, two_sided=False)
        upper = certificate.claim("galerkin_error").upper
        assert upper is None or upper > 0.5, place
        truthful = certified(error=1e-7, tol=1e-5)
        arrays = certificate.arrays | {"bracket": truthful.arrays["bracket"]}
        with pytest.raises(Refused, match="end of the bracket"):
            issue("flow.Evolution", certificate.document["subject"]["problem"]["parameters"], arrays, {"flow.galerkin_error/1": None}, "margin",
                  certificate.document["provenance"])


def test_only_the_systems_that_there_are():
    good = certified()
    with pytest.raises(Refused):
        issue("flow.Evolution", good.document["subject"]["problem"]["parameters"], good.arrays, {"flow.euler_error/1": None}, "margin",
              good.document["provenance"])


def test_a_claim_about_one_system_is_none_about_the_other():
    good = certified(error=1e-7, tol=1e-5)
    with pytest.raises(Refused, match="end of the bracket"):
        issue("flow.Evolution", good.document["subject"]["problem"]["parameters"], good.arrays, {"flow.pde_error/1": None}, "margin",
              good.document["provenance"])


def test_plain_frames_are_certified_by_their_spline():
    e = equation()
    times = torch.linspace(0, 0.6, 25, dtype=torch.float64)
    p = Evolution(e, field(N, 1), times)
    frames = reference(e, p.vorticity, times, 5e-3)
    certificate = wellposed.certify(p, Trajectory(times, frames), 1e-2)
    assert certificate.verdict is True
    assert check_status(certificate) is True
    assert certificate.bound.own.trajectory.coefficients is None


def test_provenance():
    certificate = wellposed.certify(question(1), short(1)[1], weights=b"weights", seed=3)
    provenance = certificate.document["provenance"]
    assert provenance["seed"] == 3
    assert provenance["weights"] == hashlib.sha256(b"weights").hexdigest()
    assert certificate.bound.lower.shape == (1, 4)
    assert torch.equal(certificate.bound.own.trajectory.vorticity, short(1)[1].vorticity)
    assert to_field(certificate.bound.companion.slabs.at([0.3]), N).shape == (1, 1, N, N)
