"""Evidence that does not carry a claim: refused, or not good enough, even if everything is digested and stated consistently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import BOUNDARIES, disturbed, draw, sides

import wellposed
from wellposed.certificate import Certificate, issue
from wellposed.elliptic import Darcy, bound
from wellposed.elliptic.evidence import checker_problem
from wellposed_check import Refused
from wellposed_check.elliptic.arithmetic import Floats
from wellposed_check.elliptic.darcy import Hypercircle

CLAIM = "elliptic.energy_error/1"


def certified(boundary: str, seed: int = 0, n: int = 8, dirichlet: bool = False, **more: Any) -> Certificate:
    """A good answer to a problem without symmetries, and as a requirement hardly more than what is proved of it."""
    rng = np.random.default_rng(seed)
    problem = draw(boundary, n, rng, field="cells", dirichlet=dirichlet, **more)
    certificate = wellposed.certify(problem, problem.solve())
    return reissued(certificate, tol=certificate.claim(CLAIM).upper * 1.001)  # type: ignore[operator]


def reissued(certificate: Certificate, tol: float | None = None, parameters: dict[str, Any] | None = None,
             **arrays: np.ndarray | None) -> Certificate:
    """A certificate of changed evidence in which everything follows: what a producer with a bug would publish."""
    changed = {k: v for k, v in (certificate.arrays | arrays).items() if v is not None}
    stated = certificate.document["subject"]["problem"]["parameters"] | (parameters or {})
    tol = tol or certificate.claim(CLAIM).required
    return issue("elliptic.Darcy", stated, changed, {CLAIM: tol}, "margin", certificate.document["provenance"])


def judged(certificate: Certificate, parameters: dict[str, Any] | None = None, **arrays: np.ndarray | None) -> Any:
    """The verdict of the checker on changed evidence."""
    with np.errstate(all="ignore"):
        try:
            return reissued(certificate, None, parameters, **arrays).check().status
        except (Refused, ArithmeticError, ValueError, KeyError, TypeError):  # what `verify` turns into a refusal
            return "refused"


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_good_evidence_holds(boundary: str):
    certificate = certified(boundary)
    assert certificate.verdict is True
    assert judged(certificate) is True


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["coefficient", "source", "neumann", "potential", "stream", "test"])
def test_numbers_that_are_not_finite(name: str, value: float):
    certificate = certified("corner neumann")
    x = certificate.arrays[name].copy()
    x.flat[x.size // 2] = value
    assert judged(certificate, **{name: x}) == "refused"


@pytest.mark.parametrize("value", [0.0, -1.0, -0.0, 5e-324, 1e300])
def test_coefficient_that_is_not_positive_or_out_of_range(value: float):
    certificate = certified("dirichlet")
    a = certificate.arrays["coefficient"].copy()
    a[0, 3, 4] = value
    assert judged(certificate, coefficient=a) == "refused"


@pytest.mark.parametrize("change", [lambda x: x[:, :-1], lambda x: x[:, :, :-1], lambda x: x[0], lambda x: x[None], lambda x: x[:0],
                                    lambda x: np.concatenate([x, x]), lambda x: x[:, :-1, :-1]],
                         ids=["rows", "columns", "no sample axis", "one axis more", "no sample", "two samples", "smaller"])
@pytest.mark.parametrize("name", ["coefficient", "source", "neumann", "dirichlet", "potential", "stream", "test"])
def test_wrong_shapes(name: str, change: Callable):
    certificate = certified("corner neumann", dirichlet=True)
    assert judged(certificate, **{name: change(certificate.arrays[name])}) == "refused"


@pytest.mark.parametrize("name", ["coefficient", "source", "potential", "stream"])
def test_arrays_that_are_missing(name: str):
    assert judged(certified("dirichlet"), **{name: None}) == "refused"


@pytest.mark.parametrize("dirichlet", [False, True], ids=["zero", "values"])
@pytest.mark.parametrize("name", ["potential", "test"])
def test_one_bit_off_the_dirichlet_values(name: str, dirichlet: bool):
    certificate = certified("left and right neumann", dirichlet=dirichlet)
    v = certificate.arrays[name].copy()
    v[0, 0, 4] = np.nextafter(v[0, 0, 4], 1.0)
    assert judged(certificate, **{name: v}) == "refused"


@pytest.mark.parametrize("name", ["potential", "stream", "test"])
@pytest.mark.parametrize("edge", [np.s_[0, -1], np.s_[0, :, -1]], ids=["row", "column"])
def test_one_bit_off_the_periodic_wrap(name: str, edge: Any):
    certificate = certified("periodic")
    v = certificate.arrays[name].copy()
    v[edge][3] = np.nextafter(v[edge][3], 1.0)
    assert judged(certificate, **{name: v}) == "refused"


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_data_that_do_not_balance(boundary: str):
    certificate = certified(boundary)
    assert judged(certificate, source=certificate.arrays["source"] + 1e-6) == "refused"


@pytest.mark.parametrize("boundary", [b for b in BOUNDARIES if "neumann" in sides(b)])
def test_stream_function_free_on_neumann_sides(boundary: str):
    """A flux that does not carry g out: the bound would be smaller and false."""
    certificate = certified(boundary)
    free = {k: v for k, v in certificate.arrays.items() if k in ("coefficient", "source")}
    closed = Darcy(free["coefficient"], free["source"])  # as if all sides were Dirichlet: psi free everywhere
    psi = bound(closed, np.zeros_like(certificate.arrays["potential"])).stream
    assert judged(certificate, stream=psi) == "refused"


def test_neumann_trace_one_bit_off():
    certificate = certified("top and bottom neumann")
    psi = certificate.arrays["stream"].copy()
    psi[0, -1, 3] = np.nextafter(psi[0, -1, 3], 9.0)
    assert judged(certificate, stream=psi) == "refused"


def test_the_constant_of_a_neumann_piece_is_the_witness_own_but_costs():
    """Along each piece psi starts where the witness says; another start is another flux, admissible and worse."""
    certificate, boundary = certified("top and bottom neumann"), BOUNDARIES["top and bottom neumann"]
    problem = Darcy(*(certificate.arrays[k] for k in ("coefficient", "source")), boundary, neumann=certificate.arrays["neumann"])
    psi = certificate.arrays["stream"].copy()
    psi[0, -1] += 0.25
    assert judged(certificate, stream=Hypercircle(checker_problem(problem), Floats).trace(psi)) is None


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_flipped_curl(boundary: str):
    certificate = certified(boundary)
    assert judged(certificate, stream=-certificate.arrays["stream"]) is not True


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_flipped_particular_flux(boundary: str):
    """The best stream function of a producer that has the sign of t0, and so of f and g, wrong."""
    certificate = certified(boundary)
    arrays = certificate.arrays
    other = Darcy(arrays["coefficient"], -arrays["source"], BOUNDARIES[boundary],
                  neumann=-arrays["neumann"] if "neumann" in arrays else None)
    found = wellposed.certify(other, -arrays["potential"], lower="none").arrays
    assert judged(certificate, stream=found["stream"], drift=found.get("drift")) is not True


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_coefficient_and_its_inverse_swapped(boundary: str):
    certificate = certified(boundary)
    assert judged(certificate, coefficient=1 / certificate.arrays["coefficient"]) is not True


@pytest.mark.parametrize("names", [("potential",), ("stream",), ("potential", "stream"), ("coefficient",), ("source",)], ids="-".join)
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
def test_axes_transposed(boundary: str, names: tuple[str, ...]):
    certificate = certified(boundary)
    assert judged(certificate, **{k: certificate.arrays[k].transpose(0, 2, 1) for k in names}) is not True


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_source_and_boundary_flux_are_part_of_the_claim(boundary: str):
    certificate = certified(boundary)
    assert judged(certificate, source=1.5 * certificate.arrays["source"]) is not True
    if "neumann" in certificate.arrays:
        assert judged(certificate, neumann=-certificate.arrays["neumann"]) is not True
        assert judged(certificate, neumann=None) is not True


@pytest.mark.parametrize("factor", [0.5, 1.1, -1.0])
def test_scaled_answer(factor: float):
    certificate = certified("dirichlet")
    assert judged(certificate, potential=factor * certificate.arrays["potential"]) is not True


def test_data_that_vary_inside_cells_leave_it_undecided():
    certificate = certified("dirichlet")
    assert judged(certificate, {"cellwise": False}) is None
    loose = reissued(certificate, 100.0, {"cellwise": False})
    claim = loose.claim(CLAIM)
    assert claim.holds is None
    assert claim.upper is not None
    assert claim.upper <= 100.0  # it would hold
    assert ("coefficient and source vary inside the cells by an amount that nobody has bounded", "violated") in claim.assumptions


@pytest.mark.parametrize("parameters", [
    {"boundary": "dirichlet"}, {"boundary": {"bottom": "dirichlet"}}, {"cellwise": 1}, {"cellwise": None}, {"coefficient_error": None},
    {"coefficient_error": 0.0}, {"coefficient_error": {"decimal": 1.0, "hex": "0x1.0000000000000p+0"}}, {"note": "added"},
    {"coefficient_error": {"decimal": -0.5, "hex": "-0x1.0000000000000p-1"}},
    {"boundary": dict.fromkeys(("bottom", "right", "top", "left"), "robin")},
    {"boundary": {"bottom": "periodic", "right": "dirichlet", "top": "periodic", "left": "dirichlet"}},
], ids=str)
def test_parameters_that_make_no_problem(parameters: dict[str, Any]):
    assert judged(certified("dirichlet"), parameters) == "refused"


@pytest.mark.parametrize(("boundary", "name"), [("dirichlet", "neumann"), ("neumann", "dirichlet"),
                                                   ("periodic", "neumann"), ("dirichlet", "drift")])
def test_data_for_sides_that_are_not_there(boundary: str, name: str):
    shapes = {"neumann": (1, 4, 8), "dirichlet": (1, 9, 9), "drift": (1, 2)}
    assert judged(certified(boundary), **{name: np.ones(shapes[name])}) == "refused"


def test_values_off_their_sides():
    certificate = certified("corner neumann", dirichlet=True)
    values, flux = certificate.arrays["dirichlet"].copy(), certificate.arrays["neumann"].copy()
    values[0, 4, 4] = flux[0, 1, 3] = 1.0
    assert judged(certificate, dirichlet=values) == "refused"
    assert judged(certificate, neumann=flux) == "refused"


@pytest.mark.parametrize("name", ["source_oscillation", "neumann_oscillation"])
def test_oscillation_terms(name: str):
    shape = {"source_oscillation": (1, 8, 8), "neumann_oscillation": (1, 4, 8)}[name]
    certificate = certified("one side neumann")
    assert judged(certificate, **{name: np.full(shape, 0.5)}) is None  # the bound grows
    assert judged(certificate, **{name: np.full(shape, -0.5)}) == "refused"
    assert judged(certificate, **{name: np.full(shape[:-1], 0.5)}) == "refused"


def test_oscillation_terms_belong_to_one_mesh():
    rng = np.random.default_rng(0)
    problem = draw("dirichlet", 4, rng)
    certificate = wellposed.certify(problem, disturbed(problem, rng, 0.0, factor=2), tol=5.0)
    assert judged(certificate) is True
    assert judged(certificate, source_oscillation=np.zeros((1, 4, 4))) == "refused"


def test_goals_of_inexact_problems():
    rng = np.random.default_rng(0)
    certificate = wellposed.certify(p := draw("dirichlet", 4, rng), p.solve(), goal=np.ones((1, 4, 4)))
    evidence = certificate.arrays | {"source_oscillation": np.zeros((1, 4, 4))}
    with pytest.raises(Refused, match="goal"):
        issue("elliptic.Darcy", certificate.document["subject"]["problem"]["parameters"], evidence, {"elliptic.goal/1": None},
              "margin", certificate.document["provenance"])


@pytest.mark.parametrize(("kind", "claim", "arithmetic"), [
    ("elliptic.Poisson", CLAIM, "margin"), ("elliptic.Darcy", "elliptic.energy_error/2", "margin"),
    ("elliptic.Darcy", "os.system", "margin"), ("elliptic.Darcy", CLAIM, "exact"), ("elliptic.Darcy", CLAIM, "fast")])
def test_names_outside_the_closed_lists(kind: str, claim: str, arithmetic: str):
    certificate = certified("dirichlet")
    document = certificate.document["subject"]["problem"]["parameters"]
    with pytest.raises((Refused, KeyError)):
        issue(kind, document, certificate.arrays, {claim: 1.0}, arithmetic, certificate.document["provenance"])
