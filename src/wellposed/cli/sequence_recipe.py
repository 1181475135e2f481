"""Recipes of sequence models: what is trained on which task, at desk scale and as the papers did. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wellposed.cli.tables import known, parsed

SHIPPED = ("digits", "listops", "pathfinder", "speech", "bytes")
SIZES = ("desk", "paper")
ELSEWHERE = ("out", "threads", "anew", "folder")
MODEL = ("layer", "features", "layers", "state", "blocks", "theta", "bidirectional", "norm", "prenorm", "mixing", "dropout", "ssm_lr")


@dataclass(frozen=True)
class SequenceRecipe:
    """Load or generate a task, train a network for each initialization, certify, test, report.

    The same command again goes on from where it was stopped, or shows what there is.
    """

    size: Literal["desk", "paper"] = "desk"
    """What one core can do, or the papers' hyper-parameters, which need a GPU."""
    steps: int | None = None
    """Of training; the dial."""
    epochs: int | None = None
    """Of training, instead of --steps."""
    inits: tuple[str, ...] = ("s4d", "damped")
    """Initializations to train, alike in all else: damped, s4d, s5, published."""
    seed: int = 0
    """Of the weights, the order, and what is generated."""
    out: Path = Path("runs/sequence")
    """The run folder; one in it for each initialization."""
    folder: Path | None = None
    """Where data are that do not ship."""
    threads: int = 2
    """That torch may use."""
    anew: bool = False
    """Delete what is in the folders and start again."""
    batch: int = 32
    """Sequences per step."""
    lr: float = 0.01
    """The largest learning rate."""
    ssm_lr: float = 0.25
    """That of the layers' own parameters, as a part of it."""
    weight_decay: float = 0.0
    """Of the other matrices."""
    warmup: float = 0.1
    """Part of the training in which the learning rate rises."""
    layer: Literal["s4", "s5"] = "s4"
    """Of each block."""
    features: int = 32
    """Of each block."""
    layers: int = 2
    """Blocks."""
    state: int = 32
    """Size of the state."""
    blocks: int = 1
    """Of S5's state."""
    theta: float = 0.1
    """Of the damped initialization."""
    bidirectional: bool = False
    """Run each layer from both ends."""
    norm: str = "batch"
    """batch, layer or none."""
    prenorm: bool = True
    """Normalize before the layer, or after the sum."""
    mixing: str = "linear"
    """linear, glu, half_glu or none; with gates there is no gain to certify."""
    dropout: float = 0.0
    """A part."""
    tones: bool = False
    """Test with tones at the input of the layers."""
    task: Annotated[str, tyro.conf.Suppress] = ""
    title: Annotated[str, tyro.conf.Suppress] = ""

    def __post_init__(self) -> None:
        if not self.inits or len(set(self.inits)) < len(self.inits):
            raise ValueError(f"--inits: received {self.inits}, expected at least one initialization, each once")
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("recipe: received both or neither of steps and epochs, expected one of them")
        for name in ("batch", "threads", "features", "layers", "state", "blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name}: received {getattr(self, name)}, expected at least 1")

    @property
    def model(self) -> dict[str, Any]:
        """Options of the network."""
        return {name: getattr(self, name) for name in MODEL}

    @property
    def settings(self) -> dict[str, Any]:
        """Of training."""
        length = {"steps": self.steps} if self.epochs is None else {"epochs": self.epochs}
        return {"batch": self.batch, "lr": self.lr, "weight_decay": self.weight_decay, "warmup": self.warmup, "seed": self.seed,
                "threads": self.threads, **length}

    def place(self, init: str) -> Path:
        """The run folder of an initialization; that of damped perturb-then-diagonalize is called ptd."""
        return self.out / {"damped": "ptd"}.get(init, init)

    def table(self) -> dict[str, Any]:
        """What was asked for, resolved; not where, nor on how many threads."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if k not in ELSEWHERE}


def read_sequence_recipe(name: str, size: str) -> SequenceRecipe:
    """The recipe that ships under this name, or of a file ending in .toml with an entry `task`; its table [desk] or [paper] on top.

    Raises:
        ValueError: a file that is not such a recipe; the entry is named.
    """
    ships = name in SHIPPED
    text = files("wellposed").joinpath(f"sequence/recipes/{name}.toml").read_text("utf-8") if ships else Path(name).read_text("utf-8")
    given = parsed(text, name)
    if size not in SIZES:
        raise ValueError(f"--size: received {size!r}, expected one of {', '.join(SIZES)}")
    common = {k: v for k, v in given.items() if k not in SIZES}
    table = {"size": size, "title": Path(name).stem, "out": Path("runs") / Path(name).stem, **common, **given.get(size, {})}
    found = known(SequenceRecipe, table, name)
    paths = {key: Path(found[key]) for key in ("out", "folder") if key in found}
    return SequenceRecipe(**{**found, **paths, **({"inits": tuple(found["inits"])} if "inits" in found else {})})
