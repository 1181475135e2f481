"""A sequence model: an encoder, residual blocks around S4 or S5 layers, and a head that pools or answers at every step.

Blocks are those of S4 and S5 (Gu, Goel and Re, ICLR 2022; Smith, Warrington and Linderman, ICLR 2023). "glu" and "half_glu" gate,
and so have no global Lipschitz constant; with mixing="linear" and batch or no normalization the network has an L2 gain that
`wellposed.certify` bounds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wellposed.certificate import Certificate, certify
from wellposed.numerics.activations import activation_of, named
from wellposed.numerics.heap import keep_freed_memory
from wellposed.sequence.gain import Mean, Residual, certify_stages
from wellposed.sequence.s4 import S4
from wellposed.sequence.s5 import S5
from wellposed.sequence.stages import Declined, certify_network, decline, read, stages_of

LAYERS: Mapping[str, Callable[..., nn.Module]] = {"s4": S4, "s5": S5}
NORMS: Mapping[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "none": lambda _: nn.Identity()}
MIXINGS = ("linear", "glu", "half_glu", "none")
HEADS = ("mean", "last", "step")


class HalfGLU(nn.Module):
    """x -> x sigmoid(W x)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, features)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.linear(x).sigmoid()


class Block(nn.Module):
    """x + mixing(dropout(activation(layer(x)))), with a normalization before the layer or after the sum."""

    def __init__(self, layer: nn.Module, norm: nn.Module, activation: nn.Module, mixing: str, dropout: float, prenorm: bool) -> None:
        super().__init__()
        features: int = layer.features  # type: ignore[assignment]
        self.layer, self.norm, self.activation, self.dropout, self.prenorm = layer, norm, activation, nn.Dropout(dropout), prenorm
        kinds: dict[str, Callable[[], nn.Module]] = {
            "linear": lambda: nn.Linear(features, features), "none": nn.Identity, "half_glu": lambda: HalfGLU(features),
            "glu": lambda: nn.Sequential(nn.Linear(features, 2 * features), nn.GLU())}
        self.mixing = kinds[mixing]()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self._normed(x) if self.prenorm else x
        y = x + self._after(self.layer(y if mask is None else torch.where(mask, y, 0.0)))
        return y if self.prenorm else self._normed(y)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step, (batch, features)."""
        y, state = self.layer.step(self.norm(x) if self.prenorm else x, state)  # type: ignore[operator]
        y = x + self._after(y)
        return (y if self.prenorm else self.norm(y)), state

    def _after(self, y: Tensor) -> Tensor:
        return self.dropout(self.mixing(self.dropout(self.activation(y))))

    def _normed(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(0, 1)).view_as(x)


class SequenceModel(nn.Module):
    """(batch, length, inputs) -> (batch, outputs), or (batch, length, outputs) with head="step".

    Args:
        inputs: channels; with `vocabulary` 1, tokens (batch, length) of integers.
        outputs: classes, or channels of the answer. features: of the blocks. layers: how many blocks.
        layer: "s4" or "s5". state, init, theta, bidirectional, discretization, steps, and blocks of S5: as the layer has them.
        vocabulary: how many tokens there are, 0 the padding; None for real inputs.
        norm: "batch", "layer", "none", or features -> a module that takes (samples, features). prenorm: before the layer, or after the sum.
        activation: "gelu", "silu", "relu", "tanh", or any module. mixing: "linear", "glu", "half_glu" or "none". dropout: a part.
        head: "mean" over the steps, "last" or "step". ssm_lr: learning rate of the layers' own parameters, as a part of the other's.

    Raises:
        ValueError: numbers out of range or unknown names; what was expected is said.
    """

    def __init__(self, inputs: int, outputs: int, features: int = 64, layers: int = 2, *, layer: str = "s4", state: int = 64,
                 blocks: int = 1, init: str = "damped", theta: float = 0.1, bidirectional: bool = False, discretization: str = "zoh",
                 steps: tuple[float, float] = (1e-3, 1e-1), vocabulary: int | None = None, norm: str | Callable[[int], nn.Module] = "batch",
                 prenorm: bool = True, activation: str | nn.Module = "gelu", mixing: str = "glu", dropout: float = 0.0,
                 head: str = "mean", ssm_lr: float = 0.25) -> None:
        super().__init__()
        own = isinstance(norm, str)
        self._config = {"inputs": inputs, "outputs": outputs, "features": features, "layers": layers, "layer": layer, "state": state,
                        "blocks": blocks, "init": init, "theta": theta, "bidirectional": bidirectional, "discretization": discretization,
                        "steps": list(steps), "vocabulary": vocabulary, "norm": norm if own else repr(norm(features)), "prenorm": prenorm,
                        "activation": activation if isinstance(activation, str) else named(activation), "mixing": mixing,
                        "dropout": dropout, "head": head, "ssm_lr": ssm_lr}
        _demand(self._config, own)
        keep_freed_memory()
        sizes = {"blocks": blocks} if layer == "s5" else {}
        self.head, self.ssm_lr, self.inputs = head, ssm_lr, inputs
        self.encoder = nn.Linear(inputs, features) if vocabulary is None else nn.Embedding(vocabulary, features, padding_idx=0)
        make = NORMS[norm] if isinstance(norm, str) else norm
        self.blocks = nn.ModuleList(Block(
            LAYERS[layer](features, state, init=init, theta=theta, bidirectional=bidirectional, discretization=discretization, steps=steps,
                          **sizes), make(features), copy.deepcopy(activation_of(activation)), mixing, dropout, prenorm)
            for _ in range(layers))
        self.final = make(features) if prenorm else nn.Identity()
        self.decoder = nn.Linear(features, outputs)

    @property
    def config(self) -> dict[str, Any]:
        """What a run folder keeps to build it again."""
        return {"name": "sequence", **{k: v for k, v in self._config.items() if v is not None}}

    @classmethod
    def load(cls, folder: str | Path, **modules: Any) -> SequenceModel:
        """The model of a run folder, after its manifest has been verified.

        Args:
            modules: norm and activation, where they are none of the named ones.

        Raises:
            ValueError: no run folder, a file that differs from what the run wrote, or another kind of model.
        """
        from wellposed.training.weights import load_model_config, load_weights

        config = load_model_config(folder)
        if config.pop("name", None) != "sequence":
            raise ValueError(f"{folder} holds another kind of model, expected one named 'sequence'; load it with the class that made it")
        model = cls(**{**config, "steps": tuple(config["steps"]), **modules})
        model.load_state_dict(load_weights(Path(folder) / "weights.safetensors"))
        return model.eval()

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The answer.

        Args:
            lengths: (batch,), where sequences are padded at their ends; where not given, of tokens up to the last that is not 0.

        Raises:
            ValueError: another shape or type than was announced.
        """
        tokens, x = x, self._encoded(x)
        if lengths is None and isinstance(self.encoder, nn.Embedding):
            lengths = ((tokens != 0) * torch.arange(1, x.shape[1] + 1, device=x.device)).amax(1).clamp(min=1)
        lengths = None if lengths is None else torch.as_tensor(lengths, device=x.device)
        if lengths is not None and (lengths.shape != (len(x),) or not bool(((lengths >= 1) & (lengths <= x.shape[1])).all())):
            raise ValueError(f"SequenceModel: received lengths {lengths.tolist()[:8]}, expected one for each of the {len(x)} sequences, "
                             f"from 1 to {x.shape[1]}")
        mask = None if lengths is None else (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None]
        for block in self.blocks:
            x = block(x, mask)
        if not isinstance(self.final, nn.Identity):
            x = self.final(x.flatten(0, 1)).view_as(x)
        if self.head == "step":
            return self.decoder(x)
        if self.head == "last":
            return self.decoder(x[:, -1] if lengths is None else x[torch.arange(len(x)), lengths - 1])
        return self.decoder(x.mean(1) if mask is None or lengths is None else torch.where(mask, x, 0.0).sum(1) / lengths[:, None])

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """What `step` starts from: a state for each block, and for head="mean" the sum over steps and their number."""
        states = tuple(block.layer.initial_state(batch) for block in self.blocks)  # type: ignore[union-attr,operator]
        if self.head != "mean":
            return states
        like = self.decoder.weight
        return (*states, like.new_zeros(batch, like.shape[1]), like.new_zeros(batch))

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step, (batch, inputs) or tokens (batch,): what `forward` would answer had the sequence ended here, and the next state.

        A token 0 counts as a step here, where `forward` takes zeros at the end for padding.

        Raises:
            ValueError: a bidirectional model, or one in training mode.
        """
        if x.ndim != (1 if isinstance(self.encoder, nn.Embedding) else 2):
            raise ValueError(f"SequenceModel.step: received {tuple(x.shape)}, expected one step, (batch, {self.inputs}), or tokens "
                             "(batch,)")
        if self.training:
            raise ValueError("SequenceModel.step: received a call in training mode, expected model.eval(): statistics of a batch need all "
                             "of its steps")
        h, states = self._encoded(x[:, None])[:, 0], []
        for block, s in zip(self.blocks, state, strict=False):
            h, s = block.step(h, s)  # type: ignore[operator]
            states.append(s)
        h = self.final(h)
        if self.head != "mean":
            return self.decoder(h), tuple(states)
        total, count = state[-2] + h, state[-1] + 1
        return self.decoder(total / count[:, None]), (*states, total, count)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """For AdamW: the layers' dynamics learn more slowly and do not decay; neither do biases and normalizations."""
        slow, plain, rest = [], [], []
        for name, p in self.named_parameters():
            if not p.requires_grad:
                continue
            own = ".layer." in name and name.rsplit(".", 1)[1] in ("log_decay", "frequency", "log_step", "B")
            (slow if own else plain if p.ndim < 2 else rest).append(p)
        groups = [{"params": slow, "weight_decay": 0.0, "lr_factor": self.ssm_lr}, {"params": plain, "weight_decay": 0.0}, {"params": rest}]
        return [group for group in groups if group["params"]]

    def _encoded(self, x: Float[Tensor, "batch length inputs"]) -> Float[Tensor, "batch length features"]:
        tokens = isinstance(self.encoder, nn.Embedding)
        fits = x.ndim == 2 and not x.is_floating_point() if tokens else x.ndim == 3 and x.shape[-1] == self.inputs and x.is_floating_point()
        if not fits or not x.numel():
            expected = "integers (batch, length)" if tokens else f"a floating tensor (batch, length, {self.inputs})"
            raise ValueError(f"SequenceModel: received {tuple(x.shape)} of the type {x.dtype}, expected {expected} of at least one step")
        return self.encoder(x)


