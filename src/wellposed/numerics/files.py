"""Arrays from files: .npy, .npz, .mat, and with the extra `io` .h5, .zarr and .mat of version 7.3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from wellposed_check.subject import load as load_numpy


def load_array(file: str, *names: str) -> np.ndarray:
    """One array of a file.

    Args:
        file: a path, or ``path:name`` to say which of several arrays.
        names: what to look for where the file holds several, in this order.

    Raises:
        FileNotFoundError: there is no such file. ValueError: not a file of its kind, or no array of these names.
    """
    path, chosen = _split(file)
    arrays = read_arrays(path)
    if chosen is not None:
        names = (chosen,)
    elif len(arrays) == 1:
        return next(iter(arrays.values()))
    found = next((arrays[name] for name in names if name in arrays), None)
    if found is None:
        raise ValueError(f"{path}: received the arrays {', '.join(sorted(arrays)) or 'none'}, expected {' or '.join(names)}; "
                         f"name one, as in {path}:{min(arrays, default='name')}")
    return found


def read_arrays(path: str | Path) -> Mapping[str, Any]:
    """All arrays of a file, by name.

    Raises:
        FileNotFoundError: there is no such file. ValueError: not a file of its kind.
    """
    path, _ = _split(str(path))
    return _reader(path)(path)


def _split(file: str) -> tuple[Path, str | None]:
    head, colon, tail = file.rpartition(":")
    if colon and not Path(file).exists() and Path(head).exists():
        return Path(head), tail
    if not Path(file).exists():
        raise FileNotFoundError(f"there is no file {file}; expected .npy, .npz, .h5, .zarr or .mat")
    return Path(file), None


def _reader(path: Path) -> Callable[[Path], Mapping[str, Any]]:
    readers = {".npy": load_numpy, ".npz": load_numpy, ".h5": _hdf5, ".hdf5": _hdf5, ".zarr": _zarr, ".mat": _matlab}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: received a file ending in {path.suffix!r}, expected one of {', '.join(readers)}")
    return readers[path.suffix.lower()]


def _hdf5(path: Path) -> Mapping[str, Any]:
    h5py = _extra("h5py")
    try:
        with h5py.File(path, "r") as file:
            found: dict[str, Any] = {}
            file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
            return found
    except OSError as error:
        raise ValueError(f"{path} is not an HDF5 file that can be read: {error}") from None


def _zarr(path: Path) -> Mapping[str, Any]:
    zarr = _extra("zarr")
    try:
        store = zarr.open(str(path), mode="r")
        return {"": store[:]} if hasattr(store, "shape") else {name: array[:] for name, array in store.arrays()}
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is not a zarr store that can be read: {error}") from None


def _matlab(path: Path) -> Mapping[str, Any]:
    from scipy.io import loadmat

    try:
        return {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    except NotImplementedError:  # version 7.3 is HDF5, with the axes in Fortran's order
        return {name: np.asarray(value).T for name, value in _hdf5(path).items()}
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is not a MATLAB file that can be read: {error}") from None


def _extra(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        raise ValueError(f"reading this file needs {name}, which is not installed; install it with: pip install 'wellposed[io]'") from None
