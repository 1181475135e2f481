"""``wellposed VERB ...``: torch is imported by the verbs that compute, and by no other."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import import_module
from pathlib import Path

VERBS = {
    "demo": ("wellposed.cli.demo", "see it work, in under a minute: a real field, networks, an audit"),
    "run": ("wellposed.cli.run", "train an operator, certify and guard unseen data, report (run darcy, digits, denoise ...)"),
    "train": ("wellposed.cli.train", "train on your own fields, sequences or images (train elliptic|sequence|proximal)"),
    "certify": ("wellposed.cli.certify", "how wrong can this answer, this system, this model be? (certify darcy|flow|image|model ...)"),
    "refine": ("wellposed.cli.certify", "make an answer better until the certificate holds (refine darcy|flow|image)"),
    "check": ("wellposed_check.__main__", "re-verify a certificate, without trusting what made it"),
    "list": ("wellposed.cli.listing", "the rooms, their problems and claims"),
}
SHARED = ("certify", "refine")  # verbs that share a module are told which of them was called


def usage() -> str:
    rows = "\n".join(f"  {verb:<9}{text}" for verb, (_, text) in VERBS.items())
    return ("usage: wellposed VERB [options]\n\nLearned operators with a certificate you can check.\n\n"
            f"{rows}\n\n`wellposed VERB --help` says more. Exit codes of certify, refine and check: 0 holds, 1 fails, 3 undecided,\n"
            "4 refused; 2: the call itself is wrong, and no certificate was written.")


def program() -> str:
    """How this program is called from here: its name, if the shell finds it."""
    beside = Path(sys.executable).with_name("wellposed")
    if shutil.which("wellposed") or not beside.exists():
        return "wellposed"
    return os.path.relpath(beside) if len(os.path.relpath(beside)) < len(str(beside)) else str(beside)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb in ("-V", "--version"):
        from wellposed import __version__

        print(f"wellposed {__version__}")
        return 0
    if verb not in VERBS:
        print(f"wellposed: received the verb {verb!r}, expected one of {', '.join(VERBS)}\n\n{usage()}", file=sys.stderr)
        return 2
    run = import_module(VERBS[verb][0]).main
    try:
        return run([verb, *rest] if verb in SHARED else rest)
    except (ValueError, OSError, ArithmeticError) as error:
        print(f"wellposed {verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"wellposed {verb}: {stop or 'stopped'}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
