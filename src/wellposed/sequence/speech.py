"""Spoken digits as waveforms, from the user's copy of the Free Spoken Digit Dataset."""

from __future__ import annotations

import io
import re
import tarfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.signal import decimate

from wellposed.sequence.split import Split, Task, pad, shares

HERTZ = 8000
SOURCE = "Free Spoken Digit Dataset (Jakobovski), CC BY-SA 4.0"
WHERE = "get it from https://github.com/Jakobovski/free-spoken-digit-dataset and name its folder, or a recordings.tar.gz of it"
NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav", re.IGNORECASE)
VALIDATION = 5
"""Of the recordings of one digit by one speaker, so many are for validation: the first ones."""
QUIET, LEAD = 0.02, 0.01
"""Speech begins above this share of a clip's peak; seconds that are kept before it."""


class Clip(NamedTuple):
    """A recording: samples (n,) at 8 kHz, -1 to 1."""

    digit: int
    speaker: str
    index: int
    wave: np.ndarray


def spoken_digits(folder: str | Path | None, length: int = 2048, rate: int = 2, split: str = "speaker",
                  speaker: str | None = None, seed: int = 0) -> Task:
    """Which digit is said: waveforms of one channel whose peak is 1, without the silence before, cut or padded.

    Args:
        folder: of the WAV files, or a .tar.gz of them, or the folder of one.
        length: steps kept of each.
        rate: one in so many samples is kept, after a low-pass filter: 2 gives 4 kHz.
        split: "speaker" tests on a speaker who is not in the other parts, and validates on the first 5 recordings of each digit by
            each of the others; "random" takes 80, 10 and 10 % of all clips, stratified by digit.
        speaker: who is held out, by default the last by name.
        seed: of the random split.

    Raises:
        FileNotFoundError: there are no recordings. ValueError: one that is not 8 kHz, 16 bits, mono; an unknown split or speaker.
    """
    if split not in ("speaker", "random") or length < 1 or rate < 1:
        raise ValueError(f"received split {split!r}, length {length}, rate {rate}; expected 'speaker' or 'random', and whole "
                         "numbers of at least 1")
    clips = sorted(_clips(folder), key=lambda clip: clip[:3])
    speakers = sorted({clip.speaker for clip in clips})
    if speaker is not None and speaker not in speakers:
        raise ValueError(f"speaker: received {speaker!r}, expected one of {', '.join(speakers)}")
    held = speaker or speakers[-1]
    x, lengths = pad([prepare(clip.wave, length, rate) for clip in clips], length)
    y = np.array([clip.digit for clip in clips], np.int64)
    if split == "random":
        parts, how = shares(y, (0.8, 0.1, 0.1), seed), "random split: the same speakers in every part"
    else:
        part = np.array([2 if clip.speaker == held else int(clip.index < VALIDATION) for clip in clips])
        parts, how = tuple(np.flatnonzero(part == k) for k in range(3)), f"tested on the speaker {held}, who is in no other part"
    train, validation, test = (Split(x[p][..., None], lengths[p], y[p]) for p in parts)
    name = "spoken-digits" if split == "speaker" else "spoken-digits-random"
    return Task(name, train, validation, test, 10, None, SOURCE, f"{HERTZ // rate} Hz, {length} steps; {how}")


def prepare(samples: np.ndarray, length: int, rate: int) -> np.ndarray:
    """At most `length` steps from where speech begins, at a `rate`-th of the sampling rate, peak 1; float32."""
    loud = np.abs(samples) > QUIET * np.abs(samples).max(initial=0)
    x = samples[max(0, int(loud.argmax()) - int(LEAD * HERTZ)):]
    if rate > 1:
        x = decimate(x, rate, ftype="fir") if len(x) > 60 * rate else x[::rate]
    x = x[:length]
    return (x / (np.abs(x).max(initial=0) or 1)).astype(np.float32)


def _clips(folder: str | Path | None) -> Iterator[Clip]:
    path = None if folder is None else Path(folder)
    if path is None or not path.exists():
        raise FileNotFoundError(f"folder: received {folder}, expected the recordings of the Free Spoken Digit Dataset; {WHERE}")
    files = [(m, f) for f in path.rglob("*.wav") if (m := NAME.fullmatch(f.name))] if path.is_dir() else []
    archives = [path] if path.is_file() else sorted(path.glob("*.tar.gz"))
    if not files and not archives:
        raise FileNotFoundError(f"folder: received {folder}, which holds no {{digit}}_{{speaker}}_{{index}}.wav; {WHERE}")
    if files:
        yield from (_clip(match, file.read_bytes()) for match, file in files)
        return
    try:
        with tarfile.open(archives[0]) as tar:
            found = [_clip(m, tar.extractfile(i).read()) for i in tar if i.isfile() and (m := NAME.fullmatch(Path(i.name).name))]  # type: ignore
    except tarfile.TarError as error:
        raise ValueError(f"{archives[0]} is no archive that can be read ({error}); {WHERE}") from None
    if not found:
        raise FileNotFoundError(f"{archives[0]} holds no {{digit}}_{{speaker}}_{{index}}.wav; {WHERE}")
    yield from found


def _clip(match: re.Match[str], data: bytes) -> Clip:
    try:
        with wave.open(io.BytesIO(data)) as file:
            shape = file.getframerate(), file.getsampwidth(), file.getnchannels()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    except (wave.Error, EOFError, ValueError) as error:
        raise ValueError(f"{match[0]} is no WAV file that can be read: {error}; get it anew") from None
    if shape != (HERTZ, 2, 1):
        raise ValueError(f"{match[0]}: received {shape[0]} Hz, {8 * shape[1]} bits, {shape[2]} channels; expected 8000 Hz, 16 bits, one; "
                         "convert it first")
    return Clip(int(match[1]), match[2].lower(), int(match[3]), samples / 2.0**15)
