"""The report of a learned prior, and the exam behind it: numbers that were computed, and nothing that is not escaped."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_page import EVIL, read

from wellposed.proximal import exam, restoration
from wellposed.proximal.exam import blurred, cover, denoise, order, paths, spectra
from wellposed.proximal.lpn import LPN
from wellposed.proximal.network_claims import certify_network
from wellposed.proximal.phantoms import ellipses
from wellposed.proximal.physics import Blur, FourierMask, Radon, gaussian
from wellposed.proximal.problem import Inverse
from wellposed.proximal.restoration import Question, certified, chosen_weight, restore
from wellposed.report.certified import outward
from wellposed.report.proximal import ProximalCase, judged, proximal_report, restored_row
from wellposed.report.proximal_figures import decibels, seen

N, SIGMA, TOL = 12, 0.1, 1e-4


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LPN.convolutional(1, 3, 1, kernel=4, stride=2, sigma=SIGMA)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def asked(physics, samples=2, seed=3):
    truth = ellipses(N, samples, seed)
    y = physics.A(truth)
    return Question(Inverse(physics, y + 0.05 * noise(*y.shape), 0.05), truth)


@pytest.fixture(scope="module")
def restored(model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoration, "GRID", (1e-2, 3e-2))
        made = [restore(model, f"{name} {EVIL}", asked(physics), 0.25, TOL) for name, physics in (
            ("blur", Blur(gaussian(0.7, N), (N, N))), ("rays", Radon(N, 6)))]
    return [(r, restored_row(r, [certified(s.run, k == 0) for k, s in enumerate(r.starts)])) for r in made]


@pytest.fixture(scope="module")
def case(model, restored):
    clean = ellipses(N, 80, 5)
    noisy = clean + SIGMA * noise(*clean.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exam, "GRID", (0.5, 1.0))
        denoised = denoise(model, clean[:4], noisy[:4], SIGMA)
    return ProximalCase(
        f"a case {EVIL}", f"about {EVIL}", [{"step": 1, "train_loss": 0.5}, {"step": 2, "train_loss": 0.25}], denoised,
        order(model, clean[:4], noisy[:4]), paths(model, clean[:2], SIGMA, 4), spectra(model, clean[:2]), cover(model, clean, noisy, 0.9),
        restored, certify_network(model), certified(restored[0][0].starts[0].run.sample(0)), [(f"wellposed check 'a b' {EVIL}", "again")])


@pytest.fixture(scope="module")
def html(case):
    return proximal_report(case)


def test_report_is_whole_loads_nothing_and_escapes(case, html):
    parsed = read(html)
    assert all(v.startswith(("data:image/png;base64,", "#")) for v in parsed.loads)
    assert "http://x.example" in "".join(parsed.words)
    assert "url(http" not in html
    for title in ("Denoising", "What the prior thinks likely", "Sets that hold the truth", "How the network moves images", "Two certificates",
                  "How it learned", "What to type next"):
        assert f"<h2>{title}</h2>" in html
    assert html.count("<svg") == 1 + 2 * 3 + 3 + 1 + 1 + 1
    assert html == proximal_report(case)


def test_the_numbers_are_those_of_the_exam(case, html):
    for restored, row in case.restored:
        for s, start in zip(row.starts, restored.starts, strict=True):
            assert s.reached == s.images == 2
            assert float(start.run.stationarity.max()) <= s.stationarity <= TOL
            assert f">{outward(s.stationarity, True, 3)}<" in html
            assert s.rate == pytest.approx(2 / start.seconds)
        assert row.decrease <= 1e-10
        assert row.starts[0].psnr == pytest.approx(row.starts[2].psnr, abs=0.5)  # the same objective
        assert all(t.psnr == pytest.approx(restored.psnr(t.image)) for t in restored.classical.values())
    assert "An exact prox; 4 of 4 reconstructions are stationary" in html
    assert case.denoised.psnr["noisy"] == pytest.approx(20, abs=1)


def test_brackets_hold_what_they_are_about(model, case):
    [between, noisy, blurs] = case.paths
    assert bool((between.lower <= between.upper).all())
    assert float((between.upper - between.lower).max()) < 1e-8
    again = torch.roll(between.lower[0], -1)  # the end of a path is the start of the next
    assert torch.allclose(between.lower[-1], again, atol=1e-7)
    assert torch.equal(noisy.lower[0], blurs.lower[0])
    assert case.ordered.below_noisy <= 4
    lowest = float(case.eigenvalues.min())
    assert model.modulus - 1e-10 <= lowest <= 1.2


def test_win_and_lose_are_both_said(restored):
    row = restored[0][1]
    starts = [replace(row.starts[0], psnr=20.0, rate=1.0), replace(row.starts[1], rate=2.0), *row.starts[2:]]
    lost = judged(replace(row, starts=starts, classical={"total variation": (21.0, 0.1), "wavelets": (20.5, 0.1)}))
    assert "is 1.00 dB worse than total variation" in lost
    assert "No, not here" in lost
    won = judged(replace(row, starts=starts, classical={"wavelets": (19.0, 0.1)}))
    assert "is 1.00 dB better than wavelets" in won


def test_a_report_of_nothing_is_refused(case):
    with pytest.raises(ValueError, match="no reconstruction"):
        proximal_report(replace(case, restored=[]))


def test_sets_are_tested_on_other_images(case):
    assert len(case.covered.error) == 40
    assert case.covered.expected[0] <= case.covered.count <= case.covered.expected[1]


def test_pictures_of_measurements(restored):
    assert seen(restored[0][0]) is restored[0][0].question.problem.measurement
    back = seen(restored[1][0])
    assert back.shape == restored[1][0].question.truth.shape
    assert (float(back.min()), float(back.max())) == (0, 1)
    assert decibels(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1)) == ["20.00 dB"]


def test_weights_are_chosen_among_parts_of_what_the_noise_says(model):
    assert chosen_weight(model, asked(FourierMask(np.ones((N, N))), 1)) in [0.25 * f for f in restoration.FACTORS]


def test_a_gaussian_adds_up_to_one_and_blurs():
    kernel = gaussian(1.0, 9)
    assert kernel.shape == (9, 9)
    assert float(kernel.sum()) == pytest.approx(1)
    x = ellipses(N, 1)
    assert blurred(x, 0) is x
    assert float(blurred(x, 1.0).var()) < float(x.var())
