"""``wellposed run denoise``, ``train proximal``, ``refine image`` and ``certify image|prox|prior``, so small that little is learned."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.image import imread, imsave
from scipy import sparse

from wellposed.cli import denoise
from wellposed.cli.imaging_data import images
from wellposed.cli.imaging_recipe import SHIPPED, of_images, read_imaging_recipe
from wellposed.cli.main import main
from wellposed.cli.recipe import of_sequences
from wellposed.proximal import LPN, exam, restoration
from wellposed.proximal.physics import FourierMask, Mask, Radon, RandomConvolution
from wellposed.training.folder import write_run
from wellposed_check import check

N = 8
SMALL = "--steps 3 --width 3 --kernel 4 --stride 2 --batch 4"


def run(line: str) -> int:
    return main(shlex.split(line))


def printed_commands(text: str) -> list[str]:
    return re.findall(r"^  \S*wellposed (.*)$", text, re.M)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A network that was not trained, an image, and measurements of it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = LPN.convolutional(1, 3, 1, kernel=4, stride=2)
    write_run("net", config={"format": "wellposed-training/1", "model": model.config}, history=[], card="", weights=model)
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((1, 1, N, N)))
    radon, mask = Radon(N, 6), rng.random((N, N)) < 0.7
    np.save("x.npy", image[0, 0].numpy())
    np.save("mask.npy", mask)
    np.save("blurred.npy", image[0, 0].numpy())
    np.save("kernel.npy", np.ones((3, 3)) / 9)
    np.save("masked.npy", Mask(mask).A(image)[0].numpy())
    np.save("sinogram.npy", (radon.scale * radon.A(image))[0, 0].numpy())
    np.save("coefficients.npy", torch.view_as_complex(FourierMask(mask).A(image))[0, 0].numpy())
    np.save("few.npy", RandomConvolution((N, N), 20, 3).A(image).numpy())
    np.save("numbers.npy", (radon.matrix @ image.numpy().ravel())[None])
    sparse.save_npz("matrix.npz", sparse.csr_matrix(radon.matrix))
    imsave("x.png", image[0, 0].numpy(), cmap="gray", vmin=0, vmax=1)
    return tmp_path


MEASURED = {
    "blur of a width": "--measurement blurred.npy --physics blur --kernel 0.7 --noise 0.02",
    "blur by a kernel": "--measurement blurred.npy --physics blur --kernel kernel.npy --noise 0.02 --algorithm admm",
    "radon": f"--measurement sinogram.npy --physics radon --angles 6 --size {N} --noise 0.05",
    "mask": "--measurement masked.npy --physics mask --mask mask.npy --noise 0.02 --answer x.png",
    "fourier-mask": "--measurement coefficients.npy --physics fourier-mask --mask mask.npy --noise 0 --weight 0.1",
    "random-convolution": f"--measurement few.npy --physics random-convolution --keep 20 --draw 3 --size {N} {N} --noise 0.02 --algorithm hqs",
    "matrix": f"--measurement numbers.npy --physics matrix --matrix matrix.npz --size {N} {N} --noise 0.02"}


@pytest.mark.parametrize("name", MEASURED)
def test_refine_image_writes_an_image_with_a_certificate_that_checks(here, capsys, name):
    assert run(f"refine image --model net {MEASURED[name]} --out out") == 0
    commands = printed_commands(capsys.readouterr().out)
    assert len(commands) == 1
    assert run(commands[0]) == 0
    assert "subject presented" in capsys.readouterr().out
    image = np.load("out/image.npy")
    assert image.shape == (1, 1, N, N)
    assert np.array_equal(np.load("out/answer.npz")["image"], image)
    assert abs(imread("out/image.png")[..., 0] - image[0, 0].clip(0, 1)).max() < 0.5 / 255 + 1e-6


def test_bytes_and_pictures_stand_for_0_to_1(here, capsys):
    np.save("bytes.npy", np.round(255 * np.load("blurred.npy")).astype(np.uint8))
    asked = "refine image --model net --physics blur --kernel 0.7 --noise 0.02"
    for measurement in ("bytes.npy", "x.png"):
        assert run(f"{asked} --measurement {measurement} --out {measurement}-out") == 0
        assert f"{measurement}: 1 measurement, each 1 x {N} x {N}, from 0" in capsys.readouterr().out
    assert np.allclose(np.load("bytes.npy-out/image.npy"), np.load("x.png-out/image.npy"), atol=1e-2)


def test_a_mask_of_bytes_is_one(here):
    np.save("white.npy", 255 * np.load("mask.npy").astype(np.uint8))
    asked = "refine image --model net --measurement masked.npy --physics mask --noise 0.02"
    assert run(f"{asked} --mask white.npy --out white") == run(f"{asked} --mask mask.npy --out mask") == 0
    assert np.array_equal(np.load("white/image.npy"), np.load("mask/image.npy"))


def test_files_and_arrays_of_one_name_have_folders_of_their_own(here):
    x = np.load("blurred.npy")
    np.save("slice.001.npy", x)
    np.savez("two.npz", a=x, b=x)
    for file in ("slice.001.npy", "two.npz:a", "two.npz:b"):
        assert run(f"refine image --model net --measurement {file} --physics blur --kernel 0.7 --noise 0.02") == 0
    assert sorted(p.name for p in (here / "runs").iterdir()) == ["slice.001-restored", "two-a-restored", "two-b-restored"]


def test_a_dense_matrix_is_one(here):
    np.save("dense.npy", sparse.load_npz("matrix.npz").toarray())
    assert run(f"refine image --model net --measurement numbers.npy --physics matrix --matrix dense.npy --size {N} {N} --noise 0.02") == 0


def test_shifts_make_another_prior(here, capsys):
    asked = f"certify image --model net {MEASURED['blur of a width']} --spun 1"
    assert run(f"refine image --model net {MEASURED['blur of a width']} --spun 1 --out spun") == 0
    assert run(f"{asked} --answer spun/image.npy --tol 1.1e-5") == 0
    assert run(f"{asked} --answer x.npy --out far") == 1
    assert "--spun 1" in printed_commands(capsys.readouterr().out)[-1]
    assert run(f"refine image --model net {MEASURED['blur of a width']} --spun 3") == 2


def test_an_image_that_cannot_be_certified_is_kept_away_from_older_certificates(here, capsys, monkeypatch):
    asked = f"refine image --model net {MEASURED['blur of a width']} --out out"
    assert run(asked) == 0
    before = (here / "out/image.npy").read_bytes()

    def refuse(*_: object) -> None:
        raise ValueError("no certificate of that")

    monkeypatch.setattr(restoration, "certified", refuse)
    assert run(f"{asked} --weight 0.3") == 2
    assert "no certificate of that; the image is kept, without a certificate, in out/uncertified" in capsys.readouterr().err
    assert (here / "out/image.npy").read_bytes() == before
    assert np.load("out/uncertified/image.npy").shape == np.load("out/image.npy").shape
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert run(f"{asked} --weight 0.3") == 0
    assert (here / "out/image.npy").read_bytes() != before
    assert not (here / "out/uncertified").exists()
    (here / "out/uncertified").write_text("a file")
    assert run(asked) == 2
    assert "which is a file, expected a folder" in capsys.readouterr().err


def test_half_quadratic_splitting_says_of_what_its_gradient_is(here, capsys):
    assert run(f"refine image --model net {MEASURED['random-convolution']}") == 0
    assert "envelope of the data term" in capsys.readouterr().out


def test_nearly_all_images_for_validation_leaves_one_to_train_on(here, capsys):
    np.save("many.npy", np.ones((3, N, N)) / 2)
    assert run(f"train proximal --images many.npy --validation 0.99 {SMALL}") == 0
    assert "1 images with 1 channel" in capsys.readouterr().out


def test_certify_image_judges_the_image_of_anyone(here, capsys):
    asked = MEASURED["blur of a width"]
    assert run(f"certify image --model net {asked} --answer x.npy") == 1
    refine = printed_commands(capsys.readouterr().out)[1]
    assert refine.startswith("refine image")
    assert run(refine) == 0
    assert run(f"certify image --model net {asked} --answer runs/blurred-restored/image.npy --tol 1.1e-5 --out again") == 0
    assert run(f"certify image --model net {asked} --answer x.npy --tol 100") == 0


def test_certify_prox_and_prior(here, capsys):
    assert run("certify prox --run net") == 0
    assert run(printed_commands(capsys.readouterr().out)[0]) == 0
    assert run("certify prox --run net --images x.png --out at") == 0
    assert "proximal.lipschitz/1" in capsys.readouterr().out  # of one layer there is a bound
    assert run("certify prior --run net --image x.png") == 0
    assert run(printed_commands(capsys.readouterr().out)[0]) == 0
    assert run("certify prior --run net --image x.npy --out r") == 0
    claim = json.loads((here / "r/certificate.json").read_text())["claims"]
    [prior] = [c for c in claim if c["id"] == "proximal.prior/1"]
    assert 0 <= prior["upper"]["decimal"] - prior["lower"]["decimal"] < 1e-8
    assert check("r", answer="net-certified/answer.npz").exit_code == 0  # the same network
    assert check("r", problem="net-certified/answer.npz").exit_code == 4


@pytest.mark.parametrize(("line", "words"), [
    (f"refine image {MEASURED['mask']}", ["--model", "run denoise"]),
    (f"refine image --model missing {MEASURED['mask']}", ["missing"]),
    (f"certify image --model net {MEASURED['blur of a width']}", ["--answer"]),
    ("refine image --model net --measurement blurred.npy --physics blur --noise 0.02", ["--kernel"]),
    ("refine image --model net --measurement blurred.npy --physics blur --kernel 1 --mask mask.npy --noise 0.02", ["--mask"]),
    ("refine image --model net --measurement blurred.npy --physics blur --kernel 1 --noise -1", ["noise", "-1"]),
    ("refine image --model net --measurement blurred.npy --physics blur --kernel 1 --noise 0", ["weight"]),
    ("refine image --model net --measurement blurred.npy --physics blur --kernel 1 --noise 0.1 --weight -1", ["weight", "-1"]),
    ("refine image --model net --measurement blurred.npy --physics blur --kernel 1 --noise 0.1 --tol 0", ["tol"]),
    ("refine image --model net --measurement sinogram.npy --physics radon --angles 7 --size 8 --noise 0.1", ["measurement", "(batch, 1, 7"]),
    ("refine image --model net --measurement sinogram.npy --physics radon --angles 6 --noise 0.1", ["--size"]),
    ("refine image --model net --measurement few.npy --physics random-convolution --keep 20 --noise 0.1", ["--size"]),
    (f"refine image --model net {MEASURED['blur of a width']} --answer few.npy", ["image", "(1, 1, 8, 8)"]),
    (f"refine image --model net {MEASURED['blur of a width']} --out x.npy", ["x.npy", "folder"]),
    (f"refine image --model net {MEASURED['blur of a width']} --out net", ["net", "run folder"]),
    ("certify prox --run missing", ["missing"]),
    ("certify prior --run net --image missing.png", ["missing.png"]),
    ("certify prior --run net --image x.npy --tol 0", ["--tol"]),
    ("train proximal --images missing", ["missing", "folder"]),
    ("train proximal --images empty", ["empty", ".png"]),
    ("train proximal --images large.npy", ["9000", "0 to 1"]),
    ("train proximal --images nan.npy", ["not finite"]),
    ("train proximal --images many.npy --sigma -1", ["sigma", "-1"]),
    ("train proximal --images many.npy --patch 9", ["8", "patch"]),
    ("train proximal --images many.npy --patch -3", ["--patch", "-3"]),
    ("train proximal --images many.npy --kernel 2 --stride 4", ["--stride", "4", "--kernel 2"]),
    ("train proximal --images last.npy", ["(8, 8, 3)", "channels last", "moveaxis"]),
    ("refine image --model net --measurement blurred.npy --physics blur --kernel -1 --noise 0.1", ["kernel", "-1"]),
    ("refine image --model net --measurement blurred.npy --physics blur --kernel nan --noise 0.1", ["kernel", "nan"]),
    ("refine image --model net --measurement large.npy --physics blur --kernel 1 --noise 0.1", ["9000", "0 to 1"]),
    ("refine image --model net --measurement sinogram.npy --physics radon --angles nan --size 8 --noise 0.1", ["--angles", "nan"]),
    ("refine image --model net --measurement x.png --physics radon --angles 6 --size 8 --noise 0.1", ["x.png"]),
    ("certify prior --run net --image large.npy", ["9000", "0 to 1"]),
    ("certify prior --run net --image last.npy", ["(3, 8, 8, 3)", "channels last"]),
    ("certify prox --run net --images nan.npy", ["nan.npy", "not finite"]),
    ("certify prox --run net --images none.npy", ["none.npy", "no numbers"]),
    ("certify prox --run net --out net", ["net", "run folder"]),
    ("refine image --model net --measurement last.npy --physics blur --kernel 1 --noise 0.1", ["last.npy", "channels last"]),
    ("refine image --model net --measurement coefficients.npy --physics blur --kernel 1 --noise 0.1", ["complex", "blur"]),
    (f"refine image --model net {MEASURED['mask']} --spun 3", ["--spun", "2"]),
    ("train proximal --images many.npy --validation 1", ["--validation"]),
    ("train", ["proximal"]),
    ("refine frog", ["image"]),
])
def test_bad_calls_get_one_clear_error_and_change_nothing(here, capsys, line, words):
    (here / "empty").mkdir()
    np.save("large.npy", np.full((3, N, N), 9000.0))
    np.save("nan.npy", np.full((3, N, N), np.nan))
    np.save("many.npy", np.ones((3, N, N)) / 2)
    np.save("none.npy", np.ones((0, N, N)))
    np.save("last.npy", np.ones((3, N, N, 3)) / 2)
    before = sorted((p, p.stat().st_mtime_ns) for p in here.rglob("*"))
    assert run(line) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert sorted((p, p.stat().st_mtime_ns) for p in here.rglob("*")) == before


def test_train_proximal_on_pictures_then_load_check_and_certify(here, capsys):
    (here / "mine").mkdir()
    rng = np.random.default_rng(1)
    for k in range(12):
        imsave(f"mine/{k}.png", rng.random((10 + k % 2, 12, 3)))
    assert run(f"train proximal --images mine {SMALL} --colour") == 0
    said = capsys.readouterr().out
    assert "11 images with 3 channels, patches of 10 x 10" in said
    assert "dB denoised" in said
    assert LPN.load("runs/proximal")(torch.zeros(1, 3, 9, 7)).shape == (1, 3, 9, 7)
    for command in printed_commands(said)[:2]:
        assert run(command) == 0
    assert run("certify prior --run runs/proximal --image mine/0.png") == 0
    assert run(f"train proximal --images mine {SMALL} --colour") == 0  # finished: nothing is trained again
    assert "finished" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["refine image --help", "certify prox --help", "certify image --help", "train proximal --help",
                                  "run denoise --help", "run ct --help"])
def test_help_imports_no_torch(line):
    code = f"import sys\nfrom wellposed.cli.main import main\ntry:\n    main({line.split()!r})\nexcept SystemExit:\n    pass\n"
    assert subprocess.run([sys.executable, "-c", f"{code}sys.exit('torch' in sys.modules)"], stdout=subprocess.DEVNULL).returncode == 0


RECIPE = """
images = "ellipses"
size = 9
samples = 6
steps = 3
unseen = 80
shown = 3
width = 3
kernel = 4
stride = 2
spun = 1
batch = 2
tol = 1e-3
level = 0.9

