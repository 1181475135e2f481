"""The physics of a measurement file, as the command line states it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from wellposed.cli.subject import File

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["blur", "radon", "mask", "fourier-mask", "random-convolution", "matrix"]
NEEDS = {"blur": "kernel", "radon": "angles", "mask": "mask", "fourier-mask": "mask", "random-convolution": "keep", "matrix": "matrix"}
OPTIONS = ("kernel", "angles", "mask", "keep", "matrix")


@dataclass
class Measured:
    """A file of measurements, and what made them."""

    measurement: File
    """FILE with what was measured ("measurement", "y"), with or without a first axis of samples; of blur and mask also a picture."""
    physics: Kind
    """What was measured of the images."""
    noise: float
    """Standard deviation of each number of the file, in its units (bytes and pictures stand for 0 to 1); 0 where there is no noise, and
    --weight then."""
    kernel: str | None = None
    """Of blur: FILE ("kernel"), its middle the origin; or the standard deviation of a Gaussian in pixels. Periodic at the sides."""
    angles: str | None = None
    """Of radon: how many, equally spaced over half a turn; or FILE ("angles") in radians. The file holds sums along lines, in pixels."""
    mask: File | None = None
    """Of mask and fourier-mask: FILE ("mask") with 1 where something is measured; of the latter in the order of numpy.fft.fft2."""
    keep: float | None = None
    """Of random-convolution: the part of the numbers that is kept; its signs, phases and choice are those of --draw."""
    draw: int = 0
    """Of random-convolution: the seed."""
    matrix: File | None = None
    """Of matrix: FILE, an array (numbers of a measurement, pixels), or what scipy.sparse.save_npz wrote."""
    size: tuple[int, ...] = ()
    """Of the image, rows and columns, for random-convolution and matrix; one side for radon."""


def read_problem(o: Measured, channels: int) -> Any:
    """The `Inverse` of a call, for images of so many channels.

    Raises:
        ValueError: options that do not fit the physics, files that are not what they should be.
    """
    from wellposed.cli.imaging_data import tell
    from wellposed.proximal.problem import Inverse

    need = NEEDS[o.physics]
    extra = [name for name in OPTIONS if name != need and getattr(o, name) is not None]
    if getattr(o, need) is None or extra:
        raise ValueError(f"--physics {o.physics}: received {'no --' + need if getattr(o, need) is None else '--' + extra[0]}, expected "
                         f"--{need}, and none of the options of other physics")
    y = _measurement(o, channels)
    physics = _physics(o, y, channels)
    scale = physics.scale if o.physics == "radon" else 1.0
    problem = Inverse(physics, with_channels(y, physics.measurement_shape) / scale, o.noise / scale)
    tell(o.measurement, "measurement", problem.measurement)
    return problem


def _measurement(o: Measured, channels: int) -> np.ndarray:
    """Complex numbers as pairs; of what is an image itself the values of one."""
    import numpy as np

    from wellposed.cli.imaging_data import demand_images, is_picture, load_picture
    from wellposed.numerics.files import load_array

    an_image = o.physics in ("blur", "mask")
    if is_picture(o.measurement) and an_image:
        y = load_picture(o.measurement, channels).numpy()
    else:
        y = load_array(o.measurement, "measurement", "y", "data", "image")
    if y.dtype.kind not in "buifc":
        raise ValueError(f"{o.measurement}: received {y.dtype}, expected numbers")
    if np.iscomplexobj(y) and o.physics != "fourier-mask":
        raise ValueError(f"{o.measurement}: received complex numbers, expected real ones of --physics {o.physics}; give the real part")
    if np.iscomplexobj(y):
        return np.stack([np.real(y), np.imag(y)], -1)
    return demand_images(o.measurement, y) if an_image else y.astype(float)


def with_channels(y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """With the axis of a single channel where it was left out; other shapes are left to the problem to refuse."""
    missing = shape[0] == 1 and len(shape) > 1 and y.shape != shape and y.shape[-len(shape) + 1 :] == shape[1:]
    return y.reshape(-1, *shape) if missing and y.ndim <= len(shape) else y


def _physics(o: Measured, y: np.ndarray, channels: int) -> Any:
    from wellposed.numerics.files import load_array
    from wellposed.proximal.physics import FourierMask, Mask, RandomConvolution, SparseMatrix

    if o.physics == "radon":
        return _radon(o)
    if o.physics in ("mask", "fourier-mask"):
        mask = load_array(str(o.mask), "mask", "m")
        mask = mask / 255 if mask.dtype == "uint8" and mask.max(initial=0) > 1 else mask  # as bytes of images
        return (Mask if o.physics == "mask" else FourierMask)(mask, channels)
    if o.physics == "blur":
        return _blur(o, y, channels)
    if len(o.size) != 2:
        raise ValueError(f"--size: received {' '.join(map(str, o.size)) or 'nothing'}, expected the image's rows and columns: --size 64 64")
    if o.physics == "matrix":
        return SparseMatrix(_matrix(str(o.matrix)), (channels, *o.size))
    assert o.keep is not None
    return RandomConvolution((channels, *o.size), int(o.keep) if o.keep > 1 else o.keep, o.draw)


def _blur(o: Measured, y: np.ndarray, channels: int) -> Any:
    from wellposed.numerics.files import load_array
    from wellposed.proximal.physics import Blur, gaussian

    if y.ndim not in (2, 3, 4):
        raise ValueError(f"--measurement: received the shape {y.shape}, expected (samples, channels, y, x), (channels, y, x) or (y, x)")
    width = _number(str(o.kernel))
    kernel = load_array(str(o.kernel), "kernel", "k") if width is None else gaussian(width, min(y.shape[-2:])).numpy()
    return Blur(kernel, (channels, *y.shape[-2:]))


def _radon(o: Measured) -> Any:
    from wellposed.numerics.files import load_array
    from wellposed.proximal.physics import Radon

    if len(set(o.size)) != 1:
        raise ValueError(f"--size: received {' '.join(map(str, o.size)) or 'nothing'}, expected the side of the square image: --size 64")
    count = _number(str(o.angles))
    if count is None:
        return Radon(o.size[0], load_array(str(o.angles), "angles", "theta"))
    if not count.is_integer() or count < 1:
        raise ValueError(f"--angles: received {o.angles}, expected a whole number of at least 1, or a FILE")
    return Radon(o.size[0], int(count))


def _matrix(path: str) -> Any:
    """Dense, or as scipy.sparse.save_npz writes it."""
    from scipy import sparse

    from wellposed.numerics.files import load_array

    try:
        return sparse.load_npz(path)
    except (ValueError, TypeError, OSError, KeyError):
        return load_array(path, "matrix", "A")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
