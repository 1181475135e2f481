"""The symbol of a diagonal recurrence on the unit circle, and what bounds the gain that it has.

x_k = lam x_{k-1} + b u_k, y_k = Re(c x_k) + d u_k, one way or both: G(t) = d + F(t) + conj B(t), with F and B of the form
sum_j (r_j w(lam_j, t) + conj r_j w(conj lam_j, t)) / 2. The proofs are in docs/theorems/gain.md, the margins in SPEC.md, section 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from wellposed_check.sequence.norms import SAFE, TINY, UNIT, at_least, at_most, euclid

Array = np.ndarray
Weights = Callable[[Array], tuple[Array, Array]]  # eigenvalues (...) -> weights and what each may be wrong by, (nodes, ...)
END = float(np.nextafter(np.pi, 4.0))  # the first number that is not below pi
CHUNK = 2**18


@dataclass(frozen=True)
class Modes:
    """One direction. Each eigenvalue is followed by its conjugate, 2 m in all.

    Attributes:
        values: (features, 2 m) of scalar systems, (2 m,) of one with matrices. c: residues (features, 2 m), or (outputs, 2 m).
        b: None, or (2 m, inputs).
    """

    values: Array
    c: Array
    b: Array | None

    @staticmethod
    def of(values: Array, c: Array, b: Array | None) -> Modes:
        both = [np.concatenate([x, x.conj()], -1) for x in (values, c)]
        return Modes(both[0], both[1], None if b is None else np.concatenate([b, b.conj()]))

    def sizes(self) -> tuple[Array, Array]:
        """Of each mode the norms of c and of b, the half with c."""
        if self.b is None:
            return np.abs(self.c) / 2.0, np.ones(1)
        return euclid(self.c, 0) / 2.0, euclid(self.b, 1)


@dataclass(frozen=True)
class System:
    """One or two directions, and the feedthrough d (features,): of matrices, on their diagonal."""

    directions: tuple[Modes, ...]
    d: Array

    def symbol(self, weigh: Weights) -> tuple[Array, Array]:
        """G at the nodes, (nodes, features) or (nodes, outputs, inputs), and what it may be wrong by: each feature, or the norm."""
        first, total, size = self.directions[0], self.d, np.abs(self.d)
        if first.b is not None:
            total, size = np.zeros((len(first.c), first.b.shape[1])), euclid(self.d)
            total[np.arange(len(self.d)), np.arange(len(self.d))] = self.d
        wrong = 16.0 * UNIT * size
        for k, m in enumerate(self.directions):
            w, off = weigh(m.values)
            if m.b is None:
                g = (w * (m.c / 2.0)).sum(-1)
            else:
                g = ((m.c / 2.0 * w[:, None, :]).reshape(-1, w.shape[-1]) @ m.b).reshape(len(w), *total.shape[-2:])
            total = total + (g if k == 0 else g.conj())
            c, b = m.sizes()
            wrong = wrong + (c * b * (off + 16.0 * (w.shape[-1] + 8.0) * UNIT * np.abs(w))).sum(-1)
        return total, wrong * SAFE + TINY

    def bend(self, low: Array, high: Array) -> Array:
        """A bound of |G''| for angles between low and high, both (k,): (k, features) or (k,)."""
        total = np.zeros(())
        for m in self.directions:
            ends = (x.reshape(-1, *(1,) * m.values.ndim) for x in (low, high))
            c, b = m.sizes()
            total = total + (curvature(m.values, *ends) * c * b).sum(-1)
        return total * SAFE

    def chunks(self, count: int) -> Iterator[slice]:
        """Slices of so many nodes as one array can hold."""
        m = self.directions[0]
        step = max(1, CHUNK // (m.values.size if m.b is None else max(len(m.c), len(m.b)) * max(m.b.shape)))
        return (slice(k, min(k + step, count)) for k in range(0, count, step))


def curvature(values: Array, low: Array, high: Array) -> Array:
    """A bound of |w''|, w = 1 / (1 - q), q = lam exp(-i t): w'' = -q (1 + q) / (1 - q)^3; infinite where rounding hides |lam| < 1."""
    size, pi = np.abs(values), np.pi
    turn = np.abs((((low + high) / 2.0 - np.angle(values) + pi) % (2.0 * pi)) - pi)
    apart = np.clip(turn - (high - low) / 2.0 * SAFE - 2.0**-46, 0.0, pi)
    gap = np.maximum(1.0 - size - 8.0 * UNIT, 0.0)
    distance = np.sqrt(gap * gap + 4.0 * size * np.square(np.sin(apart / 2.0)))
    return np.divide(size * (1.0 + size), distance**3, out=np.full(np.broadcast(size, distance).shape, np.inf), where=distance > 0.0) * SAFE


def endless(angles: Array) -> Weights:
    """w = sum of q^l over all l = 1 / (1 - q), at these angles."""
    def weigh(values: Array) -> tuple[Array, Array]:
        v = 1.0 / (1.0 - values * np.exp(-1j * angles).reshape(-1, *(1,) * values.ndim))
        return v, UNIT * (256.0 + 512.0 * np.abs(v)) * np.abs(v)
    return weigh


def tapered(nodes: Array, count: int, start: int, ramp: int) -> Weights:
    """w = sum of q^l, whole for l < start and falling to nothing over `ramp` steps, at the angles 2 pi nodes / count.

    It is the mean of the sums over l < n for n = start, ..., start + ramp - 1: (1 - q^start (1 - q^ramp) / (ramp (1 - q))) / (1 - q).
    """
    def weigh(values: Array) -> tuple[Array, Array]:
        def q(n: int) -> Array:
            turn = np.exp(-2j * np.pi * ((nodes * n) % count) / count)
            return power(values, n) * turn.reshape(-1, *(1,) * values.ndim)
        v = 1.0 / (1.0 - q(1))
        w = (1.0 - q(start) * ((1.0 - q(ramp)) * v / ramp if ramp > 1 else 1.0)) * v
        return w, UNIT * (4.0 * start + 256.0 + 512.0 * np.abs(v)) * np.abs(v)
    return weigh


def power(x: Array, n: int) -> Array:
    """x^n for n >= 1 by repeated squares: at most 3 n u wrong, relative."""
    out = None
    while n:
        out = (x if out is None else out * x) if n % 2 else out
        n //= 2
        x = x * x if n else x
    assert out is not None
    return out


def below(g: Array, wrong: Array, level: Array) -> bool:
    """Whether every feature, or the spectral norm, at every node is proved to be at most `level`, (nodes, features) or (nodes,)."""
    if g.ndim == 2:
        return bool(((np.abs(g) + wrong) * SAFE <= level).all())
    return at_most(g, level - wrong * SAFE)


def reached(g: Array, wrong: Array) -> float:
    """What is proved to be reached at the first node."""
    return float((np.abs(g[0]) * (2.0 - SAFE) - wrong[0]).max()) if g.ndim == 2 else at_least(g[0]) * (2.0 - SAFE) - float(wrong[0])


def on_intervals(system: System, edges: Array, upper: float) -> bool:
    """Whether sup |G| <= upper follows: on an interval |G| is at most the larger of its ends and half-width^2 / 2 sup |G''|."""
    for part in system.chunks(len(edges) - 1):
        e = edges[part.start : part.stop + 1]
        half = np.maximum(np.diff(e), 0.0) / 2.0 * SAFE
        bent = system.bend(e[:-1], e[1:])
        bent = half.reshape(-1, *(1,) * (bent.ndim - 1)) ** 2 / 2.0 * bent * SAFE
        rise = np.maximum(np.concatenate([bent[:1], bent]), np.concatenate([bent, bent[-1:]]))
        if not below(*system.symbol(endless(e)), (upper - rise) * (2.0 - SAFE)):
            return False
    return True


def on_circulant(system: System, steps: int, ramp: int, nodes: Array, count: int, more: tuple[Array, Array, float] | None,
                 upper: float) -> bool:
    """Whether the gain over `steps` steps is at most `upper`: the largest |S| at the nodes of a circulant matrix that has it as a corner.

    more: which entries of S get more, what (entries, nodes), and what each of it may be wrong by.
    """
    for part in system.chunks(len(nodes)):
        s, wrong = system.symbol(tapered(nodes[part], count, steps, ramp))
        if more is not None:
            entries, added, off = more
            s.reshape(len(s), -1)[:, entries] += added[:, part].T
            wrong = wrong + off * (len(entries) if s.ndim == 3 else 1.0)
        if not below(s, wrong, np.full(wrong.shape, upper)):
            return False
    return True


def corner(system: System, steps: int) -> tuple[Array, float]:
    """The kernel's Toeplitz matrices over so many steps, (features, steps, steps) or (1, outputs steps, inputs steps), and their error.

    The kernel is the transform of the symbol at the nodes of a circulant matrix; an error of the symbol enlarges no norm.
    """
    count = 1 << (2 * steps - 1).bit_length()
    s, wrong = system.symbol(tapered(np.arange(count), count, steps, 1))
    kernel = np.fft.ifft(s, axis=0).real
    t = kernel[(np.arange(steps)[:, None] - np.arange(steps)) % count]
    t = np.moveaxis(t, 2, 0) if s.ndim == 2 else t.transpose(0, 2, 1, 3).reshape(1, steps * s.shape[1], steps * s.shape[2])
    return t, float(wrong.max()) * SAFE + 64.0 * UNIT * np.log2(count) * float(euclid(s, tuple(range(s.ndim)))) + TINY


def extension(kept: Array, steps: int, count: int) -> tuple[Array, float]:
    """The symbols of sequences (entries, count - 2 steps + 1) that begin at `steps`, at the angles 2 pi j / count, and their error."""
    padded = np.zeros((len(kept), count))
    padded[:, steps : steps + kept.shape[1]] = kept
    off = 64.0 * UNIT * np.log2(count) * np.sqrt(count) * float(euclid(kept, 1).max(initial=0.0))
    return np.fft.rfft(padded), off * SAFE + TINY
