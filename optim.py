"""Update rules: how a parameter follows its gradient; schedules of the learning rate.

Every rule keeps one convention, said here once and in no docstring below::

    next_w, config = rule(w, dw, config)

``w`` and ``dw`` are arrays of one shape and float dtype (otherwise a TypeError or ValueError).
``w`` is updated in place and returned, so that a step allocates no second set of parameters.
``config`` is a dict of the rule's hyperparameters, in which a missing key gets its default from
`DEFAULTS`, and of the rule's state from step to step, zeros at first; None means an empty one. It
too is updated and returned.
"""

import math

import numpy as np

from support.checks import (
    check_choice,
    check_integer,
    check_kind,
    check_number,
    describe,
    is_exact_ndarray,
)

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
    _update_ema(cache, _square(dw), config["decay_rate"])
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
    _update_ema(v, _square(dw), config["beta2"])
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
    check_number("cosine", t=t)
    check_number("cosine", below=1.0, warm_up=warm_up)
    if t < warm_up:
        return t / warm_up
    return (1 + math.cos(math.pi * (t - warm_up) / (1 - warm_up))) / 2


def complete_options(function, rule, options):
    """All hyperparameters of a rule by name: options, and the defaults of the others."""
    check_choice(function, DEFAULTS, update_rule=rule)
    options = {} if options is None else options
    check_kind(function, dict, "a dict", optim_config=options)
    if unknown := options.keys() - DEFAULTS[rule].keys():
        raise ValueError(
            f"{function}: optim_config has {', '.join(sorted(map(str, unknown)))}, "
            f"which {rule} does not take; it takes {', '.join(DEFAULTS[rule])}"
        )
    return {**DEFAULTS[rule], **options}


def complete_config(rule, w, config):
    """Check a rule's config for the parameter w; add the defaults and the state that it lacks."""
    config = {} if config is None else config
    check_kind(rule, dict, "a dict", config=config)
    for key, default in DEFAULTS[rule].items():
        value = config.get(key, default)
        check_number(rule, below=1.0 if key in DECAY_FACTORS else math.inf, **{key: value})
        config[key] = float(value)  # a numpy.float64 would promote float32 arrays
        if key == "epsilon" and w.dtype.type(value) == 0:  # 0 / 0 for a gradient of 0
            raise ValueError(f"{rule}: epsilon must be more than 0 in {w.dtype}, got {value}")
    for key in STATE[rule]:
        if key not in config:
            config[key] = 0 if key == "t" else np.zeros_like(w)
        elif key == "t":
            check_integer(rule, 0, t=config["t"])
        else:
            _check_floats(rule, **{key: config[key]})
            if config[key].shape != w.shape:
                raise ValueError(
                    f"{rule}: {key} must have w's shape {w.shape}, got {config[key].shape}"
                )
    return config


def _prepare(rule, w, dw, config):
    _check_floats(rule, w=w, dw=dw)
    if w.shape != dw.shape:
        raise ValueError(f"{rule}: dw must have w's shape {w.shape}, got {dw.shape}")
    return complete_config(rule, w, config)


def _check_floats(rule, **arrays):
    """Arrays that are updated in place: integers, which layers take, would be cut off."""
    for name, array in arrays.items():
        if not is_exact_ndarray(array) or array.dtype.kind != "f":
            raise TypeError(
                f"{rule}: {name} must be a NumPy array of floats, got {describe(array)}"
            )


def _square(dw):
    # The square of a gradient beyond 1.8e19 is no float32: its mean is infinite and the step 0.
    with np.errstate(over="ignore"):
        return dw * dw


def _update_ema(mean, value, decay):
    """Move a running mean in place: mean <- decay mean + (1 - decay) value."""
    mean *= decay
    mean += (1 - decay) * value
