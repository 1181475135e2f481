"""What proves the gain of one stage: intervals on the circle for inputs of any length, a circulant matrix for a fixed length.

Intervals: branch and bound; one on which |G| may exceed the largest value found is halved. Circulant matrix: the Toeplitz matrix of the
kernel is a corner of it, and the entries that the corner leaves free are chosen so that its largest singular value is small, by
projections in turn on the kernel's own entries and on the symbols below a level. docs/theorems/gain.md.
"""

from __future__ import annotations

import numpy as np

from wellposed.sequence.evidence import SLACK
from wellposed_check.sequence.network import Stage
from wellposed_check.sequence.norms import SAFE, at_least, enclosed
from wellposed_check.sequence.symbol import END, Modes, System, corner, endless, extension, reached, tapered

MOST_EDGES = 50_000
START = 257
CORNER = 256
"""Up to so many rows the matrix of a stage is factorized itself."""
ENOUGH = 1.02
LONG, DENSE = 2**24, 2**18
"""Up to so many free numbers, of scalar systems and of matrices, are chosen one by one; of more only the taper is."""
ROUNDS, LEVEL, RELAXED = 300, 0.93, 1.8
Proof = dict[str, np.ndarray]
Array = np.ndarray


def of_stage(stage: Stage, length: int | None, rtol: float) -> Proof:
    """The bracket of a stage and what it follows from; nothing for stages whose gain is a formula."""
    if stage.kind == "linear":
        return {"bracket": _bracket(*enclosed(stage.arrays["weight"]))}
    if stage.kind not in ("siso", "mimo"):
        return {}
    if stage.largest() >= 1:
        raise ValueError(f"gain: stage {stage.place} is unstable: received eigenvalues up to {stage.largest()!r} in modulus, expected "
                         "all below 1; no gain exists")
    system = stage.system()
    return endless_proof(system, rtol) if length is None else finite_proof(system, length, rtol)


def _bracket(low: float, high: float, like: Array | None = None) -> Array:
    """Widened, for matrices like these (..., p, q) by what a factorization of them may err by too."""
    more = 0.0 if like is None or like.ndim < 3 else 2.0**-48 * (max(like.shape[1:]) + 8) * min(like.shape[1:])
    return np.array([max(low, 0.0) * (1 - SLACK), high * (1 + SLACK + more)])


def sizes(g: Array) -> Array:
    """|G| of each feature, or the spectral norm: (nodes, features) or (nodes,)."""
    return np.abs(g) if g.ndim == 2 else np.linalg.norm(g, 2, (1, 2))


def endless_proof(system: System, rtol: float) -> Proof:
    """For inputs of any length."""
    edges = np.linspace(0.0, END, START)
    edges[-1] = END
    at, wrong = _at(system, edges)
    most = _most(system, edges[:-1], edges[1:], at[:-1], at[1:], wrong)
    while True:
        top = float(at.reshape(len(at), -1).max())
        middle = (edges[:-1] + edges[1:]) / 2
        chosen = np.flatnonzero((most > top * (1 + rtol) + wrong) & (middle > edges[:-1]) & (middle < edges[1:]))
        if not len(chosen) or len(edges) + len(chosen) > MOST_EDGES:
            break
        new, more = _at(system, middle[chosen])
        wrong = max(wrong, more)
        left = _most(system, edges[chosen], middle[chosen], at[chosen], new, wrong)
        right = _most(system, middle[chosen], edges[chosen + 1], new, at[chosen + 1], wrong)
        edges, at, most[chosen] = np.insert(edges, chosen + 1, middle[chosen]), np.insert(at, chosen + 1, new, axis=0), left
        most = np.insert(most, chosen + 1, right)
    peak = edges[[int(at.reshape(len(at), -1).max(1).argmax())]]
    g, off = system.symbol(endless(peak))
    return {"edges": edges, "peak": peak, "bracket": _bracket(reached(g, off), float(most.max()), g)}


def _at(system: System, angles: Array) -> tuple[Array, float]:
    """Sizes of the symbol at these angles, and the largest error of any."""
    found = [system.symbol(endless(angles[part])) for part in system.chunks(len(angles))]
    return np.concatenate([sizes(g) for g, _ in found]), max(float(wrong.max()) for _, wrong in found)


