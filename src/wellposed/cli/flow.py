"""``wellposed certify flow`` and ``wellposed refine flow``: the verbs on a user's own trajectory."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from wellposed.cli import subject
from wellposed.cli.main import program
from wellposed.cli.subject import File, show
from wellposed_check.verify import EXIT

PROBLEM, ANSWER = ("initial", "forcing"), ("frames", "times")


@dataclass
class Question:
    """What both verbs ask for."""

    vorticity: File
    """FILE with the trajectory ("frames", "vorticity", "w"): (samples, time, n, n) or (time, n, n), axes (y, x)."""
    times: str
    """FILE with the time of each frame ("times", "t"), or the time between frames, a number."""
    viscosity: float
    """nu > 0, in the units of the box and of the times."""
    length: float = 2 * math.pi
    """Side of the periodic box."""
    forcing: File | None = None
    """FILE with the vorticity forcing at the nodes ("forcing", "f"), constant in time."""
    drag: float = 0.0
    """Linear drag."""
    initial: File | None = None
    """FILE with the initial vorticity of the exact flow ("initial", "w0"); the first frame by default."""
    against: Literal["galerkin", "pde"] = "galerkin"
    """The system of the modes that the grid keeps, or the equation itself: two claims that are never mixed."""
    tol: float | None = None
    """What is required of the relative velocity error at the worst time."""
    out: Path | None = None
    """Folder for the certificate; runs/NAME-OF-THE-TRAJECTORY by default."""


@dataclass
class Certify(Question):
    """How far is this trajectory from the true flow? Writes a certificate and prints it.

    FILE is .npy or .npz (.h5, .zarr, .mat of version 7.3 with the extra `io`), or FILE:NAME for one of several arrays. The equation is
    dw/dt + u.grad w = nu Lap w - drag w + f on a periodic square; between frames a spline is taken.
    """


@dataclass
class Refine(Question):
    """Passes of the error equation until the certificate holds.

    FILE is .npy or .npz (.h5, .zarr, .mat of version 7.3 with the extra `io`), or FILE:NAME for one of several arrays. The equation is
    dw/dt + u.grad w = nu Lap w - drag w + f on a periodic square.
    """


def main(arguments: list[str]) -> int:
    verb, rest = arguments[0], arguments[2:]
    what: Any = {"certify": Certify, "refine": Refine}[verb]
    o = tyro.cli(what, args=rest, prog=f"wellposed {verb} flow")
    return certify(o) if isinstance(o, Certify) else refine(o)


def certify(o: Certify) -> int:
    problem, trajectory = read(o)
    from wellposed.certificate import certify as certify_problem

    certificate = certify_problem(problem, trajectory, o.tol, against=o.against)
    folder = o.out or Path("runs") / Path(o.vorticity).stem
    command = subject.keep(folder, certificate, PROBLEM, ANSWER)
    show(certificate)
    print(f"\nthe certificate, its problem and its answer are in {folder}; next:\n  {command}")
    if certificate.verdict is not True:
        print(f"  {refine_command(o)}")
    return EXIT[certificate.verdict]


def refine(o: Refine) -> int:
    problem, trajectory = read(o)
    from wellposed.certificate import refine as refine_problem

    result = refine_problem(problem, trajectory, o.tol, against=o.against, mesh="auto")
    certificate = result.certificate
    folder = o.out or Path("runs") / f"{Path(o.vorticity).stem}-refined"
    command = subject.keep(folder, certificate, PROBLEM, ANSWER)
    show(certificate)
    print(f"\n{result.message}\nthe refined trajectory and its certificate are in {folder}; next:\n  {command}")
    return EXIT[certificate.verdict]


def read(o: Question) -> tuple[Any, Any]:
    """The problem and the trajectory of a call; nothing is written before both are known to be good."""
    from wellposed.flow import Evolution, NavierStokes2D, Trajectory
    from wellposed.numerics.files import load_array

    subject.demand_folder(o.out)
    frames = load_array(o.vorticity, "frames", "vorticity", "w")
    frames = frames[None] if frames.ndim == 3 else frames
    if frames.ndim != 4:
        raise ValueError(f"--vorticity: received the shape {frames.shape}, expected (samples, time, n, n) or (time, n, n)")
    forcing = None if o.forcing is None else load_array(o.forcing, "forcing", "f")
    equation = NavierStokes2D(o.viscosity, frames.shape[-1], forcing, o.drag, o.length)
    trajectory = Trajectory(times_of(o.times, frames.shape[1]), frames)
    initial = frames[:, 0] if o.initial is None else load_array(o.initial, "initial", "w0", "vorticity")
    return Evolution(equation, initial, trajectory.times), trajectory


def times_of(text: str, count: int) -> Any:
    """The times of a file, or equally spaced ones."""
    import numpy as np

    from wellposed.numerics.files import load_array

    try:
        return float(text) * np.arange(count)
    except ValueError:
        return load_array(text, "times", "t")


def refine_command(o: Certify) -> str:
    """The call that makes the trajectory of this one better."""
    words = [program(), "refine", "flow", "--vorticity", o.vorticity, "--times", o.times, "--viscosity", str(o.viscosity)]
    words += [] if o.length == 2 * math.pi else ["--length", str(o.length)]
    for name in ("forcing", "initial", "tol"):
        value = getattr(o, name)
        words += [] if value is None else [f"--{name}", str(value)]
    words += ["--drag", str(o.drag)] if o.drag else []
    words += ["--against", o.against] if o.against != "galerkin" else []
    return shlex.join(words)
