"""LPN: a learned proximal network, the gradient of a convex potential, and so the exact proximal operator of a learned prior."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wellposed.proximal import layouts
from wellposed.proximal.convex import ConvexNetwork
from wellposed.proximal.exact_prox import ExactProx
from wellposed_check.proximal.maps import MOST

MOST_SCALES = 8
MOST_LAYERS = 64
"""That a certificate describes."""
PUBLISHED = ("one-dimensional", "digits", "faces")


class LPN(ExactProx):
    """f = ∇ψ = prox_R, ψ strongly convex, for vectors (batch, dim); `convolutional` and `published` for images.

    R = ψ* - |·|²/2 may be nonconvex; f(y) is the one global minimiser of R(x) + |x - y|²/2 all the same (Gribonval and Nikolova, J. Math.
    Imaging Vis. 2020; Fang, Buchanan and Sulam, ICLR 2024, arXiv 2310.14344). See docs/theorems/proximal.md.

    Args:
        dim: of the vectors. width: units of each layer. depth: layers.
        beta: of the softplus: larger is nearer to a kink. Good values: 10 for values of size 1, 50 for images in 0 to 1.
        modulus: μ in (0, 1): ψ is μ-strongly convex and f⁻¹ has the Lipschitz constant 1/μ.
        readout: "square" of the activations, in which shrinkage is simple, or "linear", as published: the gradient is then within a
            bounded distance of μ x.

    Raises:
        ValueError: numbers out of range.

    Example:
        >>> import torch, wellposed
        >>> from wellposed.proximal import LPN
        >>> f = LPN(2)
        >>> f(torch.zeros(3, 2)).shape
        torch.Size([3, 2])
    """

    def __init__(self, dim: int, width: int = 32, depth: int = 3, beta: float = 10.0, modulus: float = 1e-3, *,
                 readout: str = "square") -> None:
        super().__init__()
        _whole(dim=dim, width=width, depth=depth)
        if readout not in layouts.READOUTS:
            raise ValueError(f"LPN: received readout={readout!r}, expected one of {', '.join(layouts.READOUTS)}")
        _in_range(beta, modulus)
        net = layouts.dense(dim, width, depth, beta, modulus, readout)
        self._set(net, (dim,), {"layout": "dense", "dim": dim, "width": width, "depth": depth, "beta": beta, "modulus": modulus,
                                "readout": readout})

    def _set(self, net: ConvexNetwork, shape: tuple[int | None, ...], options: dict[str, Any]) -> None:
        self._hold(net, shape)
        self._options = options

    @classmethod
    def _of(cls, net: ConvexNetwork, shape: tuple[int | None, ...], options: dict[str, Any]) -> LPN:
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model._set(net, shape, options)
        return model

    @classmethod
    def convolutional(cls, channels: int, width: int = 24, depth: int = 2, *, kernel: int = 8, stride: int = 4, sigma: float = 0.1,
                      beta: float = 50.0, modulus: float = 0.02, scales: int = 1) -> LPN:
        """Images (batch, channels, y, x) of any size, values about 0 to 1.

        Args:
            width: pairs of filters of each layer; `kernel`² times `channels` are a full transform.
            kernel, stride: of the filters; the stride is at most the kernel.
            sigma: of the noise; the network begins as cosine shrinkage for it.
            scales: at scale s = 0 ... scales - 1 `depth` layers see means over 2^s x 2^s pixels, and ψ is the sum over scales. An image
                is padded by zeros for each, so that any size will do.

        Raises:
            ValueError: numbers out of range.
        """
        _whole(channels=channels, width=width, depth=depth, kernel=kernel, stride=stride, scales=scales)
        if stride > kernel or not 0 < sigma < math.inf:
            raise ValueError(f"LPN.convolutional: received kernel={kernel}, stride={stride}, sigma={sigma!r}, expected a stride of at most "
                             "the kernel, and a positive sigma")
        if scales > MOST_SCALES or depth * scales > MOST_LAYERS or 2 ** (scales - 1) * stride > MOST:
            raise ValueError(f"LPN.convolutional: received depth={depth}, scales={scales}, stride={stride}, expected at most {MOST_SCALES} "
                             f"scales, {MOST_LAYERS} layers in all, and strides of at most {MOST} pixels at the coarsest scale, which is "
                             "what certificates describe")
        _in_range(beta, modulus)
        net = layouts.convolutional(channels, width, depth, kernel, stride, sigma, beta, modulus, scales)
        more = {"scales": scales} if scales > 1 else {}  # runs of one scale stay what they were
        return cls._of(net, (channels, None, None), {
            "layout": "convolutional", "channels": channels, "width": width, "depth": depth, "kernel": kernel, "stride": stride,
            "sigma": sigma, "beta": beta, "modulus": modulus, **more})

    @classmethod
    def published(cls, name: str, channels: int = 1, width: int = 0) -> LPN:
        """A network of the paper: "one-dimensional", "digits" (28 x 28) or "faces" (128 x 128); width 0 is theirs.

        Raises:
            ValueError: another name.
        """
        if name not in PUBLISHED:
            raise ValueError(f"LPN.published: received {name!r}, expected one of {', '.join(PUBLISHED)}")
        net, shape = layouts.published(name, channels, width)
        return cls._of(net, shape, {"layout": name, "channels": channels, "width": width})

    def spun(self, stride: int = 1) -> LPN:
        """The average of a convolutional prox over shifts of the image by `stride` pixels: cycle spinning (Coifman and Donoho 1995).

        It is the gradient of the average of potentials, and so an exact prox again: the same filters, moved by less; those of a coarser
        scale by `stride` of its own pixels. In denoising it is worth about a tenth of a dB, at (old stride / stride)² times the work.

        Raises:
            ValueError: another layout, or a stride that does not divide its own.
        """
        own = self._options.get("stride")
        if own is None or not isinstance(stride, int) or stride < 1 or own % stride:
            raise ValueError(f"LPN.spun: received stride={stride!r} for the layout {self._options['layout']!r} with the stride {own}, "
                             "expected a convolutional network and a stride that divides its own")
        model = LPN.from_config({**self._options, "stride": stride}).to(next(self.parameters()))
        model.load_state_dict(self.state_dict())
        with torch.no_grad():
            for layer in model.net.ordered():
                assert layer.readout_root is not None
                layer.readout_root.mul_(stride / own)
        return model.eval()

    @property
    def config(self) -> dict[str, Any]:
        """What a run folder keeps to build it again."""
        return {"name": "lpn", **self._options}

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v!r}" for k, v in self._options.items())

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LPN:
        """The inverse of `config`."""
        options = {k: v for k, v in config.items() if k not in ("name", "layout")}
        layout = config.get("layout")
        if layout == "dense":
            return cls(**options)
        return cls.convolutional(**options) if layout == "convolutional" else cls.published(str(layout), **options)

    @classmethod
    def load(cls, folder: str | Path) -> LPN:
        """The model of a run folder, after its manifest has been verified.

        Raises:
            ValueError: no run folder, a file that differs from what the run wrote, or another kind of model.
        """
        from wellposed.training.weights import load_into, load_model_config, load_weights

        config = load_model_config(folder)
        if config.get("name") != "lpn":
            raise ValueError(f"{folder} holds a model named {config.get('name')!r}, expected 'lpn'; load it with the class that made it")
        model = cls.from_config(config)
        load_into(model, load_weights(Path(folder) / "weights.safetensors"))
        return model.eval()


def _whole(**numbers: int) -> None:
    for name, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"LPN: received {name}={value!r}, expected a whole number of at least 1")


def _in_range(beta: float, modulus: float) -> None:
    if not (0 < beta < math.inf and 0 < modulus < 1):
        raise ValueError(f"LPN: received beta={beta!r}, modulus={modulus!r}, expected a positive beta and a modulus between 0 and 1: "
                         "without strong convexity the prox has no inverse, and at 1 the prior is not bounded below")
