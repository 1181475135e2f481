"""Figures parse as XML, are small, say the same for the same numbers, and survive what is degenerate."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from wellposed.report.figures import Panel, Trace, bounds_over_cycles, maps, outcomes

INF = float("inf")


def parse(svg, most=100_000):
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "width" not in root.attrib
    assert len(svg) < most
    names = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(names) == len(set(names))
    for e in root.iter():
        assert not e.attrib.get("href", "#").startswith("http")
    return "".join(root.itertext())


@pytest.mark.parametrize("values", [
    np.random.default_rng(0).uniform(0.1, 9, (256, 256)), np.ones((16, 16)), np.zeros((16, 16)), -np.ones((4, 4)),
    np.logspace(-8, 8, 256).reshape(16, 16), np.linspace(1, 1.0001, 16).reshape(4, 4)])
@pytest.mark.parametrize("log", [False, True])
def test_maps(values, log):
    [svg] = maps([Panel("a < b & c", values, log=log, nodes=not log)])
    assert "a < b & c" in parse(svg, 500_000 if len(values) > 100 else 30_000)
    assert maps([Panel("a < b & c", values, log=log, nodes=not log)]) == [svg]


def test_y_points_up():
    field = np.zeros((8, 8))
    field[-1] = 1.0
    up, down = maps([Panel("x", field), Panel("x", field[::-1])])
    assert up != down


def test_bounds_skip_what_is_infinite_and_mark_meshes():
    series = {"network": Trace([0, 1, 2], [16, 16, 32], [0.1, 0.08, 0.04], [0.9, 0.95, 0.97], [1, 1, 0.99]),
              "zero <start>": Trace([0, 1], [16, 16], [INF, 0.2], [0.0, 0.8], [1.0, 1.0])}
    left, right = (parse(svg) for svg in bounds_over_cycles(series, 0.05))
    assert "32 × 32" in left
    assert "32 × 32" in right
    assert "zero <start>" in left
    assert "asked for: 5 %" in left
    assert "asked for" not in parse(bounds_over_cycles(series, None)[0])


@pytest.mark.parametrize("trace", [
    Trace([0, 1], [16, 16], [INF, INF], [0.0, 0.0], [1.0, 1.0]), Trace([0], [16], [0.07], [1.0], [1.1]),
    Trace([0, 1], [16, 16], [0.0738, 0.07379], [1e9, 1e9], [1.1e9, 1.1e9]),
    Trace([0, 1], [16, 16], [1e3, 1e-9], [-1.0, 0.0], [1.0, 0.0])])
def test_bounds_that_say_little(trace):
    for svg in bounds_over_cycles({"x": trace}, None):
        parse(svg)


def test_more_series_than_looks():
    trace = Trace([0, 1], [16, 16], [0.2, 0.1], [0.0, 0.1], [1.0, 0.9])
    assert "s6" in parse(bounds_over_cycles({f"s{k}": trace for k in range(7)}, 0.1)[0])


def test_outcomes():
    text = parse(outcomes({"network": {"released": 3, "refined": 0, "solved": 1, "refused": 0}, "none": dict.fromkeys(
        ("released", "refined", "solved", "refused"), 0)}))
    assert "released" in text
    assert "3" in text
