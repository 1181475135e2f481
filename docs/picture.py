"""Draws the README's picture: a real field, a network's answer, where it may be wrong, and the bound over cycles.

    python docs/picture.py
"""

import re
from pathlib import Path

import numpy as np

from wellposed import certify, refine
from wellposed.elliptic import clamp, load_relief
from wellposed.report.figures import Panel, Trace, bounds_over_cycles, maps

HEIGHT = 240


def side_by_side(figures: list[str]) -> str:
    """One SVG from several, scaled to one height."""
    parts, x = [], 0.0
    for k, figure in enumerate(figures):
        found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', figure)
        assert found is not None
        width = HEIGHT * float(found[1]) / float(found[2])
        inner = re.sub(r'(id="|url\(#|xlink:href="#|href="#)', rf"\g<1>f{k}-", figure)
        inner = re.sub(r'<svg ([^>]*?)(width="[^"]*" ?|height="[^"]*" ?)+', r"<svg \1", inner, count=1)
        parts.append(inner.replace("<svg ", f'<svg x="{x:.0f}" y="0" width="{width:.0f}" height="{HEIGHT}" ', 1))
        x += width
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {x:.0f} {HEIGHT}">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n')


def main() -> None:
    relief = load_relief()
    problem = relief.problem[0]
    answer = clamp(problem, relief.prediction[:1])
    certificate = certify(problem, answer, lower="finer")
    runs = {"network": refine(problem, answer), "zero start": refine(problem)}
    share = np.square(certificate.bound.cells[0]) / float(certificate.bound.eta[0]) ** 2
    fields = maps([Panel("Relief of Italy and the Alps as coefficient", problem.coefficient[0].numpy(), log=True),
                   Panel("A network's answer", answer[0], nodes=True, colours="viridis"),
                   Panel("Where it may be wrong", share, log=True, colours="inferno")])
    traces = {name: Trace([h.cycle for h in r.history], [h.n for h in r.history], [float(h.relative[0]) for h in r.history],
                          [float(h.compliance_lower[0]) for h in r.history], [float(h.compliance_upper[0]) for h in r.history])
              for name, r in runs.items()}
    (Path(__file__).parent / "picture.svg").write_text(side_by_side([*fields, bounds_over_cycles(traces, None)[0]]), "utf-8")


if __name__ == "__main__":
    main()
