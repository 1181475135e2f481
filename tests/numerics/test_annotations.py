"""Every annotation of the package, shapes included, holds when beartype checks it at every call."""

from __future__ import annotations

import subprocess
import sys

import pytest

RUN = """
from jaxtyping import install_import_hook
install_import_hook("wellposed", "beartype.beartype")
import numpy as np
import torch
import wellposed
from wellposed.elliptic import Darcy, bound, goal
torch.set_num_threads(1)
f = np.where(np.arange(16) < 8, 1.0, -1.0) * np.ones((2, 16, 16))
walls = {"bottom": "neumann", "right": "dirichlet", "top": "neumann", "left": "dirichlet"}
for boundary in ("dirichlet", "neumann", "periodic", walls):
    problem = Darcy(np.exp(f), f, boundary)
    u = problem.solve()
    b = bound(problem, u)
    wellposed.certify(problem, u, tol=0.5, goal=f).check()
    wellposed.refine(problem, u, 0.05, mesh="auto")
    goal(problem, f, u, b.stream)
    wellposed.guard(lambda p: u, 0.3)(problem)
"""


@pytest.mark.xfail(strict=True, reason="q1.Nodes is 'samples n+1 n+1', which jaxtyping cannot check where n is not bound by an earlier argument; "
                   "average, prolong, restrict return another n than they take; flux: '4n' is no expression, 'n+1' is bound by nothing")
def test_annotations_of_the_whole_package():
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
