"""All kinds of data become the same batches, and each kind of bad data one clear error."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import Random, perceptron, same_weights, vectors
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import wellposed
from wellposed.training import Objective, objective
from wellposed.training.data import Arrays, Part, Samples, digest, digest_batch, each_tensor, split


class OneByOne(Dataset):
    def __init__(self) -> None:
        self.x, self.y = vectors()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i):
        return {"x": self.x[i].double(), "y": self.y[i]}

    def collate(self, samples):
        return torch.stack([s["x"] for s in samples]), torch.stack([s["y"] for s in samples])


class AtOnce(OneByOne):
    def __getitems__(self, indices):
        return [OneByOne.__getitem__(self, i) for i in indices]

    def __getitem__(self, i):
        raise AssertionError("one by one")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return wellposed.train(perceptron(), vectors(), epochs=2, folder=tmp_path_factory.mktemp("runs") / "run", quiet=True)


def test_every_kind_of_data_trains_alike(tmp_path, trained):
    x, y = vectors()
    np.savez(tmp_path / "pair.npz", x=x.numpy(), y=y.numpy())
    for name, parts in (("batches", [(0, 7), (7, 30)]), ("samples", [(i, i + 1) for i in range(30)])):
        (tmp_path / name).mkdir()
        for i, j in parts:
            one = slice(i, j) if name == "batches" else i
            np.savez(tmp_path / name / f"{i:03}.npz", x=x[one].numpy(), y=y[one].numpy())
    kinds = {"numpy": (x.numpy().astype(float), y.numpy()), "list": [x, y], "tensors": TensorDataset(x, y), "path": tmp_path / "pair.npz",
             "text": str(tmp_path / "pair.npz"), "batches": tmp_path / "batches", "samples": tmp_path / "samples", "dataset": OneByOne(),
             "at once": AtOnce(), "objective": objective((x, y), perceptron())}
    for name, data in kinds.items():
        run = wellposed.train(perceptron(), data, epochs=2, folder=tmp_path / f"run {name}", quiet=True)
        assert same_weights(run.model, trained.model), name


def test_the_data_take_the_type_of_the_model():
    x, y = vectors()
    asked = objective((x.numpy(), np.arange(30)), perceptron(dtype=torch.float64), loss="cross_entropy")
    batch = asked.data[[0, 3]]
    assert [t.dtype for t in batch] == [torch.float64, torch.int64]
    assert Arrays((x.to(torch.complex64),), torch.float64)[[0]][0].dtype == torch.complex128


def test_losses():
    model, batch = nn.Identity(), (torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[3.0, 3.0], [2.0, 0.0]]))

    def value(loss):
        return float(objective(batch, model, loss=loss).loss(model, batch))

    assert value(None) == pytest.approx(0.5 * (1 / 18**0.5 + 0.5))
    assert value("mse") == pytest.approx(0.5)
    assert value("l1") == pytest.approx(0.5)
    assert value(nn.HuberLoss()) == pytest.approx(0.25)


def test_a_fraction_is_drawn_from_the_seed():
    data = Arrays(vectors())
    rest, part = split(data, 0.2, 0)
    assert (len(rest), len(part)) == (24, 6)
    assert sorted([*rest.chosen, *part.chosen]) == list(range(30))
    assert digest(split(data, 0.2, 0)[1]) == digest(part)
    assert digest(split(data, 0.2, 1)[1]) != digest(part)
    assert [len(p) for p in split(Arrays(vectors(2)), 0.9, 0)] == [1, 1]


def test_digests_see_every_number():
    x, y = vectors()
    one = digest(Arrays((x, y)))
    assert digest(Arrays((x.clone(), y))) == one
    z = x.clone()
    z[17, 1] = torch.nextafter(z[17, 1], torch.tensor(9.0))
    assert digest(Arrays((z, y))) != one
    assert digest(Samples(OneByOne())) == digest(Samples(OneByOne()))
    assert digest(Samples(Random())) == digest(Samples(Random()))  # transformed at random
    assert digest_batch({"a": 1, "b": [x, None]}) == digest_batch({"b": [x, None], "a": 1}) != digest_batch({"a": 2, "b": [x, None]})
    assert digest_batch(torch.ones(2, dtype=torch.bfloat16)) != digest_batch(torch.ones(2, dtype=torch.float16))
    assert digest_batch(x) != digest_batch(x.T.contiguous())

    class Own(OneByOne):
        def digest(self):
            return "my own"

    assert digest(Samples(Own())) == "my own"
    assert digest(Part(Samples(Own()), np.arange(3))) != "my own"


def test_batches_of_any_structure_are_moved():
    from collections import namedtuple
    from types import SimpleNamespace

    pair = namedtuple("pair", "a b")
    batch = {"x": [torch.ones(1), (torch.ones(2), 3)], "p": pair(torch.ones(1), "text"), "o": SimpleNamespace(t=torch.ones(1))}
    moved = each_tensor(batch, lambda t: t + 1)
    assert float(moved["x"][1][0][0]) == float(moved["p"].a) == float(moved["o"].t) == 2
    assert isinstance(moved["p"], pair)
    assert moved["p"].b == "text"
    assert float(batch["o"].t) == 1


def test_a_problem_of_ones_own(tmp_path, trained):
    class Question:
        def __init__(self, arrays) -> None:
            self.arrays = arrays

    @objective.register(Question)
    def of_question(data: Question, model: nn.Module, *, loss=None, scale: float = 1.0) -> Objective:
        x, y = data.arrays
        return objective((x, scale * y), model, loss=loss)

    run = wellposed.train(perceptron(), Question(vectors()), epochs=2, folder=tmp_path / "run", quiet=True)
    assert same_weights(run.model, trained.model)
    wellposed.train(perceptron(), Question(vectors()), validation=Question(vectors(5)), scale=2.0, epochs=2, folder=tmp_path / "two", quiet=True)
    with pytest.raises(ValueError, match=r"received size=2.0, .*options of such data \(loss, scale\)"):
        wellposed.train(perceptron(), Question(vectors()), size=2.0, epochs=2, folder=tmp_path / "three", quiet=True)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


X, Y = vectors()


@pytest.mark.parametrize(("data", "error", "said"), [
    ((X, Y[:7]), ValueError, "x with 30 samples, y with 7 samples"),
    ((X,), ValueError, "received 1 arrays"),
    ((X[:0], Y[:0]), ValueError, "at least one"),
    ((X, torch.tensor(1.0)), ValueError, "y without axes"),
    ((X, [["a"] * 2] * 30), TypeError, "received y of the type list"),
    ((X.clone().index_fill_(0, torch.tensor([4]), float("nan")), Y), ValueError, "x with numbers that are not finite, first in sample 4"),
    ((X, Y * (torch.arange(30) != 9)[:, None]), ValueError, r"zero everywhere \(sample 9\).*mse"),
    ((X, Y[:, :1]), ValueError, r"targets of shape \(8, 1\) where the model answers \(8, 2\)"),
    (3.0, TypeError, "received data of the type float"),
    (DataLoader(TensorDataset(X, Y)), TypeError, "give its dataset instead"),
    (Stream(), TypeError, "in one order only"),
    (TensorDataset(X), ValueError, r"expected \(inputs ..., target\)"),
    ("nowhere", FileNotFoundError, "there is no file or folder nowhere"),
])
def test_bad_data(tmp_path, data, error, said):
    with pytest.raises(error, match=said):
        wellposed.train(perceptron(), data, steps=2, folder=tmp_path / "run", quiet=True)


def test_bad_files(tmp_path):
    def call(path, **options):
        return wellposed.train(perceptron(), path, steps=2, folder=tmp_path / "run", quiet=True, **options)

    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"a folder without .npz files"):
        call(tmp_path / "empty")
    np.savez(tmp_path / "other.npz", inputs=X.numpy())
    with pytest.raises(ValueError, match="received the arrays inputs, expected x"):
        call(tmp_path / "other.npz")
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"bad.npz is not a .npy or .npz"):
        call(tmp_path / "bad.npz")
    (tmp_path / "same").mkdir()
    for name in "ab":
        np.savez(tmp_path / "same" / f"{name}.npz", x=X[:5].numpy(), y=Y[:5].numpy())
    with pytest.raises(ValueError, match="say each='sample' or each='batch'"):
        call(tmp_path / "same")
    assert call(tmp_path / "same", each="batch").config["data"]["samples"] == 10
    with pytest.raises(ValueError, match="each='all', expected"):
        call(tmp_path / "same", each="all")
    np.savez(tmp_path / "same" / "c.npz", x=X[:4, :2].numpy(), y=Y[:4].numpy())
    with pytest.raises(ValueError, match=r"c.npz: received x of shape \(2,\) per sample, expected \(3,\) as in a.npz"):
        call(tmp_path / "same")
