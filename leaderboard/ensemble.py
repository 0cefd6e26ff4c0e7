"""Networks that decide together."""

from collections.abc import Iterable

import numpy as np

from support.checks import check_kind, describe
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

    Raises
    ------
    ValueError, TypeError
        If there are no networks, or not as many functions, or they are something else.
    """

    def __init__(self, networks, preprocess=None):
        check_kind("Ensemble", Iterable, "a sequence of networks", networks=networks)
        self.networks = list(networks)
        preprocess = [None] * len(self.networks) if preprocess is None else preprocess
        check_kind("Ensemble", Iterable, "a sequence of functions", preprocess=preprocess)
        self.preprocess = list(preprocess)
        if not self.networks or len(self.preprocess) != len(self.networks):
            raise ValueError(
                "Ensemble: expected at least one network, and a preprocess or None for each, "
                f"got {len(self.networks)} and {len(self.preprocess)}"
            )
        for i, (net, function) in enumerate(zip(self.networks, self.preprocess, strict=True)):
            if not callable(getattr(net, "loss", None)):
                raise TypeError(f"Ensemble: networks[{i}] must have a loss, got {describe(net)}")
            if not (function is None or callable(function)):
                raise TypeError(
                    f"Ensemble: preprocess[{i}] must be a function or None, "
                    f"got {describe(function)}"
                )

    def loss(self, X):
        """Mean scores (N, C) of a batch of images (N, d_1, ..., d_k)."""
        functions = {id(function): function for function in self.preprocess}
        shown = {key: function(X) if function else X for key, function in functions.items()}
        scores = [
            net.loss(shown[id(function)])
            for net, function in zip(self.networks, self.preprocess, strict=True)
        ]
        if len(shapes := {np.shape(score) for score in scores}) > 1:
            raise ValueError(
                "Ensemble: the scores of all networks must have one shape, (N, C), "
                f"got {' and '.join(map(str, sorted(shapes)))}"
            )
        return sum(scores) / len(scores)

    def predict(self, X, *, batch_size=1000):
        """Class of the highest mean score of each image, (N,) int64; as `Network.predict`."""
        return predict_labels("Ensemble.predict", self, X, batch_size)
