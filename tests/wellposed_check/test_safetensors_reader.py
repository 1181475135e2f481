"""The checker's reader of safetensors files against the real library, and against damage."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import SafetensorError
from safetensors.numpy import load as real_load
from safetensors.numpy import save as real_save

from wellposed.testing.damage import damaged_witnesses
from wellposed_check.canonical import Refused
from wellposed_check.safetensors import DTYPES, read

NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__")
ARRAYS = st.sampled_from(["<f8", "<f4", "<i8", "<i4", "u1", "?"]).flatmap(
    lambda t: hnp.arrays(np.dtype(t), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))


def file(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@given(st.dictionaries(NAMES, ARRAYS, min_size=1, max_size=4))
def test_reads_what_the_library_writes(arrays: dict[str, np.ndarray]):
    ours, theirs = read(real_save(arrays)), real_load(real_save(arrays))
    assert set(ours) == set(theirs) == set(arrays)
    for name, x in theirs.items():
        assert ours[name].dtype == x.dtype
        assert ours[name].shape == x.shape
        assert ours[name].tobytes() == x.tobytes()


def test_metadata_is_passed_over():
    data = real_save({"x": np.arange(3.0)}, metadata={"origin": "somebody"})
    assert list(read(data)) == ["x"]


@pytest.mark.parametrize("dtype", ["BF16", "F16", "U64", "F8_E4M3"])
def test_other_types_are_refused(dtype: str):
    assert dtype not in DTYPES
    with pytest.raises(Refused, match="damaged"):
        read(file({"x": {"dtype": dtype, "shape": [0], "data_offsets": [0, 0]}}))


@pytest.mark.parametrize(("header", "body"), [
    ({"x": {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
    ({"x": {"dtype": "F64", "shape": [1], "data_offsets": [8, 16]}}, bytes(16)),
    ({"x": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}, bytes(16)),
    ({"x": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}, "y": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
    ({"x": {"dtype": "F64", "shape": [-1, -1], "data_offsets": [0, 8]}}, bytes(8)),
    ({"x": {"dtype": "F64", "shape": [1.0], "data_offsets": [0, 8]}}, bytes(8)),
    ({"x": {"dtype": "F64", "shape": [10**30], "data_offsets": [0, 8]}}, bytes(8)),
    ({"x": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8, 8]}}, bytes(8)),
    ({"x": {"dtype": "F64", "shape": [1], "data_offsets": ["0", "8"]}}, bytes(8)),
    ({"x": {"dtype": ["F64"], "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
    ({"x": {"dtype": "F64", "data_offsets": [0, 8]}}, bytes(8)),
    ({"x": []}, b""), ([], b""), (b"\xff\xff", b""), (b"", b""), (b"{", b""),
], ids=str)
def test_what_does_not_tile_the_file_is_refused(header: object, body: bytes):
    data = file(header, body)
    with pytest.raises(Refused, match="damaged"):
        read(data)
    with pytest.raises(SafetensorError):
        real_load(data)


@pytest.mark.parametrize("seed", range(3))
def test_damage_is_refused_or_gives_other_numbers(seed: int):
    arrays = {"a": np.arange(1.0, 5.0), "b": np.ones((2, 3))}
    for what, data in damaged_witnesses(real_save(arrays), np.random.default_rng(seed)):
        try:
            found = read(data)
        except Refused:
            continue
        assert any(not np.array_equal(found[k], arrays[k]) for k in arrays), what


def test_a_header_nested_too_deeply_is_refused():
    with pytest.raises(Refused):
        read(file(b"[" * 100_000 + b"]" * 100_000))
