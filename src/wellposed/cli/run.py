"""``wellposed run RECIPE``: generate, train, certify unseen fields, guard, report; the same command again goes on."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from wellposed.cli.console import console as make_console
from wellposed.cli.console import progress_bar, tell_next
from wellposed.cli.imaging_recipe import of_images
from wellposed.cli.main import program
from wellposed.cli.recipe import Family, Recipe, of_sequences, read_recipe
from wellposed.cli.turbulence_recipe import of_flows

RESULTS = "results.json"
UNSEEN_SEED = 1_000_003  # away from the seeds of the training fields
AROUND = 25.0  # seconds that all but training takes at 64 x 64, on one thread
USAGE = """usage: wellposed run RECIPE [options]

Recipes, or a file of your own ending in .toml:
  darcy       train an operator on its guaranteed bound, certify 200 unseen fields, guard them, write a report (about 90 seconds)
  digits      two state-space networks alike but for their initialization: certified, trained on real digits, tested with tones (80 seconds)
  listops, pathfinder, speech, bytes      the same for other sequences; --size desk or paper
  turbulence  train an operator on decaying turbulence, certify and refine what it answers to unseen flows, guard them (3 minutes)
  denoise     train a learned prior on digits, prove that it is one, deblur and inpaint with a certificate for each image (2 minutes)
  ct          the same for phantoms of ellipses, and sparse-view tomography (3 minutes)

`wellposed run darcy --help` says more; the dials are --seconds of darcy, turbulence, denoise and ct, --steps or --epochs of the others."""


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    name, rest = arguments[0], arguments[1:]
    if of_sequences(name):
        from wellposed.cli import sequence

        return sequence.main(name, rest)
    if of_flows(name):
        from wellposed.cli import turbulence

        return turbulence.main(name, rest)
    if of_images(name):
        from wellposed.cli import denoise

        return denoise.main(name, rest)
    recipe = tyro.cli(Recipe, default=read_recipe(name), args=rest, prog=f"wellposed run {name}")
    return darcy(recipe, make_console())


def darcy(recipe: Recipe, console: Console) -> int:
    from wellposed.training.progress import duration

    began = time.perf_counter()
    length = f"{recipe.steps} steps" if recipe.steps else f"{duration(recipe.seconds or 0)}"
    fields = sum(family.samples for family in recipe.train)
    around = AROUND * (recipe.resolution / 64) ** 2
    console.print(f"[bold]wellposed run {recipe.title}[/]: {fields} fields of {recipe.resolution} x {recipe.resolution} cells, "
                  f"{length} of training on {recipe.threads} thread{'s' * (recipe.threads > 1)},\nthen about {duration(around)} "
                  f"to certify and guard {recipe.unseen + sum(f.samples for f in recipe.outside)} unseen fields; the run folder is "
                  f"{recipe.out}", soft_wrap=True)
    import torch

    torch.set_num_threads(recipe.threads)
    run = _train(recipe)
    kept = kept_results(recipe)
    if kept is None:
        kept = _exam(recipe, run)
    else:
        console.print(f"{recipe.out} holds all of it already: nothing was computed again (--anew starts over)", soft_wrap=True)
    show(console, kept)
    _next(console, recipe)
    console.print(f"\ndone in {duration(time.perf_counter() - began)}")
    return 0


def _train(recipe: Recipe) -> Any:
    """The training run: begun, gone on with, or found finished."""
    import torch

    from wellposed.elliptic import MgNO
    from wellposed.elliptic.families import join
    from wellposed.training import train

    problem = join([_draw(recipe, family, recipe.seed, family.samples) for family in recipe.train])
    torch.manual_seed(recipe.seed)
    model = MgNO.darcy(channels=recipe.channels, layers=recipe.layers, levels=levels(recipe.resolution))
    with telling_options():
        return train(model, problem, folder=recipe.out, resume=not recipe.anew, quiet=kept_results(recipe) is not None, **recipe.settings)


def _draw(recipe: Recipe, family: Family, seed: int, samples: int) -> Any:
    from wellposed.elliptic.families import draw

    return draw(family.field, recipe.resolution, samples, seed, family.contrast, family.source)


def levels(n: int) -> int:
    """As many as halve the grid to no less than 4 cells a side."""
    count = 1
    while n % 2 == 0 and n >= 8:
        n, count = n // 2, count + 1
    return count


class telling_options:
    """Errors of training name the arguments of Python; here they are options."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ValueError | FloatingPointError):
            text = str(error).removeprefix("train: ")
            for python, option in (("another folder=", "another folder with --out"), ("with resume=False", "with --anew"),
                                   ("try lr=", "try --lr "), ("in another folder", "in another folder, --out,")):
                text = text.replace(python, option)
            raise type(error)(text) from None


