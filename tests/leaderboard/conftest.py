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


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of data like MNIST's: 10 images that are easy to tell apart, with noise."""
    rng, labels = np.random.default_rng(0), np.arange(450) % 10
    prototypes, noise = rng.integers(0, 200, (10, 28, 28)), rng.integers(0, 56, (450, 28, 28))
    images, folder = (prototypes[labels] + noise).astype(np.uint8), tmp_path_factory.mktemp("data")
    train, test = {"x_train": images[:400], "y_train": labels[:400]}, images[400:]
    np.savez(folder / "mnist.npz", **train, x_test=test, y_test=labels[400:])
    return folder


@pytest.fixture
def data(folder):
    return load_mnist(folder, verbose=False)


@pytest.fixture
def tiny(monkeypatch):
    """The recipes tiny and three; a trial holds out the last 50 images."""
    network = partial(FullyConnectedNet, 784, hidden_dim=[20])
    training = Training("tiny", network, num_epochs=3, batch_size=20)
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
