"""What a run of images says: the numbers of results.json, the tables that are printed, the card, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from wellposed.cli.imaging_recipe import ImagingRecipe
from wellposed.cli.main import program

NETWORK = "network"


def results(training: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and sentences of an exam, as results.json keeps them."""
    from wellposed.report.proximal import judged, said_of_prior, said_of_sets

    rows = [row for _, row in parts["restored"]]
    bound = next((c for c in parts["network"].claims if c.id == "proximal.lipschitz/1"), None)
    return {"training": training, "psnr": parts["denoised"].psnr, "network": parts["network"].headline,
            "exact_prox": parts["network"].claim("exact_prox").holds, "lipschitz": None if bound is None else [bound.lower, bound.upper],
            "widest": parts["ordered"].widest, "prior": said_of_prior(parts["ordered"]), "sets": said_of_sets(parts["covered"]),
            "restored": [asdict(row) | {"judged": judged(row)} for row in rows]}


def show(console: Console, found: Mapping[str, Any]) -> None:
    """The tables, as at the end of a run."""
    console.print(f"\n[bold]trained[/]  {found['training']}", soft_wrap=True)
    console.print("\n[bold]denoised[/]  unseen images, peak signal-to-noise ratio; weights of classical methods by an oracle\n           "
                  + ", ".join(f"{name} {x:.2f} dB" for name, x in found["psnr"].items()), soft_wrap=True)
    console.print("\n[bold]certified[/]", soft_wrap=True)
    for line in _proved(found):
        console.print(f"  {line}", soft_wrap=True)
    for row in found["restored"]:
        console.print(f"\n[bold]restored[/]  {row['name']}, noise {row['noise']:.3g}, weight {row['weight']:.3g}{_fell(row)}",
                      soft_wrap=True)
        console.print(_table(row))
        console.print(row["judged"], soft_wrap=True)


def _proved(found: Mapping[str, Any]) -> list[str]:
    from wellposed.report.certified import outward

    exact = "the network is the exact prox of a prior (theorem)" if found["exact_prox"] else "the network is not proved to be a prox"
    bound = found["lipschitz"]
    slope = "no Lipschitz bound: there is one for --depth 1" if bound is None else \
        f"Lipschitz constant at most {outward(bound[1], True)} (theorem), at least {outward(bound[0], False)} (measured)"
    return [f"{exact}; {slope}", found["prior"], found["sets"]]


def _fell(row: Mapping[str, Any]) -> str:
    from wellposed.report.certified import outward

    return "" if row["decrease"] is None else f"; every step falls as its theorem promises, to {outward(row['decrease'], True, 2)}"


def _table(row: Mapping[str, Any]) -> Table:
    from wellposed.report.certified import outward

    table = Table(box=None)
    for head in ("start, refined", "PSNR, dB", "steps", "|grad F| at most", f"within {row['tol']:g}", "seconds", "guaranteed / s"):
        table.add_column(head, justify="left" if head.startswith("start") else "right", no_wrap=True)
    for s in row["starts"]:
        table.add_row(s["start"], f"{s['psnr']:.2f}", f"{s['steps']:.1f}", outward(s["stationarity"], True, 3),
                      f"{s['reached']}/{s['images']}", f"{s['seconds']:.2f}", f"{s['rate']:.1f}")
    for k, (name, (psnr, _)) in enumerate(row["classical"].items()):
        table.add_row(f"{name} alone", f"{psnr:.2f}", "-", "-", "-", "-" if k else f"{row['seconds']:.2f}", "-")
    return table


def commands(recipe: ImagingRecipe) -> list[tuple[str, str]]:
    """What to type next."""
    out, call = recipe.out, program()
    check = ["check", str(out), "--problem", str(out / "problem.npz"), "--answer", str(out / "answer.npz")]
    load = f"from wellposed.proximal import LPN; print(LPN.load({str(out)!r}))"
    return [(f"{call} {shlex.join(check)}", "re-verify the certificate of a restored image yourself"),
            (f"{call} {shlex.join(['certify', 'prox', '--run', str(out)])}", "prove again that the network is an exact prox"),
            (f"{call} refine image --model {shlex.quote(str(out))} --measurement FILE --physics blur --kernel FILE --noise S"
             + ("" if recipe.spun is None else f" --spun {recipe.spun}"),
             "restore measurements of yours"),
            (f"{call} train proximal --images DIR", "train on images of your own"),
            (f'python -c "{load}"', "the trained network in Python")]


def card(recipe: ImagingRecipe, about: str, found: Mapping[str, Any]) -> str:
    """README.md of the run folder."""
    psnr = "".join(f"| {name} | {x:.2f} |\n" for name, x in found["psnr"].items())
    rows = "".join(f"| {row['name']} | {s['start']} | {s['psnr']:.2f} | {s['steps']:.1f} | {s['reached']}/{s['images']} | "
                   f"{s['rate']:.1f} |\n" for row in found["restored"] for s in row["starts"])
    said = "\n\n".join(f"{row['name']}: {row['judged']}" for row in found["restored"])
    proved = "\n".join(f"- {line}" for line in _proved(found))
    return (f"# wellposed run {recipe.title}\n\n{about}\n\n{proved}\n\nUnseen images, denoised:\n\n| | PSNR, dB |\n|---|---|\n{psnr}\n"
            f"Restored, |∇F| asked to be at most {recipe.tol:g}:\n\n| measurements | start | PSNR, dB | steps | within | guaranteed / s "
            f"|\n|---|---|---|---|---|---|\n{rows}\n{said}\n\n`report.html` shows it, `certificate.json` is about one restored image, "
            f"`{NETWORK}/certificate.json` about the network; `config.toml` has all that was asked for, `manifest.json` the SHA-256 of "
            f"each file.\n\n    from wellposed.proximal import LPN\n    model = LPN.load({str(recipe.out)!r})      # model(noisy), "
            f"model.prior(image), wellposed.proximal.reconstruct(problem, model{_shifted(recipe)})\n")


def _shifted(recipe: ImagingRecipe) -> str:
    """The call by which reconstructions had their prior."""
    return "" if recipe.spun is None else f".spun({recipe.spun})"
