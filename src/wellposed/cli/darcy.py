"""``wellposed certify darcy`` and ``wellposed refine darcy``: the verbs on a user's own arrays."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wellposed.cli import subject
from wellposed.cli.main import program
from wellposed.cli.subject import File, show
from wellposed_check.elliptic.darcy import SIDES
from wellposed_check.verify import EXIT

Kind = Literal["dirichlet", "neumann", "periodic"]


@dataclass
class Question:
    """What both verbs ask for."""

    coefficient: File
    """FILE with a > 0 on each cell ("coefficient")."""
    answer: File | None = None
    """FILE with the potential at the (n + 1) x (n + 1) nodes, boundary included ("answer", "potential", "u")."""
    model: Path | None = None
    """The run folder of a trained MgNO, which answers instead of --answer."""
    source: str = "1"
    """FILE with f on each cell ("source"), or a number."""
    boundary: Kind = "dirichlet"
    """The condition on all sides that are not named."""
    bottom: Kind | None = None
    """The condition at y = 0."""
    right: Kind | None = None
    """The condition at x = 1."""
    top: Kind | None = None
    """The condition at y = 1."""
    left: Kind | None = None
    """The condition at x = 0."""
    dirichlet: tuple[str, ...] = ()
    """Values on Dirichlet sides, zero if not given: left=1 right=0, or FILE with nodal values."""
    neumann: tuple[str, ...] = ()
    """Outward flux a du/dn on Neumann sides, zero if not given: top=0.5, or FILE with (samples, 4, n), bottom, right, top, left."""
    coefficient_error: float = 0.0
    """r, if the true coefficient is known only within a factor 1 -+ r."""
    stream: File | None = None
    """FILE with the model's own stream function at the nodes; found by cycles if not given."""
    clamp: bool = False
    """Write the Dirichlet values into the answer first, for networks that do not keep them."""
    tol: float | None = None
    """What is required of the quantity."""
    quantity: Literal["energy_error", "compliance_width"] = "energy_error"
    """Relative energy error, or relative width of the compliance enclosure."""
    out: Path | None = None
    """Folder for the certificate; runs/NAME-OF-THE-ANSWER by default."""


@dataclass
class Certify(Question):
    """How wrong can this answer be? Writes a certificate and prints it.

    FILE is .npy or .npz (.h5, .zarr, .mat of version 7.3 with the extra `io`), or FILE:NAME for one of several arrays. The equation is
    -div(a grad u) = f on the unit square; arrays are (samples, n, n) or (n, n), axes (y, x), y upwards.
    """

    goal: File | None = None
    """FILE with weights q on each cell: encloses int q u too."""
    arithmetic: Literal["margin", "enclosed"] = "margin"
    """float64 with a justified rounding margin, or outward rounding throughout."""
    lower: Literal["same", "finer", "none"] = "finer"
    """Where the lower bound of the error is looked for."""


@dataclass
class Refine(Question):
    """Cycles until the certificate holds, from the answer or, without one, from zero.

    FILE is .npy or .npz (.h5, .zarr, .mat of version 7.3 with the extra `io`), or FILE:NAME for one of several arrays. The equation is
    -div(a grad u) = f on the unit square; arrays are (samples, n, n) or (n, n), axes (y, x), y upwards.
    """

    mesh: Literal["fixed", "auto"] = "fixed"
    """Whether to go to finer meshes where this one cannot reach tol."""
    memory: Annotated[int, tyro.conf.arg(metavar="MiB")] = 2048
    """What finer meshes may use."""


def main(arguments: list[str]) -> int:
    verb, rest = arguments[0], arguments[2:]
    what: Any = {"certify": Certify, "refine": Refine}[verb]
    options = tyro.cli(what, args=rest, prog=f"wellposed {verb} darcy")
    return certify(options) if isinstance(options, Certify) else refine(options)


