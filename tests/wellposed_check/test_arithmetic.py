"""Laws of the two arithmetics: an interval contains the exact number, whatever the rounding."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from operator import add, mul, sub, truediv

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wellposed_check.elliptic.arithmetic import Enclosure, Floats, Interval

REALS = st.floats(-1e150, 1e150, allow_subnormal=True)
POSITIVE = st.floats(1e-150, 1e150)
ROWS = st.lists(st.floats(-1e20, 1e20), min_size=1, max_size=12)


def interval(a: float, b: float) -> Interval:
    return Interval(min(a, b), max(a, b))


def contains(i: Interval, x: Fraction) -> bool:
    return Fraction(float(i.lower)) <= x <= Fraction(float(i.upper))


def inside(i: Interval, share: float) -> float:
    """Some float of the interval."""
    return min(max(float(i.lower + share * (i.upper - i.lower)), float(i.lower)), float(i.upper))


@pytest.mark.parametrize("operation", [add, sub, mul], ids=lambda f: f.__name__)
@given(a=REALS, b=REALS, c=REALS, d=REALS, s=st.floats(0, 1), t=st.floats(0, 1))
def test_operation_contains_every_exact_result(operation: Callable, a: float, b: float, c: float, d: float, s: float, t: float):
    x, y = interval(a, b), interval(c, d)
    exact = operation(Fraction(inside(x, s)), Fraction(inside(y, t)))
    assert contains(operation(x, y), exact)


@given(a=REALS, b=REALS, c=POSITIVE, d=POSITIVE, s=st.floats(0, 1), t=st.floats(0, 1))
def test_quotient_contains_every_exact_result(a: float, b: float, c: float, d: float, s: float, t: float):
    x, y = interval(a, b), interval(c, d)
    assert contains(x / y, Fraction(inside(x, s)) / Fraction(inside(y, t)))


@given(a=REALS, x=REALS, p=POSITIVE)
def test_plain_numbers_mix_with_intervals(a: float, x: float, p: float):
    i, exact = Interval(a, a), Fraction(a)
    assert contains(x - i, Fraction(x) - exact)
    assert contains(x + i, Fraction(x) + exact)
    assert contains(x * i, Fraction(x) * exact)
    assert contains(x / Interval(p, p), Fraction(x) / Fraction(p))
    assert contains(np.float64(x) * i, Fraction(x) * exact)


@pytest.mark.parametrize("divisor", [(0.0, 1.0), (-1.0, 1.0), (-2.0, -1.0)])
def test_quotient_by_what_is_not_positive_is_an_error(divisor: tuple[float, float]):
    with pytest.raises(ZeroDivisionError):
        truediv(Interval(1.0, 1.0), Interval(*divisor))


@given(a=REALS, b=REALS, s=st.floats(0, 1))
def test_square_magnitude_and_negative_contain_the_exact_result(a: float, b: float, s: float):
    i = interval(a, b)
    x = Fraction(inside(i, s))
    assert contains(Enclosure.square(i), x * x)
    assert contains(Enclosure.magnitude(i), abs(x))
    assert contains(-i, -x)
    assert Enclosure.square(i).lower >= 0


@given(a=st.floats(0, 1e300), b=st.floats(0, 1e300), s=st.floats(0, 1))
def test_root_contains_the_exact_result(a: float, b: float, s: float):
    i = interval(a, b)
    x, root = Fraction(inside(i, s)), Enclosure.sqrt(i)
    assert Fraction(float(root.lower)) ** 2 <= x <= Fraction(float(root.upper)) ** 2


@given(ROWS)
def test_total_contains_the_exact_sum(row: list[float]):
    exact = sum(map(Fraction, row))
    whole = Enclosure.total(np.array([row]))
    assert contains(whole[0], exact)
    assert Floats.total(np.array([row]))[0] == float(exact)  # correctly rounded


@given(ROWS)
def test_running_sum_contains_every_exact_partial_sum(row: list[float]):
    sums = Enclosure.running_sum(np.array([row]), 1)
    for k in range(len(row)):
        assert contains(sums[0, k], sum(map(Fraction, row[: k + 1])))


@given(a=REALS, b=REALS, c=REALS, d=REALS, shrink=st.floats(0, 1))
def test_operations_are_monotone_for_inclusion(a: float, b: float, c: float, d: float, shrink: float):
    x, y = interval(a, b), interval(c, d)
    smaller = interval(inside(x, shrink), float(x.upper))
    for operation in (add, sub, mul):
        wide, narrow = operation(x, y), operation(smaller, y)
        assert wide.lower <= narrow.lower
        assert narrow.upper <= wide.upper


@given(a=REALS, b=REALS)
def test_widening_is_one_unit_in_the_last_place(a: float, b: float):
    total = Interval(a, a) + Interval(b, b)
    assert np.nextafter(total.lower, np.inf) == np.nextafter(total.upper, -np.inf) == a + b


@given(ROWS, st.integers(0, 11))
@settings(max_examples=30)
def test_writing_and_picking(row: list[float], k: int):
    assume(k < len(row))
    field = np.array([[row, row]])
    changed = Enclosure.write(field, np.array([0]), np.array([k]), Interval(np.array([1.0]), np.array([2.0])))
    assert (changed.lower[0, 0, k], changed.upper[0, 0, k]) == (1.0, 2.0)
    assert (changed.lower[0, 1] == row).all()
    assert (field[0, 0] == row).all()  # a copy is written


def test_constants_are_enclosed():
    with decimal.localcontext(prec=50):
        pi = Decimal("3.14159265358979323846264338327950288419716939937510")
        e = (2 * pi).exp()
        assert contains(Enclosure.pi, Fraction(pi))
        assert contains(Enclosure.tanh_pi, Fraction((e - 1) / (e + 1)))
        assert float(Floats.tanh_pi) == pytest.approx(float((e - 1) / (e + 1)), rel=2**-52)


def test_numpy_arrays_leave_products_to_the_interval():
    product = np.array([1.0, 2.0]) * Interval(np.array([1.0, 1.0]), np.array([2.0, 2.0]))
    assert isinstance(product, Interval)
    assert product.lower.shape == (2,)