def kept_results(recipe: Any) -> dict[str, Any] | None:
    """The results of this very recipe, where its folder has them and is whole."""
    from wellposed.training.config import read_config
    from wellposed.training.contents import toml
    from wellposed.training.folder import verify_run

    held = (read_config(recipe.out) or {}).get("recipe")
    if recipe.anew or held is None or toml(held) != toml(recipe.table()) or RESULTS not in verify_run(recipe.out):
        return None
    return json.loads((recipe.out / RESULTS).read_text("utf-8"))


def _exam(recipe: Recipe, run: Any) -> dict[str, Any]:
    """Certify, guard, write: what `show` prints, as results.json keeps it."""
    from wellposed.elliptic.families import join
    from wellposed.report.trained import family_row

    with progress_bar() as progress:
        exams = _examine(recipe, run.model, progress)
        everything = join([exam.problem for exam in exams])
        guards = {"all at once": _guard(run.model, recipe.tol, [everything], progress),
                  "one at a time": _guard(run.model, recipe.tol, _singles(everything, recipe.singles), progress)}
    results = {"families": [asdict(family_row(exam)) for exam in exams], "tol": recipe.tol, "training": run.message,
               "guards": {name: [asdict(row) for row in rows] for name, rows in guards.items()}}
    _write(recipe, run, exams, guards, results)
    return results


