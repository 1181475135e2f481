"""`train`: any module, on any problem or data, in a folder from which the same command goes on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from wellposed.training.asked import ask, choose, describe
from wellposed.training.config import identity, read_config
from wellposed.training.learner import Learner, accelerator
from wellposed.training.loop import Loop
from wellposed.training.objectives import Objective
from wellposed.training.plan import Plan, plan
from wellposed.training.progress import Watcher
from wellposed.training.randomness import Randomness
from wellposed.training.run import Run, finish, open_run
from wellposed.training.settings import Settings
from wellposed.training.standing import begin, clear, going_on, held, standing
from wellposed.training.weights import load_into

EXACT = ("torch", "threads", "device", "processes")
"""What must stay for a resumed run to be bit for bit an undisturbed one."""
MEASURE = 1.5
"""Seconds for measuring the time of a step."""


def train(model: nn.Module, problem_or_data: Any, *, loss: Any = None, validation: Any = None, folder: str | Path | None = None,
          resume: bool = True, quiet: bool = False, settings: Settings | None = None, **options: Any) -> Run:
    """Train a model, in place, and leave a run folder; the same call goes on from where a kill, or Ctrl-C, has stopped it.

    A resumed run ends in the same weights, bit for bit, as an undisturbed one with as many threads. If training is interrupted or
    fails, the model gets back the weights that it came with. An unfinished run goes on from its checkpoint whatever weights the model
    comes with; a finished one is returned for a model that comes with those that it began with (build it after torch.manual_seed).

    Another call is known to be the same by the model's modules and options as it prints them, its weights, the settings, and the data: of
    a torch `Dataset` its length and 64 samples, of data drawn on the fly the first two batches.

    Args:
        model: any module; it comes back with its best weights. Its `config`, if it has one (a flat mapping with "name"), becomes the
            table [model] of config.toml. Its `parameter_groups()`, if it has any, are AdamW's, with "lr_factor" instead of "lr".
        problem_or_data: arrays (x, y), a data set of torch, the path of an .npz file or a folder of them, an `Objective`, or a problem
            that a room has taught `wellposed.training.objective`.
        loss: for arrays "relative_l2" (by default), "mse", "l1", "cross_entropy", or a function (prediction, target) -> scalar; for a
            problem what its room offers, such as "bound" (by default), "energy" and "l2" for `Darcy`.
        validation: a fraction of the data, or data of their own.
        folder: by default runs/<class of the model>, in lower case.
        resume: False starts anew, and deletes the run that is in the folder.
        quiet: tell nothing while training.
        settings, options: fields of `Settings`, such as steps, epochs or seconds, of which exactly one must be given; and options of the
            problem or data. A room's own defaults hold for options; a whole `Settings` is taken as it is.

    Returns:
        the run; prints as a summary.

    Raises:
        ValueError: bad settings or data; a folder with another run, whose first difference is named. TypeError: unknown data.
        FloatingPointError: a loss that is not finite.

    Example:
        ``wellposed.train(model, (x, y), epochs=20, validation=0.1)``
    """
    chosen, others = choose(settings, options, problem_or_data)
    asked = ask(model, problem_or_data, loss, validation, chosen, others)
    place = Path(folder) if folder is not None else Path("runs") / type(model).__name__.lower()
    on = accelerator(chosen)
    config = describe(model, asked, chosen, on)
    watcher, main = Watcher(quiet or not on.is_main_process), on.is_main_process
    state = standing(place, config, resume)
    on.wait_for_everyone()
    if main and state == "new":
        begin(place, config)
    on.wait_for_everyone()
    with held(place) if main else nullcontext():
        if on.num_processes == 1 and state == "unfinished":
            state = standing(place, config, resume)  # it may have finished before this process had its turn
        if state == "unfinished":
            config = going_on(place, config)
        if state != "finished":
            _train(model, asked, chosen, config, place, state, on, watcher)
        on.wait_for_everyone()
        run = open_run(place, model)
    again = f"{place} holds this run, finished (resume=False, or --anew, starts over)\n{run.message}"
    watcher.say(again if state == "finished" else str(run))
    return run


def _train(model: nn.Module, asked: Objective, chosen: Settings, config: dict[str, Any], place: Path, state: str, on: Accelerator,
           watcher: Watcher) -> None:
    random, device = Randomness(chosen.seed, on.process_index), next((p.device for p in model.parameters()), torch.device("cpu"))
    with _unharmed(model), _threads(chosen.threads), random.own():
        if on.is_main_process and state == "old":
            clear(place)
        kept = _kept(place, config, chosen) if state == "unfinished" else None
        planned = kept or plan(model, asked, chosen, on, MEASURE)
        on.wait_for_everyone()
        if on.is_main_process:
            begin(place, config | {"plan": asdict(planned)})
        random.begin(0)
        learner = Learner(model, chosen, on)
        try:
            loop = Loop(learner, asked, chosen, planned, place, identity(config), watcher, random)
            loop.resume()
            watcher.begin(loop.position.step, planned.steps, place)
            status = loop.run()
        finally:
            watcher.close()
            learner.release(device)
        if on.is_main_process:
            finish(loop, config, status)


def _kept(place: Path, config: Mapping[str, Any], chosen: Settings) -> Plan | None:
    """The plan that the run began with; None where it was killed before there was one."""
    before = read_config(place) or {}
    was, now = before.get("environment", {}), config["environment"]
    changed = [f"{name} {was.get(name)} (now {now[name]})" for name in EXACT if was.get(name) != now[name]]
    if changed:
        warnings.warn(f"{place} began with {', '.join(changed)}: it goes on, but its weights need not be bit for bit those of an "
                      "undisturbed run", stacklevel=2)
    kept = before.get("plan")
    if kept is None:
        return None
    return Plan(**kept) if chosen.checkpoint_every is None else replace(Plan(**kept), checkpoint_every=chosen.checkpoint_every)


@contextmanager
def _unharmed(model: nn.Module) -> Iterator[None]:
    """If it fails the model is as it was, so that the same call resumes."""
    start = {name: x.detach().clone() for name, x in model.state_dict().items()}
    training = {module: module.training for module in model.modules()}
    try:
        yield
    except BaseException:
        load_into(model, start)
        for module, was in training.items():
            module.training = was
        raise


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count or before)
        yield
    finally:
        torch.set_num_threads(before)
