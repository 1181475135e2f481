"""A model and its optimizer on Accelerate: one step, and a state that goes to safetensors and back bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor, nn

from wellposed.training.data import Data, each_tensor
from wellposed.training.objectives import Objective
from wellposed.training.settings import Settings
from wellposed.training.weights import load_into


def accelerator(settings: Settings) -> Accelerator:
    """Accelerate as the settings say; it lets one process choose once only, so an earlier choice is forgotten first.

    Raises:
        ValueError: there is no GPU where one is asked for.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("train: received device='cuda', but torch finds no GPU; leave device out, or install a build of torch for it")
    alone = PartialState._shared_state == {} or PartialState().num_processes == 1
    AcceleratorState._reset_state(reset_partial_state=alone)
    return Accelerator(cpu=settings.device == "cpu", mixed_precision="bf16" if settings.precision == "bf16" else "no")


class Learner:
    """A model that learns.

    Attributes:
        model: as it was given. prepared: the same for several processes and mixed precision.
        average: the moving average of the parameters, by name; None where none is kept.
    """

    def __init__(self, model: nn.Module, settings: Settings, on: Accelerator) -> None:
        self.model, self.settings, self.on = model, settings, on
        self.device = on.device
        self._own = set(model.__dict__)
        model.to(on.device)
        for p in model.parameters() if settings.channels_last else ():
            if p.ndim == 4 and p.is_floating_point():
                p.data = p.data.contiguous(memory_format=torch.channels_last)
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self.trained:
            raise ValueError(f"train: received a {type(model).__name__} without parameters that require a gradient, expected at least one")
        fused = all(p.is_floating_point() for p in self.trained.values()) and on.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(self._groups(), lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay,
                                           fused=fused or None)
        self.factors = [group.get("lr_factor", 1.0) for group in self.optimizer.param_groups]
        self.prepared, _ = on.prepare(model, self.optimizer)  # the wrapped optimizer only adds time where losses are not scaled
        self.average = {name: p.detach().clone() for name, p in self.trained.items()} if settings.average is not None else None

    def _groups(self) -> list[dict[str, Any]]:
        """The model's own groups of parameters, where it has a method `parameter_groups`, or one of all that are trained."""
        own: Any = getattr(self.model, "parameter_groups", lambda: [{"params": self.trained.values()}])
        groups = [{**group, "params": list(group["params"])} for group in own()]
        held = sorted(id(p) for group in groups for p in group["params"])
        if held != sorted(id(p) for p in self.trained.values()):
            raise ValueError(f"train: received parameter_groups of {type(self.model).__name__} with {len(held)} parameters, expected each "
                             f"of the {len(self.trained)} that require a gradient, once")
        return groups

    def place(self, batch: Any) -> Any:
        """A batch on the device, images with the channels last if the settings say so."""
        last = self.settings.channels_last

        def move(x: Tensor) -> Tensor:
            form = torch.channels_last if last and x.ndim == 4 else torch.preserve_format
            return x.to(self.device, non_blocking=True, memory_format=form)

        return each_tensor(batch, move)

    def step(self, objective: Objective, batch: Any, step: int, lr: float) -> tuple[Tensor, Tensor | None]:
        """One step of the optimizer, the one that follows `step` finished ones: loss, and norm of the gradient if clipped."""
        for group, factor in zip(self.optimizer.param_groups, self.factors, strict=True):
            group["lr"] = lr * factor
        self.optimizer.zero_grad()
        loss = objective.loss(self.prepared, batch)
        if not isinstance(loss, Tensor) or loss.ndim != 0 or not loss.requires_grad:
            raise ValueError(f"train: received a loss {_what(loss)}, expected one number that depends on the parameters; reduce it with "
                             "mean(), and detach nothing on the way")
        self.on.backward(loss)
        clip = self.settings.clip
        norm = self.on.clip_grad_norm_(self.trained.values(), clip) if clip is not None else None
        self.optimizer.step()
        if self.average is not None and self.settings.average is not None:
            decay = min(self.settings.average, (1 + step) / (10 + step))  # the first steps would weigh too much
            with torch.no_grad():
                for name, held in self.average.items():
                    held.lerp_(self.trained[name], 1 - decay)
        return loss.detach(), norm

    def weights(self) -> dict[str, Tensor]:
        """What counts: parameters, averaged if the settings say so, and buffers; views, not copies."""
        return {**self.model.state_dict(), **(self.average or {})}

    @contextmanager
    def judged(self) -> Iterator[nn.Module]:
        """The model with the weights that count, not training."""
        training = {m: m.training for m in self.model.modules()}
        own = {name: p.detach().clone() for name, p in self.trained.items()} if self.average is not None else {}
        try:
            self._put(self.average or {})
            self.model.eval()
            with torch.no_grad():
                yield self.prepared
        finally:
            self._put(own)
            for module, was in training.items():
                module.training = was

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, x in values.items():
            self.trained[name].copy_(x)

    def state(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """All that a resumed run needs, in groups of tensors."""
        yield "weights", self.model.state_dict()
        names = {id(p): name for name, p in self.trained.items()}
        yield "optimizer", {f"{names[id(p)]}.{key}": value for p, entries in self.optimizer.state.items()
                            for key, value in entries.items() if isinstance(value, Tensor)}
        if self.average is not None:
            yield "average", self.average

    def restore(self, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Go on from what `state` gave."""
        load_into(self.model, groups["weights"])
        for entry, value in groups["optimizer"].items():
            name, _, key = entry.rpartition(".")
            p = self.trained[name]
            self.optimizer.state[p][key] = _like(p, value) if value.shape == p.shape and key != "step" else self._scalar(value)
        for name, held in (self.average or {}).items():
            held.copy_(groups["average"][name])

    def _scalar(self, value: Tensor) -> Tensor:
        return value.to(self.device) if self.optimizer.defaults["fused"] else value.clone()

    def release(self, device: torch.device) -> nn.Module:
        """The model without what Accelerate has put around it, on another device."""
        self.on.unwrap_model(self.prepared, keep_fp32_wrapper=False)
        for name in {"forward", "_original_forward", "_is_accelerate_prepared"} - self._own:
            self.model.__dict__.pop(name, None)
        return self.model.to(device)


def judge(learner: Learner, objective: Objective, validation: Data, batch: int) -> dict[str, float]:
    """Loss and metrics on data that are not trained on: the loss is the mean over all samples."""
    total = 0.0
    with learner.judged() as model:
        for begin in range(0, len(validation), batch):
            chosen = list(range(begin, min(begin + batch, len(validation))))
            total += float(objective.loss(model, learner.place(validation[chosen]))) * len(chosen)
        metrics = objective.metrics(model, validation) if objective.metrics is not None else {}
    return {"loss": total / len(validation), **{k: float(v) for k, v in metrics.items()}}


def _like(p: Tensor, value: Tensor) -> Tensor:
    """`value` with the strides of `p`: fused kernels go through the memory of both side by side."""
    return torch.empty_like(p, memory_format=torch.preserve_format).copy_(value)


def _what(loss: Any) -> str:
    if not isinstance(loss, Tensor):
        return f"of the type {type(loss).__name__}"
    return f"of shape {tuple(loss.shape)}" if loss.ndim else "that does not depend on the parameters"
