"""``wellposed run denoise`` and ``ct``: train a learned prior, certify, restore unseen images, report; the same command again goes on."""

from __future__ import annotations

import json
import time
from typing import Any

import tyro
from rich.console import Console
from rich.progress import Progress

from wellposed.cli.console import console as make_console
from wellposed.cli.console import progress_bar, tell_next
from wellposed.cli.imaging_recipe import Asked, ImagingRecipe, read_imaging_recipe
from wellposed.cli.imaging_results import NETWORK, card, commands, results, show
from wellposed.cli.run import RESULTS, kept_results

KNOWN_SEED, ASKED_SEED, SETS_SEED = 11, 1_000_019, 17
PICTURED = 4
"""Images along which the prior is drawn."""
PUBLISHED = 0.08
"""γ of proximal matching for images, over the square root of the count of pixels."""
AROUND = {"digits": 30.0, "ellipses": 180.0}
"""Seconds that all but training takes with the recipes that ship, on one idle core."""


def main(name: str, arguments: list[str]) -> int:
    """Of `wellposed run NAME ...`, NAME a recipe of images."""
    recipe = tyro.cli(ImagingRecipe, default=read_imaging_recipe(name), args=arguments, prog=f"wellposed run {name}")
    return run(recipe, make_console())


def run(recipe: ImagingRecipe, console: Console) -> int:
    from wellposed.training.progress import duration

    began = time.perf_counter()
    length = f"{recipe.steps} steps" if recipe.steps else f"{duration(recipe.seconds or 0)}"
    around = duration(AROUND.get(recipe.images, 100.0))
    console.print(f"[bold]wellposed run {recipe.title}[/]: {length} of training on {recipe.threads} thread{'s' * (recipe.threads > 1)}, on "
                  f"{recipe.images} with noise {recipe.sigma:g};\nthen about {around} to certify it, and to "
                  f"restore unseen images ({', '.join(a.name for a in recipe.asked)}); the run folder is {recipe.out}", soft_wrap=True)
    found = kept_results(recipe)
    if found is None:
        found = _made(recipe)
    else:
        console.print(f"{recipe.out} holds all of it already: nothing was computed again (--anew starts over)", soft_wrap=True)
    show(console, found)
    tell_next(console, f"the run folder is {recipe.out}; open {recipe.out}/report.html", commands(recipe))
    console.print(f"\ndone in {duration(time.perf_counter() - began)}")
    return 0


def _made(recipe: ImagingRecipe) -> dict[str, Any]:
    """All of it: images, training, the exam, the files."""
    import torch

    from wellposed.cli.imaging_data import images

    torch.set_num_threads(recipe.threads)
    held = images(recipe)
    trained = _train(recipe, held)
    with progress_bar() as progress:
        return _exam(recipe, trained, held, progress)


def _train(recipe: ImagingRecipe, held: Any) -> Any:
    """The training run: begun, gone on with, or found finished."""
    import torch

    from wellposed.cli.run import telling_options
    from wellposed.proximal import LPN
    from wellposed.proximal.denoising import IMAGES, PATCH, Denoising, denoising_objective
    from wellposed.training import train

    torch.manual_seed(recipe.seed)
    channels, side = held.train[0].shape[0], min(PATCH, *(n for x in held.train for n in x.shape[-2:]))
    model = LPN.convolutional(channels, recipe.width, recipe.depth, kernel=recipe.kernel, stride=recipe.stride, sigma=recipe.sigma)
    problem = Denoising(held.train, recipe.sigma)
    with telling_options():
        objective = denoising_objective(problem, model, loss=loss_of(recipe.loss, channels * side**2), patch=side,
                                        bounded=recipe.bounded, turned=recipe.turned)
        return train(model, objective, folder=recipe.out, resume=not recipe.anew, **{**IMAGES, **recipe.settings})


def loss_of(name: str, pixels: int) -> Any:
    """By its name on the command line; γ as published."""
    from wellposed.proximal.proximal_matching import ProximalMatching

    return ProximalMatching(PUBLISHED * pixels**0.5) if name == "matching" else name