[[asked]]
name = "tomography"
kind = "radon"
angles = 8
noise = 0.1
samples = 2

[[asked]]
kind = "blur"
noise = 0.1
samples = 2
"""


@pytest.mark.parametrize("name", SHIPPED)
def test_recipes_that_ship_can_be_read(name):
    recipe = read_imaging_recipe(name)
    assert of_images(name)
    assert not of_sequences(name)
    assert recipe.asked
    assert recipe.settings["seconds"]


def test_a_run_is_stopped_goes_on_and_is_found_again(tmp_path, monkeypatch, capsys):
    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exam, "GRID", (0.5, 1.0))
    monkeypatch.setattr(restoration, "GRID", (1e-2, 3e-2))
    (tmp_path / "mine.toml").write_text(RECIPE)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(denoise, "_exam", stopped)
        assert main(["run", "mine.toml"]) == 130
    capsys.readouterr()
    assert main(["run", "mine.toml"]) == 0
    printed = capsys.readouterr()
    assert "holds this run, finished" in printed.err  # the training was not done again
    for word in ("exact prox of a prior (theorem)", "R(clean) < R(noisy)", "total variation alone", "tomography", "number 2", "done in"):
        assert word in printed.out
    folder = tmp_path / "runs/mine"
    assert check(folder, folder / "problem.npz", folder / "answer.npz").status is True
    assert check(folder / "network", answer=folder / "network/answer.npz").status is True
    found = json.loads((folder / "results.json").read_text())
    assert [len(row["starts"]) for row in found["restored"]] == [3, 3]
    assert all(s["reached"] == 2 and s["stationarity"] <= 1e-3 for row in found["restored"] for s in row["starts"])
    assert ".spun(1)" in (folder / "README.md").read_text()
    assert "<svg" in (folder / "report.html").read_text()
    assert run(printed_commands(printed.out)[1]) == 0

    monkeypatch.setattr(denoise, "_made", stopped)
    assert main(["run", "mine.toml"]) == 0
    assert "nothing was computed again" in capsys.readouterr().out
    assert main(["run", "mine.toml", "--tol", "1e-2"]) == 130  # another question is another exam


def test_images_of_files_are_parted_and_cut(here):
    for k in range(391):
        (here / "mine").mkdir(exist_ok=True)
        imsave(f"mine/{k:03d}.png", np.full((9 + k % 2, 11), k / 391), cmap="gray", vmin=0, vmax=1)
    held = images(replace(read_imaging_recipe("denoise"), images="mine", size=8))
    assert (len(held.train), held.known.shape, held.unseen.shape) == (351, (8, 1, 8, 8), (40, 1, 8, 8))
    assert torch.allclose(held.unseen[1], torch.tensor(10 / 391, dtype=torch.float64), atol=1 / 255)
    with pytest.raises(ValueError, match="expected at most 9"):
        images(replace(read_imaging_recipe("denoise"), images="mine", size=10))
    np.save("few.npy", np.zeros((30, 8, 8)))
    with pytest.raises(ValueError, match="at least 391"):
        images(replace(read_imaging_recipe("denoise"), images="few.npy", size=8))


@pytest.mark.parametrize(("text", "said"), [
    ("sigma = -1.0", "--sigma: received -1.0"), ("sigmas = 3", "sigmas"), ("width = 3.5", "a whole number"), ("loss = 'l3'", "matching, l1, l2"),
    ("asked = 3", "[[asked]]"), ("[[asked]]\nkind = 'x'", "random-convolution"), ("[[asked]]\nname = 'x'", "kind"),
    ("[[asked]]\nkind = 'radon'", "ellipses"), ("[[asked]]\nkind = 'blur'\nnoise = 0.0", "noise")])
def test_bad_recipes_are_named(tmp_path, monkeypatch, capsys, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text(f"images = 'digits'\n{text}")
    assert main(["run", "bad.toml"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
