"""What a user says of the data and the sides of a problem, checked and brought into one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.numerics.space import SIDES, NodalSpace

KINDS = ("dirichlet", "neumann", "periodic")
LARGEST = 2.0**500  # beyond, squares overflow


def parse_boundary(boundary: str | Mapping[str, str]) -> tuple[str, str, str, str]:
    """The conditions of bottom, right, top, left.

    Raises:
        ValueError: unknown names, missing sides, periodic beside another condition.
    """
    table = dict.fromkeys(SIDES, boundary) if isinstance(boundary, str) else boundary
    if not isinstance(table, Mapping) or set(table) != set(SIDES) or not set(table.values()) <= set(KINDS):
        raise ValueError(f"boundary: received {boundary!r}, expected one of {', '.join(KINDS)}, or a dict with 'dirichlet' or "
                         f"'neumann' for each of {', '.join(SIDES)}")
    sides = tuple(table[side] for side in SIDES)
    if "periodic" in sides and set(sides) != {"periodic"}:
        raise ValueError(f"boundary: received {boundary!r}, expected periodic on all four sides or on none")
    return sides  # type: ignore[return-value]


def to_tensor(x: Any, name: str, finite: bool = True) -> Tensor:
    """A float64 copy of real numbers, finite and below 2^500 unless `finite` is False.

    Raises:
        ValueError: anything else.
    """
    if isinstance(x, torch.nn.Module):
        raise ValueError(f"{name}: received the network {type(x).__name__}, expected what it answers: pass model(problem)")
    if isinstance(x, Tensor) and not x.is_complex() and x.dtype != torch.bool:
        t = x.to(torch.float64, copy=True)
    else:
        try:
            y = np.asarray(x) if not isinstance(x, Tensor) else np.zeros(0, complex)
        except ValueError:
            raise ValueError(f"{name}: received {_describe(x)}, expected an array of real numbers with rows of one length") from None
        if y.dtype.kind not in "fiu" or np.ma.is_masked(x):
            raise ValueError(f"{name}: received {_describe(x)}, expected an array of real numbers")
        t = torch.from_numpy(np.array(y, dtype="<f8", order="C"))
    if finite and not (t.abs() <= LARGEST).all():
        where = tuple(int(i) for i in (~(t.abs() <= LARGEST)).nonzero()[0])
        raise ValueError(f"{name}: received {t[where].item():g} at {where}, expected finite numbers below 1e150; find them with "
                         "numpy.isnan or numpy.isinf and fill or drop those samples, or choose other units")
    return t


def fit(x: Any, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """`to_tensor`, broadcast to `shape`."""
    t = to_tensor(x, name).to(like.device)
    try:
        return t.broadcast_to(shape).contiguous()
    except RuntimeError:
        raise ValueError(f"{name}: received the shape {tuple(t.shape)}, expected {shape}, which is what fits the coefficient") from None


def oscillation(x: Any, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor | None:
    """Norms, which are not negative."""
    if x is None:
        return None
    t = fit(x, name, shape, like)
    if (t < 0).any():
        raise ValueError(f"{name}: received {t.min().item():g}, expected norms, which are not negative")
    return t


def edge_data(x: Any, sides: tuple[str, ...], s: int, n: int, like: Tensor) -> Tensor | None:
    """Neumann data (samples, 4, n), zero off the Neumann sides."""
    if x is None:
        return None
    if not isinstance(x, Mapping):
        x = dict(zip(SIDES, fit(x, "neumann", (s, 4, n), like).unbind(1), strict=True))
        x = {side: g for side, g in x.items() if sides[SIDES.index(side)] == "neumann" or (g != 0).any()}
    out = like.new_zeros(s, 4, n)
    for side, g in x.items():
        if side not in SIDES or sides[SIDES.index(side)] != "neumann":
            raise ValueError(f"neumann: received data for {side!r}, expected only Neumann sides, which are "
                             f"{[k for k, kind in zip(SIDES, sides, strict=True) if kind == 'neumann']}")
        out[:, SIDES.index(side)] = fit(g, f"neumann[{side!r}]", (s, n), like)
    return out if x else None


def dirichlet_data(x: Any, sides: tuple[str, ...], s: int, n: int, like: Tensor) -> Tensor | None:
    """Nodal values (samples, n + 1, n + 1), zero off the Dirichlet sides."""
    if x is None:
        return None
    if "dirichlet" not in sides:
        raise ValueError(f"dirichlet: received values, expected none, for none of {', '.join(sides)} is a Dirichlet side")
    if not isinstance(x, Mapping):
        nodal = fit(x, "dirichlet", (s, n + 1, n + 1), like)
        bottom, right, top, left = (side == "dirichlet" for side in sides)
        return torch.where(NodalSpace(n, (bottom, right, top, left), False, like).free > 0, 0.0, nodal)
    out = like.new_full((s, n + 1, n + 1), float("nan"))
    for side, kind in zip(SIDES, sides, strict=True):
        if kind != "dirichlet" and side in x:
            raise ValueError(f"dirichlet: received values for {side!r}, which is a {kind} side")
        if kind == "dirichlet":
            edge = {"bottom": out[:, 0], "right": out[:, :, -1], "top": out[:, -1], "left": out[:, :, 0]}[side]
            values = fit(x.get(side, 0.0), f"dirichlet[{side!r}]", (s, n + 1), like)
            if ((edge != values) & ~edge.isnan()).any():
                raise ValueError(f"dirichlet: the values of {side!r} differ from its neighbour's at the corner that they share; "
                                 "expected one value there; make them agree or give nodal values")
            edge.copy_(values)
    unknown = set(x) - set(SIDES)
    if unknown:
        raise ValueError(f"dirichlet: received the sides {sorted(unknown)}, expected some of {SIDES}")
    return torch.where(out.isnan(), 0.0, out)


def _describe(x: Any) -> str:
    masked = " with masked entries" if np.ma.is_masked(x) else ""
    return f"an array of the type {x.dtype}{masked}" if hasattr(x, "dtype") else f"{type(x).__name__} {x!r:.40}"