def _exam(recipe: ImagingRecipe, trained: Any, held: Any, progress: Progress) -> dict[str, Any]:
    """Certify, compare, restore, write: what `show` prints, as results.json keeps it."""
    import torch

    from wellposed.cli.imaging_data import noisy
    from wellposed.proximal.exam import cover, denoise, order, paths, spectra
    from wellposed.proximal.network_claims import certify_network
    from wellposed.report.proximal import restored_row
    from wellposed.training.folder import WEIGHTS

    model, seed, weights = trained.model, recipe.seed, (recipe.out / WEIGHTS).read_bytes()
    clean = held.unseen[: recipe.shown]
    seen = noisy(clean, recipe.sigma, seed)
    task = progress.add_task("denoising, and enclosing the prior", total=2 + len(recipe.asked))
    parts: dict[str, Any] = {
        "network": certify_network(model, at=clean[:PICTURED], seed=seed, weights=weights),
        "denoised": denoise(model, clean, seen, recipe.sigma), "ordered": order(model, clean, seen),
        "paths": paths(model, held.unseen[:PICTURED], recipe.sigma, seed=seed),
        "eigenvalues": spectra(model, torch.stack([clean[0], seen[0]]))}
    progress.update(task, advance=1, description="calibrating and testing conformal sets")
    parts["covered"] = cover(model, held.unseen, noisy(held.unseen, recipe.sigma, seed + SETS_SEED), recipe.level, seed)
    parts["restored"] = []
    for asked in recipe.asked:
        progress.update(task, advance=1, description=f"{asked.name}, from three starts")
        found, certificates = _restored(recipe, asked, model, held)
        parts["restored"].append((found, restored_row(found, certificates)))
    return _write(recipe, trained, parts, weights)


def _restored(recipe: ImagingRecipe, asked: Asked, model: Any, held: Any) -> tuple[Any, list[Any]]:
    """Reconstructions of unseen images, λ chosen on images of the training; a certificate for each start, of the first with every step."""
    from wellposed.cli.imaging_data import KNOWN, question
    from wellposed.proximal.restoration import certified, chosen_weight, restore

    known = question(recipe, asked, held.known, KNOWN_SEED + recipe.seed, KNOWN)
    weight = chosen_weight(model, known, recipe.algorithm)
    unseen = question(recipe, asked, held.unseen, ASKED_SEED + recipe.seed, asked.samples)
    prior = model if recipe.spun is None else model.spun(recipe.spun)
    found = restore(prior, asked.name, unseen, weight, recipe.tol, algorithm=recipe.algorithm)
    return found, [certified(s.run, k == 0) for k, s in enumerate(found.starts)]


def _write(recipe: ImagingRecipe, trained: Any, parts: dict[str, Any], weights: bytes) -> dict[str, Any]:
    """The certificates, the report and the card, added to the run that training left."""
    from wellposed.cli import subject
    from wellposed.proximal.restoration import certified
    from wellposed.report.proximal import ProximalCase, proximal_report
    from wellposed.training.config import CONFIG
    from wellposed.training.contents import npz, toml
    from wellposed.training.folder import add_to_run

    one = parts["restored"][0][0].starts[0].run.sample(0)
    answer, network = certified(one, True, weights, recipe.seed), parts["network"]
    found = results(trained.message, parts)
    about = _about(recipe, trained)
    case = ProximalCase(f"A learned prior that is exactly a prior: {recipe.title}", about, trained.history, **parts, answer=answer,
                        commands=commands(recipe))
    files = {f"{part}.npz": npz(arrays) for part, arrays in subject.arrays_of(answer).items()}
    files |= {RESULTS: (json.dumps(found, indent=1) + "\n").encode(), CONFIG: toml(trained.config | {"recipe": recipe.table()})}
    subject.keep_whole(recipe.out / NETWORK, network)
    add_to_run(recipe.out, certificate=answer, report=proximal_report(case), card=card(recipe, about, found), files=files)
    return found


def _about(recipe: ImagingRecipe, trained: Any) -> str:
    from wellposed.training.progress import duration

    count = sum(p.numel() for p in trained.model.parameters())
    named = {"matching": "proximal matching", "l1": "the l1 loss", "l2": "the mean square"}[recipe.loss]
    return (f"LPN, {count:,} parameters, trained by {named} on {recipe.images} with white noise of {recipe.sigma:g}: {trained.steps} steps "
            f"in {duration(trained.seconds)} on {trained.config['environment']['threads']} thread(s), seed {recipe.seed}."
            + ("" if recipe.spun is None else f" Reconstructions average it over shifts by {recipe.spun} pixels (LPN.spun)."))