def _examine(recipe: Recipe, model: Any, progress: Progress) -> list[Any]:
    from wellposed.elliptic.exam import examine

    share = -(-recipe.unseen // len(recipe.train))
    asked = [(family, True, share) for family in recipe.train] + [(family, False, family.samples) for family in recipe.outside]
    exams = []
    for number, (family, inside, samples) in enumerate(progress.track(asked, description="certifying unseen fields")):
        problem = _draw(recipe, family, UNSEEN_SEED + 100 * recipe.seed + number, samples)
        exams.append(examine(model, problem, family.name, inside, min(recipe.references, samples)))
    return exams


def _singles(problem: Any, count: int) -> list[Any]:
    """So many of its samples, evenly spread, each as a problem."""
    every = max(1, len(problem) // count)
    return [problem[k] for k in range(0, len(problem), every)][:count]


def _guard(model: Any, tol: float, batches: Sequence[Any], progress: Progress) -> list[Any]:
    """Three rows: the network, a start from zero, the classical solver."""
    from wellposed.guarded import guard
    from wellposed.report.earned import GuardRow

    starts = {"network": model, "zero start": None, "classical solver": lambda problem: problem.solve()}
    rows = []
    for name, start in progress.track(starts.items(), description=f"guarding, {len(batches)} calls each"):
        guard(start, tol)(batches[0][0])  # what is slow the first time does not count
        watch = guard(start, tol)
        cycles = [count for batch in batches for count in watch(batch).cycles]
        rows.append(GuardRow(name, **watch.counts, rate=watch.rate, cycles=float(sum(cycles) / len(cycles))))
    return rows


def _write(recipe: Recipe, run: Any, exams: Sequence[Any], guards: Any, results: dict[str, Any]) -> None:
    """The certificate, the report and the card, added to the run that training left."""
    from wellposed.report.trained import TrainedCase, trained_report
    from wellposed.training.config import CONFIG
    from wellposed.training.contents import npz, toml
    from wellposed.training.folder import WEIGHTS, add_to_run

    exam, sample = exams[0], 0
    weights = (recipe.out / WEIGHTS).read_bytes()
    certificate = exam.certificate(sample, lower="finer", weights=weights, seed=recipe.seed)
    settings = run.config["settings"]
    count = sum(p.numel() for p in run.model.parameters())
    about = (f"MgNO, {count:,} parameters, trained without labels on {run.config['data']['samples']} fields of "
             f"{recipe.resolution} × {recipe.resolution} cells: {run.steps} steps of {settings['batch']} in {run.seconds:.0f} s on "
             f"{run.config['environment']['threads']} thread(s), seed {recipe.seed}.")
    case = TrainedCase("An operator whose every answer carries its own bound", about, run.history, exams, guards, recipe.tol, certificate,
                       sample, commands(recipe), "The time of the network's answers is counted, that of its training is not.")
    arrays = certificate.arrays
    files = {"problem.npz": npz({name: arrays[name] for name in ("coefficient", "source")}),
             "answer.npz": npz({"potential": arrays["potential"], "stream": exam.stream[sample : sample + 1]}),
             RESULTS: (json.dumps(results, indent=1) + "\n").encode(), CONFIG: toml(run.config | {"recipe": recipe.table()})}
    add_to_run(recipe.out, certificate=certificate, report=trained_report(case), card=card(recipe, about, results), files=files)


def card(recipe: Recipe, about: str, results: dict[str, Any]) -> str:
    """README.md of the run folder."""
    rows = "".join(f"| {r['name']} | {'yes' if r['inside'] else 'no'} | {r['fields']} | {r['median']:.2%} | {r['largest']:.2%} |\n"
                   for r in results["families"])
    return (f"# wellposed run {recipe.title}\n\n{about}\n\nGuaranteed upper bounds of the relative energy error on unseen fields, no "
            "solve:\n\n"
            f"| family | trained on | fields | median | largest |\n|---|---|---|---|---|\n{rows}\n{judged(results)}\n\n"
            f"`report.html` shows it, `config.toml` has all that was asked for, `manifest.json` the SHA-256 of each file.\n\n"
            f"    from wellposed.elliptic import MgNO\n    model = MgNO.load({str(recipe.out)!r})      # model(Darcy(...)): potentials, "
            "stream functions\n")


def judged(results: dict[str, Any]) -> str:
    """Does the network earn its place? The sentences of both guards."""
    from wellposed.report.earned import GuardRow, judgement

    return "\n".join(f"{name}: {judgement([GuardRow(**row) for row in rows])}" for name, rows in results["guards"].items())


def show(console: Console, results: dict[str, Any]) -> None:
    """The tables, as at the end of a run."""
    console.print(f"\n[bold]trained[/]  {results['training']}", soft_wrap=True)
    console.print("\n[bold]certified[/]  relative energy error at most, in percent: proved; network and four local steps, no solve\n"
                  "           (width: of the compliance enclosure; bound / error: estimated on a finer mesh)", soft_wrap=True)
    console.print(family_table(results["families"]))
    for name, rows in results["guards"].items():
        console.print(f"\n[bold]guarded[/] at {results['tol']:.0%}, {name}")
        console.print(guard_table(rows))
    console.print("\n" + judged(results), soft_wrap=True)


def family_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None)
    for head in ("family (* trained on)", "fields", "median", "largest", "width", "bound / error", "below"):
        table.add_column(head, justify="left" if head.startswith("family") else "right", no_wrap=True)
    for r in rows:
        sharp = "-" if r["effectivity"] is None else f"{r['effectivity']:.2f}, max {r['largest_effectivity']:.2f}"
        table.add_row(f"{r['name']}{' *' * r['inside']}", str(r["fields"]), *(f"{100 * r[k]:.1f}" for k in ("median", "largest", "width")),
                      sharp, f"{r['violations']}/{r['references']}")
    return table


def guard_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("start", "released", "refined", "solved", "refused", "answers / s", "cycles", box=None)
    for r in rows:
        counts = (str(r[k]) for k in ("released", "refined", "solved", "refused"))
        table.add_row(r["start"], *counts, f"{r['rate']:.0f}", f"{r['cycles']:.1f}")
    return table


def commands(recipe: Recipe) -> list[tuple[str, str]]:
    """What to type next."""
    out = str(recipe.out)
    problem, answer = (str(recipe.out / name) for name in ("problem.npz", "answer.npz"))
    call = program()
    again = ["certify", "darcy", "--coefficient", problem, "--source", problem, "--answer", answer, "--stream", answer]
    return [
        (f"{call} {shlex.join(['check', out, '--problem', problem, '--answer', answer])}", "re-verify one of the certificates yourself"),
        (f"{call} {shlex.join(again)}", "certify the network's answer again; put your own files in their place"),
        (f"{call} train elliptic --data a.npy", "train on fields of your own"),
        (f'python -c "from wellposed.elliptic import MgNO; print(MgNO.load({out!r}))"', "the trained network in Python")]


def _next(console: Console, recipe: Recipe) -> None:
    tell_next(console, f"the run folder is {recipe.out}; open {recipe.out}/report.html", commands(recipe))
