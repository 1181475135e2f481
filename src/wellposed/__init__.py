"""wellposed: learned operators with a certificate you can check.

    import wellposed
    from wellposed.elliptic import Darcy

    problem = Darcy(coefficient, source)
    print(wellposed.certify(problem, answer))

Verbs: `train`, `certify`, `refine`, `guard`, `check`; `save` and `load` keep certificates.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wellposed.certificate import Certificate as Certificate
    from wellposed.certificate import certify as certify
    from wellposed.certificate import check as check
    from wellposed.certificate import load as load
    from wellposed.certificate import refine as refine
    from wellposed.certificate import save as save
    from wellposed.guarded import guard as guard
    from wellposed.training.run import Run as Run
    from wellposed.training.trained import train as train

__version__ = "0.1.0"
_WHERE: dict[str, str] = dict.fromkeys(("Certificate", "certify", "check", "load", "refine", "save"), "wellposed.certificate")
_WHERE |= {"guard": "wellposed.guarded", "Run": "wellposed.training.run", "train": "wellposed.training.trained"}
__all__ = ["Certificate", "Run", "certify", "check", "guard", "load", "refine", "save", "train"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name in ("elliptic", "flow", "proximal", "sequence", "training"):
        return import_module(f"wellposed.{name}")
    raise AttributeError(f"module 'wellposed' has no attribute {name!r}; it has {', '.join(__all__)} and the rooms elliptic, flow, "
                         "proximal, sequence")


def __dir__() -> list[str]:
    return [*__all__, "elliptic", "flow", "proximal", "sequence", "__version__"]