@stages_of.register
def _half_glu(module: HalfGLU) -> list[Any]:
    decline(module, "x sigmoid(W x) has no global Lipschitz constant: its slope grows with x")


@stages_of.register
def _block(block: Block) -> list[Any]:
    inner = [block.layer, block.activation, block.dropout, block.mixing]
    norm = [] if isinstance(block.norm, nn.Identity) else read(block.norm)
    branch = [stage for part in inner for stage in read(part)]
    return [Residual([*norm, *branch])] if block.prenorm else [Residual(branch), *norm]


def certify_model(model: SequenceModel, tol: float | None = None, *, length: int | None = None, gain: bool = True,
                  horizon: str = "fixed") -> Certificate:
    """As `wellposed.sequence.stages.certify_network`; of a head that takes a mean, from real inputs of the given length.

    Args:
        length: steps that the head averages; of padded sequences the shortest, with horizon="any".
        horizon: "fixed" bounds the layers' gains for inputs of this length; "any" for every length, in a tenth of the time.
    """
    if horizon not in ("fixed", "any"):
        raise ValueError(f"certify: received horizon={horizon!r}, expected 'fixed' or 'any'")
    if not gain:
        return certify_network(model, tol, gain=False)
    if isinstance(model.encoder, nn.Embedding):
        decline(model, "its inputs are tokens, between which there is no distance; certify(model, gain=False) certifies stability alone")
    if type(model).forward is not SequenceModel.forward or model._forward_hooks or model._forward_pre_hooks:
        decline(model, "its forward is not that of SequenceModel, or it has hooks; certify its parts, or remove them")
    parts = [model.encoder, *model.blocks, model.final]
    try:
        stages = [stage for part in parts for stage in read(part)]
    except Declined as error:
        raise Declined(f"{error}; certify(model, gain=False) certifies the stability of its layers alone") from None
    if model.head == "mean" and length is None:
        raise ValueError("certify: received a model that takes the mean over the steps and no length, expected length=..., the number of "
                         "steps: the gain of a mean over so many is 1 / sqrt(length)")
    pooled = [Mean(length)] if model.head == "mean" and length is not None else []
    return certify_stages([*stages, *pooled, *read(model.decoder)], tol, length if horizon == "fixed" else None)


