"""What the witnesses of this room have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

SLACK = 1e-9
"""By which brackets are wider than what was computed: matrix products round differently on other machines."""


def parts(x: Any) -> np.ndarray:
    """Real and imaginary parts on a last axis of two; what is no array of numbers stays, to be refused where it is read."""
    x = np.asarray(x)
    return np.stack([np.real(x), np.imag(x)], -1) if x.dtype.kind in "fciu" else x
