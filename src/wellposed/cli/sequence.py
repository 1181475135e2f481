"""``wellposed run digits`` and its like: train sequence models alike but for their initialization, certify them, test them, report."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from wellposed.cli.console import console as make_console
from wellposed.cli.console import tell_next
from wellposed.cli.main import program
from wellposed.cli.sequence_recipe import SequenceRecipe, read_sequence_recipe

RESULTS, REPORT = "results.json", "report.html"
NAMES = {"s4d": "S4D", "damped": "damped PTD", "s5": "S5", "published": "published PTD"}
DATA = {"uci-digits": "UCI optical digits (CC BY 4.0), 1,024 steps each"}


def main(name: str, arguments: list[str]) -> int:
    """Of `wellposed run NAME ...`, NAME a recipe of sequences."""
    dials = tuple(f"{name}=" for name in ("--size", "--steps", "--epochs"))
    arguments = [word for a in arguments for word in (a.split("=", 1) if a.startswith(dials) else [a])]
    size = arguments[arguments.index("--size") + 1] if "--size" in arguments[:-1] else "desk"
    recipe = read_sequence_recipe(name, size)
    if "--epochs" in arguments:  # one length is given; the recipe may have the other
        recipe = replace(recipe, steps=None, epochs=1)
    elif "--steps" in arguments:
        recipe = replace(recipe, steps=1, epochs=None)
    return run(tyro.cli(SequenceRecipe, default=recipe, args=arguments, prog=f"wellposed run {name}"), make_console())


def run(recipe: SequenceRecipe, console: Console) -> int:
    began = time.perf_counter()
    console.print(f"[bold]wellposed run {recipe.title}[/]: loading {DATA.get(recipe.task, recipe.task)}", soft_wrap=True)
    import torch

    from wellposed.sequence.exam import others
    from wellposed.sequence.tasks import load
    from wellposed.training.progress import duration

    torch.set_num_threads(recipe.threads)
    task = load(recipe.task, recipe.size, recipe.folder, recipe.seed)
    length = f"{recipe.steps} steps" if recipe.epochs is None else f"{recipe.epochs} epochs"
    console.print(f"{len(task.train.y):,} sequences of {task.train.x.shape[1]:,} steps to train on, {len(task.test.y):,} to test; "
                  f"{length} of {recipe.batch} for each of {', '.join(NAMES.get(i, i) for i in recipe.inits)}{_around(recipe, task)}.\n"
                  f"Data: {task.source}. {task.note}", soft_wrap=True)
    found = {init: _one(recipe, init, task, console) for init in recipe.inits}
    results = {"task": task.name, "source": task.source, "note": task.note, "others": others(task),
               "networks": {init: entry["results"] for init, entry in found.items()}}
    _write(recipe, found, results)
    show(console, results)
    _next(console, recipe)
    console.print(f"\ndone in {duration(time.perf_counter() - began)}")
    return 0


def _around(recipe: SequenceRecipe, task: Any) -> str:
    """How long it will take, from the time of two steps."""
    from wellposed.training.progress import duration

    model, split = _model(recipe, recipe.inits[0], task), task.train
    batch = min(recipe.batch, len(split.y))
    times = []
    for _ in range(3):
        began = time.perf_counter()
        model(*_inputs(split, slice(0, batch))).square().mean().backward()
        times.append(time.perf_counter() - began)
    steps = recipe.steps or (recipe.epochs or 0) * -(-len(split.y) // recipe.batch)
    tested = 3 * len(task.test.y) + (2400 if recipe.tones else 0)  # sequences that are only answered
    each = min(times) * (1.3 * steps + tested / recipe.batch / 3)
    return f", about {duration(each * len(recipe.inits) + 15)} in all"


def _model(recipe: SequenceRecipe, init: str, task: Any) -> Any:
    import torch

    from wellposed.sequence import SequenceModel

    torch.manual_seed(recipe.seed)
    inputs = 1 if task.vocabulary is not None else task.train.x.shape[2]
    return SequenceModel(inputs, task.classes, vocabulary=task.vocabulary, init=init, **recipe.model)


def _inputs(split: Any, part: slice) -> tuple[Any, ...]:
    """Sequences, and their lengths where they differ."""
    import torch

    x, lengths = torch.from_numpy(split.x[part]), torch.from_numpy(split.lengths[part])
    return (x, lengths) if _padded(split) else (x,)


def _padded(split: Any) -> bool:
    return bool((split.lengths < split.x.shape[1]).any())


def _one(recipe: SequenceRecipe, init: str, task: Any, console: Console) -> dict[str, Any]:
    """One initialization: certified, trained or found trained, certified again, tested."""
    from wellposed.cli.run import telling_options
    from wellposed.sequence.exam import initial_certificates, s4_layers
    from wellposed.training import train

    model, place = _model(recipe, init, task), recipe.place(init)
    certificates = initial_certificates(model)
    begun = [layer.bank(0) for layer in s4_layers(model)][:1]
    for certificate in certificates:
        claim = certificate.claim("initial_transfer_gap")
        console.print(f"\n[bold]{NAMES.get(init, init)}[/] before training: at its worst frequency it is {claim.lower:.5g} to "
                      f"{claim.upper:.5g} from HiPPO, whose own peak gain is {claim.required:.5g}: {certificate.headline}", soft_wrap=True)
    train_arrays, validation = ((*((s.x, s.lengths) if _padded(task.train) else (s.x,)), s.y) for s in (task.train, task.validation))
    with telling_options():
        trained = train(model, train_arrays, loss="cross_entropy", validation=validation, folder=place, resume=not recipe.anew,
                        **recipe.settings)
    kept = _kept(recipe, init)
    if kept is None:
        console.print(f"testing {NAMES.get(init, init)}: accuracy, {'tones, ' * recipe.tones}gain, one sequence step by step")
        kept = _exam(recipe, trained, task, certificates)
    return {"run": trained, "results": kept, "certificates": certificates, "bank": begun}


def _exam(recipe: SequenceRecipe, run: Any, task: Any, certificates: Sequence[Any]) -> dict[str, Any]:
    """What results.json keeps of a network."""
    import numpy as np

    from wellposed.certificate import certify
    from wellposed.sequence import exam
    from wellposed.sequence.robustness import accuracy
    from wellposed.sequence.stages import Declined

    model = run.model
    found: dict[str, Any] = {"training": run.message, "accuracy": accuracy(model, task.test)}
    try:
        found["gain"] = certify(model, length=int(task.train.lengths.min()), horizon="any").claim("gain").upper
    except Declined as declined:
        found["declined"] = str(declined)
    found["stable"] = certify(model, gain=False).verdict
    if certificates:
        claim, gaps = certificates[0].claim("initial_transfer_gap"), exam.trained_gaps(model)
        found |= {"gap": [claim.lower, claim.upper], "required": claim.required, "holds": claim.holds,
                  "trained_gap": [float(np.median(gaps)), float(max(gaps))]}
    if recipe.tones and exam.s4_layers(model):
        peak = _peak(recipe)
        worst = exam.searched(model, task.test, peak)
        found |= {"peak": peak, "toned": exam.toned(model, task.test, peak),
                  "worst": [worst.frequency, exam.toned(model, task.test, worst.frequency)], "search": [list(pair) for pair in worst.tried]}
    if not recipe.bidirectional and task.vocabulary is None:
        found["streamed"] = exam.streamed(model, task.test)._asdict()
    return found


def _peak(recipe: SequenceRecipe) -> float:
    """Where the gap of S4D peaks: the tone that every network of the run hears."""
    from wellposed.sequence import damped_hippo
    from wellposed.sequence.transfer_gap import enclose

    return abs(enclose(damped_hippo(recipe.state, 1.0), "legs", 1e-5).peak)


def _kept(recipe: SequenceRecipe, init: str) -> dict[str, Any] | None:
    """The results of this very recipe, where its folder has them and is whole."""
    from wellposed.training.config import read_config
    from wellposed.training.contents import toml
    from wellposed.training.folder import verify_run

    place = recipe.place(init)
    held = (read_config(place) or {}).get("recipe")
    if recipe.anew or held is None or toml(held) != toml(recipe.table()) or RESULTS not in verify_run(place):
        return None
    return json.loads((place / RESULTS).read_text("utf-8"))


def _write(recipe: SequenceRecipe, found: dict[str, Any], results: dict[str, Any]) -> None:
    """The report, into the folder of the run; the certificate, results and card into that of each network."""
    from wellposed.certificate import write_whole
    from wellposed.report.sequence import SequenceCase, sequence_report
    from wellposed.training.config import CONFIG
    from wellposed.training.contents import npz, toml
    from wellposed.training.folder import add_to_run

    histories = {NAMES.get(init, init): entry["run"].history for init, entry in found.items()}
    banks = {NAMES.get(init, init): entry["bank"][0] for init, entry in found.items() if entry["bank"]}
    first = next((entry["certificates"][0] for entry in found.values() if entry["certificates"]), None)
    named = {**results, "networks": {NAMES.get(init, init): entry for init, entry in results["networks"].items()}}
    page = sequence_report(SequenceCase(recipe.title, named, histories, banks, first, commands(recipe)))
    write_whole(recipe.out / REPORT, page.encode())
    for init, entry in found.items():
        files = {RESULTS: (json.dumps(entry["results"], indent=1) + "\n").encode(),
                 CONFIG: toml(entry["run"].config | {"recipe": recipe.table()})}
        certificate = entry["certificates"][0] if entry["certificates"] else None
        if certificate is not None:
            arrays = certificate.arrays
            files |= {"problem.npz": npz({"b": arrays["b"]}),
                      "answer.npz": npz({k: arrays[k] for k in ("coordinates", "eigenvalues", "eigenvectors")})}
        add_to_run(recipe.place(init), certificate=certificate, report=page, card=_card(recipe, init, entry["results"]), files=files)


def _card(recipe: SequenceRecipe, init: str, r: dict[str, Any]) -> str:
    gap = f"\n\nBefore training its bank was between {r['gap'][0]:.5g} and {r['gap'][1]:.5g} from HiPPO's system (certificate.json)." \
        if "gap" in r else ""
    return (f"# wellposed run {recipe.title}, {NAMES.get(init, init)}\n\n{r['training']}\n\nAccuracy on the test part: {r['accuracy']:.1%}."
            f"{gap}\n\n`report.html` shows it, `config.toml` has all that was asked for, `manifest.json` the SHA-256 of each file.\n\n"
            f"    from wellposed.sequence import SequenceModel\n    model = SequenceModel.load({str(recipe.place(init))!r})\n")


def show(console: Console, results: dict[str, Any]) -> None:
    """The tables at the end of a run."""
    networks = results["networks"]
    table = Table("accuracy on the test part, %", *(NAMES.get(i) or i for i in networks), box=None)

    def row(name: str, value: Any) -> None:
        cells = [value(r) for r in networks.values()]
        if any(cells):
            table.add_row(name, *(cell or "-" for cell in cells))

    row("clean", lambda r: f"{100 * r['accuracy']:.1f}")
    peak = next((r["peak"] for r in networks.values() if "peak" in r), 0.0)
    row(f"tone at S4D's peak, {peak:.2f}", lambda r: f"{100 * r['toned']:.1f}" if "toned" in r else "")
    row("worst tone of a search", lambda r: f"{100 * r['worst'][1]:.1f} at {r['worst'][0]:.4g}" if "worst" in r else "")
    console.print()
    console.print(table)
    certified = Table("certified", *(NAMES.get(i) or i for i in networks), box=None)
    table = certified
    row("gap from HiPPO before training, at most", lambda r: f"{r['gap'][1]:.5g}" if "gap" in r else "")
    row("  required (HiPPO's own peak gain)", lambda r: f"{r['required']:.5g}: {'holds' if r['holds'] else 'fails'}" if "gap" in r else "")
    row("  after training, seen: median, largest", lambda r: "{:.3g}, {:.3g}".format(*r["trained_gap"]) if "trained_gap" in r else "")
    row("stable after training", lambda r: "yes, proved" if r["stable"] else "no")
    row("L2 gain of the network, at most", lambda r: f"{r['gain']:.4g}" if "gain" in r else "declined")
    row("step by step against at once", lambda r: f"{r['streamed']['difference']:.1e}" if "streamed" in r else "")
    console.print(certified)
    for reason in {r["declined"] for r in networks.values() if "declined" in r}:
        console.print(f"declined: {reason}", soft_wrap=True, markup=False)
    console.print("without a network: " + ", ".join(f"{name} {100 * x:.1f} %" for name, x in results["others"].items()), soft_wrap=True)


def commands(recipe: SequenceRecipe) -> list[tuple[str, str]]:
    """What to type next."""
    out = recipe.place(recipe.inits[-1])
    check = ["check", str(out), "--problem", str(out / "problem.npz"), "--answer", str(out / "answer.npz")]
    found = [(f"{program()} {shlex.join(check)}", "re-verify what was proved of the bank before training")] if recipe.layer == "s4" else []
    return [*found,
            (f'python -c "from wellposed.sequence import SequenceModel; print(SequenceModel.load({str(out)!r}))"', "the network in Python"),
            (f"{program()} train sequence --data FILE.npz", "train on sequences of your own")]


def _next(console: Console, recipe: SequenceRecipe) -> None:
    places = ", ".join(str(recipe.place(i)) for i in recipe.inits)
    tell_next(console, f"the run folders are {places}; open {recipe.out / REPORT}", commands(recipe))