def _most(system: System, low: Array, high: Array, left: Array, right: Array, wrong: float) -> Array:
    """A bound on each interval."""
    out = []
    for part in system.chunks(len(low)):
        bent = system.bend(low[part], high[part])
        half = ((high - low)[part] / 2).reshape(-1, *(1,) * (bent.ndim - 1))
        out.append((np.maximum(left[part], right[part]) + half**2 / 2 * bent).reshape(len(bent), -1).max(1) * SAFE**4 + 2 * wrong)
    return np.concatenate(out)


def finite_proof(system: System, length: int, rtol: float) -> Proof:
    """For inputs of a fixed length: the matrix itself if it is small, else whichever of intervals and circulant matrix gives less."""
    b, outputs = system.directions[0].b, len(system.directions[0].c)
    if length * (1 if b is None else max(outputs, b.shape[1])) <= CORNER:
        return _corner(system, length)
    count = 1 << max(2, (4 * length - 1).bit_length())
    free = endless_proof(system, max(rtol, 1e-2))
    peak = _fejer_peak(system, length, count, float(free["peak"][0]))
    low = reached(*system.symbol(tapered(peak[:1].astype(int), count, 1, length)))
    best = {"edges": free["edges"], "bracket": free["bracket"]}
    if free["bracket"][1] > ENOUGH * low:
        small = outputs * count <= LONG if b is None else outputs * b.shape[1] * count <= DENSE
        circulant = _extended(system, length, count, low) if small else _tapers(system, length)
        best = circulant if circulant["bracket"][1] < free["bracket"][1] else best
    return best | {"peak": peak, "bracket": np.array([_bracket(low, low)[0], best["bracket"][1]])}


def _corner(system: System, length: int) -> Proof:
    t, wrong = corner(system, length)
    most = np.linalg.norm(t, 2, (1, 2))
    best = int(most.argmax())
    return {"corner": np.array([float(best)]), "bracket": _bracket(at_least(t[best]) - 2 * wrong, float(most[best]) + 2 * wrong, t)}


def kernels(system: System, length: int) -> Array:
    """The kernel at the steps -(length - 1), ..., length - 1: (features, 2 length - 1) or (outputs, inputs, 2 length - 1)."""
    ways = [_one_way(m, length) for m in system.directions]
    k = np.zeros((*ways[0].shape[:-1], 2 * length - 1))
    k[..., length - 1 :] = ways[0]
    if len(ways) == 2:
        k[..., :length] += ways[1][..., ::-1]
    where = np.arange(len(system.d))
    k[(where, length - 1) if k.ndim == 2 else (where, where, length - 1)] += system.d
    return k


def _one_way(modes: Modes, length: int) -> Array:
    m = modes.values.shape[-1] // 2  # the conjugates only double the real part
    values, steps = modes.values[..., :m], np.arange(length)
    if modes.b is None:
        return np.stack([np.real(r[:m] @ v[:, None] ** steps) for r, v in zip(modes.c, values, strict=True)])
    return np.real(np.einsum("om,mi,ml->oil", modes.c[:, :m], modes.b[:m], values[:, None] ** steps, optimize=True))


def _wrapped(kernel: Array, length: int, count: int) -> Array:
    """The first column of the circulant matrix, zero where it is free."""
    c = np.zeros((*kernel.shape[:-1], count))
    c[..., :length] = kernel[..., length - 1 :]
    if length > 1:
        c[..., 1 - length :] = kernel[..., : length - 1]
    return c


def _symbols(c: Array) -> Array:
    """At the angles 2 pi j / count: (nodes, features) or (nodes, outputs, inputs)."""
    return np.moveaxis(np.fft.rfft(c), -1, 0)


