"""Pathfinder images: labels against the contours that were drawn, streams, and what a label must not be read off from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from wellposed.sequence import pathfinder
from wellposed.sequence.paddles import lanczos
from wellposed.sequence.pathfinder import LOOKS, draw, generate, scene, sequences

SCENES = 600


@pytest.fixture(scope="module")
def scenes():
    return [scene(32, k, contour=6) for k in range(SCENES)]


def ends(paddle, length):
    """Both ends of a paddle, in any order."""
    t = np.radians(paddle.angle)
    return np.array([(paddle.y, paddle.x), (paddle.y + length * np.sin(t), paddle.x + length * np.cos(t))])


@pytest.mark.parametrize(("size", "contour"), [(32, 14), (64, 6), (128, 6)])
def test_label_says_whether_both_markers_are_on_one_contour(size, contour):
    length = LOOKS[size].length
    for k in range(4):
        shown, _ = scene(size, k, contour=contour)
        on = [{c for c, line in enumerate(shown.contours)
               if min(np.abs(ends(p, length) - marker).max(1).min() for p in line.paddles) <= 0.5} for marker in shown.markers]
        assert all(len(c) == 1 for c in on)
        assert shown.label == (on[0] == on[1]) == k % 2


def test_contours_are_chains_that_do_not_touch(scenes):
    look = LOOKS[32]
    for shown, paddles in scenes[:40]:
        taken = paddles.frame
        for line in (*shown.contours, *shown.distractors):
            stamps = [paddles.stamp(p.angle).claim << paddles.shift(p.y, p.x) for p in line.paddles]
            assert not any(taken & stamp for stamp in stamps)
            assert not any(a & b for k, a in enumerate(stamps) for b in stamps[k + 2:])
            taken |= int(np.bitwise_or.reduce(np.array(stamps, object)))
            heads = [np.array(line.start), *[np.array((p.y, p.x)) for p in line.paddles[1:]]]
            steps = [np.linalg.norm(b - a) for a, b in pairwise(heads[1:])]
            assert all(look.length <= step <= look.length + 2 * look.margins[0] + 1.5 for step in steps)
        assert [len(c.paddles) for c in shown.contours] == [6, 6]
        assert all(len(c.paddles) == pathfinder.DISTRACTOR for c in shown.distractors)
        assert len(shown.distractors) <= look.distractors


def test_images_depend_on_seed_split_and_index_alone():
    few, many = generate(32, 3, contour=6)[0], generate(32, 70, contour=6)[0]
    np.testing.assert_array_equal(few, many[:3])
    np.testing.assert_array_equal(many[66], draw(*scene(32, 66, contour=6)))
    assert len({generate(32, 1, split, seed, contour=6)[0].tobytes() for split in pathfinder.SPLITS for seed in (0, 1)}) == 6


def test_images_use_the_whole_range_and_labels_are_balanced():
    images, labels = generate(32, 20, contour=6)
    assert images.dtype == np.uint8
    assert (images.min((1, 2)) == 0).all()
    assert (images.max((1, 2)) == 255).all()
    assert labels.sum() == 10
    x = sequences(images)
    assert (x.shape, x.dtype) == ((20, 1024, 1), np.float32)
    np.testing.assert_allclose([x.min(), x.max()], [-1, 1], atol=1e-6)


def accuracy(features, labels):
    """Held-out accuracy of logistic regression by Newton's method."""
    f = np.c_[(features - features.mean(0)) / features.std(0), np.ones(len(features))]
    half, w = len(f) // 2, np.zeros(f.shape[1])
    for _ in range(20):
        p = 1 / (1 + np.exp(-f[:half] @ w))
        curvature = (f[:half] * (p * (1 - p))[:, None]).T @ f[:half] + 0.1 * np.eye(len(w))
        w += np.linalg.solve(curvature, f[:half].T @ (labels[:half] - p) - 0.1 * w)
    return np.mean((f[half:] @ w > 0) == labels[half:])


def test_simple_statistics_do_not_tell_the_label(scenes):
    images = np.stack([draw(*s) for s in scenes]).reshape(SCENES, -1).astype(float)
    labels = np.array([shown.label for shown, _ in scenes])
    markers = np.array([shown.markers for shown, _ in scenes], float)
    apart = np.linalg.norm(markers[:, 0] - markers[:, 1], axis=1)
    error = 0.5 / np.sqrt(SCENES / 2)
    assert abs(accuracy(np.stack([images.mean(1), images.std(1), (images > 40).sum(1)], 1), labels) - 0.5) < 4 * error
    assert accuracy(np.stack([apart, apart**2], 1), labels) < 0.5 + 4 * error


def test_lanczos_keeps_constants():
    np.testing.assert_allclose(lanczos(np.ones((32, 32))), 1, atol=1e-12)


@pytest.mark.parametrize("wrong", [{"size": 48}, {"split": "all"}, {"contour": 7}, {"samples": 0}])
def test_what_there_is_not(wrong):
    with pytest.raises(ValueError, match="expected a size of 32, 64, 128"):
        generate(**{"size": 32, "samples": 1} | wrong)
