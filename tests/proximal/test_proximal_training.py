"""Training of proximal networks: losses, pairing, annealing, patches, and runs that resume."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

import wellposed
from wellposed.proximal import LPN
from wellposed.proximal.annealing import Annealed, penalty
from wellposed.proximal.denoising import Denoising, denoising_objective, where_answers_are_even
from wellposed.proximal.images import Patches, read_images
from wellposed.proximal.laws import GaussianMixture, Laplace
from wellposed.proximal.pairing import Pairs, paired
from wellposed.proximal.proximal_matching import Absolute, ProximalMatching, Square
from wellposed.training import Settings, objective
from wellposed.training.learner import Learner


class Stopped(Exception):
    """Training is over here."""


def network(seed=0, **options):
    torch.manual_seed(seed)
    return LPN(1, **{"width": 8, "depth": 2, **options})


def rows(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def interrupted(train, monkeypatch):
    """Stop before step 11, then go on."""
    step = Learner.step

    def stopping(self, asked, batch, at, lr):
        if at == 11:
            raise Stopped
        return step(self, asked, batch, at, lr)

    monkeypatch.setattr(Learner, "step", stopping)
    with pytest.raises(Stopped):
        train()
    monkeypatch.setattr(Learner, "step", step)
    train()


# --- losses ---


def test_proximal_matching_is_what_it_says():
    x, y = rows(5, 2, 3), rows(5, 2, 3, seed=1)
    r2 = (x - y).square().sum((1, 2))
    assert torch.allclose(ProximalMatching(0.7)(x, y), (0.49 * (1 - torch.exp(-r2 / 0.49))).mean())
    assert float(ProximalMatching(1e4)(x, y)) == pytest.approx(float(r2.mean()), rel=1e-6)


def test_its_gradient_is_finite_where_the_residual_is_zero():
    x = torch.ones(3, 2, requires_grad=True)
    ProximalMatching(0.1)(x, torch.ones(3, 2)).backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros(3, 2))


@pytest.mark.parametrize("gamma", [0.0, -1.0, float("nan"), float("inf")])
def test_gamma_must_be_positive(gamma):
    with pytest.raises(ValueError, match="ProximalMatching: received gamma="):
        ProximalMatching(gamma)


@pytest.mark.parametrize("loss", [ProximalMatching(0.8), Absolute(), Square()], ids=lambda x: x.called)
def test_gradients_of_pairs(loss):
    r = (rows(4, 5, 3) + 0.01).requires_grad_()
    value, slope = loss.of_pairs(r)
    value.sum().backward()
    assert torch.allclose(r.grad, slope)
    assert float(loss(r[:, 0].detach(), torch.zeros(4, 3))) == pytest.approx(float(value[:, 0].mean().detach()))


@pytest.mark.parametrize("loss", [ProximalMatching(0.8), Absolute(), Square()], ids=lambda x: x.called)
@pytest.mark.parametrize("dim", [1, 4])
@pytest.mark.parametrize("chunk", [2**20, 16])
def test_pairing_is_the_conditional_mean(loss, dim, chunk, monkeypatch):
    monkeypatch.setattr("wellposed.proximal.pairing.CHUNK", chunk)
    batch, f, sigma = Pairs(rows(6, dim), rows(9, dim, seed=1)), rows(6, dim, seed=2).requires_grad_(), 0.9
    w = torch.softmax(-(batch.noisy[:, None] - batch.clean).square().sum(-1) / (2 * sigma**2), 1)
    own = f.detach().clone().requires_grad_()
    value = (w * loss.of_pairs(own[:, None] - batch.clean)[0]).sum(1)
    scale = (1 - value / loss.gamma**2).mean().detach() if isinstance(loss, ProximalMatching) else 1.0
    (value.mean() / scale).backward()
    found = paired(loss, f, batch, sigma)
    found.backward()
    assert float(found.detach()) == pytest.approx(float(value.mean().detach()))
    if isinstance(loss, ProximalMatching) and dim == 1:
        assert bool((f.grad / own.grad > 0).all())
    else:
        assert torch.allclose(f.grad, own.grad)


def test_steps_of_proximal_matching_are_newtons():
    """A posterior of two samples: mollified, its logarithm is known."""
    gamma, sigma, batch, f = 0.9, 0.7, Pairs(rows(1, 1) * 0 + 0.2, torch.tensor([[0.0], [0.3]], dtype=torch.float64)), torch.tensor([[0.1]]).double()
    w = torch.softmax(-(batch.noisy - batch.clean.T).square()[0] / (2 * sigma**2), 0)

    def energy(x):
        return -torch.log((w * torch.exp(-(x - batch.clean[:, 0]).square() / gamma**2)).sum())

    x = f[0, 0].clone().requires_grad_()
    slope = torch.autograd.grad(energy(x), x, create_graph=True)[0]
    bend = torch.autograd.grad(slope, x)[0]
    f.requires_grad_()
    paired(ProximalMatching(gamma), f, batch, sigma).backward()
    assert f.grad.item() == pytest.approx(2 * (slope / bend).item())


def test_pairing_survives_answers_far_from_all_samples():
    f = torch.tensor([[300.0], [0.999]], requires_grad=True)
    paired(ProximalMatching(0.01), f, Pairs(torch.tensor([[250.0], [1.0]]), torch.tensor([[0.0], [1.0]])), 0.1).backward()
    assert f.grad[0, 0].item() == 0
    assert f.grad[1, 0].item() < 0


# --- annealing ---


def test_gamma_falls_to_the_one_asked_for():
    annealed = Annealed(ProximalMatching(0.1), Absolute(), 1.0)
    annealed.begin(0, 100)
    assert isinstance(annealed.now, Absolute)
    gammas = []
    for step in range(10, 100):
        annealed.begin(step, 100)
        gammas.append(annealed.now.gamma)
    assert gammas[0] == 1.0
    assert all(a >= b for a, b in pairwise(gammas))
    assert gammas[-1] == pytest.approx(0.1)
    assert gammas.count(gammas[-1]) >= 40


def test_a_network_is_judged_by_the_loss_asked_for():
    annealed, model = Annealed(ProximalMatching(0.1), Absolute(), 1.0), network()
    annealed.begin(0, 100)
    assert annealed.of(model.train()) is annealed.now
    assert annealed.of(model.eval()) is annealed.target


def test_names_of_losses():
    assert isinstance(penalty(None), Square)
    assert isinstance(penalty("l1"), Absolute)
    with pytest.raises(ValueError, match="received loss='huber' for denoising"):
        penalty("huber")


# --- vectors ---


def test_batches_depend_on_step_and_seed_alone():
    asked = denoising_objective(Denoising(Laplace(), 1.0), network(), loss="l1", draws=64)
    one, again, other = (asked.sample_on_the_fly(*at) for at in ((3, 0), (3, 0), (4, 0)))
    assert torch.equal(one.noisy, again.noisy)
    assert torch.equal(one.clean, again.clean)
    assert not torch.equal(one.clean, other.clean)
    assert one.noisy.shape == (4, 1)
    assert one.clean.dtype == torch.float32


@pytest.mark.parametrize("shape", [(500,), (500, 1), (500, 3)])
def test_samples_of_several_shapes(shape):
    x = np.random.default_rng(0).normal(size=shape)
    asked = denoising_objective(Denoising(x, 0.5), LPN(shape[1] if len(shape) > 1 else 1, 8, 2), draws=100)
    clean = asked.sample_on_the_fly(0, 0).clean
    held = torch.from_numpy(x).float().reshape(500, -1)
    assert bool((clean[:, None] == held).all(-1).any(1).all())


def test_the_noise_is_as_asked():
    asked = denoising_objective(Denoising(np.zeros((10, 40)), 0.7), LPN(40, 8, 1), draws=2000)
    batch = asked.sample_on_the_fly(0, 0)
    assert batch.noisy.shape == (2000, 40)
    assert float(batch.noisy.std()) == pytest.approx(0.7, rel=1e-2)


def test_a_gaussian_law_is_learned(tmp_path):
    """Its prox is linear, whatever the loss."""
    model = network()
    wellposed.train(model, Denoising(GaussianMixture((1.0,), (0.0,), (1.0,)), 1.0), steps=150, folder=tmp_path, quiet=True, draws=256)
    y = torch.linspace(-2, 2, 41)[:, None]
    assert float((model(y) - 0.5 * y).detach().abs().max()) < 0.05


def test_proximal_matching_leaves_the_median_for_the_mode(tmp_path):
    found = {}
    for name, loss in (("l1", "l1"), ("matching", ProximalMatching(0.2))):
        model = network(width=16)
        wellposed.train(model, Denoising(Laplace(), 1.0), loss=loss, steps=300, folder=tmp_path / name, quiet=True, draws=512)
        y = torch.linspace(-3, 3, 61)[:, None]
        found[name] = float((model(y) - Laplace().prox(y, 1.0)).detach().abs().mean())
    assert found["matching"] < 0.6 * found["l1"]


def test_numbers_whose_answers_are_even_lie_where_answers_jump():
    y = torch.randn(101, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    answer = y + 40 * torch.sigmoid(400 * (y - 0.3))
    steep = where_answers_are_even(y, answer)
    assert steep.shape == y.shape
    assert bool(((y.min() <= steep) & (steep <= y.max())).all())
    above, below = y[y > 0.3].min(), y[y < 0.3].max()
    assert float(((below <= steep) & (steep <= above)).double().mean()) > 0.8
    flat = where_answers_are_even(y, torch.zeros_like(y))
    assert bool(torch.isfinite(flat).all())


def test_a_run_resumes_bit_for_bit(tmp_path, monkeypatch):
    problem = Denoising(Laplace(), 1.0)
    options = {"loss": ProximalMatching(0.2), "steps": 20, "quiet": True, "checkpoint_every": 4, "draws": 64}
    whole, halved = network(), network()
    wellposed.train(whole, problem, folder=tmp_path / "whole", **options)
    interrupted(lambda: wellposed.train(halved, problem, folder=tmp_path / "halved", **options), monkeypatch)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halved.parameters(), strict=True))


def test_another_gamma_is_another_run(tmp_path):
    options = {"steps": 2, "quiet": True, "folder": tmp_path, "draws": 16}
    wellposed.train(network(), Denoising(Laplace(), 1.0), loss=ProximalMatching(0.2), **options)
    with pytest.raises(ValueError, match=r"proximal_matching\(0\.3\)"):
        wellposed.train(network(), Denoising(Laplace(), 1.0), loss=ProximalMatching(0.3), **options)


def test_losses_of_arrays_by_proximal_matching(tmp_path):
    clean = rows(64, 1).float()
    run = wellposed.train(network(), (clean + 0.1, clean), loss=ProximalMatching(0.5), steps=3, folder=tmp_path, quiet=True)
    assert run.history[-1]["train_loss"] > 0


# --- images ---


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "below").mkdir()
    for name, shape in (("b.png", (20, 30)), ("a.png", (16, 16, 3)), ("below/c.jpg", (25, 17))):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / name)
    return tmp_path


def test_a_folder_of_images(folder):
    assert [x.shape for x in read_images(folder)] == [(1, 16, 16), (1, 20, 30), (1, 25, 17)]
    colour = read_images(folder, 3)
    assert colour[0].shape == (3, 16, 16)
    assert torch.equal(colour[0].permute(1, 2, 0), torch.from_numpy(np.array(Image.open(folder / "a.png"))))


def test_folders_that_cannot_be_read(folder, tmp_path):
    (folder / "d.png").write_text("no image")
    with pytest.raises(ValueError, match=r"d\.png: received a file that is no image"):
        read_images(folder)
    with pytest.raises(FileNotFoundError, match="no image in it"):
        read_images(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="received channels=2"):
        read_images(folder, 2)


def test_patches(folder):
    patches = Patches(read_images(folder), 8)
    assert len(patches) == 4 + 6 + 6
    views = patches[[0, 5, 15]]
    cut = patches.cut(views)
    assert cut.shape == (3, 1, 8, 8)
    assert torch.equal(cut[2], patches.images[2][:, 16:24, 8:16].float() / 255)
    one, again = (patches.varied(views, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(one, again)
    whole = patches.images[0].float() / 255
    windows = whole.unfold(1, 8, 1).unfold(2, 8, 1)[0].reshape(-1, 8, 8)
    turned = torch.cat([torch.rot90(w, k, (-2, -1)) for w in (windows, windows.flip(-1)) for k in range(4)])
    assert bool((turned == one[0, 0]).all((1, 2)).any())


def test_images_that_are_no_images():
    with pytest.raises(ValueError, match="received image 1 of the shape"):
        Denoising([np.zeros((9, 9)), np.zeros((2, 9, 9))], 0.1)
    with pytest.raises(ValueError, match="not finite in image 0"):
        Denoising(np.full((2, 9, 9), np.nan), 0.1)
    with pytest.raises(ValueError, match="received image 0 of"):
        denoising_objective(Denoising(np.zeros((2, 9, 9)), 0.1), LPN.convolutional(1, 4))
    with pytest.raises(ValueError, match="Denoising: received sigma=0"):
        Denoising(np.zeros((2, 9, 9)), 0.0)


@pytest.mark.parametrize("loss", ["l2", ProximalMatching(0.08 * 16)])
def test_images_are_denoised_better_and_runs_resume(loss, tmp_path, monkeypatch):
    x = torch.linspace(0, 1, 40)
    images = (torch.outer(x, 1 - x) + (torch.outer(x, x) > 0.3))[None].repeat(3, 1, 1) * 0.5
    problem = Denoising(images, 0.2)

    def model():
        torch.manual_seed(0)
        return LPN.convolutional(1, 6, 1, kernel=4, stride=2, sigma=0.05)

    options = {"loss": loss, "patch": 16, "validation": Denoising(images, 0.2), "quiet": True, "report_every": 20,
               "checkpoint_every": 4}
    trained = model()
    run = wellposed.train(trained, problem, steps=40, folder=tmp_path / "run", **options)
    assert run.history[-1]["validation_loss"] < run.history[0]["validation_loss"]
    halved = model()
    interrupted(lambda: wellposed.train(halved, problem, steps=40, folder=tmp_path / "halved", **options), monkeypatch)
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), halved.parameters(), strict=True))


def test_defaults_depend_on_the_data():
    registered = objective.dispatch(Denoising)
    assert registered.settings(Denoising(np.zeros((2, 9, 9)), 0.1))["batch"] == 16
    assert Settings(steps=1, **registered.settings(Denoising(Laplace(), 0.1))).betas == (0.9, 0.99)
