"""A diagonal system of anyone's, from a file: arrays under common names, or a layer of a state dict.

Read are .npz, .mat, .h5 and .zarr with eigenvalues, eigenvectors and B = V^-1 b as `Bank` has them; and layers like S4D's, S5's and ours
in .safetensors, .pt and .pth. Names: `wellposed.sequence.naming`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from wellposed.numerics.files import read_arrays
from wellposed.numerics.tensors import ENDINGS, read_tensors
from wellposed.sequence import naming
from wellposed.sequence.bank import Bank, damped_hippo
from wellposed.sequence.hippo import hippo
from wellposed.sequence.initial import completed
from wellposed_check.sequence.transfer import REFERENCES

SCALES = (0.5, 1.0)
"""Of b, where a file has no B of use: 1/2 is S4D's own, 1 is HiPPO's, and the damped family's lie between."""
CLOSE = 0.25
"""So far an eigenvalue may be from that of HiPPO's normal part whose eigenvector it borrows, in distances of that one to its neighbour."""


@dataclass(frozen=True)
class StoredBank(Bank):
    """A `Bank` that was read.

    Attributes:
        notes: what had to be assumed to read it.
    """

    notes: tuple[str, ...] = ()


def load_bank(file: str | Path, *, layer: str | None = None, feature: int | None = None, eigenvectors: str | None = None,
              reference: str = "legs") -> StoredBank:
    """The diagonal system in a file. Where one of each conjugate pair is stored, the other is added.

    Args:
        file: arrays, a state dict, or a run folder.
        layer: where there are several, the one of this name, or the only one whose name contains it.
        feature: which system of a layer with many, or which block of S5's.
        eigenvectors: "normal" takes those of HiPPO's normal part, with which S4D and S5 begin, where the file has none and each
            eigenvalue is near one of that part's own. None refuses a file without eigenvectors.
        reference: "legs" or "lagt", whose input vector is taken where the file has no B.

    Raises:
        FileNotFoundError: there is no such file. ValueError: no such system in it, or more than one; what to give is said.
    """
    if eigenvectors not in (None, "normal") or reference not in REFERENCES:
        raise ValueError(f"load_bank: received eigenvectors={eigenvectors!r} and reference={reference!r}, expected 'normal', or None to "
                         f"read them, and one of {', '.join(REFERENCES)}")
    path = Path(file)
    try:
        name, table = _layer(naming.layers(_read(path)), layer)
        if naming.low_rank(table):
            raise ValueError("received P beside the eigenvalues, as S4 keeps Lambda - P P*, expected a diagonal system; diagonalize that "
                             "matrix and store its eigenvalues and eigenvectors, or try: wellposed certify matrix")
        rows, vectors = naming.eigenvalues(table), naming.eigenvectors(table)
        if vectors is None:
            return _with_normal_part(rows, feature, eigenvectors, reference)
        if len(rows) == 1 and vectors.shape[1] < rows.shape[1] and rows.shape[1] % vectors.shape[1] == 0:  # the blocks of our S5
            rows = rows.reshape(-1, vectors.shape[1])
        values, notes = _row(rows, feature)
        values, vectors, weights = _whole(values, vectors)
        b, said = _coordinates(table, values, vectors, weights, reference)
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return StoredBank(values, vectors, b, (*((f"the layer is {name}",) if name else ()), *notes, *said))


def _read(path: Path) -> dict[str, np.ndarray]:
    if path.is_dir() and path.suffix != ".zarr":
        from wellposed.training.folder import WEIGHTS, verify_run

        verify_run(path)
        path = path / WEIGHTS
    return read_tensors(path) if path.suffix in ENDINGS else {name: np.asarray(x) for name, x in read_arrays(path).items()}


def _layer(found: Mapping[str, naming.Arrays], layer: str | None) -> tuple[str, naming.Arrays]:
    chosen = list(found) if layer is None else [layer] if layer in found else [name for name in found if layer in name]
    if len(chosen) != 1:
        said = f"{len(found)} layers with eigenvalues" if layer is None else f"layer={layer!r}"
        raise ValueError(f"received {said}, expected the name of one, or a part of it that no other has: "
                         f"{', '.join(name or '(no name)' for name in found)}; say which by layer=, on the command line --layer")
    return chosen[0], found[chosen[0]]


def _row(rows: Complex[np.ndarray, "features modes"], feature: int | None) -> tuple[Complex[np.ndarray, " modes"], tuple[str, ...]]:
    if feature is None and (rows == rows[0]).all():
        return rows[0], (f"all {len(rows)} features have the same eigenvalues",) if len(rows) > 1 else ()
    if feature is None or not 0 <= feature < len(rows):
        raise ValueError(f"received {'no feature' if feature is None else f'feature={feature}'}, expected one from 0 to {len(rows) - 1}: "
                         "they have different eigenvalues; say which by feature=, on the command line --feature")
    return rows[feature], ()


def _weights(values: Complex[np.ndarray, " modes"]) -> Float[np.ndarray, " modes"]:
    """2 for what is not real, and so stands for a pair where one of each is stored; else 1."""
    return np.where(np.abs(np.imag(values)) > 1e-9 * np.abs(values).max(), 2.0, 1.0)


def _whole(values: Complex[np.ndarray, " modes"], vectors: Complex[np.ndarray, "n modes"]) -> tuple[Any, Any, Any]:
    """All n eigenvalues and eigenvectors, and the weights of those that were given."""
    n, m = vectors.shape
    weights = _weights(values) if m < n else np.ones(len(values))
    if m != len(values) or weights.sum() != n:
        raise ValueError(f"received {len(values)} eigenvalues and eigenvectors {vectors.shape}, expected for each eigenvalue one column of "
                         "length n, and all n of them, or each real one and one of each conjugate pair; transpose what has them in rows")
    return *completed(values, vectors, weights), weights


