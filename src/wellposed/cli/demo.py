"""``wellposed demo``: seven steps: a real field, a peer's network, one trained here, and an audit, in under a minute."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from wellposed.cli.console import console as make_console
from wellposed.cli.demo_audit import audit
from wellposed.cli.main import program
from wellposed_check import check
from wellposed_check.canonical import dumps, encode

SHIPPED = Path(__file__).parents[1] / "elliptic" / "data" / "certificate"
SHADES = " ░▒▓█"
TOL = 0.05
NOTE = "The answers of the network were computed beforehand: the time that it took for them is not counted."


def main(arguments: list[str]) -> int:
    def options(out: Annotated[Path, tyro.conf.arg(help="the run folder")] = Path("runs/demo"),
                threads: Annotated[int, tyro.conf.arg(help="that torch may use")] = 1) -> tuple[Path, int]:
        """Check a certificate, certify and refine a network's answer, guard a batch, train a small operator, write a report; audit S4D."""
        return out, threads

    out, threads = tyro.cli(options, args=arguments, prog="wellposed demo")
    began, console = time.perf_counter(), make_console()
    console.print("[bold]wellposed demo[/]: seven steps, about 30 seconds, of which loading torch takes a few and training ten\n")
    check_shipped(console)
    import torch

    torch.set_num_threads(threads)
    run(console, out)
    audit(console, out.with_name(f"{out.name}-audit"))
    console.print(f"\ndone in {time.perf_counter() - began:.0f} s")
    return 0


def check_shipped(console: Console) -> None:
    """Step 1: the checker, numpy only, on a certificate that ships; on a forgery; on another field."""
    console.print("[bold]1[/] a certificate that ships with the package, read by the independent checker (numpy only)", soft_wrap=True)
    with tempfile.TemporaryDirectory() as temporary:
        forged = Path(shutil.copytree(SHIPPED, Path(temporary) / "forged"))
        document = json.loads((forged / "certificate.json").read_text("utf-8"))
        claim = next(c for c in document["claims"] if c["id"] == "elliptic.energy_error/1")
        claim["upper"] = encode(claim["upper"]["decimal"] / 2)
        (forged / "certificate.json").write_text(dumps(document), "utf-8")
        other = Path(temporary) / "other.npy"
        np.save(other, np.ones((1, 64, 64)))
        for name, report in (("as it ships", check(SHIPPED)), ("its bound forged to half", check(forged)),
                             ("another field presented", check(SHIPPED, problem=other))):
            console.print(f"  {name:<26}exit {report.exit_code}  {report.headline}", soft_wrap=True)


def run(console: Console, out: Path) -> None:
    """Steps 2 to 6."""
    from wellposed.certificate import certify
    from wellposed.elliptic import clamp, load_relief

    relief = load_relief()
    problem = relief.problem[0]
    answer = clamp(problem, relief.prediction[:1])
    edge = float(np.abs(relief.prediction[0] - answer[0]).max() / np.abs(answer).max())
    console.print(f"\n[bold]2[/] a real field, ETOPO relief at {relief.place(0)} as log-permeability (64 x 64 cells), and what a "
                  f"Fourier neural operator answered\n  its boundary values were off by up to {edge:.1%} of its maximum: "
                  "clamped. Certified with no label:", soft_wrap=True)
    certificate = certify(problem, answer, TOL, lower="finer")
    _describe(console, certificate)
    refinements, finer = _refine(console, problem, answer)
    rows = _guard(console, relief)
    _learn(console, out.with_name(f"{out.name}-operator"))
    _report(console, out, relief.place(0), problem, answer, certificate, refinements, finer, rows)


def _describe(console: Console, certificate: Any) -> None:
    error, compliance = certificate.claim("energy_error"), certificate.claim("compliance")
    cells = certificate.bound.cells[0]
    sorted_parts = np.sort(np.square(cells).ravel())[::-1].cumsum()
    half = int(np.searchsorted(sorted_parts, sorted_parts[-1] / 2)) + 1
    console.print(f"  it is wrong in energy by at least {error.lower:.2%} and at most {error.upper:.2%}\n"
                  f"  the compliance of the true solution lies between {compliance.lower:.6g} and {compliance.upper:.6g}\n"
                  f"  half of the squared bound sits in {half} of {cells.size} cells:")
    blocks = np.square(cells).reshape(16, 4, 32, 2).sum((1, 3))[::-1]
    level = np.minimum((blocks / np.quantile(blocks, 0.97) * len(SHADES)).astype(int), len(SHADES) - 1)
    for row in level:
        console.print("    " + "".join(SHADES[k] for k in row))
    console.print(f"  required at most {TOL:.0%}: {certificate.headline}")