def certify(o: Certify) -> int:
    if o.answer is None and o.model is None:
        raise ValueError("received no --answer, expected a FILE with the potential, or the folder of a trained network as --model; to "
                         "solve from zero use: wellposed refine darcy")
    problem, answer = read(o)
    from wellposed.certificate import certify as certify_problem
    from wellposed.numerics.files import load_array

    certificate = certify_problem(
        problem, answer, o.tol, quantity=o.quantity, arithmetic=o.arithmetic, lower=o.lower,
        stream=None if o.stream is None else load_array(o.stream, "stream", "psi"),
        goal=None if o.goal is None else load_array(o.goal, "goal", "weight", "q"))
    folder = o.out or Path("runs") / Path(o.answer or f"{o.coefficient}-answered").stem
    command = keep(folder, certificate)
    show(certificate)
    print(f"\nthe certificate, its problem and its answer are in {folder}; next:\n  {command}")
    if certificate.verdict is not True:
        print("  " + refine_command(o))
    return EXIT[certificate.verdict]


def refine(o: Refine) -> int:
    from wellposed.certificate import refine as refine_problem
    from wellposed.numerics.files import load_array

    problem, answer = read(o)
    result = refine_problem(problem, answer, o.tol, quantity=o.quantity, mesh=o.mesh, memory=o.memory * 2**20,
                            stream=None if o.stream is None else load_array(o.stream, "stream", "psi"))
    certificate = result.certificate
    folder = o.out or Path("runs") / f"{Path(o.answer or o.coefficient).stem}-refined"
    command = keep(folder, certificate)
    show(certificate)
    print(f"\n{result.message}\nthe refined answer and its certificate are in {folder}; next:\n  {command}")
    return EXIT[certificate.verdict]


def read(o: Question) -> tuple[Any, Any]:
    """The problem and the answer of a call; nothing is written before both are known to be good."""
    from wellposed.elliptic import Darcy, clamp
    from wellposed.numerics.files import load_array

    subject.demand_folder(o.out)
    named = {side: getattr(o, side) or o.boundary for side in SIDES}
    problem = Darcy(
        load_array(o.coefficient, "coefficient", "a"), number_or_file(o.source, "source", "f"), named,
        dirichlet=side_values(o.dirichlet, "dirichlet"), neumann=side_values(o.neumann, "neumann"), coefficient_error=o.coefficient_error)
    if o.model is not None:
        if o.answer is not None or o.stream is not None:
            raise ValueError("received --model with --answer or --stream, expected one of them: the network answers with both")
        from wellposed.elliptic import MgNO

        return problem, MgNO.load(o.model)(problem)
    if o.answer is None:
        return problem, None
    answer = load_array(o.answer, "answer", "potential", "u")
    return problem, clamp(problem, answer) if o.clamp else answer


def keep(folder: Path, certificate: Any) -> str:
    """Write a certificate with its subject beside it; the command that re-verifies it against that subject."""
    from wellposed_check.elliptic.evidence import PROBLEM_ARRAYS

    return subject.keep(folder, certificate, PROBLEM_ARRAYS, ("potential",))


def refine_command(o: Certify) -> str:
    """The call that makes the answer of this one better."""
    words: list[str] = [program(), "refine", "darcy", "--coefficient", o.coefficient, "--source", o.source]
    words += ["--answer", o.answer] if o.model is None else ["--model", str(o.model)]
    for side in SIDES:
        kind = getattr(o, side) or o.boundary
        words += [f"--{side}", kind] if kind != "dirichlet" else []
    for name in ("dirichlet", "neumann"):
        words += [f"--{name}", *getattr(o, name)] if getattr(o, name) else []
    words += ["--clamp"] if o.clamp else []
    words += ["--coefficient-error", str(o.coefficient_error)] if o.coefficient_error else []
    words += ["--quantity", o.quantity] if o.quantity != "energy_error" else []
    words += ["--tol", str(o.tol), "--mesh", "auto"] if o.tol is not None else []
    return shlex.join(words)


def number_or_file(text: str, *names: str) -> Any:
    """A number, or the array of a file."""
    from wellposed.numerics.files import load_array

    try:
        return float(text)
    except ValueError:
        return load_array(text, *names)


def side_values(words: tuple[str, ...], name: str) -> Any:
    from wellposed.numerics.files import load_array

    if len(words) == 1 and "=" not in words[0]:
        return load_array(words[0], name)
    table = {}
    for word in words:
        side, equals, value = word.partition("=")
        if not equals or side not in SIDES:
            raise ValueError(f"--{name}: received {word!r}, expected SIDE=NUMBER or SIDE=FILE with a side of {', '.join(SIDES)}")
        table[side] = number_or_file(value, name, side)
    return table or None
