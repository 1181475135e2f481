"""``wellposed certify bank``, ``matrix`` and ``model``: the verb on systems that are their own answer, from a user's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from wellposed.cli.subject import File, conclude, demand_folder, show


@dataclass
class CertifyBank:
    """Is a diagonal system the one that HiPPO meant, and is it stable? Encloses the gap at the worst of all frequencies.

    FILE is .npz (.h5, .zarr, .mat of version 7.3 with the extra `io`; other .mat) with eigenvalues, eigenvectors (V, one to a column)
    and B = V^-1 b; a state dict of layers like S4D's or S5's (.safetensors, .pt, .pth); or a run folder.
    """

    file: File
    """What holds the system."""
    reference: Literal["legs", "lagt"] = "legs"
    """The system that it is to be."""
    tol: float | None = None
    """Required of the gap; by default the reference's own peak gain, above which a system that is zero is nearer."""
    layer: str | None = None
    """Which layer of a state dict: its name, or a part that no other has."""
    feature: int | None = None
    """Which system of a layer with many, or which block of S5's."""
    eigenvectors: Literal["normal"] | None = None
    """Where the file has none: those of HiPPO's normal part, with which S4D and S5 begin, if the eigenvalues are near its own."""
    out: Path | None = None
    """Folder for the certificate; runs/NAME-OF-THE-FILE by default."""


@dataclass
class CertifyMatrix:
    """Perturb a matrix, diagonalize what is near, and certify how near: |V Lambda V^-1 - A| / |A|, in the spectral norm.

    FILE is .npy, .npz or .mat (.h5, .zarr and .mat of version 7.3 with the extra `io`), or FILE:NAME for one of several arrays.
    """

    file: File
    """What holds the square matrix ("A", "matrix")."""
    delta: str = "auto"
    """Size of the perturbation relative to the matrix; auto takes that of the least error."""
    method: Literal["random", "optimised"] = "random"
    """The best conditioned of a few random perturbations; or moved from there by Adam, which takes seconds."""
    tol: float | None = None
    """Required of the relative error."""
    seed: int = 0
    """Of the perturbations."""
    out: Path | None = None
    """Folder for the certificate; runs/NAME-OF-THE-FILE by default."""


@dataclass
class CertifyModel:
    """Is a trained sequence model stable, and by how much can it enlarge a difference of its inputs?"""

    run: Path
    """The run folder."""
    length: int | None = None
    """Of the inputs, in steps; models that take a mean over the steps need it."""
    horizon: Literal["fixed", "any"] = "fixed"
    """Inputs of this length, or of any: quicker, and what padded sequences need."""
    tol: float | None = None
    """Required of the gain."""
    gain: bool = True
    """With --no-gain stability alone, of models with gates or tokens too."""
    out: Path | None = None
    """Folder for the certificate; NAME-OF-THE-RUN-certified beside it by default."""


def main(arguments: list[str]) -> int:
    what: Any = {"bank": CertifyBank, "matrix": CertifyMatrix, "model": CertifyModel}[arguments[1]]
    options = tyro.cli(what, args=arguments[2:], prog=f"wellposed certify {arguments[1]}")
    demand_folder(options.out)
    if isinstance(options, CertifyBank):
        return bank(options)
    return matrix(options) if isinstance(options, CertifyMatrix) else model(options)


def bank(o: CertifyBank) -> int:
    from wellposed.sequence.claims import certify_bank
    from wellposed.sequence.files import load_bank

    found = load_bank(o.file, layer=o.layer, feature=o.feature, eigenvectors=o.eigenvectors, reference=o.reference)
    certificate = certify_bank(found, o.reference, o.tol)
    show(certificate)
    for note in found.notes:
        print(f"read: {note}")
    print(_meaning(certificate, o))
    return conclude(o.out or _named(o.file, "bank"), certificate)


def _meaning(certificate: Any, o: CertifyBank) -> str:
    if certificate.claim("stable").holds is not True:
        return "the system is unstable: no bounded gap exists"
    claim = certificate.claim("initial_transfer_gap")
    word = {True: "not above", False: "above", None: "perhaps above"}[claim.holds]
    asked = "of --tol" if o.tol is not None else "of HiPPO's own peak gain" + ": a system that is zero is nearer" * (claim.holds is False)
    gap = f"{claim.lower:.5g} to {claim.upper:.5g}"
    return f"at its worst frequency it is {gap} from {o.reference}, {word} the {claim.required:.5g} {asked}"


def matrix(o: CertifyMatrix) -> int:
    import numpy as np

    from wellposed.numerics.files import load_array
    from wellposed.sequence.claims import certify_ptd
    from wellposed.sequence.naming import complex_of
    from wellposed.sequence.ptd import ptd

    a = np.squeeze(complex_of(np.asarray(load_array(o.file, "A", "matrix")), 2))
    found = ptd(a, _delta(o.delta), o.method, o.seed)
    certificate = certify_ptd(found, a, o.tol)
    show(certificate)
    print(f"perturbed by {found.delta:.3g} of its norm; the largest real part of the eigenvalues is {found.spectral_abscissa:.6g}")
    folder = o.out or _named(o.file, "matrix")
    status = conclude(folder, certificate)
    print(f"eigenvalues and eigenvectors: {folder / 'answer.npz'}, real and imaginary parts on the last axis")
    return status


def _delta(text: str) -> str | float:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise ValueError(f"--delta: received {text!r}, expected auto, or a positive number such as 1e-6") from None


def model(o: CertifyModel) -> int:
    from wellposed.certificate import certify
    from wellposed.sequence import SequenceModel

    loaded = SequenceModel.load(o.run)
    try:
        certificate = certify(loaded, o.tol, length=o.length, gain=o.gain, horizon=o.horizon)
    except ValueError as error:
        text = str(error).replace("length=...", "--length STEPS").replace("certify(model, gain=False)", "--no-gain")
        raise ValueError(text) from None
    show(certificate)
    run = o.run if o.run.name else o.run.resolve()
    return conclude(o.out or run.with_name(f"{run.name}-certified"), certificate)


def _named(file: str, what: str) -> Path:
    """Where a certificate about a file goes, "bank" or "matrix"; not into a run folder that is the file."""
    path = Path(file)
    return Path("runs") / f"{path.name if path.is_dir() else path.name.partition('.')[0]}-{what}"
