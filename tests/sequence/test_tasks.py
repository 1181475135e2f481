"""Tasks by name: shapes, splits that share nothing, frozen data, and errors that say where data come from."""

from __future__ import annotations

import hashlib
import io
import wave

import numpy as np
import pytest

from wellposed.numerics.digits import enlarge, load_images
from wellposed.sequence import pathfinder, speech, tasks
from wellposed.sequence.speech import prepare, spoken_digits
from wellposed.sequence.split import shares
from wellposed.sequence.tasks import TASKS, Split, load
from wellposed.sequence.text import folder_bytes, stdlib_bytes

DIGITS = "257a17ce090fbc5795de26fe8ef3d23e78d5d911fb7b39cee7473d3c9bfeb4c9"
"""SHA-256 of the three parts' pixels, as bytes, and digits."""


def check(task):
    """What holds of every task."""
    rows = []
    for part in (task.train, task.validation, task.test):
        assert isinstance(part, Split)
        assert len(part.x) == len(part.lengths) == len(part.y) > 0
        assert (part.lengths.dtype, part.y.dtype) == (np.int64, np.int64)
        assert 1 <= part.lengths.min() <= part.lengths.max() <= part.x.shape[1]
        assert part.y.min() >= 0
        assert part.y.max() < task.classes
        assert all((x[n:] == 0).all() for x, n in zip(part.x, part.lengths, strict=True))
        if task.vocabulary is None:
            assert part.x.dtype == np.float32
            assert np.abs(part.x).max() <= 1.0
            assert part.x.ndim == 3
        else:
            assert part.x.dtype == np.int32
            assert 0 <= part.x.min() <= part.x.max() < task.vocabulary
        rows.append({row.tobytes() for row in part.x})
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]
    assert task.source
    assert task.note


def test_digits_are_frozen():
    task = load("digits")
    check(task)
    assert [len(p.y) for p in (task.train, task.validation, task.test)] == [1197, 200, 400]
    assert task.train.x.shape == (1197, 1024, 1)
    frozen = hashlib.sha256()
    for part in (task.train, task.validation, task.test):
        frozen.update(np.round(part.x * 1024).astype("<i2").tobytes() + part.y.astype(np.uint8).tobytes())
    assert frozen.hexdigest() == DIGITS
    counts = np.stack([np.bincount(part.y) for part in (task.train, task.validation, task.test)])
    np.testing.assert_allclose(counts, counts.sum(0) * np.array([[1197], [200], [400]]) / 1797, atol=1)


def test_digits_are_enlarged_bilinearly():
    images, _ = load_images()
    big = enlarge(images[:3])
    np.testing.assert_allclose(enlarge(np.ones((1, 8, 8))), 1)
    np.testing.assert_allclose(big.reshape(3, 8, 4, 8, 4).mean((2, 4))[:, 1:-1, 1:-1].mean((1, 2)), images[:3, 1:-1, 1:-1].mean((1, 2)), rtol=0.1)
    assert (big.min(), big.max()) == (0, images[:3].max()) or big.max() <= 16


def test_generated_tasks(monkeypatch):
    monkeypatch.setitem(tasks.LISTOPS, "desk", ((80, 10, 10), (50, 250)))
    monkeypatch.setitem(tasks.PATHFINDER, "desk", ((12, 4, 4), 6))
    for name in ("own-listops", "own-pathfinder-32"):
        task = load(name)
        check(task)
        assert "not the Long Range Arena's" in task.note
    assert load("own-pathfinder-32").train.x.shape == (12, 1024, 1)
    assert load("own-listops").train.x.shape == (80, 256)


