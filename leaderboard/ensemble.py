"""Networks that decide together."""

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
    ValueError
        If there are no networks, or not as many functions.
    """

    def __init__(self, networks, preprocess=None):
        self.networks = list(networks)
        self.preprocess = list(preprocess or [None] * len(self.networks))
        if not self.networks or len(self.preprocess) != len(self.networks):
            raise ValueError(
                "Ensemble: expected at least one network, and a preprocess or None for each, "
                f"got {len(self.networks)} and {len(self.preprocess)}"
            )

    def loss(self, X):
        """Mean scores (N, C) of a batch of images (N, d_1, ..., d_k)."""
        shown = {function: function(X) if function else X for function in set(self.preprocess)}
        scores = [
            net.loss(shown[function])
            for net, function in zip(self.networks, self.preprocess, strict=True)
        ]
        return sum(scores) / len(scores)

    def predict(self, X, *, batch_size=1000):
        """Class of the highest mean score of each image, (N,) int64; as `Network.predict`."""
        return predict_labels("Ensemble.predict", self, X, batch_size)
