"""``wellposed refine image`` and ``certify image|prox|prior``: the verbs on a user's own measurements, images and networks."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wellposed.cli.imaging_physics import Measured, read_problem, with_channels
from wellposed.cli.main import program
from wellposed.cli.subject import File, conclude, demand_folder, demand_no_run, show

Folder = Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
PICTURE, IMAGE, ALONE = "image.png", "image.npy", "uncertified"


@dataclass
class AboutImage(Measured):
    """What both verbs on images ask for."""

    model: Folder | None = None
    """A run folder with a learned proximal network."""
    weight: float | None = None
    """Of the prior R in F = |A x - y|^2 / 2 + weight R(x); by default the variance of the noise over that of the training."""
    spun: int | None = None
    """Average the prox over shifts by so many pixels, a divisor of the network's stride: better, and slower."""
    tol: float = 1e-5
    """What is required of |grad F|, Euclidean, for each image."""
    answer: File | None = None
    """FILE with an image ("image", "answer", "x"), or a picture."""
    out: Path | None = None
    """Folder for the image and its certificate; runs/NAME-OF-THE-MEASUREMENT-restored (or -certified) by default."""


@dataclass
class Refine(AboutImage):
    """Reconstruct an image from measurements with a learned prior, until |grad F| is within --tol.

    FILE is .npy or .npz (.h5, .zarr, .mat of version 7.3 with the extra `io`), or FILE:NAME for one of several arrays. With --answer the
    run starts from that image, if it is within --tol already or its F is below that of the Tikhonov solution.
    Writes the image, a picture, and a certificate of every step.
    """

    algorithm: Literal["pgd", "admm", "hqs"] = "pgd"
    """Proximal gradient descent, ADMM, or half-quadratic splitting; the last has another F, with min_x |A x - y|^2 / 2 +
    weight |x - z|^2 / 2 for the first term: --tol and the certificate are about that one's |grad F|."""


@dataclass
class CertifyImage(AboutImage):
    """How far is this image, whoever computed it, from a stationary point of F? Writes a certificate and prints it.

    FILE is .npy or .npz (.h5, .zarr, .mat of version 7.3 with the extra `io`), or FILE:NAME for one of several arrays.
    """


@dataclass
class CertifyProx:
    """Is this trained network the exact prox of a prior, and what is its Lipschitz constant? Writes a certificate and prints it."""

    run: Folder
    """A run folder with a learned proximal network."""
    images: File | None = None
    """FILE with images, or a picture, at which its slope is measured; random ones by default."""
    out: Path | None = None
    """Folder for the certificate; FOLDER-certified by default."""


@dataclass
class CertifyPrior:
    """The learned prior R at an image, from both sides. Writes a certificate and prints it."""

    run: Folder
    """A run folder with a learned proximal network."""
    image: File
    """FILE with an image ("image", "x"), or a picture; of several images the mean of R."""
    tol: float = 1e-9
    """About how wide the interval may be."""
    out: Path | None = None
    """Folder for the certificate; runs/NAME-OF-THE-IMAGE-prior by default."""


KINDS: dict[tuple[str, str], Any] = {("refine", "image"): Refine, ("certify", "image"): CertifyImage, ("certify", "prox"): CertifyProx,
                                     ("certify", "prior"): CertifyPrior}


def main(arguments: list[str]) -> int:
    verb, what, *rest = arguments
    o = tyro.cli(KINDS[verb, what], args=rest, prog=f"wellposed {verb} {what}")
    demand_folder(o.out)
    return {Refine: refine, CertifyImage: certify_image, CertifyProx: certify_prox, CertifyPrior: certify_prior}[type(o)](o)


def refine(o: Refine) -> int:
    """Reconstruct, certify, and keep the image even if it is not good enough."""
    from wellposed.proximal.refine import refine_image
    from wellposed.proximal.restoration import certified

    folder = o.out or _place(o.measurement, "restored")
    demand_no_run(folder)
    demand_folder(folder / ALONE)
    problem, model, weights = read(o)
    start = None if o.answer is None else images(o.answer, problem.physics.image_shape)
    result = refine_image(problem, start, o.tol, prior=model, weight=o.weight, algorithm=o.algorithm, mesh="auto")
    write_image(folder / ALONE, result.image)  # beside an older certificate it would be taken for the image of that
    try:
        certificate = certified(result, True, weights)
    except (ValueError, ArithmeticError, RuntimeError) as error:
        raise ValueError(f"{error}; the image is kept, without a certificate, in {folder / ALONE}") from error
    show(certificate)
    print(f"\n{result.message}")
    status = conclude(folder, certificate)
    write_image(folder, result.image)
    discard_image(folder / ALONE)
    print(f"the image is {folder / IMAGE}, a picture of it {folder / PICTURE}")
    return status