certify.register(SequenceModel, certify_model)


def _demand(c: Mapping[str, Any], named_norm: bool) -> None:
    counts = [k for k in ("inputs", "outputs", "features", "layers") if not isinstance(c[k], int) or c[k] < 1]
    if counts or not 0 <= c["dropout"] < 1 or not c["ssm_lr"] > 0:
        raise ValueError(f"SequenceModel: received {', '.join(f'{k}={c[k]!r}' for k in (*counts, 'dropout', 'ssm_lr'))}, expected positive "
                         "integers, a dropout from 0 to below 1, and a positive ssm_lr")
    tokens = c["vocabulary"]
    if (tokens is not None and (not isinstance(tokens, int) or tokens < 2)) or (c["layer"] == "s4" and c["blocks"] != 1):
        raise ValueError(f"SequenceModel: received vocabulary={tokens!r} and blocks={c['blocks']!r} with layer={c['layer']!r}, expected at "
                         "least two tokens or None, and blocks of S5 only")
    for name, known in (("layer", LAYERS), ("mixing", MIXINGS), ("head", HEADS), *((("norm", NORMS),) if named_norm else ())):
        if c[name] not in known:
            raise ValueError(f"SequenceModel: received {name}={c[name]!r}, expected one of {', '.join(known)}")
