"""Update rules: how a parameter follows its gradient; schedules of the learning rate.

Every rule keeps one convention, said here once and in no docstring below::

    next_w, config = rule(w, dw, config)

``w`` and ``dw`` are arrays of one shape, w of floats (otherwise a TypeError or ValueError). ``w``
is updated in place and returned, so that a step allocates no second set of parameters. ``config``
is a dict of the rule's hyperparameters, where a missing key gets its default from `DEFAULTS`, and
of its state from step to step, zeros at first; None means an empty one. It too is updated and
returned. At the first step, when something is missing, a rule checks its hyperparameters and copies
what it is given of its state.
"""

import math

import numpy as np

from support.checks import check_choice, check_kind, check_number, check_shape

# The hyperparameters of each rule with their defaults.
DEFAULTS = {
    "sgd": {"learning_rate": 1e-2},
    "sgd_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "rmsprop": {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
}
# What each rule keeps from step to step: arrays of w's shape, and t, the number of steps.
STATE = {"sgd": (), "sgd_momentum": ("velocity",), "rmsprop": ("cache",), "adam": ("m", "v", "t")}
# Decay factors: the share of an old value that is kept. At 1 nothing new would come in.
DECAY_FACTORS = ("momentum", "decay_rate", "beta1", "beta2")


def sgd(w, dw, config=None):
    """Stochastic gradient descent: w <- w - learning_rate dw.

    >>> sgd(np.array([1.0]), np.array([2.0]), {"learning_rate": 0.25})[0]
    array([0.5])
    """
    config = _prepare("sgd", w, dw, config)
    check_number("sgd", learning_rate=config["learning_rate"])  # no state tells a later step
    w -= config["learning_rate"] * dw
    return w, config


def sgd_momentum(w, dw, config=None):
    """Descent with momentum (Polyak 1964; Sutskever et al. 2013)::

        v <- momentum v - learning_rate dw        w <- w + v

    v is ``config['velocity']``; momentum 0 gives plain descent.
    """
    config = _prepare("sgd_momentum", w, dw, config)
    v = config["velocity"]
    v *= config["momentum"]
    v -= config["learning_rate"] * dw
    w += v
    return w, config


def rmsprop(w, dw, config=None):
    """RMSProp: each step is divided by a running root mean square (Tieleman and Hinton 2012)::

    cache <- decay_rate cache + (1 - decay_rate) dw^2
    w     <- w - learning_rate dw / (sqrt(cache) + epsilon)
    """
    config = _prepare("rmsprop", w, dw, config)
    cache = config["cache"]
    _update_ema(cache, dw * dw, config["decay_rate"])
    w -= config["learning_rate"] * dw / (np.sqrt(cache) + config["epsilon"])
    return w, config


def adam(w, dw, config=None):
    """Adam: momentum, scaled as in RMSProp, both corrected for their start at 0::

        t <- t + 1        m <- beta1 m + (1 - beta1) dw        v <- beta2 v + (1 - beta2) dw^2
        w <- w - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    Kingma and Ba (2015), algorithm 1.
    """
    config = _prepare("adam", w, dw, config)
    m, v = config["m"], config["v"]
    t = config["t"] = config["t"] + 1
    _update_ema(m, dw, config["beta1"])
    _update_ema(v, dw * dw, config["beta2"])
    step = m * (config["learning_rate"] / (1 - config["beta1"] ** t))
    step /= np.sqrt(v / (1 - config["beta2"] ** t)) + config["epsilon"]
    w -= step
    return w, config


UPDATE_RULES = {rule.__name__: rule for rule in (sgd, sgd_momentum, rmsprop, adam)}


def cosine(t, *, warm_up=0.0):
    """Schedule: a factor on the learning rate that rises linearly, then falls on half a cosine.

    t is the finished fraction of the training, 0.0 to 1.0, and warm_up the fraction that the rise
    takes, 0 <= warm_up < 1 (`functools.partial` fixes it). From 0 to 1, then from 1 to 0::

        t / warm_up        (1 + cos(pi (t - warm_up) / (1 - warm_up))) / 2

    (Loshchilov and Hutter 2017, without restarts.)

    >>> [round(cosine(t, warm_up=0.2), 3) for t in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    check_number("cosine", below=1.0, warm_up=warm_up)
    if t < warm_up:
        return t / warm_up
    return (1 + math.cos(math.pi * (t - warm_up) / (1 - warm_up))) / 2


def complete_options(function, rule, options):
    """Return all hyperparameters of a rule by name: options, checked, and the other defaults."""
    check_choice(function, DEFAULTS, update_rule=rule)
    options = {} if options is None else options
    check_kind(function, dict, "a dict", optim_config=options)
    name = "config" if function == rule else "optim_config"
    for key in options:
        check_choice(function, DEFAULTS[rule], f"one of {rule}'s", **{f"a key of {name}": key})
    options = {**DEFAULTS[rule], **options}
    for key, value in options.items():
        below = 1.0 if key in DECAY_FACTORS else math.inf
        check_number(function, positive=key == "epsilon", below=below, **{key: value})
    return {key: float(value) for key, value in options.items()}  # float64 would promote float32


def complete_config(rule, w, config):
    """Add to a rule's config for the parameter w the defaults and the state that it lacks."""
    config = {} if config is None else config
    check_kind(rule, dict, "a dict", config=config)
    if any(key not in config for key in (*DEFAULTS[rule], *STATE[rule])):
        given = {key: config[key] for key in config if key not in STATE[rule]}
        config.update(complete_options(rule, rule, given))
        for key in STATE[rule]:
            state = config.get(key, 0 if key == "t" else np.zeros_like(w))
            check_shape(rule, () if key == "t" else w.shape, "w's", **{key: state})
            config[key] = state if key == "t" else np.array(state, w.dtype)  # not w or dw itself
    return config


def _prepare(rule, w, dw, config):
    if not isinstance(w, np.ndarray) or w.dtype.kind != "f":  # integers would be cut off in place
        raise TypeError(f"{rule}: w must be a NumPy array of floats, got {w!r:.80}")
    check_shape(rule, w.shape, "w's", dw=dw)
    return complete_config(rule, w, config)


def _update_ema(mean, value, decay):
    """Move a running mean in place: mean <- decay mean + (1 - decay) value."""
    mean *= decay
    mean += (1 - decay) * value
