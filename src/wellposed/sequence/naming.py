"""What others call the arrays of a diagonal system, and how they keep complex numbers.

Eigenvalues are kept as they are; as real and imaginary parts; or as log(-Re Lambda) and Im Lambda (S4D: Gu, Goel, Gupta and Re, NeurIPS
2022, and our layers). Complex arrays are complex, real pairs on a last axis of two, or two arrays.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Complex

Arrays = Mapping[str, np.ndarray]
EIGENVALUES = ("eigenvalues", "Lambda", "lambda", "lam")
SHORT = ("w", "A")
"""Eigenvalues too, but only in a file of a few arrays: in a state dict they may be anything."""
EIGENVECTORS = ("eigenvectors", "V", "P")
COORDINATES = ("coordinates", "B", "b")
LOGARITHMS = (("log_decay", "frequency"), ("log_A_real", "A_imag"), ("inv_A_real", "A_imag"))
PARTS = (("_re", "_im"), ("_real", "_imag"))


def layers(arrays: Arrays) -> dict[str, dict[str, np.ndarray]]:
    """What has eigenvalues, by what comes before the last dot in the names of its arrays.

    Raises:
        ValueError: nothing has; the names that are known are told.
    """
    tables: dict[str, dict[str, np.ndarray]] = {}
    for name, x in arrays.items():
        head, _, tail = name.replace("/", ".").rpartition(".")
        tables.setdefault(head, {})[tail] = x
    found = {head: table for head, table in tables.items() if _rule(table, EIGENVALUES)}
    found = found or {head: table for head, table in tables.items() if not head and _rule(table, (*EIGENVALUES, *SHORT))}
    if not found:
        names = sorted(arrays)
        raise ValueError(f"received the arrays {', '.join(names[:12]) or 'none'}{', ...' if len(names) > 12 else ''}, expected eigenvalues "
                         f"as one of {', '.join((*EIGENVALUES, *SHORT))}, in two parts such as Lambda_re and Lambda_im, or as "
                         f"{', or '.join(' and '.join(pair) for pair in LOGARITHMS)}; rename them (of a whole matrix: wellposed certify "
                         "matrix)")
    return found


def eigenvalues(table: Arrays) -> Complex[np.ndarray, "features modes"]:
    """Of one feature or of many.

    Raises:
        ValueError: another number of axes, or numbers that are not finite.
    """
    rule = _rule(table, (*EIGENVALUES, *SHORT))
    if trained(table):
        real, imaginary = (np.asarray(table[name], float) for name in rule)
        x = joined(-np.exp(real), imaginary)
    else:
        x = complex_of(table[rule[0]], 1) if len(rule) == 1 else _joined(table, *rule)
    x = x if x.ndim < 2 else x.reshape([k for k in x.shape if k > 1])
    if x.ndim > 2 or not x.size or not np.isfinite(x).all():
        raise ValueError(f"received eigenvalues as {' and '.join(rule)} of shape {x.shape}, expected (n,), or (features, n), of finite "
                         "numbers; leave other axes out")
    return np.atleast_2d(x)


def eigenvectors(table: Arrays) -> Complex[np.ndarray, "n modes"] | None:
    """One to a column; None where there are none."""
    if "log_decay" in table and np.ndim(table.get("eigenvectors", 0)) == 3:  # our layers keep pairs on the first axis
        return joined(*table["eigenvectors"])
    found = named(table, EIGENVECTORS, 2)
    return found if found is not None and found.ndim == 2 else None


def low_rank(table: Arrays) -> bool:
    """Are these the parts of S4's own form, diagonal plus low rank?"""
    return "P" in table and eigenvectors({"P": table["P"]}) is None


def trained(table: Arrays) -> bool:
    """Is this a layer that was trained, of which B is a parameter?"""
    return _logarithms(table) is not None


def named(table: Arrays, names: tuple[str, ...], axes: int) -> np.ndarray | None:
    """The complex array under the first of these names, whole or in two parts."""
    for name in names:
        if name in table:
            return complex_of(table[name], axes)
        for re, im in PARTS:
            if {name + re, name + im} <= set(table):
                return _joined(table, name + re, name + im)
    return None


def complex_of(x: np.ndarray, axes: int) -> np.ndarray:
    """Complex numbers, of complex ones, of real pairs after `axes` axes or more, or of the records of HDF5.

    Raises:
        ValueError: no numbers.
    """
    if x.dtype.names is not None and len(x.dtype.names) == 2:
        return joined(x[x.dtype.names[0]], x[x.dtype.names[1]])
    if x.dtype.kind not in "fciu":
        raise ValueError(f"received an array of the type {x.dtype}, expected real or complex numbers; store them as such")
    if x.dtype.kind != "c" and x.ndim > axes and x.shape[-1] == 2:
        return joined(x[..., 0], x[..., 1])
    return np.asarray(x, complex)


def joined(real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    """A complex array of its parts, bit for bit: a sum would lose the sign of zeros, and with it the digest."""
    z = np.empty(np.broadcast_shapes(np.shape(real), np.shape(imaginary)), complex)
    z.real, z.imag = real, imaginary
    return z


def _joined(table: Arrays, real: str, imaginary: str) -> np.ndarray:
    if np.shape(table[real]) != np.shape(table[imaginary]):
        raise ValueError(f"received {real} {np.shape(table[real])} and {imaginary} {np.shape(table[imaginary])}, expected the same shape; "
                         "they are the parts of one complex array")
    return joined(table[real], table[imaginary])


def _logarithms(table: Arrays) -> tuple[str, str] | None:
    found = [pair for pair in LOGARITHMS if set(pair) <= set(table)]
    if {"inv_dt", "A_real", "A_imag"} <= set(table):  # later versions of S4 call the logarithm A_real
        found.append(("A_real", "A_imag"))
    return found[0] if found else None


def _rule(table: Arrays, names: tuple[str, ...]) -> tuple[str, ...]:
    """The one or two names under which a layer has its eigenvalues; () if it has none."""
    logarithms = _logarithms(table)
    if logarithms is not None:
        return logarithms
    for name in names:
        if name in table and (name not in SHORT or max(np.shape(table[name]), default=0) * 2 >= np.size(table[name])):
            return (name,)
        for re, im in PARTS:
            if {name + re, name + im} <= set(table):
                return name + re, name + im
    return ()
