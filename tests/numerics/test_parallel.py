"""Work map_parallel over threads or processes comes back in order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from wellposed.numerics.parallel import map_parallel


def square(x: int) -> int:
    return x * x


def test_in_this_process():
    assert map_parallel(square, range(5), workers=1) == [0, 1, 4, 9, 16]


def test_any_executor_is_used_and_left_open():
    with ThreadPoolExecutor(2) as pool:
        assert map_parallel(square, range(20), executor=pool) == [square(x) for x in range(20)]
        assert pool.submit(square, 3).result() == 9


def test_processes_of_our_own():
    assert map_parallel(abs, [-1, -2, -3, -4], workers=2) == [1, 2, 3, 4]


def test_nothing_to_do():
    assert map_parallel(square, [], workers=1) == []


def test_errors_of_the_work_are_the_callers():
    with pytest.raises(TypeError):
        map_parallel(square, ["x", "y"], workers=1)  # type: ignore[list-item]
