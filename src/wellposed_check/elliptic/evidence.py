"""From the arrays of a witness to a Darcy problem and pairs, refusing whatever the theorems do not cover."""

from __future__ import annotations

import numpy as np

from wellposed_check.canonical import decode, demand
from wellposed_check.elliptic.arithmetic import ARITHMETICS, Arithmetic, Array, Floats
from wellposed_check.elliptic.bounds import Bounds, Pair, enclose
from wellposed_check.elliptic.darcy import SIDES, Hypercircle, Problem, interpolate, perimeter
from wellposed_check.statement import Evidence

PROBLEM_ARRAYS = ("coefficient", "source", "neumann", "dirichlet", "source_oscillation", "neumann_oscillation")
PARAMETERS = {"boundary", "coefficient_error", "cellwise"}
SUBJECTS = {  # type of the problem -> its parameters and its arrays
    "elliptic.Darcy": (PARAMETERS, PROBLEM_ARRAYS),
    "elliptic.Helmholtz": ({"boundary", "frequency"}, ("speed", "source", "neumann")),
    "elliptic.OneStep": ({"viscosity", "interval"}, ("vorticity", "forcing")),
}
IMBALANCE = 1e-10


def read_problem(evidence: Evidence, balance: bool = True) -> Problem:
    """The problem of the subject; with `balance`, one whose data must have mean zero where there is no Dirichlet side.

    Raises:
        Refused: wrong shapes, a coefficient that is not positive, unknown sides, data that do not balance.
    """
    parameters, arrays = evidence.parameters, evidence.arrays
    demand(set(parameters) == PARAMETERS and set(parameters["boundary"]) == set(SIDES),
           f"the problem must have the parameters {sorted(PARAMETERS)} and the sides {SIDES}")
    sides = tuple(parameters["boundary"][s] for s in SIDES)
    demand(set(sides) <= {"dirichlet", "neumann"} or set(sides) == {"periodic"}, f"unknown boundary {sides}")
    error, cellwise = decode(parameters["coefficient_error"]), parameters["cellwise"]
    demand(error is not None and 0.0 <= error < 1.0 and isinstance(cellwise, bool), "the parameters are out of range")
    a = arrays["coefficient"]
    demand(a.ndim == 3 and a.shape[1] == a.shape[2] and min(a.shape) >= 1, "the coefficient is not (samples, n, n)")
    demand((a > 0.0).all(), "the coefficient is not positive")
    demand((a >= 2.0**-500).all() and (a <= 2.0**500).all(), "the coefficient is out of the range 2^-500 to 2^500")
    s, n = a.shape[:2]
    shapes = {"source": (s, n, n), "neumann": (s, 4, n), "dirichlet": (s, n + 1, n + 1),
              "source_oscillation": (s, n, n), "neumann_oscillation": (s, 4, n)}
    given = {name: arrays[name] for name in PROBLEM_ARRAYS[1:] if name in arrays}
    for name, x in given.items():
        demand(x.shape == shapes[name], f"{name} has the shape {x.shape}, expected {shapes[name]}")
        demand("oscillation" not in name or (x >= 0.0).all(), f"{name} is negative")
    problem = Problem(sides, a, coefficient_error=error, cellwise=cellwise, **given)  # type: ignore[arg-type]
    if problem.neumann is not None:
        other = [k for k in range(4) if sides[k] != "neumann"]
        demand((problem.neumann[:, other] == 0.0).all(), "flux on sides that are not Neumann")
    if problem.dirichlet is not None:
        off = np.ones((n + 1, n + 1), bool)
        for k, line in enumerate((np.s_[0], np.s_[:, -1], np.s_[-1], np.s_[:, 0])):
            off[line] &= sides[k] != "dirichlet"
        demand((problem.dirichlet[:, off] == 0.0).all(), "values off the Dirichlet sides")
    if balance and problem.balanced:
        size = means(np.abs(problem.source))
        demand("dirichlet" not in given and not (problem.periodic and "neumann" in given), "data for sides that are not there")
        g = problem.neumann if problem.neumann is not None else np.zeros((s, 4, 1))
        mean = means(problem.source) + 4.0 * means(g)
        demand((np.abs(mean) <= IMBALANCE * (size + 4.0 * means(np.abs(g)))).all(), "the data do not balance")
    return problem


def means(x: Array) -> Array:
    return Floats.total(x) / (x.shape[1] * x.shape[2])


