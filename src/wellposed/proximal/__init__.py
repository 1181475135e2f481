"""Learned priors: is this the exact prox of some prior? has the reconstruction converged?"""

from __future__ import annotations

from wellposed.proximal.lpn import LPN
from wellposed.proximal.prior import Prior

__all__ = ["LPN", "Prior"]
