"""How one network is trained, what that costs, and how several decide together."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from leaderboard.augment import adversarial, shift
from leaderboard.ensemble import Ensemble
from optim import cosine
from solver import Solver

WARM_UP = 0.02  # fraction of the training in which the learning rate rises
# Rows and columns by which an image is shifted for each of its views.
TTA_SHIFTS = (0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)


class Training(NamedTuple):
    """How one network is trained: momentum 0.9, and a learning rate that falls on a cosine to 0.

    Before that it rises, for the first 2% of the training.

    Attributes
    ----------
    name : str
        Of its checkpoints.
    network : callable
        ``network(seed=seed)`` is the untrained network.
    num_epochs : int
    learning_rate : float
        The highest, after the warm-up.
    batch_size : int
    transform : callable or None
        As `Solver` takes it.
    adversarial : float
        Where above 0, `adversarial` of this size follows on the transform.
    preprocess : callable or None
        What is made of all images, before anything else.
    shifted : bool
        Whether a prediction takes the mean of the scores over `TTA_SHIFTS` of an image.
    """

    name: str
    network: Callable
    num_epochs: int
    learning_rate: float = 0.1
    batch_size: int = 128
    transform: Callable | None = None
    adversarial: float = 0.0
    preprocess: Callable | None = None
    shifted: bool = False


def prepare(preprocess, data):
    """The data as the networks of a training with this preprocess see them."""
    if not preprocess:
        return data
    return {**data, **{key: preprocess(data[key]) for key in ("X_train", "X_val")}}


def predictor(trainings, nets):
    """The `Ensemble` of the networks of these trainings, with the views that they are shown."""
    views = {}  # one function for all networks that want the same, so that it is called once
    members, functions = [], []
    for training, net in zip(trainings, nets, strict=True):
        for rows, columns in TTA_SHIFTS if training.shifted else TTA_SHIFTS[:1]:
            key = training.preprocess, rows, columns
            moved = partial(_view, preprocess=training.preprocess, rows=rows, columns=columns)
            members.append(net)
            functions.append(views.setdefault(key, moved))
    return Ensemble(members, functions)


def _view(X, *, preprocess, rows, columns):
    X = preprocess(X) if preprocess else X
    return shift(X, rows=rows, columns=columns) if rows or columns else X


def make_solver(training, data, seed, **options):
    """The `Solver` of a training with its network, neither of them trained; data as prepared."""
    net = training.network(seed=seed)
    steps = [training.transform] if training.transform else []
    if training.adversarial:
        steps.append(partial(adversarial, net=net, size=training.adversarial))
    return Solver(
        net,
        data,
        "sgd_momentum",
        {"learning_rate": training.learning_rate},
        batch_size=training.batch_size,
        num_epochs=training.num_epochs,
        verbose=False,
        schedule=partial(cosine, warm_up=WARM_UP),
        transform=partial(compose, steps=steps) if steps else None,
        seed=seed,
        **options,
    )


def compose(X, rng, *, steps):
    """Several transforms, each of what the one before it returns."""
    for step in steps:
        X = step(X, rng)
    return X


def flop(training, X):
    """Floating-point operations of a training on the images X, which no machine changes.

    A layer's ``operations`` of an example count three times, for out, dw and dx, but for dx of the
    first layer; adversarial images take three times as many in each layer. What is left out takes
    less: elementwise work, normalizations, distortions, and the measuring of accuracy.
    """
    products = [count for count in training.network(seed=0).operations if count]
    per_example = 3 * sum(products) - products[0]
    if training.adversarial:
        per_example += 3 * sum(products)
    return per_example * len(X) * training.num_epochs
