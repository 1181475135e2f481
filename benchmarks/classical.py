"""Classical peers: the same Q1 system assembled by scipy, solved by pyamg's Ruge-Stuben multigrid with CG."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from wellposed.elliptic import Darcy

ELEMENT = np.array([[4, -1, -2, -1], [-1, 4, -1, -2], [-2, -1, 4, -1], [-1, -2, -1, 4]]) / 6


def assemble(a: np.ndarray, f: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """Matrix, load and indices of the interior nodes, u = 0 on the whole boundary."""
    n = len(a)
    number = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    corners = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], -1).reshape(-1, 4)
    values = a.reshape(-1, 1, 1) * ELEMENT
    matrix = sparse.coo_matrix((values.ravel(), (corners.repeat(4, 1).ravel(), np.tile(corners, (1, 4)).ravel()))).tocsr()
    load = np.bincount(corners.ravel(), np.repeat(f.ravel() / (4 * n * n), 4))
    inside = number[1:-1, 1:-1].ravel()
    return matrix[inside][:, inside], load[inside], inside


def pyamg_solve(problem: Darcy, tol: float = 1e-10) -> np.ndarray:
    """Every sample by pyamg, set-up included; Dirichlet zero on all sides."""
    import pyamg

    out = np.zeros((len(problem), problem.n + 1, problem.n + 1))
    for k in range(len(problem)):
        matrix, load, inside = assemble(problem.coefficient[k].numpy(), problem.source[k].numpy())
        solver = pyamg.ruge_stuben_solver(matrix)
        out[k].reshape(-1)[inside] = solver.solve(load, tol=tol, accel="cg")
    return out
