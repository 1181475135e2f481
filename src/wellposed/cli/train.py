"""``wellposed train elliptic``: the operator of the elliptic room on a user's own fields."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from wellposed.cli.darcy import File, Kind, number_or_file
from wellposed.cli.main import program
from wellposed_check.elliptic.darcy import SIDES

USAGE = """usage: wellposed train elliptic --data FILE [options]

`wellposed train elliptic --help` says more."""


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
    if arguments[:1] != ["elliptic"]:
        asked = arguments[:1] in (["-h"], ["--help"])
        print(USAGE, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    options = tyro.cli(Train, args=arguments[1:], prog="wellposed train elliptic")
    return train(options)


def train(o: Train) -> int:
    import torch

    from wellposed.cli.run import levels, telling_options
    from wellposed.elliptic import Darcy, MgNO
    from wellposed.elliptic.files import load_array
    from wellposed.training import train as train_model

    if o.threads < 1:
        raise ValueError(f"--threads: received {o.threads}, expected at least 1")
    torch.set_num_threads(o.threads)
    sides = {side: getattr(o, side) or o.boundary for side in SIDES}
    problem = Darcy(load_array(o.data, "coefficient", "a"), number_or_file(o.source, "source", "f"), sides)
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
        train_model(model, problem, loss=o.loss, folder=o.out, resume=not o.anew, seed=o.seed, threads=o.threads,
                    **labels, **given, **length)
    certify = [program(), "certify", "darcy", "--coefficient", o.data, "--source", o.source, "--answer", "u.npy"]
    named = {side: kind for side, kind in sides.items() if kind != "dirichlet"}
    certify += [word for side, kind in named.items() for word in (f"--{side}", kind)]
    like = f", {sides!r}" if named else ""
    print(f"\nthe run folder is {o.out}. Next, in Python:\n"
          "  from wellposed.elliptic import Darcy, MgNO\n"
          "  import wellposed\n"
          f"  model = wellposed.guard(MgNO.load({str(o.out)!r}), tol=0.1)\n"
          f"  guarded = model(Darcy(coefficient, source{like}))      # released, refined, solved or refused; certified\n"
          f"or certify anyone's answer:\n  {shlex.join(certify)}")
    return 0
