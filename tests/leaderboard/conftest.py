"""A small recipe, images that it learns, and the command."""

import sys
from functools import partial

import numpy as np
import pytest

from data_utils import load_mnist
from fc_net import FullyConnectedNet
from leaderboard import recipes, trials
from leaderboard.recipes import RECIPES
from leaderboard.training import Training

NETWORK = partial(FullyConnectedNet, 784, hidden_dim=[20])


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of data like MNIST's: 10 images that are easy to tell apart, with noise."""
    rng = np.random.default_rng(0)
    prototypes = rng.integers(0, 200, (10, 28, 28))
    arrays = {}
    for part, number in (("train", 400), ("test", 50)):
        labels = np.arange(number) % 10
        noise = rng.integers(0, 56, (number, 28, 28))
        arrays[f"x_{part}"] = (prototypes[labels] + noise).astype(np.uint8)
        arrays[f"y_{part}"] = labels
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "mnist.npz", **arrays)
    return folder


@pytest.fixture
def data(folder):
    return load_mnist(folder, verbose=False)


@pytest.fixture
def tiny(monkeypatch):
    """The recipes tiny and three; a trial holds out the last 50 images."""
    training = Training("tiny", NETWORK, num_epochs=3, batch_size=20)
    monkeypatch.setattr(trials, "HELD_OUT", 50)
    monkeypatch.setitem(RECIPES, "tiny", [training])
    monkeypatch.setitem(RECIPES, "three", [training] * 3)
    return training


@pytest.fixture
def command(tiny, folder, tmp_path, monkeypatch):
    """Run the command with these words, in tmp_path."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["recipes.py", *map(str, words), "--data", str(folder)])
        recipes.main()

    monkeypatch.chdir(tmp_path)
    return run
