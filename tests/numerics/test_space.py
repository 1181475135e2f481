"""Admissible fields: essential sides, identified sides, constants."""

from __future__ import annotations

import pytest
import torch
from dense import ESSENTIAL, space

from wellposed.numerics.q1 import pair

KINDS = pytest.mark.parametrize("kind", ESSENTIAL)
COUNTS = {"dirichlet": 9, "one natural": 12, "corner": 16, "bottom and top natural": 15, "left and right natural": 15,
          "one essential": 20, "natural": 25, "periodic": 16}


@KINDS
def test_unknowns_are_numbered_once(kind: str):
    number, count = space(kind, 4).numbering
    assert count == COUNTS[kind]
    assert sorted(set(number.flatten().tolist()) - {-1}) == list(range(count))


@KINDS
def test_free_nodes_have_numbers_and_fixed_ones_none(kind: str):
    s = space(kind, 4)
    assert ((s.numbering[0] >= 0) == (s.free > 0)).all()


@KINDS
def test_shares_of_each_unknown_sum_to_one(kind: str):
    s = space(kind, 4)
    number, count = s.numbering
    total = torch.zeros(count, dtype=torch.float64).index_add_(0, number[number >= 0], s.share[number >= 0])
    assert total.tolist() == pytest.approx([1.0] * count)


@KINDS
def test_assembled_functionals_vanish_on_fixed_nodes_and_constants(kind: str):
    s = space(kind, 4)
    f = s.assemble(torch.randn(2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    assert (f * (1 - s.free)).abs().max() == 0
    if s.singular:
        assert pair(f * s.share, torch.ones_like(f)).abs().max() < 1e-14


@KINDS
def test_assembling_changes_no_value_on_admissible_fields(kind: str):
    """<f, v> is that of the raw functional for every v that vanishes, repeats, or has mean zero, as the space says."""
    generator = torch.Generator().manual_seed(1)
    s, raw = space(kind, 4), torch.randn(1, 5, 5, dtype=torch.float64, generator=generator)
    number, count = s.numbering
    x = torch.randn(count, dtype=torch.float64, generator=generator)
    x = x - x.mean() if s.singular else x
    v = torch.where(number >= 0, x[number], 0.0)[None]
    assert float(pair(s.assemble(raw) * s.share, v)) == pytest.approx(float(pair(raw, v)), abs=1e-13)


@KINDS
def test_coarser_space_has_the_same_sides(kind: str):
    s = space(kind, 8).coarser()
    assert (s.n, s.essential, s.periodic) == (4, ESSENTIAL[kind], kind == "periodic")


def test_identify_leaves_other_spaces_alone():
    x = torch.ones(1, 5, 5, dtype=torch.float64)
    assert space("natural", 4).identify(x) is x
    assert space("periodic", 4).identify(x)[0, 0, 0] == 4
    assert (x == 1).all()
