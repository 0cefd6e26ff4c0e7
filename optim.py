"""Update rules: how a parameter follows its gradient; schedules of the learning rate.

Every rule keeps one convention::

    next_w, config = rule(w, dw, config)

``w`` and ``dw`` are arrays of one shape and float dtype; ``w`` is updated in place and returned, so
that a step allocates no second set of parameters. ``config`` is a dict of hyperparameters, in which
a missing key gets the default named below, and of the rule's own state from step to step; None
means an empty one. It too is updated and returned.
"""

import math

import numpy as np

from checks import check_floats, check_number

# Parts of an old value that are kept: at 1 nothing new would come in.
BELOW_1 = ("momentum", "decay_rate", "beta1", "beta2")


def _prepare(rule, w, dw, config, state=(), **defaults):
    """Check the arrays; give config the hyperparameters and the state arrays that it lacks."""
    check_floats(rule, w=w, dw=dw)
    if w.shape != dw.shape:
        raise ValueError(f"{rule}: dw must have w's shape {w.shape}, got {dw.shape}")
    config = {} if config is None else config
    for key, default in defaults.items():
        value = config.get(key, default)
        check_number(rule, below=1.0 if key in BELOW_1 else math.inf, **{key: value})
        config[key] = float(value)  # a numpy.float64 would promote float32 arrays
    for key in state:
        if key not in config:
            config[key] = np.zeros_like(w)
        elif np.shape(config[key]) != w.shape:
            raise ValueError(
                f"{rule}: {key} must have w's shape {w.shape}, got {np.shape(config[key])}"
            )
    return config


def sgd(w, dw, config=None):
    """Stochastic gradient descent.

    Parameters
    ----------
    w, dw : ndarray of float, same shape
        Parameter, updated in place, and its gradient.
    config : dict, optional
        ``learning_rate`` (default 1e-2).

    Returns
    -------
    next_w : ndarray of float
    config : dict

    Raises
    ------
    TypeError, ValueError
        If w and dw are not arrays of floats of one shape.

    Notes
    -----
    w <- w - learning_rate dw.

    Examples
    --------
    >>> sgd(np.array([1.0]), np.array([2.0]), {"learning_rate": 0.25})[0]
    array([0.5])
    """
    config = _prepare("sgd", w, dw, config, learning_rate=1e-2)
    w -= config["learning_rate"] * dw
    return w, config


def sgd_momentum(w, dw, config=None):
    """Stochastic gradient descent with momentum.

    Parameters
    ----------
    w, dw : ndarray of float, same shape
        Parameter, updated in place, and its gradient.
    config : dict, optional
        ``learning_rate`` (default 1e-2), ``momentum`` (default 0.9; 0 gives plain descent). State:
        ``velocity``, of w's shape, also updated in place.

    Returns
    -------
    next_w : ndarray of float
    config : dict

    Raises
    ------
    TypeError, ValueError
        If w and dw are not arrays of floats of one shape.

    Notes
    -----
    v <- momentum v - learning_rate dw, then w <- w + v (Polyak 1964; Sutskever et al. 2013).
    """
    config = _prepare("sgd_momentum", w, dw, config, ["velocity"], learning_rate=1e-2, momentum=0.9)
    v = config["velocity"]
    v *= config["momentum"]
    v -= config["learning_rate"] * dw
    w += v
    return w, config


def rmsprop(w, dw, config=None):
    """RMSProp: each number's step is divided by a running root mean square of its gradient.

    Parameters
    ----------
    w, dw : ndarray of float, same shape
        Parameter, updated in place, and its gradient.
    config : dict, optional
        ``learning_rate`` (default 1e-2), ``decay_rate`` of the running mean (default 0.99),
        ``epsilon`` (default 1e-8). State: ``cache``, of w's shape, the running mean of dw^2.

    Returns
    -------
    next_w : ndarray of float
    config : dict

    Raises
    ------
    TypeError, ValueError
        If w and dw are not arrays of floats of one shape.

    Notes
    -----
    cache <- decay_rate cache + (1 - decay_rate) dw^2, then
    w <- w - learning_rate dw / (sqrt(cache) + epsilon) (Tieleman and Hinton 2012).
    """
    config = _prepare(
        "rmsprop", w, dw, config, ["cache"], learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8
    )
    cache = config["cache"]
    _decay_towards(cache, _square(dw), config["decay_rate"])
    w -= config["learning_rate"] * dw / (np.sqrt(cache) + config["epsilon"])
    return w, config


def adam(w, dw, config=None):
    """Adam: momentum, with steps scaled as in `rmsprop`, both corrected for their start at 0.

    Parameters
    ----------
    w, dw : ndarray of float, same shape
        Parameter, updated in place, and its gradient.
    config : dict, optional
        ``learning_rate`` (default 1e-3), ``beta1`` (default 0.9), ``beta2`` (default 0.999),
        ``epsilon`` (default 1e-8). State: ``m`` and ``v``, of w's shape, the running means of dw
        and dw^2, and ``t``, the number of steps, counted up before it is used.

    Returns
    -------
    next_w : ndarray of float
    config : dict

    Raises
    ------
    TypeError, ValueError
        If w and dw are not arrays of floats of one shape.

    Notes
    -----
    Algorithm 1 of Kingma and Ba (2015)::

        t <- t + 1        m <- beta1 m + (1 - beta1) dw        v <- beta2 v + (1 - beta2) dw^2
        w <- w - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
    """
    config = _prepare(
        "adam", w, dw, config, ["m", "v"], learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8
    )
    m, v = config["m"], config["v"]
    t = config["t"] = config.get("t", 0) + 1
    _decay_towards(m, dw, config["beta1"])
    _decay_towards(v, _square(dw), config["beta2"])
    step = m * (config["learning_rate"] / (1 - config["beta1"] ** t))
    step /= np.sqrt(v / (1 - config["beta2"] ** t)) + config["epsilon"]
    w -= step
    return w, config


def _square(dw):
    # The square of a gradient beyond 1.8e19 is no float32: its mean is infinite and the step 0.
    with np.errstate(over="ignore"):
        return dw * dw


def _decay_towards(mean, value, decay):
    """Move a running mean in place: mean <- decay mean + (1 - decay) value."""
    mean *= decay
    mean += (1 - decay) * value


def cosine(t, *, warm_up=0.0):
    """Schedule: the learning rate rises on a line, then falls on half a cosine.

    Parameters
    ----------
    t : float
        Finished part of the training, 0.0 to 1.0, as `Solver` gives it to its ``schedule``.
    warm_up : float, default 0.0
        Part of the training that the rise takes; `functools.partial` fixes it.

    Returns
    -------
    factor : float
        On the learning rate: from 0 to 1 during the warm-up, then from 1 to 0.

    Raises
    ------
    TypeError, ValueError
        If warm_up is not in [0, 1).

    Notes
    -----
    ``t / warm_up``, then ``(1 + cos(pi (t - warm_up) / (1 - warm_up))) / 2`` (Loshchilov and Hutter
    2017, without restarts).

    Examples
    --------
    >>> [round(cosine(t, warm_up=0.2), 3) for t in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    check_number("cosine", below=1.0, warm_up=warm_up)
    if t < warm_up:
        return t / warm_up
    return (1 + math.cos(math.pi * (t - warm_up) / (1 - warm_up))) / 2


UPDATE_RULES = {rule.__name__: rule for rule in (sgd, sgd_momentum, rmsprop, adam)}
