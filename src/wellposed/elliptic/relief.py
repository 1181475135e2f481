"""Real fields that ship with the package: ETOPO relief as log-permeability, and a peer network's answers to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wellposed.elliptic.problem import Darcy

FOLDER = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Relief:
    """24 crops of the earth's relief; -div(a grad u) = 1 on each, u = 0 on the boundary.

    Attributes:
        problem: 24 samples of 64 x 64 cells; the last 6 are steeper than anything the network was trained on.
        prediction: (24, 65, 65) what a Fourier neural operator answered, boundary values as it gave them.
        latitude, longitude: (24, 2) extents in degrees.

    Source: NOAA ETOPO5, public domain; data/README.md says how the arrays were made.
    """

    problem: Darcy
    prediction: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray

    def place(self, sample: int) -> str:
        """Where on earth a sample lies."""
        (south, north), (west, east) = self.latitude[sample], self.longitude[sample]
        return f"{south:.1f} to {north:.1f} N, {west:.1f} to {east:.1f} E"


def load_relief() -> Relief:
    """The relief that ships with the package."""
    with np.load(FOLDER / "relief.npz", allow_pickle=False) as file:
        return Relief(Darcy(file["coefficient"]), file["prediction"].astype(float), file["latitude"], file["longitude"])
