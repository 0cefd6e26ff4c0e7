"""Networks that decide together."""

from itertools import combinations

import numpy as np
import pandas as pd

from support.checks import check_callable
from support.examples import predict_labels


class Ensemble:
    """A model whose scores are the mean of the scores of its networks.

    Scores are logarithms of probabilities, up to a constant for each example, so this takes the
    geometric mean of the networks' probabilities (Hinton 2002: a product of experts).

    Parameters
    ----------
    networks : sequence
        At least one; each has ``loss(X) -> scores``, for the same classes.
    preprocess : sequence of callable or None, optional
        For each network the function whose result it is shown in place of the images X, if any.
        What is equal is called once.

    Raises
    ------
    ValueError, TypeError
        If there are no networks, or not as many functions, or they are something else.
    """

    def __init__(self, networks, preprocess=None):
        self.networks = list(networks)
        self.preprocess = [None] * len(self.networks) if preprocess is None else list(preprocess)
        if not self.networks or len(self.preprocess) != len(self.networks):
            raise ValueError(
                "Ensemble: networks must be at least one, and preprocess as many, "
                f"got {len(self.networks)} and {len(self.preprocess)}"
            )
        for i, (net, function) in enumerate(zip(self.networks, self.preprocess, strict=True)):
            check_callable("Ensemble", **{f"networks[{i}].loss": getattr(net, "loss", None)})
            if function is not None:
                check_callable("Ensemble", **{f"preprocess[{i}]": function})

    def scores(self, X):
        """Return the scores of each network (networks, N, C) for images X (N, d_1, ..., d_k)."""
        shown = {function: function(X) if function else X for function in set(self.preprocess)}
        pairs = zip(self.networks, self.preprocess, strict=True)
        return np.stack([net.loss(shown[function]) for net, function in pairs])

    def loss(self, X):
        """Return the mean scores (N, C) of a batch of images (N, d_1, ..., d_k)."""
        scores = self.scores(X)
        return sum(scores) / len(scores)

    def predict(self, X, *, batch_size=1000):
        """Return the class of the highest mean score of each image, (N,) int64."""
        return predict_labels("Ensemble.predict", self, X, batch_size)

    def error_by_number(self, X, y, *, batch_size=1000):
        """Return the errors of 1, 2, 4, ... and all of the networks, a pandas.DataFrame.

        A row a number: how many ``subsets`` of so many ``networks`` there are, and the mean and the
        standard deviation, ``std``, of all their ``error`` on images X of labels y. The views of a
        network must stand together in the list, as many of each.
        """
        views = self.networks.count(self.networks[0])
        batches = range(0, len(X), batch_size)
        scores = np.concatenate([self.scores(X[i : i + batch_size]) for i in batches], axis=1)
        scores = scores.reshape(-1, views, *scores.shape[1:]).sum(axis=1)
        rows = []
        for number in sorted({*2 ** np.arange(len(scores).bit_length()), len(scores)}):
            subsets = combinations(scores, number)
            errors = [np.mean(sum(subset).argmax(axis=1) != y) for subset in subsets]
            rows.append((number, len(errors), np.mean(errors), np.std(errors)))
        return pd.DataFrame(rows, columns=["networks", "subsets", "error", "std"])
