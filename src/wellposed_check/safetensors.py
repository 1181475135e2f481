"""A reader of the safetensors format (https://huggingface.co/docs/safetensors), numpy only, refusing what is not exact."""

from __future__ import annotations

import json
import math

import numpy as np

from wellposed_check.canonical import Refused

DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}


def read(data: bytes) -> dict[str, np.ndarray]:
    """Arrays by name.

    Raises:
        Refused: header that does not parse, unknown dtype, or offsets that do not tile the file.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > len(data) - 8:
            raise ValueError("the header is longer than the file")
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        body = memoryview(data)[8 + length :]
        arrays, end = {}, 0
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            dtype, shape, (start, stop) = np.dtype(DTYPES[entry["dtype"]]), entry["shape"], entry["data_offsets"]
            if start != end or stop - start != dtype.itemsize * math.prod(shape):
                raise ValueError(f"the bytes of {name!r} do not fit its shape {shape}")
            arrays[name] = np.frombuffer(body[start:stop], dtype).reshape(shape)
            end = stop
        if end != len(body):
            raise ValueError("bytes are left over after the last array")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Refused(f"the witness file is damaged: {error}") from None
    return arrays