def _refine(console: Console, problem: Any, answer: Any) -> tuple[dict[str, Any], Any]:
    from wellposed.certificate import refine

    console.print("\n[bold]3[/] refined to the floor of its mesh, from the network's answer and from zero")
    refinements = {"network": refine(problem, answer), "zero start": refine(problem)}
    for name, r in refinements.items():
        steps = ", ".join(f"{x:.2%}" if np.isfinite(x := float(h.relative[0])) else "no bound yet" for h in r.history[:6])
        console.print(f"  {name:<12}{steps}")
    smaller = 0.5 * float(refinements["network"].floor[0])
    stuck = refine(problem, answer, smaller)
    console.print(f"  asked for {smaller:.2%}: {stuck.message}", soft_wrap=True)
    finer = refine(problem, answer, smaller, mesh="auto")
    console.print(f"  there: {finer.message}", soft_wrap=True)
    return refinements, finer


def _guard(console: Console, relief: Any) -> list[Any]:
    from wellposed.guarded import guard
    from wellposed.report.earned import GuardRow, judgement

    console.print(f"\n[bold]4[/] guarding {len(relief.problem)} predictions at {TOL:.0%} in energy, beside the two starts that need no "
                  "network (inference time of the network not counted)", soft_wrap=True)
    starts = {"network": lambda problem: relief.prediction, "zero start": None, "classical solver": lambda problem: problem.solve()}
    table = Table("start", "released", "refined", "solved", "refused", "answers / s", "cycles", box=None)
    rows = []
    for name, model in starts.items():
        guard(model, TOL)(relief.problem)
        watch = guard(model, TOL)
        guarded = watch(relief.problem)
        row = GuardRow(name, **guarded.counts, rate=watch.rate, cycles=float(guarded.cycles.mean()))
        table.add_row(name, *(str(guarded.counts[k]) for k in guarded.counts), f"{row.rate:.0f}", f"{row.cycles:.1f}")
        rows.append(row)
    console.print(table)
    console.print(f"  {judgement(rows)}", soft_wrap=True)
    return rows


def _learn(console: Console, folder: Path) -> None:
    """Step 5: a small network of our own, trained on its bound, answers fields that it has never seen."""
    import torch

    from wellposed.elliptic import MgNO, generate
    from wellposed.elliptic.exam import examine
    from wellposed.training import train

    n, steps = 32, 200
    console.print("\n[bold]5[/] an operator of our own, trained on its guaranteed bound without a label: MgNO, 200 fields of "
                  f"{n} x {n} cells, {steps} steps", soft_wrap=True)
    torch.manual_seed(0)
    model, unseen = MgNO.darcy(channels=16, levels=4), generate("two-phase", n, 50, seed=1)
    run = train(model, generate("two-phase", n, 200, seed=0), steps=steps, folder=folder, resume=False, quiet=True)
    network = examine(model, unseen, "network").relative
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    start = examine(model, unseen, "start").relative  # what the network is given: the answer for a constant coefficient
    console.print(f"  {run.message}\n  on {len(unseen)} unseen fields its answers are wrong in energy by at most "
                  f"{np.median(network):.0%} in the median and {network.max():.0%} at worst,\n  proved, with no solve "
                  f"(what it starts from: {np.median(start):.0%} and {start.max():.0%}). On 64 x 64 cells, with more fields and steps: "
                  f"{program()} run darcy\n  its run folder is {folder}", soft_wrap=True)


def _report(console: Console, out: Path, place: str, problem: Any, answer: Any, certificate: Any, refinements: dict[str, Any],
            finer: Any, rows: list[Any]) -> None:
    from wellposed.report.darcy import DarcyCase, darcy_report
    from wellposed.training.folder import write_run

    call, field, prediction = program(), str(out / "problem.npz"), str(out / "answer.npz")
    files = shlex.join(["--coefficient", field, "--source", field, "--answer", prediction, "--tol", str(TOL)])
    commands = [
        (f"{call} check {shlex.join([str(out), '--problem', field, '--answer', prediction])}", "re-verify it yourself"),
        (f"{call} certify darcy {files}", "the same on files: put your own in their place"),
        (f"{call} refine darcy {files} --mesh auto", "make the answer meet the tolerance"),
        (f"{call} list", "what else there is")]
    case = DarcyCase(f"ETOPO relief, {place}", problem, answer, certificate, refinements, finer, rows, commands, NOTE)
    history = [{"start": name, "n": h.n, "cycle": h.cycle, "relative": _finite(h.relative), "seconds": h.seconds}
               for name, r in refinements.items() for h in r.history]
    write_run(out, config={"demo": {"tol": TOL}}, certificate=certificate, history=history, report=darcy_report(case),
              card=_card(place, certificate), problem={"coefficient": problem.coefficient.numpy(), "source": problem.source.numpy()},
              answer={"potential": answer})
    console.print(f"\n[bold]6[/] the run folder is {out}; open {out}/report.html. Next:")
    for command, what in commands:
        console.print(f"  {command}\n      {what}", soft_wrap=True, markup=False)


def _finite(x: Any) -> float | None:
    value = float(x[0])
    return value if np.isfinite(value) else None


def _card(place: str, certificate: Any) -> str:
    return (f"# wellposed demo\n\nA Fourier neural operator's answer to -div(a grad u) = 1 on ETOPO relief, {place}, and its "
            f"certificate.\n\n{certificate.headline}\n\n`report.html` shows it; `wellposed check certificate.json` re-verifies it.\n")
