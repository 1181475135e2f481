"""The physics of inverse problems: linear maps with exact adjoints, solves and enclosed norms."""

from __future__ import annotations

from wellposed.proximal.physics.adapters import as_physics
from wellposed.proximal.physics.adjoint import adjoint_test, require_adjoint
from wellposed.proximal.physics.blur import Blur, gaussian
from wellposed.proximal.physics.foreign import Foreign
from wellposed.proximal.physics.fourier_mask import FourierMask
from wellposed.proximal.physics.mask import Mask
from wellposed.proximal.physics.matrix import SparseMatrix
from wellposed.proximal.physics.protocol import Physics
from wellposed.proximal.physics.radon import Radon
from wellposed.proximal.physics.random_convolution import RandomConvolution

__all__ = ["Blur", "Foreign", "FourierMask", "Mask", "Physics", "Radon", "RandomConvolution", "SparseMatrix", "adjoint_test", "as_physics",
           "gaussian", "require_adjoint"]