def _fejer_peak(system: System, length: int, count: int, near: float) -> Array:
    """Where the mean of the symbol over windows of this length is large: the angle 2 pi peak[0] / peak[1]."""
    around = round(near * count / (2 * np.pi)) + np.arange(-64, 65)
    nodes = np.unique(np.clip(np.concatenate([around, np.arange(0, count // 2 + 1, max(1, count // 4096))]), 0, count // 2))
    parts = [system.symbol(tapered(nodes[part], count, 1, length))[0] for part in system.chunks(len(nodes))]
    s = np.concatenate([sizes(g).reshape(len(g), -1).max(1) for g in parts])
    return np.array([float(nodes[s.argmax()]), float(count)])


def _tapers(system: System, length: int) -> Proof:
    """The best of a few tapers on the least circulant matrix that holds them."""
    best, least, like = None, np.inf, system.symbol(tapered(np.zeros(1, int), 1, 1, 1))[0]
    for ramp in dict.fromkeys((1, length // 2 + 1, length)):
        count = 2 * length + ramp - 2
        for shift in (0, 1) if count > 1 else (0,):
            nodes, high = np.arange(shift, count + 1, 2), 0.0
            for part in system.chunks(len(nodes)):
                g, wrong = system.symbol(tapered(nodes[part], 2 * count, length, ramp))
                if g.ndim == 3:
                    worth = np.square(np.abs(g)).sum((1, 2)) > high**2
                    g, wrong = g[worth], wrong[worth]
                high = max(high, float((sizes(g) + wrong).max(initial=0.0)))
                if high >= least:
                    break
            if high < least:
                best, least = np.array([ramp, count, shift], float), high
    assert best is not None
    return {"circulant": best, "bracket": _bracket(0.0, least, like)}


def _extended(system: System, length: int, count: int, low: float) -> Proof:
    """The free entries chosen, for the features whose symbol exceeds what is reached anyway."""
    rows = _projected(system, length, count, low)
    used = np.flatnonzero(np.abs(rows).max(1) > 0)
    added, off = extension(rows[used], length, count)
    nodes, high, s = np.arange(0, count + 1, 2), 0.0, added
    for part in system.chunks(len(nodes)):
        s, wrong = system.symbol(tapered(nodes[part], 2 * count, length, 1))
        s.reshape(len(s), -1)[:, used] += added[:, part].T
        high = max(high, float((sizes(s) + wrong).max()) * SAFE**2 + off * (len(used) if s.ndim == 3 else 1))
    proof = {"circulant": np.array([1.0, count, 0.0]), "bracket": _bracket(0.0, high, s)}
    return proof | ({"extended": used.astype(float), "extension": rows[used]} if len(used) else {})


def _projected(system: System, length: int, count: int, low: float) -> Array:
    """The free entries (features or outputs * inputs, free); zero where the symbol does not exceed `low`."""
    given = _wrapped(kernels(system, length), length, count)
    free = slice(length, count - length + 1)
    best, kept = _tops(_symbols(given)), np.zeros_like(given[..., free])
    x = given.copy()
    for _ in range(ROUNDS):
        live = np.flatnonzero(best > max(low, 0.9 * float(best.max())))
        if not len(live) or best.max() <= low * 1.01:
            break
        now = x[live] if given.ndim == 2 else x
        y = np.fft.irfft(np.moveaxis(_clipped(_symbols(now)), 0, -1), count)
        now[..., free] += RELAXED * (y[..., free] - now[..., free])
        found = _tops(_symbols(now))
        if given.ndim == 2:
            x[live], better = now, found < best[live]
            kept[live[better]], best[live[better]] = now[better][..., free], found[better]
        elif found < best:
            kept, best = now[..., free].copy(), found
    return kept.reshape(-1, kept.shape[-1])


def _tops(s: Array) -> Array:
    """The largest size of each feature, or of the matrices: (features,) or (1,)."""
    return sizes(s).reshape(len(s), -1).max(0)


def _clipped(s: Array) -> Array:
    """With nothing above a share of the largest."""
    if s.ndim == 2:
        size = np.abs(s)
        return s * np.minimum(1.0, LEVEL * size.max(0) / np.maximum(size, 1e-300))
    u, size, v = np.linalg.svd(s, full_matrices=False)
    return (u * np.minimum(size, LEVEL * size.max())[:, None, :]) @ v