def test_processes_do_not_change_images(monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(pathfinder, "CHUNK", 4)
    alone = pathfinder.generate(32, 12, contour=6)[0]
    with ThreadPoolExecutor(2) as pool:
        np.testing.assert_array_equal(pathfinder.generate(32, 12, contour=6, executor=pool)[0], alone)


def test_source_code_of_python():
    task = stdlib_bytes(256, 4)
    check(task)
    assert task.classes == 8
    assert (np.bincount(task.test.y, minlength=8) > 0).all()
    text = bytes((task.train.x[0, : task.train.lengths[0]] - 1).astype(np.uint8))
    assert text.strip()


def test_a_folder_of_texts(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(8):
            (tmp_path / name / f"{k}.txt").write_bytes(rng.bytes(100 + 10 * k))
    (tmp_path / "b" / "again.txt").write_bytes((tmp_path / "a" / "0.txt").read_bytes())
    task = folder_bytes(tmp_path, 32)
    check(task)
    assert sum(len(p.y) for p in (task.train, task.validation, task.test)) == 2 * sum((100 + 10 * k + 16) // 32 for k in range(8))
    with pytest.raises(FileNotFoundError, match="subfolder of files for each class"):
        folder_bytes(None)
    (tmp_path / "c").mkdir()
    with pytest.raises(ValueError, match=r"c \(0\)"):
        folder_bytes(tmp_path)


def test_spoken_digits(shared_data):
    folder = shared_data / "spoken-digits"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}: the recordings are not part of the repository")
    task = load("spoken-digits", folder=folder)
    check(task)
    assert [len(p.y) for p in (task.train, task.validation, task.test)] == [2250, 250, 500]
    assert task.train.x.shape == (2250, 2048, 1)
    with pytest.raises(ValueError, match="expected one of george, jackson"):
        spoken_digits(folder, speaker="nobody")


def write(path, samples, rate=8000):
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    path.write_bytes(data.getvalue())


def test_recordings_in_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    for digit in range(2):
        for speaker in ("ann", "bob"):
            for k in range(8):
                write(tmp_path / f"{digit}_{speaker}_{k}.wav", rng.normal(0, 1000, 400))
    task = spoken_digits(tmp_path, 300, 1)
    check(task)
    assert [len(p.y) for p in (task.train, task.validation, task.test)] == [6, 10, 16]
    check(spoken_digits(tmp_path, 300, 1, "random"))
    write(tmp_path / "0_ann_9.wav", np.ones(10), rate=16000)
    with pytest.raises(ValueError, match="received 16000 Hz"):
        spoken_digits(tmp_path)


@pytest.mark.parametrize("there", [False, True])
def test_missing_recordings_say_where_to_get_them(tmp_path, there):
    with pytest.raises(FileNotFoundError, match=r"github\.com/Jakobovski"):
        load("spoken-digits", folder=tmp_path if there else tmp_path / "nowhere")


def test_silence_before_speech_is_cut_and_high_tones_do_not_fold():
    t = np.arange(8000) / 8000
    late = np.where(t > 0.5, np.sin(2 * np.pi * 440 * t), 0)
    assert len(prepare(late, 8000, 1)) == pytest.approx(4000 + 80, abs=5)
    both = np.sin(2 * np.pi * 440 * t) + np.sin(2 * np.pi * 3300 * t)  # at 4 kHz, 3,300 Hz would come back as 700 Hz
    spectrum = np.abs(np.fft.rfft(prepare(both, 4000, 2)))
    assert spectrum[690:710].max() < 0.02 * spectrum[430:450].max()
    assert speech.HERTZ == 8000


def test_shares_are_those_of_every_class():
    y = np.repeat(np.arange(4), [40, 80, 120, 160])
    parts = shares(y, (0.5, 0.25, 0.25), 0)
    assert sorted(np.concatenate(parts)) == list(range(400))
    np.testing.assert_allclose(np.bincount(y[parts[0]]), [20, 40, 60, 80], atol=1)


@pytest.mark.parametrize("asked", [{"name": "listops"}, {"name": "pathfinder"}, {"name": "digits", "size": "huge"}])
def test_unknown_names(asked):
    with pytest.raises(ValueError, match="expected one of own-listops, own-pathfinder-32"):
        load(**asked)
    assert not {"listops", "pathfinder", "text", "image", "retrieval"} & set(TASKS)
