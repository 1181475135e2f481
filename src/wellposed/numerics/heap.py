"""Freed memory stays with the process: fresh pages cost a small batch up to half of its forward pass.

glibc gives large blocks back to the system as soon as they are freed, and raises the size that counts as large (up to 32 MiB)
to that of the largest block that was ever given back so (mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD). With other
allocators what is done here does nothing.
"""

from __future__ import annotations

from functools import cache

import torch

LARGE = 28 * 2**20


@cache
def keep_freed_memory() -> None:
    """Allocate and free a block that counts as large, untouched; at most twice its size then stays with the process."""
    torch.empty(LARGE, dtype=torch.uint8)
