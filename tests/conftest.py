"""One thread, shapes checked, and the shared data where there are any."""

from __future__ import annotations

import os
import sys
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):  # for scipy and for processes that tests start; numpy is here already
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import pytest  # noqa: E402
import torch  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared" / "data"
CHECKED = ("wellposed.certificate", "wellposed.guarded", "wellposed.cli", "wellposed.elliptic.fields", "wellposed.elliptic.relief",
           "wellposed.numerics.grf", "wellposed.numerics.parallel", "wellposed.testing")
"""Modules whose annotations beartype checks at every call in the tests; "wellposed" once q1.Nodes can be checked."""

torch.set_num_threads(1)
sys.path.append(str(HERE / "elliptic"))  # cases and referees are shared
install_import_hook(CHECKED, "beartype.beartype")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared data sets; a test that asks for it is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"there is no {SHARED}: the shared data sets are not part of the repository")
    return SHARED