def certify_image(o: CertifyImage) -> int:
    """Say how far from stationary an image is, and how to make it better."""
    from wellposed.proximal import claims

    if o.answer is None:
        raise ValueError("received no --answer, expected a FILE with an image; to reconstruct one use: wellposed refine image")
    folder = o.out or _place(o.measurement, "certified")
    demand_no_run(folder)
    problem, model, weights = read(o)
    image = images(o.answer, problem.physics.image_shape)
    certificate = claims.certify_image(problem, image, o.tol, prior=model, weight=o.weight, weights=weights)
    show(certificate)
    status = conclude(folder, certificate)
    if certificate.verdict is not True:
        print(f"  {refine_command(o)}")
    return status


def certify_prox(o: CertifyProx) -> int:
    """Say whether a network is an exact prox, and how steep it is."""
    from wellposed.proximal.network_claims import certify_network

    run = o.run if o.run.name else o.run.resolve()
    folder = o.out or run.with_name(f"{run.name}-certified")
    demand_no_run(folder)
    model, weights = load(o.run)
    at = None if o.images is None else images(o.images, model.shape)
    certificate = certify_network(model, at=at, weights=weights)
    show(certificate)
    return conclude(folder, certificate)


def certify_prior(o: CertifyPrior) -> int:
    """Enclose R at an image."""
    from wellposed.proximal import network_claims

    if not 0 < o.tol < float("inf"):
        raise ValueError(f"--tol: received {o.tol}, expected a positive number, about how wide the interval may be")
    folder = o.out or _place(o.image, "prior")
    demand_no_run(folder)
    model, weights = load(o.run)
    certificate = network_claims.certify_prior(model, images(o.image, model.shape), o.tol, weights=weights)
    show(certificate)
    return conclude(folder, certificate)


def read(o: AboutImage) -> tuple[Any, Any, bytes]:
    """The problem, the network and its weights; nothing is written before all are known to be good."""
    if o.model is None:
        raise ValueError("received no --model, expected the folder of a learned proximal network; make one with: wellposed run denoise, or "
                         "wellposed train proximal --images DIR")
    model, weights = load(o.model)
    own = model.config.get("stride")
    if o.spun is not None and (own is None or o.spun < 1 or own % o.spun):
        raise ValueError(f"--spun: received {o.spun}, expected a divisor of the network's stride, which is {own}")
    return read_problem(o, model.shape[0]), model if o.spun is None else model.spun(o.spun), weights


def load(run: Path) -> tuple[Any, bytes]:
    """The network of a run folder for images, and the bytes of its weights."""
    from wellposed.proximal import LPN
    from wellposed.training.folder import WEIGHTS

    model = LPN.load(run)
    if len(model.shape) != 3:
        raise ValueError(f"{run}: received a network for vectors of {model.shape[0]} numbers, expected one for images; use it in Python")
    return model, (run / WEIGHTS).read_bytes()


def images(file: str, shape: tuple[int | None, ...]) -> Any:
    """(samples, channels, y, x) of a file or a picture; the axes of samples and of a single channel may be missing."""
    import torch

    from wellposed.cli.imaging_data import demand_images, is_picture, load_picture, tell
    from wellposed.numerics.files import load_array

    x = load_picture(file, shape[0]).numpy() if is_picture(file) else load_array(file, "image", "answer", "x", "images")
    if x.ndim < 2 or x.dtype.kind not in "buif":
        raise ValueError(f"{file}: received {x.dtype} of the shape {x.shape}, expected real images (samples, channels, y, x) or (y, x)")
    if x.size == 0:
        raise ValueError(f"{file}: received no numbers, the shape {x.shape}, expected at least one image")
    given = demand_images(file, with_channels(x, (shape[0] or 1, *x.shape[-2:])))
    found = torch.from_numpy(given)
    found = found[None] if found.ndim == 3 else found
    tell(file, "image", found)
    return found


def write_image(folder: Path, image: Any) -> None:
    """As an array, and the first as a picture from black at 0 to white at 1."""
    import io

    import numpy as np
    from matplotlib.image import imsave

    from wellposed.certificate import write_whole

    folder.mkdir(parents=True, exist_ok=True)
    for name, write in ((IMAGE, lambda f: np.save(f, image.numpy())), (PICTURE, lambda f: imsave(f, _pixels(image), format="png"))):
        content = io.BytesIO()
        write(content)
        write_whole(folder / name, content.getvalue())


def discard_image(folder: Path) -> None:
    """What `write_image` has written there, and the folder if nothing else is in it."""
    for name in (IMAGE, PICTURE):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _pixels(image: Any) -> Any:
    pixels = (255 * image[0].clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
    return pixels.repeat(3, 2) if pixels.shape[2] == 1 else pixels[..., :3]


def _place(file: str, word: str) -> Path:
    """Where what is about a file goes, or about one array of it."""
    name, _, array = Path(file).name.partition(":")
    return Path("runs") / "-".join(part for part in (Path(name).stem, array, word) if part)


def refine_command(o: CertifyImage) -> str:
    """The call that makes the image of this one better."""
    words = [program(), "refine", "image"]
    for field in fields(AboutImage):
        value = getattr(o, field.name)
        if field.name != "out" and value != field.default and value is not None and value != ():
            words += [f"--{field.name}", *(map(str, value) if isinstance(value, tuple) else (str(value),))]
    return shlex.join(words)
