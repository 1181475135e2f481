"""What the generated tasks cost: images and trees in a second of one process.

    python benchmarks/sequence_generators.py [--seconds 5]

CPU time of one thread. Images have long contours of 14 paddles, as the published experiments, and of 6; trees have the lengths of
"own-listops" at both sizes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from wellposed.sequence import listops, pathfinder
from wellposed.sequence.tasks import LISTOPS


def rate(draw: Callable[[int], object], seconds: float) -> float:
    """Samples in a second of CPU time; `draw` makes that many, and what is prepared once is not counted."""
    draw(8)
    count = 8
    while True:
        began = time.process_time()
        draw(count)
        spent = time.process_time() - began
        if spent > seconds / 3:
            return count / spent
        count *= 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    table = Table("task", "of", "in a second")
    for size in pathfinder.LOOKS:
        for contour in (6, 14):
            images = rate(lambda n, size=size, contour=contour: pathfinder.generate(size, n, contour=contour), options.seconds)
            table.add_row(f"own-pathfinder-{size}", f"contours of {contour} paddles", f"{images:.3g} images")
    for name, (_, (low, high)) in LISTOPS.items():
        trees = rate(lambda n, low=low, high=high: listops.generate(8 * n, n, n, 0, low, high), options.seconds)
        table.add_row(f"own-listops, {name}", f"{low + 1} to {high - 1} symbols", f"{10 * trees:,.0f} trees")
    Console().print(table)


if __name__ == "__main__":
    main()
