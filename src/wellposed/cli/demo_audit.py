"""The second act of ``wellposed demo``: two diagonal systems that stand for HiPPO, audited; numpy alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from wellposed.cli.main import program
from wellposed.cli.subject import keep_whole
from wellposed_check import check

N = 64
THETAS = {"s4d": ("S4D", 1.0), "damped": ("damped PTD", 0.1)}


def audit(console: Console, folder: Path) -> None:
    """Audit both, have the checker read what was written, say what it means."""
    from wellposed.certificate import certify
    from wellposed.sequence import damped_hippo

    console.print(f"\n[bold]7[/] an audit in a second (numpy only): two diagonal systems with {N} states that stand for HiPPO in "
                  "sequence models,\n  as its own eigenvectors are beyond floating point. How far is each from it, at the worst frequency?",
                  soft_wrap=True)
    table = Table("system", "at least", "at most", "HiPPO's own peak gain", "the independent checker", box=None)
    claims, commands = {}, []
    for name, (title, theta) in THETAS.items():
        certificate = certify(damped_hippo(N, theta))
        commands.append(keep_whole(folder / name, certificate))
        report = check(folder / name, folder / name / "problem.npz", folder / name / "answer.npz")
        claims[name] = certificate.claim("initial_transfer_gap")
        numbers = (f"{x:.5g}" for x in (claims[name].lower, claims[name].upper, claims[name].required))
        table.add_row(title, *numbers, f"exit {report.exit_code}, {report.headline.split(' ')[0]}")
    console.print(table)
    console.print(_meaning(**claims), soft_wrap=True)
    console.print("  re-verify them yourself, or audit a system of your own:")
    for command in (*commands, f"{program()} certify bank --file FILE"):
        console.print(f"  {command}", soft_wrap=True, markup=False)


def _meaning(s4d: Any, damped: Any) -> str:
    return (f"  S4D is {s4d.lower / s4d.required:.0f} times as far from HiPPO as a system that answers zero to everything; damped "
            f"perturb-then-diagonalize,\n  as diagonal and as fast, is within {damped.upper / damped.required:.1%} of HiPPO's peak, "
            "proved for every frequency")
