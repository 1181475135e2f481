"""Recipes of flows: which equation, what is trained on, what is asked of it. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wellposed.cli.tables import known, names, parsed, tables

SHIPPED = ("turbulence",)
STARTS = ("mcwilliams", "gaussian", "taylor-green")
ELSEWHERE = ("out", "threads", "anew")


@dataclass(frozen=True)
class Unseen:
    """Flows of the same equation from other initial fields, or on another grid, than were trained on."""

    name: str
    start: str = "mcwilliams"
    """Of `wellposed.flow.initial`."""
    samples: int = 4
    resolution: int = 0
    """Nodes per axis; 0: those of the training."""
    warm_up: float = 0.0
    """What passes before the question is asked."""
    speed: float | None = None
    """The root mean square of the velocity at the start, before the warm-up; as drawn if not given."""
    peak: float = 4.0
    """Of McWilliams's spectrum."""


@dataclass(frozen=True)
class TurbulenceRecipe:
    """Generate flows, train SpacetimeFNO, and on unseen flows: certify its answers, refine them until a certificate holds, guard, report.

    The same command again goes on from where it was stopped, or shows what there is.
    """

    seconds: float | None = 120.0
    """Of training: the dial. How many steps fit is measured first."""
    steps: int | None = None
    """Of training, instead of --seconds."""
    flow: Literal["decaying", "forced", "kolmogorov"] = "decaying"
    """Decaying turbulence, the forced benchmark of FNO, or Kolmogorov flow with drag."""
    viscosity: float = 3e-3
    """Of the equation."""
    resolution: int = 32
    """Nodes per axis, of the training."""
    samples: int = 128
    """Flows to train on."""
    span: float = 1.1
    """How long each of them is."""
    horizon: float = 1.1
    """How far ahead answers go."""
    frames: int = 11
    """At so many times they are certified, the initial one among them."""
    tol: float = 1e-5
    """What is asked of the refined answers, and of the guards: the relative velocity error at the worst of these times."""
    unseen: int = 8
    """Unseen flows like those of the training; others are in the recipe's [[outside]]."""
    singles: int = 8
    """So many flows are guarded one at a time too."""
    seed: int = 0
    """Of the weights, the order and the flows."""
    out: Path = Path("runs/turbulence")
    """The run folder."""
    threads: int = 1
    """That torch may use while it trains."""
    anew: bool = False
    """Delete the run that is in the folder and start again."""
    slab: float = 0.11
    """Width of the network's polynomials in time."""
    degree: int = 8
    """Of these polynomials."""
    modes: int = 10
    """The largest frequency on which the network acts."""
    channels: int = 16
    """Of the network."""
    layers: int = 3
    """Blocks of the network."""
    window: int = 1
    """So many slabs in a row are trained on at once."""
    batch: int | None = None
    """Windows per step; by default what the room found to be good."""
    lr: float | None = None
    """The largest learning rate; by default what the room found to be good."""
    title: Annotated[str, tyro.conf.Suppress] = "turbulence"
    outside: Annotated[tuple[Unseen, ...], tyro.conf.Suppress] = ()

    def __post_init__(self) -> None:
        least = {"resolution": 8, "samples": 1, "frames": 2, "unseen": 1, "singles": 1, "threads": 1, "window": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"--{name}: received {getattr(self, name)}, expected at least {value}")
        for name in ("viscosity", "span", "horizon", "slab", "tol"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"--{name}: received {getattr(self, name)}, expected a positive number")
        if self.span < self.window * self.slab * (1 - 1e-9):
            raise ValueError(f"--span: received {self.span}, expected at least the {self.window} slab(s) of {self.slab} that are trained "
                             "on")
        for family in self.outside:
            if family.start not in STARTS or family.samples < 1 or family.warm_up < 0:
                raise ValueError(f"recipe, [[outside]] {family.name!r}: received start = {family.start!r}, samples = {family.samples}, "
                                 f"warm_up = {family.warm_up}; expected a start of {', '.join(STARTS)}, at least 1 sample, no negative "
                                 "time")
        for n in (self.resolution, *(family.resolution for family in self.outside)):
            if n % 2:
                raise ValueError(f"resolution: received {n}, expected an even number, such as 32 or 64")

    @property
    def length(self) -> dict[str, Any]:
        """The one length that training takes: steps where they are given."""
        return {"seconds": self.seconds} if self.steps is None else {"steps": self.steps}

    @property
    def settings(self) -> dict[str, Any]:
        """Of training, as far as they are given."""
        given = {"batch": self.batch, "lr": self.lr, "seed": self.seed, "threads": self.threads, **self.length}
        return {name: value for name, value in given.items() if value is not None}

    def table(self) -> dict[str, Any]:
        """The table [recipe] of config.toml: what was asked for, resolved; not where, nor on how many threads."""
        left = {k: v for k, v in asdict(self).items() if k not in (*ELSEWHERE, *(("seconds",) if self.steps else ()))}
        return left | {"outside": [{k: v for k, v in family.items() if v is not None} for family in left["outside"]]}


def of_flows(name: str) -> bool:
    """Whether a recipe, that ships or of a file, is one of flows: those name a flow."""
    return name in SHIPPED or names(name, "flow")


def read_turbulence_recipe(name: str) -> TurbulenceRecipe:
    """The recipe that ships under this name, or of a file ending in .toml with an entry `flow`.

    Raises:
        ValueError: a file that is not such a recipe; the entry is named.
    """
    ships = name in SHIPPED
    text = files("wellposed").joinpath(f"flow/recipes/{name}.toml").read_text("utf-8") if ships else Path(name).read_text("utf-8")
    given = parsed(text, name)
    outside = tables(Unseen, given.pop("outside", []), name, "outside")
    table = {"title": Path(name).stem, "out": Path("runs") / Path(name).stem, **known(TurbulenceRecipe, given, name)}
    return TurbulenceRecipe(**table | {"out": Path(table["out"]), "outside": outside})
