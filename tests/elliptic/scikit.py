"""A second referee: the same mesh, matrices and integrals assembled by scikit-fem."""

from __future__ import annotations

import numpy as np
from referees import Data
from skfem import Basis, BilinearForm, ElementQuad1, FacetBasis, Functional, LinearForm, MeshQuad, condense, solve
from skfem.helpers import dot, grad

SIDES = {"bottom": lambda x: x[1] == 0, "right": lambda x: x[0] == 1, "top": lambda x: x[1] == 1, "left": lambda x: x[0] == 0}


class Scikit:
    """One sample of a problem on its own mesh."""

    def __init__(self, data: Data) -> None:
        self.d, line = data, np.linspace(0, 1, data.n + 1)
        self.mesh = MeshQuad.init_tensor(line, line).with_boundaries(SIDES)
        self.basis = Basis(self.mesh, ElementQuad1(), intorder=4)
        column, row = np.rint(self.mesh.p * data.n).astype(int)
        self.nodes = row, column
        self.points = np.asarray(self.basis.global_coordinates())
        cell = np.floor(self.points * data.n).astype(int)
        self.cell = cell[1], cell[0]

    def dofs(self, v: np.ndarray) -> np.ndarray:
        return v[self.nodes]

    def field(self, x: np.ndarray) -> np.ndarray:
        """(n + 1, n + 1) from degrees of freedom."""
        out = np.empty((self.d.n + 1, self.d.n + 1))
        out[self.nodes] = x
        return out

    def load_vector(self) -> np.ndarray:
        f = self.d.f[self.cell]
        b = LinearForm(lambda v, w: w["f"] * v).assemble(self.basis, f=f)
        for k, side in enumerate(SIDES):
            if self.d.sides[k] == "neumann":
                facets = FacetBasis(self.mesh, ElementQuad1(), facets=side, intorder=4)
                along = np.asarray(facets.global_coordinates())[0 if side in ("bottom", "top") else 1]
                g = self.d.g[k][np.floor(along * self.d.n).astype(int)]
                b = b + LinearForm(lambda v, w: w["g"] * v).assemble(facets, g=g)
        return b

    def solve(self) -> np.ndarray:
        """The finite-element solution; the value at the origin is zero where there is no Dirichlet side."""
        k = BilinearForm(lambda u, v, w: w["a"] * dot(grad(u), grad(v))).assemble(self.basis, a=self.d.a[self.cell])
        fixed = [s for s, kind in zip(SIDES, self.d.sides, strict=True) if kind == "dirichlet"]
        where = self.basis.get_dofs(fixed).all() if fixed else np.flatnonzero((self.nodes[0] == 0) & (self.nodes[1] == 0))
        start = self.dofs(self.d.values) if fixed else np.zeros(self.basis.N)
        return self.field(solve(*condense(k, self.load_vector(), x=start, D=where)))

    def energy(self, v: np.ndarray) -> float:
        form = Functional(lambda w: w["a"] * dot(grad(w["u"]), grad(w["u"])))
        return float(form.assemble(self.basis, a=self.d.a[self.cell], u=self.basis.interpolate(self.dofs(v))))

    def load(self, v: np.ndarray) -> float:
        return float(self.load_vector() @ self.dofs(v))

    def _flux(self, stream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = np.asarray(grad(self.basis.interpolate(self.dofs(stream))))
        left = self.cell[1] / self.d.n
        before = (np.cumsum(self.d.f, 1) - self.d.f)[self.cell] / self.d.n
        return -(before + self.d.f[self.cell] * (self.points[0] - left)) + y, -x

    def flux_energy(self, stream: np.ndarray) -> float:
        """|t|_*^2."""
        p, q = self._flux(stream)
        return float(Functional(lambda w: (w["p"] ** 2 + w["q"] ** 2) / w["a"]).assemble(self.basis, a=self.d.a[self.cell], p=p, q=q))

    def eta2_cells(self, v: np.ndarray, stream: np.ndarray) -> np.ndarray:
        p, q = self._flux(stream)
        form = Functional(lambda w: ((w["a"] * grad(w["u"])[0] - w["p"]) ** 2 + (w["a"] * grad(w["u"])[1] - w["q"]) ** 2) / w["a"])
        parts = form.elemental(self.basis, a=self.d.a[self.cell], p=p, q=q, u=self.basis.interpolate(self.dofs(v)))
        out = np.empty((self.d.n, self.d.n))
        out[self.cell[0][:, 0], self.cell[1][:, 0]] = parts
        return out