def read_pair(evidence: Evidence, problem: Problem, potential: str = "potential", stream: str = "stream",
              drift: str = "drift") -> Pair:
    """A potential that has its boundary values bit by bit, and a stream function on the same mesh."""
    values = problem.dirichlet if potential == "potential" else None
    v = read_nodal(problem, evidence.arrays[potential], potential, problem.n, values)
    psi, c, s, n = evidence.arrays[stream], evidence.arrays.get(drift), len(v), problem.n
    demand(psi.shape == v.shape, f"{stream} has the shape {psi.shape}, expected {v.shape}")
    demand((c is not None) == problem.periodic and (c is None or c.shape == (s, 2)), f"{drift} does not fit the boundary")
    if problem.periodic:
        demand(_wraps(psi), f"{stream} is not periodic")
    own = Hypercircle(problem.refined((v.shape[1] - 1) // n), Floats)
    demand((own.trace(psi) == psi).all(), f"{stream} does not carry the boundary values that the data prescribe")
    return Pair(v, psi, c)


def read_nodal(problem: Problem, v: Array, name: str, n: int, values: Array | None = None) -> Array:
    """A field on n x n cells, or finer by a whole factor, that has these Dirichlet values, or zero, bit by bit."""
    s = len(problem.coefficient)
    demand(v.ndim == 3 and v.shape == (s, v.shape[1], v.shape[1]) and v.shape[1] > n and (v.shape[1] - 1) % n == 0,
           f"{name} has the shape {v.shape}, expected ({s}, {n}k+1, {n}k+1)")
    demand_trace(problem, v, name, values)
    return v


def demand_trace(problem: Problem, v: Array, name: str, values: Array | None) -> None:
    """Dirichlet values and periodic wrap, exactly."""
    if problem.periodic:
        demand(_wraps(v), f"{name} is not periodic")
        return
    target = np.zeros_like(v) if values is None else interpolate(values, (v.shape[1] - 1) // problem.n)
    rows, columns = perimeter(v.shape[1] - 1)
    rows, columns = np.append(rows, 0), np.append(columns, 0)
    for k, side in enumerate(problem.sides):
        if side == "dirichlet":
            at = slice(k * (v.shape[1] - 1), (k + 1) * (v.shape[1] - 1) + 1)
            demand((v[:, rows[at], columns[at]] == target[:, rows[at], columns[at]]).all(),
                   f"{name} does not have its Dirichlet values on the {SIDES[k]} side")


def _wraps(v: Array) -> np.bool_:
    return np.all(v[:, 0] == v[:, -1]) and np.all(v[:, :, 0] == v[:, :, -1])


def bounds(evidence: Evidence, arithmetic: str) -> tuple[Problem, Bounds]:
    """The proved numbers of the answer."""
    if arithmetic not in evidence.memo:
        evidence.memo[arithmetic] = _bounds(evidence, arithmetic)
    return evidence.memo[arithmetic]


def _bounds(evidence: Evidence, arithmetic: str) -> tuple[Problem, Bounds]:
    problem = read_problem(evidence)
    pair, test = read_pair(evidence, problem), evidence.arrays.get("test")
    if test is not None:
        read_nodal(problem, test, "test", pair.potential.shape[1] - 1)
    return problem, enclose(problem, pair, test, style(arithmetic))


def style(arithmetic: str) -> Arithmetic:
    demand(arithmetic in ARITHMETICS, f"unknown arithmetic {arithmetic!r}")
    return ARITHMETICS[arithmetic]


def assumptions(problem: Problem) -> tuple[tuple[str, str], ...]:
    """What the theorems rest on, in words."""
    named = ", ".join(f"{side} {kind}" for side, kind in zip(SIDES, problem.sides, strict=True))
    sides = f"{problem.sides[0]} on all sides" if len(set(problem.sides)) == 1 else named
    given = [name for name in ("neumann", "dirichlet") if getattr(problem, name) is not None]
    stated = [(f"the problem is the user's: {sides}; boundary data {' and '.join(given) if given else 'zero'}", "assumed")]
    if not problem.cellwise:
        stated.append(("coefficient and source vary inside the cells by an amount that nobody has bounded", "violated"))
    elif problem.source_oscillation is None and problem.neumann_oscillation is None:
        stated.append(("source and boundary flux are constant on each cell and edge", "assumed"))
    else:
        stated.append(("source and boundary flux differ from their cell means by at most the stated oscillation, in L2",
                       "assumed"))
    if problem.cellwise:
        r = problem.coefficient_error
        stated.append(("the coefficient is constant on each cell" if r == 0.0 else
                       f"the true coefficient lies within a factor 1 -+ {r:g} of the stated one", "assumed"))
    stated.append(("the coefficient is positive and the potential has its boundary values, bit by bit", "checked"))
    stated.append(("the flux balances the source in every cell and on every Neumann edge", "checked"))
    if problem.balanced:
        stated.append(("the data have mean zero up to rounding, which is removed", "checked"))
    return tuple(stated)


def witness(evidence: Evidence, *more: str) -> tuple[str, ...]:
    names = (*PROBLEM_ARRAYS, "potential", "stream", "drift", *more)
    return tuple(name for name in names if name in evidence.arrays)


def among(problem: Problem) -> str:
    """A clause for statements about several samples."""
    return "" if len(problem.coefficient) == 1 else f", the largest of {len(problem.coefficient)} samples"
