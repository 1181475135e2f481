"""``wellposed train sequence``: state-space layers on a user's own sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from wellposed.cli.main import program
from wellposed.cli.subject import File

BATCH = 256


@dataclass
class TrainSequence:
    """Train a network of S4 or S5 layers on your own sequences.

    FILE is .npz (.mat; .h5, .zarr and .mat of version 7.3 with the extra `io`) with x, y and, if you like, lengths, x_validation,
    y_validation, lengths_validation.

    x: (samples, length, channels) floating, or (samples, length) of integers, which are tokens, 0 the padding.
    y: (samples,) classes from 0; (samples, outputs) floating; or for every step (samples, length) classes, (samples, length, outputs).
    """

    data: File
    """What holds x and y."""
    validation: float = 0.1
    """Part of the data that is not trained on, where the file has no x_validation."""
    seconds: float | None = None
    """How long to train; 60 where neither this nor --epochs nor --steps is given."""
    epochs: int | None = None
    """Passes over the data, instead of --seconds."""
    steps: int | None = None
    """Steps of the optimizer, instead of --seconds."""
    layer: Literal["s4", "s5"] = "s4"
    """Of each block."""
    features: int = 32
    """Of each block."""
    layers: int = 2
    """Blocks."""
    state: int = 32
    """Size of the state."""
    blocks: int = 1
    """Of S5's state."""
    init: Literal["damped", "s4d", "s5", "published"] = "damped"
    """Initialization: damped perturb-then-diagonalize, or others."""
    theta: float = 0.1
    """Of the damped initialization."""
    bidirectional: bool = False
    """Run each layer from both ends; such a model cannot stream."""
    norm: Literal["batch", "layer", "none"] = "batch"
    """In each block; with batch or none the network has a gain that can be certified."""
    mixing: Literal["linear", "glu", "half_glu", "none"] = "linear"
    """Of the features, after each layer; with gates there is no gain to certify."""
    dropout: float = 0.0
    """A part."""
    head: Literal["mean", "last", "step"] | None = None
    """One answer a sequence, from the mean over its steps or the last; or one a step. By default what y has."""
    batch: int = 32
    """Sequences per step."""
    lr: float = 0.01
    """The largest learning rate."""
    seed: int = 0
    """Of the weights, of the part for validation, and of the order of the data."""
    threads: int = 1
    """That torch may use."""
    out: Path = Path("runs/sequence")
    """The run folder; the same command again goes on where it was stopped."""
    anew: bool = False
    """Delete the run that is in the folder and start again."""


MODEL = ("features", "layers", "layer", "state", "blocks", "init", "theta", "bidirectional", "norm", "mixing", "dropout")


def main(arguments: list[str]) -> int:
    return train(tyro.cli(TrainSequence, args=arguments, prog="wellposed train sequence"))


def train(o: TrainSequence) -> int:
    if o.threads < 1:
        raise ValueError(f"--threads: received {o.threads}, expected at least 1")
    data, validation = read(o)
    import torch

    from wellposed.cli.run import telling_options
    from wellposed.sequence import SequenceModel
    from wellposed.training import Objective
    from wellposed.training import train as train_model
    from wellposed.training.data import Arrays

    torch.set_num_threads(o.threads)
    head = o.head or ("step" if data.stepwise else "mean")
    _tell(data, validation, head)
    length = {k: v for k in ("seconds", "epochs", "steps") if (v := getattr(o, k)) is not None} or {"seconds": 60.0}
    torch.manual_seed(o.seed)
    model = SequenceModel(1 if data.vocabulary else data.x.shape[2], data.outputs, vocabulary=data.vocabulary, head=head,
                          **{name: getattr(o, name) for name in MODEL})
    objective = Objective(data.loss, Arrays(data.arrays), Arrays(validation.arrays))
    with telling_options():
        run = train_model(model, objective, folder=o.out, resume=not o.anew, seed=o.seed, threads=o.threads, batch=o.batch, lr=o.lr,
                          warmup=0.1, **length)
    print(f"\n{judged(run.model, data, validation)}\n{stable(run.model, o.out)}\n\n{_next(o, data, head)}")
    return 0


def read(o: TrainSequence) -> tuple[Any, Any]:
    """What to train on, and what not."""
    import numpy as np

    from wellposed.numerics.files import read_arrays
    from wellposed.sequence.examples import examples

    held = read_arrays(o.data)
    for name in ("x", "y"):
        if name not in held:
            raise ValueError(f"{o.data}: received the arrays {', '.join(sorted(held)) or 'none'}, expected x and y; store them as "
                             "np.savez(file, x=x, y=y)")
    if ("x_validation" in held) != ("y_validation" in held):
        raise ValueError(f"{o.data}: received one of x_validation and y_validation, expected both or neither")
    try:
        data = examples(held["x"], held["y"], held.get("lengths"), o.head)
        if "x_validation" in held:
            return data, _alike(data, examples(held["x_validation"], held["y_validation"], held.get("lengths_validation"), o.head))
    except ValueError as error:
        raise ValueError(f"{o.data}: {error}") from None
    count = round(o.validation * len(data.x))
    if not 0 < o.validation < 1 or not 0 < count < len(data.x):
        raise ValueError(f"--validation: received {o.validation} of {len(data.x)} sequences, expected a part between 0 and 1 that has and "
                         "leaves at least one; or give x_validation and y_validation")
    order = np.random.default_rng([o.seed, 2**32]).permutation(len(data.x))
    rest, part = data.part(np.sort(order[count:])), data.part(np.sort(order[:count]))
    return _noted(rest, data.notes), part


