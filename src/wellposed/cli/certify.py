"""``wellposed certify PROBLEM ...`` and ``wellposed refine PROBLEM ...``: which of the rooms is asked."""

from __future__ import annotations

import sys
from importlib import import_module

PROBLEMS = {
    "certify": {
        "darcy": ("wellposed.cli.darcy", "--coefficient FILE --answer FILE", "how far is this potential from the true solution?"),
        "flow": ("wellposed.cli.flow", "--vorticity FILE --times FILE", "how far is this trajectory from the true flow?"),
        "image": ("wellposed.cli.imaging", "--measurement FILE --answer FILE", "how far is this image from a stationary point?"),
        "prox": ("wellposed.cli.imaging", "--run FOLDER", "is this trained network the exact prox of a prior?"),
        "prior": ("wellposed.cli.imaging", "--run FOLDER --image FILE", "how unlikely does the learned prior find this image?"),
        "bank": ("wellposed.cli.bank", "--file FILE", "is this diagonal system the one that HiPPO meant? is it stable?"),
        "matrix": ("wellposed.cli.bank", "--file FILE", "diagonalize a matrix near this one: how far is it, how well conditioned?"),
        "model": ("wellposed.cli.bank", "--run FOLDER", "is this trained sequence model stable? what is its gain?")},
    "refine": {
        "darcy": ("wellposed.cli.darcy", "--coefficient FILE --answer FILE", "cycles until the certificate holds"),
        "flow": ("wellposed.cli.flow", "--vorticity FILE --times FILE", "passes of the error equation until the certificate holds"),
        "image": ("wellposed.cli.imaging", "--measurement FILE --model RUN", "reconstruct from measurements, with a learned prior")}}


def main(arguments: list[str]) -> int:
    verb, rest = arguments[0], arguments[1:]
    known = PROBLEMS[verb]
    if not rest or rest[0] not in known:
        asked = rest[:1] in (["-h"], ["--help"])
        said = "" if asked or not rest else f"wellposed {verb}: received {rest[0]!r}, expected one of {', '.join(known)}\n\n"
        print(said + usage(verb), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    return import_module(known[rest[0]][0]).main(arguments)


def usage(verb: str) -> str:
    rows = "\n".join(f"  {f'{name} {needs}':<42} {text}" for name, (_, needs, text) in PROBLEMS[verb].items())
    return f"usage: wellposed {verb} PROBLEM [options]\n\n{rows}\n\n`wellposed {verb} PROBLEM --help` says more."
