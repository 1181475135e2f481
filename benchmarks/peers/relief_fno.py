"""Makes `relief.npz`: permeabilities from the Earth's relief, and an FNO's predictions of their potentials.

The equation is −div(a ∇u) = 1 on the unit square, u = 0 on its boundary. The coefficient is
a = exp(s (z − mean) / deviation), constant on each of 64 × 64 cells, with z the mean height of the cell in a
window of ETOPO5. Arrays are (sample, y, x), y northward.

    python benchmarks/peers/relief_fno.py --etopo etopo5.cdf --out relief.npz
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fno import predict, train_fno
from scipy.io import netcdf_file
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_array
from scipy.sparse.linalg import spsolve

CELLS = 64
SUBCELLS = 4
HEIGHT = 64 / 6
MARGIN = 1.0
STEEPNESS, STEEP = 0.7, 2.0
ELEMENT = np.array([[4, -1, -2, -1], [-1, 4, -1, -2], [-2, -1, 4, -1], [-1, -2, -1, 4]]) / 6
HELD_OUT = {
    "Italy and the Alps": (42.0, 12.5),
    "Andes, the Altiplano": (-19.0, -67.5),
    "Himalaya and Tibet": (30.5, 86.0),
    "Scandinavia": (63.5, 13.0),
    "New Zealand": (-42.0, 172.0),
    "Japan": (37.5, 138.0),
    "Iceland": (65.0, -18.5),
    "Iberia": (40.5, -4.0),
    "Greece and the Aegean": (37.5, 26.5),
    "Caucasus": (42.0, 44.5),
    "California and the Sierra Nevada": (38.0, -119.0),
    "Britain and Ireland": (54.5, -4.5),
    "Kamchatka": (56.0, 160.0),
    "Ethiopian Highlands": (9.5, 40.0),
    "Tian Shan": (42.0, 77.0),
    "Colombian Andes": (5.5, -74.0),
    "Borneo": (1.0, 114.0),
    "Alaska Range": (63.0, -150.0),
    "Hispaniola and Cuba": (19.5, -73.5),
    "Sulawesi": (-1.5, 121.0),
    "Madagascar": (-19.0, 46.5),
    "Korea": (37.0, 127.0),
    "New Guinea": (-6.0, 143.0),
    "Yunnan": (26.0, 101.0),
}
STEEP_SAMPLES = 6


@dataclass(frozen=True)
class Window:
    """A rectangle on the globe, in degrees north and east; about as wide as high in kilometres."""

    south: float
    north: float
    west: float
    east: float

    @classmethod
    def around(cls, latitude: float, longitude: float) -> Window:
        """The window of HEIGHT degrees of latitude about a centre."""
        half, wide = HEIGHT / 2, HEIGHT / 2 / math.cos(math.radians(latitude))
        return cls(latitude - half, latitude + half, longitude - wide, longitude + wide)

    def apart(self, other: Window) -> bool:
        """Whether MARGIN degrees of latitude or of longitude lie between the two."""
        eastward = (other.west - self.west) % 360.0
        beside = self.east - self.west + MARGIN <= eastward <= 360.0 - (other.east - other.west) - MARGIN
        return beside or self.north + MARGIN <= other.south or other.north + MARGIN <= self.south


def read_relief(path: Path) -> np.ndarray:
    """Heights in metres, (2161, 4320) at every 5 minutes: rows from 90 S to 90 N, columns eastward from 0."""
    with netcdf_file(path, "r", mmap=False) as file:
        return file.variables["ROSE"].data.astype(np.float64)


def crop(relief: np.ndarray, window: Window) -> np.ndarray:
    """Mean heights of the 64 × 64 cells of a window, each from 4 × 4 points interpolated bilinearly."""
    points = (np.arange(CELLS * SUBCELLS) + 0.5) / (CELLS * SUBCELLS)
    rows = (window.south + (window.north - window.south) * points + 90.0) * 12.0
    columns = (window.west + (window.east - window.west) * points) * 12.0
    heights = map_coordinates(relief, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="grid-wrap")
    return heights.reshape(CELLS, SUBCELLS, CELLS, SUBCELLS).mean(axis=(1, 3))


def permeability(heights: np.ndarray, steepness: float) -> np.ndarray:
    """a = exp(s (z − mean) / deviation) in float32, as it is stored."""
    return np.exp(steepness * (heights - heights.mean()) / heights.std()).astype(np.float32)


def training_heights(relief: np.ndarray, held_out: Sequence[Window], count: int, seed: int) -> np.ndarray:
    """Windows at random on the sphere, 60 S to 68 N, at least a fifth land, apart from every held-out one."""
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    while len(found) < count:
        height = rng.uniform(math.sin(math.radians(-60.0)), math.sin(math.radians(68.0)))
        window = Window.around(math.degrees(math.asin(height)), rng.uniform(-180.0, 180.0))
        if all(window.apart(other) for other in held_out):
            heights = crop(relief, window)
            if (heights > 0).mean() >= 0.2:
                found.append(heights)
    return np.stack(found)


def stiffness(coefficient: np.ndarray) -> csr_array:
    """The Q1 matrix of ∫ a ∇v·∇w on all nodes of the unit square; free of h in two dimensions."""
    n = len(coefficient)
    nodes = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    corners = np.stack([nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, 1:], nodes[1:, :-1]], axis=-1)
    corners = corners.reshape(-1, 4)
    values = coefficient.astype(np.float64).reshape(-1, 1, 1) * ELEMENT
    rows, columns = np.repeat(corners, 4, axis=1), np.tile(corners, (1, 4))
    return csr_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=(nodes.size, nodes.size))


def finite_elements(coefficient: np.ndarray) -> np.ndarray:
    """The Galerkin solution in Q1: nodal values, zero on the boundary."""
    n = len(coefficient)
    interior = np.flatnonzero(np.pad(np.ones((n - 1, n - 1)), 1))
    matrix = stiffness(coefficient)[interior][:, interior].tocsc()
    solution = np.zeros((n + 1) ** 2)
    solution[interior] = spsolve(matrix, np.full(interior.size, 1.0 / n**2))
    return solution.reshape(n + 1, n + 1)


def relative_errors(coefficient: np.ndarray, answer: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """Relative error in the Euclidean norm of nodal values, and in the energy seminorm √∫ a |∇·|²."""
    matrix, error = stiffness(coefficient), (answer - exact).ravel()
    energy = (error @ (matrix @ error)) / (exact.ravel() @ (matrix @ exact.ravel()))
    return float(np.linalg.norm(error) / np.linalg.norm(exact)), math.sqrt(energy)


def report(errors: np.ndarray, answers: np.ndarray, labels: np.ndarray) -> None:
    """Print each sample's errors and boundary values, and the groups' means."""
    rim = np.abs(np.pad(np.zeros((CELLS - 1, CELLS - 1)), 1, constant_values=1.0) * answers).max(axis=(1, 2))
    for name, (l2, energy), edge in zip(HELD_OUT, errors, rim / labels.max(axis=(1, 2)), strict=True):
        print(f"{name:34s} L2 {l2:7.2%}   energy {energy:7.2%}   largest boundary value {edge:6.2%} of max u")
    for name, group in (("in distribution", errors[:-STEEP_SAMPLES]), ("steep", errors[-STEEP_SAMPLES:])):
        (l2, energy), (low, _), (high, _) = group.mean(axis=0), group.min(axis=0), group.max(axis=0)
        print(f"{name:16s} mean L2 {l2:.2%} ({low:.2%} to {high:.2%})   mean energy {energy:.2%}")


def real_parameters(model: torch.nn.Module) -> int:
    """A complex weight counts as two."""
    return sum(p.numel() * (1 + p.is_complex()) for p in model.parameters())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--etopo", type=Path, required=True, help="ETOPO5 as NetCDF, variable ROSE")
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training")
    parser.add_argument("--crops", type=int, default=1000, help="training windows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    return parser.parse_args()


def main() -> None:
    """Crop, solve, train, predict, write."""
    args = arguments()
    torch.set_num_threads(args.threads)
    relief, windows = read_relief(args.etopo), [Window.around(*centre) for centre in HELD_OUT.values()]
    steepness = np.repeat([STEEPNESS, STEEP], [len(windows) - STEEP_SAMPLES, STEEP_SAMPLES])
    held = np.stack([permeability(crop(relief, w), s) for w, s in zip(windows, steepness, strict=True)])

    start = time.perf_counter()
    fields = [permeability(z, STEEPNESS) for z in training_heights(relief, windows, args.crops, args.seed)]
    labels = np.stack([finite_elements(a) for a in fields])
    print(f"{len(fields)} training fields cut and solved in {time.perf_counter() - start:.0f} s")
    model = train_fno(np.stack(fields), labels, 60.0 * args.minutes, seed=args.seed)
    print(f"trained for {60.0 * args.minutes:.0f} s, {real_parameters(model)} real parameters")

    prediction = predict(model, held).astype(np.float32)
    exact = np.stack([finite_elements(a) for a in held])
    errors = [relative_errors(*each) for each in zip(held, prediction, exact, strict=True)]
    report(np.array(errors), prediction, exact)
    np.savez_compressed(
        args.out,
        coefficient=held,
        prediction=prediction,
        latitude=np.array([(w.south, w.north) for w in windows]),
        longitude=np.array([(w.west, w.east) for w in windows]),
        steepness=steepness,
    )


if __name__ == "__main__":
    main()
