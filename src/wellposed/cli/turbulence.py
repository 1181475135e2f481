"""``wellposed run turbulence``: generate flows, train, certify unseen ones, refine, guard, report; the same command again goes on."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from wellposed.cli.console import console as make_console
from wellposed.cli.console import progress_bar, tell_next
from wellposed.cli.main import program
from wellposed.cli.run import RESULTS, kept_results
from wellposed.cli.turbulence_recipe import TurbulenceRecipe, Unseen, read_turbulence_recipe

PREDICTION, NOTHING = "prediction", "nothing"
UNSEEN_SEED, CALIBRATION_SEED = 1_000_003, 2_000_003  # away from the seeds of the training flows
NOTE = ("Held: the initial field at all times. Coarse: ETDRK4 on half as many nodes per axis, refined. Solver: ETDRK4 alone, with the "
        "longest slabs and steps whose certificates hold with a factor of two to spare on other flows. The time of the network's answers "
        "is counted, that of its training is not.")
REPORT = 20  # steps from one report of training to the next
CHUNK = 16  # flows that are generated at a time
AROUND = 60.0  # seconds that all but training takes with the recipe that ships, on one idle core


def main(name: str, arguments: list[str]) -> int:
    """Of `wellposed run NAME ...`, NAME a recipe of flows."""
    recipe = tyro.cli(TurbulenceRecipe, default=read_turbulence_recipe(name), args=arguments, prog=f"wellposed run {name}")
    return run(recipe, make_console())


def run(recipe: TurbulenceRecipe, console: Console) -> int:
    from wellposed.training.progress import duration

    began = time.perf_counter()
    length = f"{recipe.steps} steps" if recipe.steps else f"{duration(recipe.seconds or 0)}"
    flows = recipe.unseen + sum(family.samples for family in recipe.outside)
    around = AROUND * (recipe.resolution / 32) ** 2 * recipe.horizon / 1.1
    console.print(f"[bold]wellposed run {recipe.title}[/]: {recipe.samples} {recipe.flow} flows on {recipe.resolution} x "
                  f"{recipe.resolution} nodes are generated, {length} of training on {recipe.threads} "
                  f"thread{'s' * (recipe.threads > 1)},\nand about {duration(around)} to generate, certify, refine and guard {flows} "
                  f"unseen flows; the run folder is {recipe.out}", soft_wrap=True)
    kept = kept_results(recipe)
    if kept is None:
        kept = _made(recipe)
    else:
        console.print(f"{recipe.out} holds all of it already: nothing was computed again (--anew starts over)", soft_wrap=True)
    show(console, kept)
    _next(console, recipe)
    console.print(f"\ndone in {duration(time.perf_counter() - began)}")
    return 0


def _made(recipe: TurbulenceRecipe) -> dict[str, Any]:
    """All of it: flows, training, the exam, the files."""
    import torch

    torch.set_num_threads(1)  # of what is generated every bit counts, and threads may add in another order
    with progress_bar() as progress:
        flows = _training_flows(recipe, progress)
    torch.set_num_threads(recipe.threads)
    run = _train(recipe, flows)
    with progress_bar() as progress:
        return _exam(recipe, run, progress)


def _equation(recipe: TurbulenceRecipe, resolution: int) -> Any:
    from wellposed.flow.families import FAMILIES

    return FAMILIES[recipe.flow](recipe.viscosity).equation(resolution)


def _training_flows(recipe: TurbulenceRecipe, progress: Progress) -> Any:
    """Trajectories with polynomials in time, the same for the same recipe."""
    import torch

    from wellposed.flow import Slabs, Trajectory, solve
    from wellposed.flow.families import FAMILIES, frames

    family, equation = FAMILIES[recipe.flow](recipe.viscosity), _equation(recipe, recipe.resolution)
    times = torch.linspace(0.0, recipe.span, max(2, round(recipe.span / recipe.slab) + 1), dtype=torch.float64)
    chunks: list[Any] = []
    starts = range(0, recipe.samples, CHUNK)
    for first in progress.track(starts, description="generating flows to train on"):
        w = frames(family, recipe.resolution, min(CHUNK, recipe.samples - first), 1, 1000 * recipe.seed + first)[:, 0]
        chunks.append(solve(equation, w, times, slab=recipe.slab / 2))
    slabs = Slabs(chunks[0].coefficients.edges, torch.cat([c.coefficients.values for c in chunks]))
    return Trajectory(times, torch.cat([c.vorticity for c in chunks]), slabs)


def _train(recipe: TurbulenceRecipe, flows: Any) -> Any:
    """The training run: begun, gone on with, or found finished."""
    import torch

    from wellposed.cli.run import telling_options
    from wellposed.flow import SpacetimeFNO
    from wellposed.flow.learning import SETTINGS, flow_objective
    from wellposed.training import train

    torch.manual_seed(recipe.seed)
    model = SpacetimeFNO.of(_equation(recipe, recipe.resolution), recipe.slab, degree=recipe.degree, modes=recipe.modes,
                            channels=recipe.channels, layers=recipe.layers)
    with telling_options():
        return train(model, flow_objective(flows, model, slabs=recipe.window), folder=recipe.out, resume=not recipe.anew,
                     report_every=REPORT, **{**SETTINGS, **recipe.settings})


def _problem(recipe: TurbulenceRecipe, samples: int, seed: int, family: Unseen | None = None) -> Any:
    """Unseen flows as a question: of the kind trained on, or of another."""
    import torch

    from wellposed.flow import Evolution
    from wellposed.flow.families import FAMILIES, frames

    n = (family.resolution if family else 0) or recipe.resolution
    equation, times = _equation(recipe, n), torch.linspace(0.0, recipe.horizon, recipe.frames, dtype=torch.float64)
    own = FAMILIES[recipe.flow](recipe.viscosity)
    w = frames(own, n, samples, 1, seed)[:, 0] if family is None else _other(family, equation, samples, seed)
    return Evolution(equation, w, times)


def _other(family: Unseen, equation: Any, samples: int, seed: int) -> Any:
    from wellposed.flow import initial
    from wellposed.flow.residual import speed
    from wellposed.flow.solver import solve_to
    from wellposed.numerics.vorticity import to_field, to_spectrum

    n, length = equation.resolution, equation.length
    w = {"mcwilliams": lambda: initial.mcwilliams(n, samples, seed, length, family.peak),
         "gaussian": lambda: initial.gaussian_field(n, samples, seed),
         "taylor-green": lambda: initial.taylor_green(n, length=length).expand(samples, -1, -1)}[family.start]()
    spectrum = to_spectrum(w) * equation.modes.kept
    if family.speed is not None:
        spectrum = spectrum * (family.speed / speed(spectrum, equation.modes))[:, None, None]
    return to_field(solve_to(equation, spectrum, family.warm_up) if family.warm_up else spectrum, n)


def _exam(recipe: TurbulenceRecipe, run: Any, progress: Progress) -> dict[str, Any]:
    """Certify, refine, guard, write: what `show` prints, as results.json keeps it."""
    from wellposed.flow.exam import examine, published_losses
    from wellposed.report.flow import family_row

    seed = UNSEEN_SEED + 100 * recipe.seed
    asked: list[tuple[Unseen | None, int]] = [(None, recipe.unseen), *((family, family.samples) for family in recipe.outside)]
    exams = []
    for number, (family, samples) in enumerate(progress.track(asked, description="certifying and refining unseen flows")):
        problem = _problem(recipe, samples, seed + number, family)
        exams.append(examine(run.model, problem, family.name if family else recipe.flow, family is None, recipe.tol))
    guards, losses = _guards(recipe, run.model, exams[0].problem, progress), published_losses(exams[0])
    results = {"families": [_finite(asdict(family_row(exam))) for exam in exams], "tol": recipe.tol, "training": run.message,
               "guards": {name: [asdict(row) for row in rows] for name, rows in guards.items()},
               "losses": [_finite(asdict(loss)) for loss in losses]}
    _write(recipe, run, exams, guards, losses, results)
    return results


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: where nothing is proved there is null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _guards(recipe: TurbulenceRecipe, model: Any, problem: Any, progress: Progress) -> dict[str, list[Any]]:
    """Every start, on all flows at once and on one at a time."""
    import torch

    from wellposed.flow.exam import on_half_the_grid, tuned_solver

    solver = tuned_solver(_problem(recipe, min(4, recipe.unseen), CALIBRATION_SEED + recipe.seed), recipe.tol)

    starts: dict[str, Callable[[Any], Any] | None] = {
        "network": torch.no_grad()(model), "held field": None, "coarse solver": on_half_the_grid, "solver": solver}
    singles = [problem[k] for k in range(min(recipe.singles, len(problem)))]
    return {"all at once": _guard(recipe, starts, [problem], progress), "one at a time": _guard(recipe, starts, singles, progress)}


def _guard(recipe: TurbulenceRecipe, starts: dict[str, Any], batches: Sequence[Any], progress: Progress) -> list[Any]:
    from wellposed.guarded import guard
    from wellposed.report.earned import GuardRow

    rows = []
    for name, start in progress.track(starts.items(), description=f"guarding, {len(batches)} call{'s' * (len(batches) > 1)} each"):
        guard(start, recipe.tol)(batches[0][0])  # what is slow the first time does not count
        watch = guard(start, recipe.tol)
        cycles = [count for batch in batches for count in watch(batch).cycles]
        rows.append(GuardRow(name, **watch.counts, rate=watch.rate, cycles=float(sum(cycles) / len(cycles))))
    return rows


def _write(recipe: TurbulenceRecipe, run: Any, exams: Sequence[Any], guards: Any, losses: Any, results: dict[str, Any]) -> None:
    """The certificates, the report and the card, added to the run that training left."""
    from wellposed.cli import subject
    from wellposed.cli.flow import ANSWER, PROBLEM
    from wellposed.report.flow import FlowCase, flow_report
    from wellposed.training.config import CONFIG
    from wellposed.training.contents import npz, toml
    from wellposed.training.folder import WEIGHTS, add_to_run

    weights = (recipe.out / WEIGHTS).read_bytes()
    proofs = {"tol": recipe.tol, "weights": weights, "seed": recipe.seed}
    certificate, predicted = exams[0].certificate(0, **proofs), exams[0].predicted(0, **proofs)
    case = FlowCase(f"Flows whose every answer carries its own bound: {recipe.title}", _about(recipe, run), run.history, exams, guards,
                    recipe.tol, certificate, predicted, 0, losses, commands(recipe), NOTE)
    arrays = certificate.arrays
    files = {"problem.npz": npz({k: arrays[k] for k in PROBLEM if k in arrays}), "answer.npz": npz({k: arrays[k] for k in ANSWER}),
             RESULTS: (json.dumps(results, indent=1) + "\n").encode(), CONFIG: toml(run.config | {"recipe": recipe.table()})}
    subject.keep(recipe.out / PREDICTION, predicted, PROBLEM, ANSWER)
    add_to_run(recipe.out, certificate=certificate, report=flow_report(case), card=_card(recipe, run, results), files=files)


def _about(recipe: TurbulenceRecipe, run: Any) -> str:
    from wellposed.training.progress import duration

    count = sum(p.numel() for p in run.model.parameters())
    equation = _equation(recipe, recipe.resolution)
    return (f"SpacetimeFNO, {count:,} parameters, trained on {recipe.samples} flows of {recipe.resolution} × {recipe.resolution} nodes: "
            f"{run.steps} steps in {duration(run.seconds)} on {run.config['environment']['threads']} thread(s), seed {recipe.seed}. "
            f"{recipe.flow.capitalize()} flow in two dimensions, ∂w/∂t + u·∇w = "
            f"νΔw{' − αw' * (equation.drag > 0)}{' + f' * (equation.forcing is not None)}, ν = {recipe.viscosity:g}, periodic box of side "
            f"{equation.length:.4g}, until t = {recipe.horizon:g}.")


def _card(recipe: TurbulenceRecipe, run: Any, results: dict[str, Any]) -> str:
    """README.md of the run folder."""
    rows = "".join(f"| {r['name']} | {'yes' if r['inside'] else 'no'} | {r['flows']} | {_between(r)} | {_number(r['refined'])} | "
                   f"{_number(r['pde'])} |\n"
                   for r in results["families"])
    return (f"# wellposed run {recipe.title}\n\n{_about(recipe, run)}\n\nRelative velocity errors at the worst time on unseen flows, "
            "proved:\n\n| family | trained on | flows | the network, median | refined, at most | against the equation, at most "
            f"|\n|---|---|---|---|---|---|\n{rows}\n{judged(results)}\n\n`report.html` shows it, `certificate.json` is about one refined "
            f"answer, `{PREDICTION}/certificate.json` about the network's own; `config.toml` has all that was asked for, `manifest.json` "
            "the SHA-256 of each file.\n\n    from wellposed.flow import SpacetimeFNO\n    model = "
            f"SpacetimeFNO.load({str(recipe.out)!r})      # model(Evolution(...)): a trajectory\n")


def judged(results: dict[str, Any]) -> str:
    """Does the network earn its place? The sentences of both guards."""
    from wellposed.report.earned import GuardRow, judgement

    return "\n".join(f"{name}: {judgement([GuardRow(**row) for row in rows])}" for name, rows in results["guards"].items())


def show(console: Console, results: dict[str, Any]) -> None:
    """The tables, as at the end of a run."""
    console.print(f"\n[bold]trained[/]  {results['training']}", soft_wrap=True)
    console.print("\n[bold]certified[/]  relative velocity error at the worst time, proved, against the modes that the grid keeps; "
                  f"refined to {results['tol']:.3g};\n           last column: against the equation itself", soft_wrap=True)
    table = Table(box=None)
    for head in ("family (* trained on)", "flows", "nodes", "network, median", "largest", "alone", "refined", "passes", "met", "equation"):
        table.add_column(head, justify="left" if head.startswith("family") else "right", no_wrap=True)
    for r in results["families"]:
        table.add_row(f"{r['name']}{' *' * r['inside']}", str(r["flows"]), str(r["nodes"]), _between(r), _percent(r["largest"]),
                      _percent(r["alone"]), _number(r["refined"]), str(r["passes"]), f"{r['met']}/{r['flows']}", _percent(r["pde"]))
    console.print(table)
    for name, rows in results["guards"].items():
        console.print(f"\n[bold]guarded[/] at {results['tol']:.3g}, {name}")
        guards = Table("start", "released", "refined", "solved", "refused", "answers / s", "passes", box=None)
        for r in rows:
            counts = (str(r[k]) for k in ("released", "refined", "solved", "refused"))
            guards.add_row(r["start"], *counts, f"{r['rate']:.2g}", f"{r['cycles']:.1f}")
        console.print(guards)
    console.print("\n" + judged(results), soft_wrap=True)


def _between(row: dict[str, Any]) -> str:
    if row["upper"] is None:
        return NOTHING
    return f"{_outward(100 * row['lower'], False)} to {_outward(100 * row['upper'], True)} %"


def _percent(x: float | None) -> str:
    return NOTHING if x is None else f"{_outward(100 * x, True)} %" if x <= 1 else "over 100 %"


def _number(x: float | None) -> str:
    return NOTHING if x is None else _outward(x, True)


def _outward(x: float, up: bool) -> str:
    """What is printed is as true as what was proved."""
    from wellposed.report.certified import outward

    return outward(x, up, 3)


def commands(recipe: TurbulenceRecipe) -> list[tuple[str, str]]:
    """What to type next."""
    out, call = recipe.out, program()
    check = ["check", str(out), "--problem", str(out / "problem.npz"), "--answer", str(out / "answer.npz")]
    own = [f"{call} {shlex.join(['check', str(out / PREDICTION), *check[2:4], '--answer', str(out / PREDICTION / 'answer.npz')])}"]
    load = f"from wellposed.flow import SpacetimeFNO; print(SpacetimeFNO.load({str(out)!r}))"
    return [(f"{call} {shlex.join(check)}", "re-verify the certificate of a refined answer yourself"),
            (own[0], "and that of the network's own answer, which fails by as much as it says"),
            (f"{call} certify flow --vorticity FILE --times FILE --viscosity NU", "certify a trajectory of yours"),
            (f'python -c "{load}"', "the trained network in Python")]


def _next(console: Console, recipe: TurbulenceRecipe) -> None:
    tell_next(console, f"the run folder is {recipe.out}; open {recipe.out}/report.html", commands(recipe))
