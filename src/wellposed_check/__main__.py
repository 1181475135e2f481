"""``wellposed-check certificate.json``: exit 0 holds, 1 fails, 3 undecided, 4 refused (2: the call itself is wrong)."""

from __future__ import annotations

import argparse
import sys

from wellposed_check.verify import check


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="wellposed check", description="Re-verify a certificate without trusting, or importing, what made it.",
        epilog="exit code: 0 holds, 1 fails, 3 undecided, 4 refused (forged, damaged, or about something else)")
    p.add_argument("certificate", help="certificate.json, or the folder that holds it and its witness")
    p.add_argument("--problem", help="the problem's arrays (.npz, or .npy with the first by name): are they the certificate's?")
    p.add_argument("--answer", help="the answer (.npz or .npy): is it the certificate's?")
    return p


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        report = check(options.certificate, options.problem, options.answer)
    except (OSError, ValueError) as error:
        print(f"wellposed check: {error}", file=sys.stderr)
        return 2
    try:
        print(report, flush=True)
    except BrokenPipeError:  # the reader had enough; the verdict stands
        sys.stdout = None
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
