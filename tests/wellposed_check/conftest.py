"""Small certificates to check, tamper with and present."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cases import disturbed, draw

import wellposed
from wellposed.certificate import Certificate


@pytest.fixture(scope="session")
def good() -> Certificate:
    """An answer 2 % wrong, of which 90 % are required: holds."""
    rng = np.random.default_rng(1)
    problem = draw("corner neumann", 4, rng, dirichlet=False)
    return wellposed.certify(problem, disturbed(problem, rng, 0.02), tol=0.9)


@pytest.fixture
def folder(good: Certificate, tmp_path: Path) -> Path:
    """The good certificate in a folder."""
    good.save(tmp_path / "kept")
    return tmp_path / "kept"
