"""``wellposed train elliptic``: the operator of the elliptic room on a user's own fields; other rooms have files of their own."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from wellposed.cli.darcy import Kind, number_or_file, side_values
from wellposed.cli.main import program
from wellposed.cli.subject import File
from wellposed_check.elliptic.darcy import SIDES

LOOK = 20
USAGE = """usage: wellposed train ROOM --data FILE [options]

  elliptic    an operator on your own fields, by default without labels, on the bound that will certify its answers
  sequence    a network of S4 or S5 layers on your own sequences, to classes or numbers
  proximal    a learned prior, that is exactly one, on your own images: --images DIR

`wellposed train ROOM --help` says more."""


@dataclass
class Train:
    """Train MgNO on your own fields, by default without labels, on the bound that will certify its answers.

    FILE is .npy or .npz (.h5, .zarr, .mat of version 7.3 with the extra `io`), or FILE:NAME for one of several arrays. The
    equation is -div(a grad u) = f on the unit square; arrays are (samples, n, n), axes (y, x), y upwards.
    """

    data: File
    """FILE with a > 0 on each cell ("coefficient")."""
    source: str = "1"
    """FILE with f on each cell ("source"), or a number."""
    labels: File | None = None
    """FILE with potentials at the nodes ("answer", "potential", "u"); solved for where --loss needs them."""
    loss: Literal["bound", "energy", "l2"] = "bound"
    """The guaranteed bound, which needs no labels; or the energy norm, or the L2 norm, of the error against labels."""
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
    seconds: float | None = None
    """How long to train; 60 where neither this nor --epochs nor --steps is given."""
    epochs: int | None = None
    """Passes over the data, instead of --seconds."""
    steps: int | None = None
    """Steps of the optimizer, instead of --seconds."""
    channels: int = 24
    """Of the network."""
    layers: int = 3
    """Of each of its two trunks."""
    batch: int | None = None
    """Fields per step; by default what the room found to be good."""
    lr: float | None = None
    """The largest learning rate; by default what the room found to be good."""
    seed: int = 0
    """Of the weights and of the order of the data."""
    threads: int = 1
    """That torch may use."""
    out: Path = Path("runs/trained")
    """The run folder; the same command again goes on where it was stopped."""
    anew: bool = False
    """Delete the run that is in the folder and start again."""


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["sequence"]:
        from wellposed.cli import train_sequence

        return train_sequence.main(arguments[1:])
    if arguments[:1] == ["proximal"]:
        from wellposed.cli import train_proximal

        return train_proximal.main(arguments[1:])
    if arguments[:1] not in (["elliptic"], ["darcy"]):  # the room, and the name of its problem in the other verbs
        asked = arguments[:1] in (["-h"], ["--help"])
        what = "" if asked or not arguments else f"wellposed train: received {arguments[0]!r}, expected elliptic, sequence or proximal\n\n"
        print(what + USAGE, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    options = tyro.cli(Train, args=arguments[1:], prog="wellposed train elliptic")
    return train(options)


def train(o: Train) -> int:
    import torch

    from wellposed.cli.run import levels, telling_options
    from wellposed.elliptic import Darcy, MgNO
    from wellposed.numerics.files import load_array
    from wellposed.training import train as train_model

    if o.threads < 1:
        raise ValueError(f"--threads: received {o.threads}, expected at least 1")
    torch.set_num_threads(o.threads)
    sides = {side: getattr(o, side) or o.boundary for side in SIDES}
    problem = Darcy(load_array(o.data, "coefficient", "a"), number_or_file(o.source, "source", "f"), sides,
                    dirichlet=side_values(o.dirichlet, "dirichlet"), neumann=side_values(o.neumann, "neumann"))
    if o.loss == "bound" and o.labels is not None:
        raise ValueError("--labels: received a file with --loss bound, which needs no labels; expected --loss energy or --loss l2 with it")
    labels = {} if o.labels is None else {"labels": load_array(o.labels, "answer", "potential", "u")}
    depth = levels(problem.n)
    if depth < 2:
        raise ValueError(f"--data: received fields of {problem.n} x {problem.n} cells, expected an even number from 8 on, such as 64; "
                         "crop or resample them")
    given = {k: v for k in ("batch", "lr") if (v := getattr(o, k)) is not None}
    length = {k: v for k in ("seconds", "epochs", "steps") if (v := getattr(o, k)) is not None} or {"seconds": 60.0}
    torch.manual_seed(o.seed)
    model = MgNO.darcy(sides, channels=o.channels, layers=o.layers, levels=depth)
    with telling_options():
        run = train_model(model, problem, loss=o.loss, folder=o.out, resume=not o.anew, seed=o.seed, threads=o.threads,
                          **labels, **given, **length)
    print(f"\n{_proved(run.model, problem)}\n\nthe run folder is {o.out}. Next, on fields that it has not seen, new.npy:\n"
          f"  {shlex.join([*_call('certify', o, sides)])}\n"
          f"  {shlex.join([*_call('refine', o, sides), '--tol', '0.05'])}\nor in Python:\n"
          "  from wellposed.elliptic import Darcy, MgNO\n"
          "  import numpy as np, wellposed\n"
          f"  model = wellposed.guard(MgNO.load({str(o.out)!r}), tol=0.1)\n"
          f"  guarded = model({_problem(o, sides)})      # released, refined, solved or refused; certified")
    return 0


def _proved(model: Any, problem: Any) -> str:
    """What the trained network proves of its own answers to some of the fields that it was trained on."""
    import numpy as np

    from wellposed.elliptic import bound

    some = problem[: min(len(problem), LOOK)]
    answer = model(some)
    v, psi = answer if isinstance(answer, tuple) else (answer, None)
    relative = np.asarray(bound(some, v, psi).relative)
    return (f"on {len(some)} of the fields that it was trained on, its answers are proved to be at most {np.median(relative):.1%} wrong "
            f"in the median, {relative.max():.1%} at worst (relative energy error); unseen fields come out alike or worse")


def _call(verb: str, o: Train, sides: dict[str, str]) -> list[str]:
    """The same problem on new fields, for the verbs that take a trained network."""
    words = [program(), verb, "darcy", "--coefficient", "new.npy", "--source", o.source, "--model", str(o.out)]
    words += [word for side, kind in sides.items() if kind != "dirichlet" for word in (f"--{side}", kind)]
    for name in ("dirichlet", "neumann"):
        words += [f"--{name}", *getattr(o, name)] if getattr(o, name) else []
    return words


def _problem(o: Train, sides: dict[str, str]) -> str:
    """In Python; what comes from files is named only."""
    named = "" if set(sides.values()) == {"dirichlet"} else f", {sides!r}"
    values = "".join(f", {name}=..." for name in ("dirichlet", "neumann") if getattr(o, name))
    source = o.source if _is_number(o.source) else "np.load(...)"
    return f"Darcy(np.load('new.npy'), {source}{named}{values})"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
