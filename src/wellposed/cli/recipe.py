"""Recipes: TOML files read into one typed table, which the command line overrides and config.toml keeps. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import tyro

from wellposed.cli.imaging_recipe import SHIPPED as IMAGES
from wellposed.cli.sequence_recipe import SHIPPED as SEQUENCES
from wellposed.cli.tables import known, names, parsed, tables
from wellposed.cli.turbulence_recipe import SHIPPED as FLOWS

SHIPPED = ("darcy",)
FIELDS = ("smooth", "two-phase", "multiscale", "lognormal", "checkerboard")
SOURCES = ("one", "random")


@dataclass(frozen=True)
class Family:
    """Problems of one kind: a field and a source of `wellposed.elliptic.families`."""

    name: str
    field: str
    samples: int
    contrast: float = 4.0
    source: str = "one"


@dataclass(frozen=True)
class Recipe:
    """Generate fields, train MgNO on the guaranteed bound with no labels, certify unseen fields with no solve, guard them, report.

    The same command again goes on from where it was stopped, or shows what there is.
    """

    seconds: float | None = 60.0
    """Of training: the dial. How many steps fit is measured first."""
    steps: int | None = None
    """Of training, instead of --seconds."""
    seed: int = 0
    """Of the weights, the order and the fields."""
    resolution: int = 64
    """Cells a side."""
    out: Path = Path("runs/darcy")
    """The run folder."""
    threads: int = 1
    """That torch may use."""
    anew: bool = False
    """Delete the run that is in the folder and start again."""
    channels: int = 24
    """Of the network."""
    layers: int = 3
    """Of each of its two trunks."""
    batch: int | None = None
    """Fields per step; by default what the room found to be good."""
    lr: float | None = None
    """The largest learning rate; by default what the room found to be good."""
    unseen: int = 80
    """Unseen fields of the training families; the others are in the recipe's [[outside]]."""
    references: int = 10
    """Of each family so many are compared with a solution on a mesh four times finer."""
    singles: int = 50
    """So many fields are guarded one at a time too."""
    tol: float = 0.1
    """Of the guards: relative energy error."""
    title: Annotated[str, tyro.conf.Suppress] = "darcy"
    train: Annotated[tuple[Family, ...], tyro.conf.Suppress] = ()
    outside: Annotated[tuple[Family, ...], tyro.conf.Suppress] = ()

    def __post_init__(self) -> None:
        if not self.train or not self.outside:
            raise ValueError("recipe: received no [[train]] or no [[outside]], expected at least one family of each; see the recipe that "
                             "ships, src/wellposed/elliptic/recipes/darcy.toml")
        for family in (*self.train, *self.outside):
            if family.field not in FIELDS or family.source not in SOURCES or family.samples < 1 or not family.contrast > 1:
                raise ValueError(f"recipe, family {family.name!r}: received field = {family.field!r}, source = {family.source!r}, "
                                 f"samples = {family.samples}, contrast = {family.contrast}; expected a field of "
                                 f"{', '.join(FIELDS)}, a source of {', '.join(SOURCES)}, at least 1 sample and a contrast above 1")
        names = [family.name for family in (*self.train, *self.outside)]
        if len(set(names)) < len(names):
            raise ValueError(f"recipe: received the families {', '.join(names)}, expected names that differ")
        for name, least in (("resolution", 8), ("unseen", 1), ("references", 0), ("singles", 1), ("threads", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name}: received {getattr(self, name)}, expected at least {least}")
        if not 0 < self.tol < 10:
            raise ValueError(f"--tol: received {self.tol}, expected a relative error such as 0.1")
        if self.resolution % 8:
            raise ValueError(f"--resolution: received {self.resolution}, expected a multiple of 8, such as 64: the levels halve the grid")

    @property
    def settings(self) -> dict[str, Any]:
        """Of training, as far as they are given."""
        given = {"batch": self.batch, "lr": self.lr, "seed": self.seed, "threads": self.threads, **self.length}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def length(self) -> dict[str, Any]:
        """The one length that training takes: steps where they are given."""
        return {"seconds": self.seconds} if self.steps is None else {"steps": self.steps}

    def table(self) -> dict[str, Any]:
        """The table [recipe] of config.toml: what was asked for, resolved; not where, nor on how many threads."""
        return {k: v for k, v in asdict(self).items() if k not in ("out", "threads", "anew", *(("seconds",) if self.steps else ()))}


def read_recipe(name: str) -> Recipe:
    """The recipe that ships under this name, or of a file ending in .toml.

    Raises:
        ValueError: unknown name, or a file that is not a recipe; the entry is named. FileNotFoundError: there is no such file.
    """
    if name in SHIPPED:
        return _recipe(files("wellposed").joinpath(f"elliptic/recipes/{name}.toml").read_text("utf-8"), name)
    known_names = ", ".join((*SHIPPED, *SEQUENCES, *FLOWS, *IMAGES))
    if not name.endswith(".toml"):
        raise ValueError(f"received the recipe {name!r}, expected one of {known_names}, or a file ending in .toml")
    if not Path(name).is_file():
        raise FileNotFoundError(f"there is no file {name}; expected a recipe, or the name of one: {known_names}")
    return _recipe(Path(name).read_text("utf-8"), name)


def of_sequences(name: str) -> bool:
    """Whether a recipe, that ships or of a file, is one of sequence models: those name a task."""
    return name in SEQUENCES or names(name, "task")


def _recipe(text: str, name: str) -> Recipe:
    table = parsed(text, name)
    for key in ("train", "outside"):
        table[key] = tables(Family, table.get(key, []), name, key)
    if "out" in table:
        table["out"] = Path(table["out"])
    elif name not in SHIPPED:
        table["out"] = Path("runs") / Path(name).stem
    table.setdefault("title", Path(name).stem)
    return Recipe(**known(Recipe, table, name))
