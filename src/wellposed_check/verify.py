"""Re-verify a certificate: recompute every claim from the witness and compare, number by number, bit by bit."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wellposed_check import safetensors
from wellposed_check.canonical import Refused, decode, digest_array, digest_text, dumps, loads
from wellposed_check.statement import VERDICTS, Evidence, Statement, headline, verdict
from wellposed_check.subject import Presented, compare

FORMAT = "wellposed-certificate/1"
ROOMS = {  # closed: no string in a file selects code
    "elliptic": "energy_error compliance compliance_width goal error_at_least",
    "sequence": "initial_transfer_gap stable gain diagonalization",
    "flow": "galerkin_error pde_error parabolic_error",
    "proximal": "exact_prox lipschitz prior stationarity decrease coverage"}
CLAIMS = {f"{room}.{claim}/1": f"wellposed_check.{room}.{claim}" for room, claims in ROOMS.items() for claim in claims.split()}
SUBJECTS = {  # which witness arrays are the answer; "stages.*" for all whose names begin so
    "elliptic.Darcy": ("potential",), "elliptic.Helmholtz": ("potential",), "elliptic.OneStep": ("advanced",),
    "sequence.Bank": ("coordinates", "eigenvalues", "eigenvectors"),
    "sequence.Network": ("stages.*",), "sequence.Diagonalization": ("eigenvalues", "eigenvectors"),
    "flow.Evolution": ("frames", "times"), "flow.Linear": ("frames", "times"),
    "proximal.Network": ("layers.*",), "proximal.Map": ("first_product", "second_product"), "proximal.Prior": ("layers.*",),
    "proximal.Inverse": ("image",), "proximal.Coverage": ("difficulties", "scores")}
EXIT = {True: 0, False: 1, None: 3, "refused": 4}
FIELDS = {"format", "claims", "subject", "provenance", "witness", "verdict", "headline", "sha256"}
PROVENANCE = {"device", "seed", "threads", "versions", "weights"}


@dataclass(frozen=True)
class Report:
    """The outcome of a check. `status` is True, False, None (undecided) or "refused"."""

    status: bool | str | None
    headline: str
    claims: list[dict[str, Any]] = field(default_factory=list)
    presented: Presented | None = None

    @property
    def exit_code(self) -> int:
        return EXIT[self.status]

    def __str__(self) -> str:
        lines = [self.headline]
        for c in self.claims:
            lower, upper, required = (decode(c[k]) for k in ("lower", "upper", "required"))
            interval = f"[{'?' if lower is None else f'{lower:.6g}'}, {'?' if upper is None else f'{upper:.6g}'}]"
            asked = "" if required is None else f", required <= {required:g}: {VERDICTS[c['holds']]}"
            lines += [f"  {c['id']}  {interval}{asked}", f"    {c['quantity']}  ({c['kind']}, {c['arithmetic']})"]
        lines += dict.fromkeys(f"  {a['status']}: {a['text']}" for c in self.claims for a in c["assumptions"])
        return "\n".join(lines)


def state(claim: str, evidence: Evidence, arithmetic: str) -> Statement:
    """The checker's own statement of a claim.

    Raises:
        Refused: unknown claim, or evidence that does not carry it.
    """
    if claim not in CLAIMS:
        raise Refused(f"the claim {claim!r} is unknown to this checker; it knows {', '.join(sorted(CLAIMS))}")
    return importlib.import_module(CLAIMS[claim]).state(evidence, arithmetic)


def subject_digests(problem: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, str]:
    return {"problem_sha256": digest_text(dumps(problem)), "answer_sha256": digest_text(dumps(answer))}


def assemble(kind: str, evidence: Evidence, requirements: Mapping[str, float | None], arithmetic: str,
             provenance: Mapping[str, Any], witness_bytes: bytes) -> dict[str, Any]:
    """A certificate as a document: what `check` will recompute. The keys of `requirements` say which claims."""
    parameters, names = _room(kind)
    if set(evidence.parameters) != parameters:
        raise Refused(f"a problem of the type {kind} has the parameters {sorted(parameters)}")
    digests = {name: digest_array(x) for name, x in evidence.arrays.items()}
    statements = {i: state(i, evidence, arithmetic) for i in sorted(requirements)}
    claims = [s.document(requirements[i], digests) for i, s in statements.items()]
    answer = {"arrays": {name: digests[name] for part in SUBJECTS[kind] for name in (
        [n for n in digests if n.startswith(part[:-1])] if part.endswith("*") else [part])}}
    arrays = {name: digests[name] for name in names if name in digests}
    problem = {"type": kind, "parameters": dict(evidence.parameters), "arrays": arrays}
    document = {
        "format": FORMAT, "claims": claims, "provenance": dict(provenance),
        "subject": {"problem": problem, "answer": answer, **subject_digests(problem, answer)},
        "verdict": VERDICTS[verdict(claims)], "headline": headline(claims),
        "witness": {"file": "witness.safetensors", "sha256": hashlib.sha256(witness_bytes).hexdigest(),
                    "arrays": {name: {"shape": list(x.shape), "sha256": digests[name]}
                               for name, x in evidence.arrays.items()}},
    }
    return {**document, "sha256": digest_text(dumps(document))}


def _room(kind: str) -> tuple[set[str], tuple[str, ...]]:
    """The names of the parameters that such a problem has, and of the arrays that it can have."""
    return importlib.import_module(f"wellposed_check.{kind.split('.')[0]}.evidence").SUBJECTS[kind]


def verify(document: Any, witness: bytes) -> tuple[list[dict[str, Any]], Evidence]:
    """Recompute a parsed certificate from its witness file.

    Raises:
        Refused: whatever differs from what the checker itself would have written.
    """
    try:
        if set(document) != FIELDS or document["format"] != FORMAT:
            raise Refused(f"this is not a certificate of the format {FORMAT}")
        if set(document["provenance"]) != PROVENANCE:
            raise Refused(f"the provenance must name exactly {', '.join(sorted(PROVENANCE))}")
        if hashlib.sha256(witness).hexdigest() != document["witness"]["sha256"]:
            raise Refused("the witness file is not the one that the certificate names (its SHA-256 differs)")
        arrays = safetensors.read(witness)
        for name, x in arrays.items():
            if not np.isfinite(x).all():
                raise Refused(f"the witness array {name!r} has numbers that are not finite")
        problem, asked = document["subject"]["problem"], document["claims"]
        evidence = Evidence(problem["parameters"], {name: x.astype(float) for name, x in arrays.items()})
        requirements = {c["id"]: decode(c["required"]) for c in asked}
        styles = {c["arithmetic"] for c in asked}
        if not asked or len(requirements) != len(asked) or len(styles) != 1 or problem["type"] not in SUBJECTS:
            raise Refused("the certificate has no claims, repeats one, mixes arithmetics or names an unknown problem")
        with np.errstate(all="ignore"):
            own = assemble(problem["type"], evidence, requirements, styles.pop(), document["provenance"], witness)
    except Refused:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise Refused(f"the certificate does not have the form of one: {error!r}") from None
    if dumps(own) != dumps(document):
        raise Refused(f"the certificate says otherwise than its witness: {_first_difference(own, document)}")
    return own["claims"], evidence


def _first_difference(own: Any, given: Any, where: str = "") -> str | None:
    if type(own) is not type(given) or (not isinstance(own, dict | list) and repr(own) != repr(given)):
        return f"{where}: it says {_short(given)}, recomputed {_short(own)}"
    if isinstance(own, dict):
        if set(own) != set(given):
            return f"{where}: it has {sorted(given)}, recomputed {sorted(own)}"
        keys: Any = sorted(own, key=lambda k: (k == "sha256", k))
    elif isinstance(own, list):
        if len(own) != len(given):
            return f"{where}: it has {len(given)} entries, recomputed {len(own)}"
        keys = range(len(own))
    else:
        return None
    found = (_first_difference(own[k], given[k], f"{where}.{k}".lstrip(".")) for k in keys)
    return next((d for d in found if d), None)


def _short(x: Any) -> str:
    return repr(x if not isinstance(x, dict) else x.get("decimal", x))[:160]


def check(certificate: str | Path, problem: str | Path | None = None, answer: str | Path | None = None) -> Report:
    """Check the certificate in a file, against the subject if `problem` and `answer` (`.npy`, `.npz`) present it.

    Raises:
        FileNotFoundError: a file named on the call is not there.
    """
    path = Path(certificate)
    path = path / "certificate.json" if path.is_dir() else path
    text = _read(path)
    try:
        document, name = _open(text)
        if not (path.parent / name).is_file() or (path.parent / name).is_symlink():
            raise Refused(f"the witness file {name!r} does not lie beside {path.name}")
        claims, evidence = verify(document, (path.parent / name).read_bytes())
        if problem is not None and not document["subject"]["problem"]["arrays"]:
            raise Refused(f"a problem of the type {document['subject']['problem']['type']} has no arrays: present all as its answer")
        presented = compare(document["subject"], evidence.arrays, problem, answer, _room(document["subject"]["problem"]["type"])[1])
    except Refused as refusal:
        return Report("refused", f"refused: {refusal}")
    return Report(verdict(claims), f"{document['headline']}; {presented}", claims, presented)


def _open(text: bytes) -> tuple[Any, str]:
    try:
        document = loads(text.decode("utf-8", "strict"))
        name = document["witness"]["file"]
        if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
            return document, name
    except Refused:
        raise
    except (UnicodeDecodeError, KeyError, TypeError):
        pass
    raise Refused("the file is not a certificate, or does not name its witness")


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; name a certificate.json or the folder that holds one")
    return path.read_bytes()
