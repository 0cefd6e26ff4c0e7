"""How one network is trained, what that costs, and how several decide together."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import NamedTuple

from leaderboard.augment import adversarial, deskew, shift
from leaderboard.ensemble import Ensemble
from optim import cosine
from solver import Solver
from support.checks import check_choice, check_kind

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


def settings_of(training):
    """Return what can be set of a training, a dict with the values.

    Fields of `Training`, arguments of its network and of its transform that have a default, and
    deskew, which stands for that preprocess.
    """
    found = {**training._asdict(), "deskew": training.preprocess is deskew}
    del found["name"], found["network"]
    return {**found, **_options(training.network), **_options(training.transform)}


def _options(function):
    parameters = signature(function).parameters.values() if function else ()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name != "seed"}


def variant(training, settings):
    """Return the training with other settings, a dict; a name that it lacks is a ValueError."""
    for name, value in settings.items():
        found = settings_of(training)
        check_choice("variant", found, f"a setting of {training.name}", name=name)
        if isinstance(found[name], bool):  # 'false' and 'no' would count as true
            check_kind("variant", bool, "True or False", **{name: value})
        if name == "deskew":
            name, value = "preprocess", deskew if value else None
        for part in ("network", "transform"):
            function = getattr(training, part)
            if name in _options(function):
                name, value = part, partial(function, **{name: value})
        training = training._replace(**{name: value})
    return training


def prepare(preprocess, data):
    """Return the data as the networks of a training with this preprocess see them."""
    changed = {name: preprocess(data[name]) for name in ("X_train", "X_val")} if preprocess else {}
    return {**data, **changed}


def predictor(trainings, nets):
    """Return the `Ensemble` of the networks of these trainings, with the views they are shown."""
    views, members = {}, []  # one view for all networks that want the same
    for training, net in zip(trainings, nets, strict=True):
        for move in TTA_SHIFTS if training.shifted else TTA_SHIFTS[:1]:
            key = training.preprocess, move
            members.append((net, views.setdefault(key, partial(_view, *key))))
    return Ensemble(*zip(*members, strict=True))


def _view(preprocess, move, X):
    X = preprocess(X) if preprocess else X
    return shift(X, rows=move[0], columns=move[1]) if any(move) else X


def make_solver(training, data, seed, **options):
    """Return the `Solver` of a training with its network, untrained; data is as prepared."""
    net = training.network(seed=seed)
    steps = [training.transform] if training.transform else []
    if training.adversarial:
        steps.append(partial(adversarial, net=net, size=training.adversarial))
    options |= {"batch_size": training.batch_size, "num_epochs": training.num_epochs}
    options |= {"schedule": partial(cosine, warm_up=WARM_UP), "verbose": False, "seed": seed}
    options["transform"] = partial(compose, steps=steps) if steps else None
    return Solver(net, data, "sgd_momentum", {"learning_rate": training.learning_rate}, **options)


def compose(X, rng, *, steps):
    """Apply several transforms, each to what the one before it returns."""
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