def _noted(data: Any, notes: tuple[str, ...]) -> Any:
    from dataclasses import replace

    return replace(data, notes=notes)


def _alike(data: Any, validation: Any) -> Any:
    """The validation, if it is of the same kind."""
    def kind(e: Any) -> tuple[Any, ...]:
        return e.classes, e.stepwise, e.vocabulary is None, e.x.shape[2:], None if e.classes else e.outputs

    if kind(data) != kind(validation) or validation.outputs > data.outputs or (validation.vocabulary or 0) > (data.vocabulary or 0):
        raise ValueError(f"received x_validation {validation.x.shape} and y_validation {validation.y.shape} with {validation.outputs} "
                         f"classes or outputs, expected the kind of x {data.x.shape} and y {data.y.shape} with {data.outputs}, and no "
                         "other tokens; make both in the same way")
    return validation


def _tell(data: Any, validation: Any, head: str) -> None:
    what = f"{data.vocabulary} tokens" if data.vocabulary else f"{data.x.shape[2]} channel{'s' * (data.x.shape[2] > 1)}"
    goal = f"{data.outputs} classes" if data.classes else f"{data.outputs} number{'s' * (data.outputs > 1)}"
    loss = data.loss.__name__.replace("_", " ")
    print(f"{len(data.x):,} sequences of {data.x.shape[1]:,} steps, {what}, to {goal} {'a step' if data.stepwise else 'a sequence'}; "
          f"{len(validation.x):,} more for validation; loss {loss}, head {head}")
    for note in data.notes:
        print(f"note: {note}")


def answers(model: Any, data: Any) -> Any:
    """What the model answers to all of them, numpy."""
    import torch

    from wellposed.sequence.examples import answer

    found = []
    with torch.no_grad():
        for k in range(0, len(data.x), BATCH):
            part = slice(k, k + BATCH)
            found.append(answer(model, torch.from_numpy(data.x[part]), torch.from_numpy(data.lengths[part])))
    return torch.cat(found).cpu().numpy()


def judged(model: Any, data: Any, validation: Any) -> str:
    """How well it does on what it has not seen, beside what needs no network."""
    import numpy as np

    def shown(e: Any, x: Any) -> Any:
        return x[np.arange(e.x.shape[1]) < e.lengths[:, None]] if e.stepwise else x

    y, found, known = shown(validation, validation.y), shown(validation, answers(model, validation)), shown(data, data.y)
    where = f"on {len(validation.x):,} sequences that it was not trained on"
    if data.classes:
        usual = int(np.bincount(known).argmax())
        return (f"accuracy {np.mean(found.argmax(-1) == y):.1%} {where}{', step by step' * data.stepwise} (always class {usual}, the most "
                f"frequent: {np.mean(y == usual):.1%})")
    error, trivial = (float(np.sqrt(np.mean((x - y) ** 2))) for x in (found, known.mean(0)))
    return f"root mean square error {error:.4g} {where} (always the mean of the training targets: {trivial:.4g})"


def stable(model: Any, out: Path) -> str:
    """That each recurrence of the network is stable, as a certificate in the run folder."""
    from wellposed.certificate import certify
    from wellposed.training.folder import add_to_run

    certificate = certify(model, gain=False)
    add_to_run(out, certificate=certificate)
    return f"stability of its recurrences, as stored: {certificate.headline}"


def _next(o: TrainSequence, data: Any, head: str) -> str:
    inputs = "integers (batch, length)" if data.vocabulary else f"(batch, length, {data.x.shape[2]})"
    outputs = f"(batch, length, {data.outputs})" if head == "step" else f"(batch, {data.outputs})"
    whole, shortest = data.x.shape[1], data.x.shape[1] if data.lengths is None else int(data.lengths.min())
    steps = f"--length {whole}" if shortest == whole else f"--length {shortest} --horizon any"  # a mean over fewer steps has more gain
    lines = [f"the run folder is {o.out}. Next:", f"  {program()} check {o.out}"]
    declined = o.mixing in ("glu", "half_glu") or o.norm == "layer" or data.vocabulary
    lines += [] if declined else [f"  {program()} certify model --run {o.out} {steps}"]
    lines += ["or in Python:", "  from wellposed.sequence import SequenceModel", f"  model = SequenceModel.load({str(o.out)!r})",
              f"  answer = model(x)      # {inputs} -> {outputs}"]
    if not o.bidirectional:
        one = "tokens (batch,)" if data.vocabulary else f"(batch, {data.x.shape[2]})"
        lines += ["  state = model.initial_state(batch)",
                  f"  answer, state = model.step(x_now, state)      # one step, as data arrive: {one}"]
    return "\n".join(lines)
