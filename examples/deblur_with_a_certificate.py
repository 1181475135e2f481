"""Train a learned prior on digits for some seconds, deblur digits that it has never seen, and prove that each answer is stationary.

    python examples/deblur_with_a_certificate.py --picture deblurred.png

About half a minute. The prior is exactly a prior: the network is the proximal operator of it, by its construction and not by training.
"""

import argparse

import numpy as np
import torch
from matplotlib import pyplot as plt

import wellposed
from wellposed.numerics.digits import load_images
from wellposed.proximal import LPN, Denoising, Inverse, reconstruct
from wellposed.proximal.physics import Blur

KERNEL = np.outer([1, 2, 1], [1, 2, 1]) / 16
NOISE, SIGMA = 0.02, 0.1


def main() -> None:
    o = options()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    digits = torch.from_numpy(load_images()[0] / 16)[:, None]
    model = LPN.convolutional(1, width=64, sigma=SIGMA)
    learned = Denoising(digits[:1400], SIGMA)
    wellposed.train(model, learned, folder="runs/deblur", seconds=o.seconds, batch=64, lr=1e-2, patch=8, turned=False)
    print(f"\nthe network: {wellposed.certify(model).claim('exact_prox').quantity}")

    truth, blur = digits[1400:1408], Blur(KERNEL, (8, 8))
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(truth.shape))
    problem = Inverse(blur, blur.A(truth) + NOISE * noise, NOISE)
    found = reconstruct(problem, model, tol=1e-5)  # at the weight (NOISE / SIGMA)²
    print(f"\n{found.message}\n{found.certificate}")
    print(f"\nblurred {psnr(problem.measurement, truth):.2f} dB, restored {psnr(found.image, truth):.2f} dB")

    judged = wellposed.certify(problem, problem.measurement, prior=model).claim("stationarity")  # of anyone's images: here the blurred ones
    print(f"the blurred images themselves: |∇F| between {judged.lower:.3g} and {judged.upper:.3g}")
    if o.picture:
        draw([truth, problem.measurement, found.image], o.picture)


def psnr(image: torch.Tensor, truth: torch.Tensor) -> float:
    """The mean over images, in dB."""
    return float((-10 * torch.log10((image - truth).square().flatten(1).mean(1))).mean())


def draw(rows: list[torch.Tensor], file: str) -> None:
    figure, axes = plt.subplots(3, len(rows[0]), figsize=(len(rows[0]), 3.2), layout="constrained")
    for name, images, line in zip(("truth", "measured", "restored"), rows, axes, strict=True):
        line[0].set_ylabel(name)
        for image, ax in zip(images, line, strict=True):
            ax.imshow(image[0], cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
    figure.savefig(file, dpi=110)


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=20.0, help="of training (20)")
    p.add_argument("--picture", help="FILE to draw into: .png, .svg or .pdf")
    return p.parse_args()


if __name__ == "__main__":
    main()
