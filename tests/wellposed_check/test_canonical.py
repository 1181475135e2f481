"""Canonical JSON, numbers in two notations, digests of arrays."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellposed_check.canonical import Refused, decode, digest_array, digest_text, dumps, encode, loads

LEAVES = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DOCUMENTS = st.recursive(LEAVES, lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(), x, max_size=4), max_leaves=12)


@given(DOCUMENTS)
def test_reading_what_was_written_gives_it_back(document: object):
    text = dumps(document)
    assert loads(text) == document
    assert dumps(loads(text)) == text


def test_keys_are_sorted_and_the_text_ends_in_one_newline():
    assert dumps({"b": 1, "a": [True, None]}) == '{\n "a": [\n  true,\n  null\n ],\n "b": 1\n}\n'


@pytest.mark.parametrize("x", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_not_written(x: float):
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps({"x": x})


@pytest.mark.parametrize("text", [
    '{"a": 1}',
    '{\n "a": 1\n}', '{\n "a": 1\n}\n\n', '{\n "b": 1,\n "a": 1\n}\n', '{\n "a": 1,\n "a": 1\n}\n', '{\n "a": NaN\n}\n',
    '{\n "a": Infinity\n}\n', '{\n "a": 1e0\n}\n', '{\n "a": 1.50\n}\n', '{\n "a": 1e999\n}\n', '{\n "a": "\\u0062"\n}\n', "", 
    "{", "nonsense",
    "[" * 100_000 + "]" * 100_000 + "\n",
], ids=lambda text: repr(text[:18]))
def test_text_that_is_not_canonical_is_refused(text: str):
    with pytest.raises(Refused):
        loads(text)


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != 0 or not np.signbit(x)))
def test_numbers_survive_exactly(x: float):
    number = json.loads(json.dumps(encode(x)))
    assert decode(number).hex() == x.hex()


@pytest.mark.parametrize("x", [None, float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_written_as_null(x: float | None):
    assert encode(x) is None
    assert decode(None) is None


@pytest.mark.parametrize("number", [
    {"decimal": 0.1, "hex": "0x1.0p-3"}, {"decimal": 0.1}, {"hex": "0x1.0p+0"}, {"decimal": 1, "hex": "0x1.0000000000000p+0"},
    {"decimal": 1.0, "hex": "0x1p0"}, {"decimal": 1.0, "hex": 1.0}, {"decimal": "1.0", "hex": "0x1.0000000000000p+0"},
    {"decimal": 1.0, "hex": "0x1.0000000000000p+0", "note": 1}, {"decimal": 1.0, "hex": "inf"}, {"decimal": 1.0, "hex": "0x1p9999"},
    {"decimal": True, "hex": "0x1.0000000000000p+0"}, 1.0, "1.0", [], True,
], ids=str)
def test_numbers_that_contradict_themselves_are_refused(number: object):
    with pytest.raises(Refused):
        decode(number)


@pytest.mark.parametrize("number", [{"decimal": -0.0, "hex": "0x0.0p+0"}, {"decimal": 0.0, "hex": "-0x0.0p+0"},
                                    {"decimal": -0.0, "hex": "-0x0.0p+0"}], ids=str)
def test_a_zero_that_has_a_sign_is_refused(number: object):
    with pytest.raises(Refused):
        decode(number)


def test_digest_is_of_the_numbers_not_of_their_storage():
    x = np.arange(6.0).reshape(2, 3)
    same = [x.astype("f4"), x.astype(">f8"), np.asfortranarray(x), x.astype(int), x[:, ::-1][:, ::-1]]
    assert {digest_array(y) for y in same} == {digest_array(x)}


@pytest.mark.parametrize("change", [lambda x: x.T, lambda x: x.reshape(6), lambda x: x[None], lambda x: x + 1e-15, lambda x: -x],
                         ids=["transposed", "flat", "one axis more", "last place", "sign"])
def test_digest_sees_numbers_and_shape(change):
    x = np.arange(1.0, 7.0).reshape(2, 3)
    assert digest_array(change(x)) != digest_array(x)


def test_digest_is_what_the_format_says():
    x = np.array([[1.0, 2.0]])
    assert digest_array(x) == hashlib.sha256(b"[1, 2]" + x.astype("<f8").tobytes()).hexdigest()
    assert digest_text("é") == hashlib.sha256("é".encode()).hexdigest()
