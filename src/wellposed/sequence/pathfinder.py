"""Do two markers lie on one dashed contour? Images grown from a seed, after Pathfinder.

Own generator after Linsley et al. (2018), with the settings of the Long Range Arena (Tay et al., 2021): two contours of paddles grow side
by side, shorter ones fill what is left, and the markers are at the start of one contour and at the end of the same or of the other.
These are not that benchmark's files, and figures on them are not its figures: here a contour that is stuck goes back some paddles, where
the original starts again; all contours are equally bright; and short ones are chosen so that the distance of the markers tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from math import dist
from operator import or_
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from wellposed.numerics.parallel import map_parallel
from wellposed.sequence.paddles import Paddles, disc

SPLITS = ("train", "validation", "test")
CONTOURS = (14, 9, 6)
CHUNK, REJECTIONS, TRIES, RETREATS, LONGEST_RETREAT = 64, 3, 5, 160, 5

MATCHED, ALIKE = (9, 6), 1.5
"""Short contours end at much the same distance from where they start, and the other one's end does not: kept are those where the two
distances differ by so many pixels at most. With 14 paddles there is no difference to be seen."""


@dataclass(frozen=True)
class Look:
    """How images of one size look; lengths in pixels.

    Attributes:
        margins: half the gaps between paddles, one of these for each image.
        apart: between the first paddles of the two contours; they start twice as far from the border.
        distractors: how many shorter contours, of 4 paddles, are tried.
    """

    length: int
    thickness: float
    margins: tuple[int, ...]
    radius: float
    apart: int
    continuity: float
    distractors: int
    contrast: float


LOOKS = {32: Look(2, 0.5, (1,), 1.5, 7, 1.0, 5, 1.5), 64: Look(5, 1.0, (1,), 2.5, 12, 1.8, 5, 0.8),
         128: Look(5, 1.5, (2, 3), 3.0, 20, 1.8, 8, 0.9)}
DISTRACTOR = 4


class Paddle(NamedTuple):
    """From (y, x), `length` pixels at an angle in degrees."""

    y: int
    x: int
    angle: int


class Contour(NamedTuple):
    """Paddles in order, and the ends of the first and the last that are outermost."""

    paddles: list[Paddle]
    start: tuple[int, int]
    end: tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """What an image shows.

    Attributes:
        contours: the two long ones, the one with the first marker first. distractors: the short ones. markers: two pixels (y, x).
        label: 1 where both markers are on one contour, else 0.
    """

    contours: tuple[Contour, Contour]
    distractors: list[Contour]
    markers: tuple[tuple[int, int], tuple[int, int]]
    label: int


def generate(size: int, samples: int, split: str = "train", seed: int = 0, contour: int = 14, *, executor: Executor | None = None,
             workers: int | None = 1) -> tuple[UInt8[np.ndarray, "samples size size"], Int64[np.ndarray, " samples"]]:
    """Images, 0 black to 255, and their labels, which alternate.

    Image k depends on (seed, split, k) alone, whatever the number of images or processes.

    Args:
        size: 32, 64 or 128 pixels.
        split: "train", "validation" or "test".
        contour: paddles in each long contour, 14 (hard), 9 or 6.
        executor: where images are drawn; or `workers` processes, 1 for none, None for one per core.

    Raises:
        ValueError: another size, split or contour.
    """
    if size not in LOOKS or split not in SPLITS or contour not in CONTOURS or samples < 1:
        raise ValueError(f"received size {size}, split {split!r}, contour {contour} and {samples} samples; expected a size of "
                         f"{', '.join(map(str, LOOKS))}, a split of {', '.join(SPLITS)}, a contour of "
                         f"{', '.join(map(str, CONTOURS))} paddles and at least one sample")
    work = partial(_chunk, size, split, seed, contour)
    spans = [(k, min(k + CHUNK, samples)) for k in range(0, samples, CHUNK)]
    return np.concatenate(map_parallel(work, spans, executor, workers, title=f"drawing {split} images")), np.arange(samples) % 2


def sequences(images: UInt8[np.ndarray, "samples size size"]) -> Float32[np.ndarray, "samples steps 1"]:
    """Images row by row, -1 black to 1."""
    x = images.reshape(len(images), -1, 1).astype(np.float32)
    x *= 2 / 255
    x -= 1
    return x


def _chunk(size: int, split: str, seed: int, contour: int, span: tuple[int, int]) -> np.ndarray:
    return np.stack([draw(*scene(size, k, split, seed, contour)) for k in range(*span)])


def scene(size: int, index: int, split: str = "train", seed: int = 0, contour: int = 14) -> tuple[Scene, Paddles]:
    """What image `index` shows, and the paddles that it is made of; arguments as `generate`."""
    uniform = _uniform(np.random.default_rng([seed, size, contour, SPLITS.index(split), index]))
    look = LOOKS[size]
    paddles = _paddles(size, look.margins[int(next(uniform) * len(look.margins))])
    chosen = None
    while chosen is None:
        grower = _Grower(paddles, uniform)
        pair = grower.pair(look.apart, contour)
        chosen = pair and _choose(pair, contour, next(uniform))
    one, other = chosen
    short = [s for _ in range(look.distractors) if (s := grower.distractor(DISTRACTOR)) is not None]
    label = index % 2
    return Scene((one, other), short, (one.start, (one if label else other).end), label), paddles


def _choose(pair: tuple[Contour, Contour], contour: int, uniform: float) -> tuple[Contour, Contour] | None:
    """The contour that the first marker starts, and the other one; None where the distance of the markers would tell the label."""
    ways = [(one, other) for one, other in (pair, pair[::-1])
            if contour not in MATCHED or abs(dist(one.start, one.end) - dist(one.start, other.end)) <= ALIKE]
    return ways[int(uniform * len(ways))] if ways else None


def draw(shown: Scene, paddles: Paddles) -> UInt8[np.ndarray, "size size"]:
    """The image of a scene, its darkest pixel 0 and its brightest 255."""
    look, frame = LOOKS[paddles.size], paddles.reach
    image = np.zeros((paddles.stride, paddles.stride))
    for contour in (*shown.contours, *shown.distractors):
        for y, x, angle in contour.paddles:
            picture = paddles.stamp(angle).picture
            window = image[y: y + len(picture), x: x + len(picture)]
            np.maximum(window, look.contrast * picture, out=window)
    marker = disc(look.radius)
    half = len(marker) // 2
    canvas = np.pad(image, half)
    for y, x in shown.markers:
        window = canvas[y + frame: y + frame + len(marker), x + frame: x + frame + len(marker)]
        np.maximum(window, marker, out=window)
    image = canvas[half + frame: -half - frame, half + frame: -half - frame]
    return np.round(255 * (image - image.min()) / (image.max() - image.min())).astype(np.uint8)


def _uniform(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(256).tolist()


@lru_cache(None)
def _paddles(size: int, margin: int) -> Paddles:
    look = LOOKS[size]
    return Paddles(size, look.length, look.thickness, margin, look.continuity)


class _Tip(NamedTuple):
    """The last paddle of a growing contour.

    Attributes:
        paddle: as drawn. end: (y, x) where it stops. angle: where it points. claim, near: its bits, in the image.
    """

    paddle: Paddle
    end: tuple[int, int]
    angle: int
    claim: int
    near: int


class _State(NamedTuple):
    """Contours of as many paddles each, and the bits of all but their last, as a paddle touches the margin of the one before."""

    tips: tuple[_Tip, ...]
    claimed: int
    near: int


class _Grower:
    """Grows contours into what is free."""

    def __init__(self, kit: Paddles, uniform: Iterator[float]) -> None:
        self.kit, self.uniform = kit, uniform
        self.claimed = self.near = kit.frame

    def pair(self, apart: int, contour: int) -> tuple[Contour, Contour] | None:
        """Two contours that start `apart` and grow in turns; None where one gets stuck."""
        low, span = 2 * apart, self.kit.size - 4 * apart
        y, x = low + int(span * next(self.uniform)), low + int(span * next(self.uniform))
        t = 2 * np.pi * next(self.uniform)
        other = y + round(apart * np.sin(t)), x + round(apart * np.cos(t))
        tips = self._seed(y, x, self._angle()), self._seed(*other, self._angle())
        if tips[0].claim & self.claimed or tips[1].claim & (self.claimed | tips[0].claim):
            return None
        grown = self._grow(tips, contour, RETREATS)
        return None if grown is None else (grown[0], grown[1])

    def distractor(self, paddles: int) -> Contour | None:
        """A contour where there is room; None if none of five tries comes to its end."""
        for _ in range(TRIES):
            angle = self._angle()
            places = self.kit.places(self.claimed, angle)
            if len(places):
                y, x = places[int(next(self.uniform) * len(places))]
                if grown := self._grow((self._seed(int(y), int(x), angle),), paddles, 0):
                    return grown[0]
        return None

    def _grow(self, tips: tuple[_Tip, ...], paddles: int, retreats: int) -> list[Contour] | None:
        """Contours from their first paddles, then claimed; back by up to 5 paddles where they are stuck, None after `retreats` of them."""
        states, failures = [_State(tips, self.claimed, self.near)], 0
        while len(states) < paddles:
            if (state := self._step(states[-1])) is not None:
                states.append(state)
            elif (failures := failures + 1) > retreats:
                return None
            else:
                del states[max(1, len(states) - int((1 + LONGEST_RETREAT) * next(self.uniform))):]
        for tip in states[-1].tips:
            self.claimed, self.near = states[-1].claimed | tip.claim | self.claimed, states[-1].near | tip.near | self.near
        grown = [[state.tips[k] for state in states] for k in range(len(tips))]
        return [Contour([tip.paddle for tip in line], line[0].paddle[:2], line[-1].end) for line in grown]

    def _step(self, state: _State) -> _State | None:
        """One more paddle on each."""
        tips, claimed, near = list(state.tips), state.claimed, state.near
        for k, tip in enumerate(state.tips):
            rivals = tips[:k] + tips[k + 1:]
            longer = self._extend(tip, claimed | _union(rivals, "claim"), near | _union(rivals, "near"))
            if longer is None:
                return None
            claimed, near, tips[k] = claimed | tip.claim, near | tip.near, longer
        return _State(tuple(tips), claimed, near)

    def _extend(self, tip: _Tip, claimed: int, near: int) -> _Tip | None:
        """The next paddle of a contour, at random among its free ends; None where it is stuck."""
        kit, (y, x) = self.kit, tip.end
        around = kit.around(near, y, x)
        ends = [end for end in kit.turns(tip.angle) if not around >> end[0] & 1]
        total = sum(end[4] for end in ends)
        if total < 1e-4:
            return None
        for _ in range(REJECTIONS + 1):
            at = total * next(self.uniform)
            for end in ends:
                at -= end[4]
                if at < 0:
                    break
            _, dy, dx, angle, _ = end
            back = (angle + 180) % 360
            stamp, shift = kit.stamp(back), kit.shift(y + dy, x + dx)
            claim = stamp.claim << shift
            if not claim & claimed:
                return _Tip(Paddle(y + dy, x + dx, back), (y + dy, x + dx), angle, claim, stamp.near << shift)
        return None

    def _angle(self) -> int:
        return int(360 * next(self.uniform))

    def _seed(self, y: int, x: int, angle: int) -> _Tip:
        kit, t = self.kit, np.radians(angle)
        stamp, shift = kit.stamp(angle), kit.shift(y, x)
        end = y + round(kit.length * float(np.sin(t))), x + round(kit.length * float(np.cos(t)))
        return _Tip(Paddle(y, x, angle), end, angle, stamp.claim << shift, stamp.near << shift)


def _union(tips: list[_Tip], name: str) -> int:
    return reduce(or_, (getattr(tip, name) for tip in tips), 0)