def _coordinates(table: naming.Arrays, values: Complex[np.ndarray, " n"], vectors: Complex[np.ndarray, "n n"],
                 weights: Float[np.ndarray, " modes"], reference: str) -> tuple[Complex[np.ndarray, " n"], tuple[str, ...]]:
    """B of the file, where it is a vector in the coordinates of V; or else HiPPO's own input vector in them."""
    own, found = hippo(reference, len(vectors)).B, naming.named(table, naming.COORDINATES, 1)
    given = None if found is None or naming.trained(table) else found.ravel()
    if given is not None and given.shape == own.shape and np.allclose(given, own, rtol=1e-6, atol=0):
        return _solved(vectors, own), (f"the file's B is the input vector b of {reference}, not V^-1 b, which is computed",)
    if given is not None and given.shape == weights.shape:
        return np.concatenate([given, given[weights == 2].conj()]), ()
    why = "the file has no B" if found is None else f"the file's B {found.shape} is no vector V^-1 b, or is trained together with C"
    b, note = _fitted(values, vectors, reference)
    return b, (f"{why}: {note}",)


def _fitted(values: Complex[np.ndarray, " n"], vectors: Complex[np.ndarray, "n n"],
            reference: str) -> tuple[Complex[np.ndarray, " n"], str]:
    """c V^-1 b of HiPPO's own b. C can undo a scale: for LegS it is the one that initializations take, exact at frequency zero."""
    system = hippo(reference, len(values))
    b = _solved(vectors, system.B)
    if reference != "legs" or np.abs(values).min() == 0:
        return b, f"B is V^-1 b with b of {reference}"
    still, wanted = vectors @ (b / -values), np.linalg.solve(system.matrix(), -system.B)
    c = float(np.clip(np.real(np.vdot(still, wanted)) / np.vdot(still, still).real, *SCALES))
    return c * b, f"B is {c:.3g} V^-1 b with b of {reference}, of the scales from {SCALES[0]} to {SCALES[1]} the nearest at frequency zero"


def _solved(vectors: Complex[np.ndarray, "n n"], b: Float[np.ndarray, " n"]) -> Complex[np.ndarray, " n"]:
    try:
        return np.linalg.solve(vectors, b.astype(complex))
    except np.linalg.LinAlgError:
        raise ValueError("received eigenvectors that are linearly dependent, expected an invertible V; give that, or B = V^-1 b") from None


def _with_normal_part(rows: Complex[np.ndarray, "features modes"], feature: int | None, eigenvectors: str | None,
                      reference: str) -> StoredBank:
    """The eigenvectors of HiPPO's normal part, where the caller says that they are the layer's."""
    if eigenvectors is None:
        raise ValueError("received eigenvalues without eigenvectors, expected both: which states of HiPPO the modes stand for is what an "
                         "audit asks; add V (n, n) as `eigenvectors`, or, for a layer that began as S4D's or S5's do, say "
                         "eigenvectors='normal', on the command line --eigenvectors normal, to take those of HiPPO's normal part")
    parts = rows if len(rows) > 1 else next((x for x in _blocks(rows) if all(_match(row, reference) for row in x)), rows)
    values, notes = _row(parts, feature)
    match = _match(values, reference)
    if match is None:
        raise ValueError(f"received eigenvalues that are not near those of the normal part of {reference}, expected each within "
                         f"{CLOSE:g} of the distance to the neighbour from one of its own, for eigenvectors='normal'; give this system's "
                         "eigenvectors")
    values, vectors, off = match
    said = (f"assumed: the eigenvectors are those of the normal part of {reference}, n = {len(values)}; the eigenvalues are within "
            f"{off:.2g} of a distance to the neighbour from that part's own")
    b, note = _fitted(values, vectors, reference)
    return StoredBank(values, vectors, b, (*notes, said, f"{note}; what the file may have of B is trained together with C"))


def _blocks(rows: Complex[np.ndarray, "1 modes"]) -> Iterator[Complex[np.ndarray, "blocks modes"]]:
    """One block, two, three ...: S5 keeps those of its state in one row."""
    modes = rows.shape[1]
    yield rows
    yield from (rows.reshape(k, -1) for k in range(2, modes) if modes % k == 0 and modes > k)


def _match(values: Complex[np.ndarray, " modes"], reference: str) -> tuple[Any, Any, float] | None:
    """All eigenvalues, the normal part's eigenvectors for them, and the largest distance; None where one is too far."""
    if (np.imag(values) >= 0).all() or (np.imag(values) <= 0).all():
        values = np.concatenate([values, values[_weights(values) == 2].conj()])
    part, apart = _normal_part(len(values), reference)
    distance = np.abs(values[:, None] - part.eigenvalues)
    nearest = distance.argmin(1)
    off = float((distance.min(1) / apart[nearest]).max())
    if off > CLOSE or len(set(nearest.tolist())) < len(values):
        return None
    return values, part.eigenvectors[:, nearest], off


@cache
def _normal_part(n: int, reference: str) -> tuple[Bank, Float[np.ndarray, " n"]]:
    """HiPPO's normal part, and the distance of each of its eigenvalues to its neighbour."""
    part = damped_hippo(n, 1.0, reference)
    apart = np.abs(part.eigenvalues[:, None] - part.eigenvalues) + np.where(np.eye(n) == 1, np.inf, 0.0)
    return part, np.minimum(apart.min(1), 1.0) if n == 1 else apart.min(1)
