"""Questions about code, and how answers are compared: by the tests here, and by the autograder.

A question is a method of `Code` with arguments, its answer a dict of arrays, numbers and texts.
What the code that is checked answers is compared with the right answer: the autograder computes it,
the tests have it recorded.
"""

import copy
from functools import partial

import numpy as np

from gradient_check import check_layer

# Tolerance of float32; and of numbers, as some add a little to what they take the logarithm of.
ROUGH = 1e-5


class Wrong(Exception):
    """Say what is wrong with a function to who wrote it; question and answers, if known."""

    question = got = expected = None


class Code:
    """The functions of a few modules; ``load(name)`` is the module of that name."""

    def __init__(self, load):
        self.load = load

    def __call__(self, method, *arguments):
        return getattr(self, method)(*arguments)

    def function(self, name):
        """Return what 'module.name' means."""
        module, _, function = name.partition(".")
        if not hasattr(self.load(module), function):
            raise Wrong(f"{module}.py has no {function}")
        return getattr(self.load(module), function)

    def call(self, name, inputs, outputs):
        """Call a function: its outputs by name. A cache stays here."""
        found = unpack(name, self.function(name)(*inputs.values()), outputs)
        self.cache = found.pop("cache", None)
        return found

    def backward(self, name, inputs, douts, options):
        """Call a function's backward with the cache of its forward: the gradients by name."""
        forward, before = name.replace("backward", "forward"), copy.deepcopy(inputs)
        try:
            self.call(forward, inputs, ("out", "cache"))
        except Exception as error:
            raise Wrong(f"needs the cache of {forward}: {in_words(error)}") from error
        for key, value in before.items():  # what forward has changed is not this part's fault
            inputs[key].update(value) if isinstance(value, dict) else np.copyto(inputs[key], value)
        result = self.function(name)(douts["dout"], self.cache, **options)
        return unpack(name, result, [f"d{key}" for key in arrays(inputs)])

    def along(self, seed, method, *arguments):
        """Return the sums of gradients times random numbers: large arrays as one number each."""
        found, rng = getattr(self, method)(*arguments), np.random.default_rng(seed)
        sums = {key: value for key, value in found.items() if key[0] == "d"}
        for key, value in sums.items():
            shape = arguments[1][key[1:]].shape
            if np.shape(value) != shape:
                raise Wrong(f"{key} must have shape {shape}, got {np.shape(value)}")
            sums[key] = float(np.sum(value * rng.standard_normal(shape)))
        return sums

    def kept(self, method, *arguments):
        """Return the inputs as they are after a call, and parameters of a network.

        Code that knows of this can answer what it likes: it might as well copy its inputs.
        """
        self.net = None
        getattr(self, method)(*arguments)
        given = *arguments, getattr(self.net, "params", None)
        return {key: value for x in given if isinstance(x, dict) for key, value in x.items()}

    def make(self, inputs, options):
        """Make a FullyConnectedNet, and return what it consists of."""
        net = self.function("fc_net.FullyConnectedNet")(**inputs, **options)
        return {
            "the list of layers": "[" + ", ".join(map(_written, net.layers)) + "]",
            "reg": float(net.reg), "dtype": np.dtype(net.dtype).name,
            **{f"params[{name!r}]": p for name, p in net.params.items()},
        }  # fmt: skip

    def net_forward(self, layers, inputs, options, training):
        """Run a network of stand-ins: scores, and the list of pairs, by their places, and caches.

        As caches have the stand-ins lists of plain numbers, which say who has made them.
        """
        net = self.network(layers, options)
        found = unpack("forward", net.forward(inputs["X"], training=training), ("scores", "caches"))
        try:
            caches = [[_place(net.pairs, pair), cache] for pair, cache in found["caches"]]
        except (TypeError, ValueError):
            caches = describe(found["caches"])
        return found | {"caches": caches}

    def net_backward(self, layers, douts, options, absent, need_dx):
        """Run it backwards, without pairs that did not run, and return dx and gradients."""
        net = self.network(layers, options)
        caches = [(p, [i, 0.5 * i]) for i, p in enumerate(net.pairs) if i not in absent]
        result = net.backward(douts["dout"], caches, need_dx=need_dx)
        return _spread(unpack("backward", result, ("dx", "grads")))

    def net_loss(self, layers, inputs, options, scores):
        """Call loss, where forward and backward are stand-ins; scores are those of forward."""
        net = self.network(layers, options)

        def forward(X, *, training=False):
            return scores[f"training={bool(training)}"].copy(), "caches"

        def backward(dout, caches, *, need_dx=False):
            if caches != "caches":
                raise Wrong("loss must give backward the caches of forward")
            return None, {name: np.cos(p) * dout[0, 0] for name, p in net.params.items()}

        net.forward, net.backward = forward, backward
        if "y" not in inputs:
            return {"scores": net.loss(inputs["X"])}
        return _spread(unpack("loss", net.loss(inputs["X"], inputs["y"]), ("loss", "grads")))

    def network(self, layers, options):
        """Return a Network with other parameters, whose pairs are stand-ins for its layers."""
        fc_net = self.load("fc_net")
        layers = [getattr(fc_net, name)(*arguments) for name, *arguments in layers]
        self.net = net = fc_net.Network(6, layers, seed=0, **options)
        rng = np.random.default_rng(0)
        for p in net.params.values():
            p[...] = rng.standard_normal(p.shape)
        net.pairs = [fc_net.Pair(*_stand_in(net, i, p), p.names) for i, p in enumerate(net.pairs)]
        return net


def _stand_in(net, number, pair):
    """Return functions that are none of a layer, but tell all of their arguments apart."""
    params = [net.params[name] for name in pair.names]

    def make_forward(mode):
        def forward(x, *params):
            shift = sum((k + mode) * np.cos(p).sum() for k, p in enumerate(params))
            return np.sin((number + 2) * x + shift), [number, mode]

        return forward

    def backward(dout, cache):
        grads = [(k + cache[1]) * p * np.cos(dout).sum() for k, p in enumerate(params, start=1)]
        dx = np.sin((number + 2) * dout + cache[1])
        return (dx, *grads) if grads else dx

    def backward_of_weights(dout, cache, *, need_dx=True):
        dx, *grads = backward(dout, cache)
        return dx if need_dx else None, *grads

    is_weights = any(name[0] == "W" for name in pair.names)
    forward, predict = make_forward(0.5), pair.predict and make_forward(0.0)
    return forward, backward_of_weights if is_weights else backward, predict


def _place(pairs, pair):
    """Return where a pair stands; None where it is none of them."""
    return next((i for i, p in enumerate(pairs) if p is pair), None)


def _written(layer):
    """Return a layer as it is written, numbers of NumPy as any others."""
    values = [getattr(value, "item", lambda v=value: v)() for value in vars(layer).values()]
    return f"{type(layer).__name__}({', '.join(map(repr, values))})"


def _spread(found):
    """Return an answer with the gradients in place of their dict."""
    grads = found.pop("grads")
    if not isinstance(grads, dict):
        raise Wrong(f"grads must be a dict, got {describe(grads)}")
    return found | {f"grads[{key!r}]": value for key, value in grads.items()}


def arrays(inputs):
    """Return those inputs that are arrays."""
    return {key: value for key, value in inputs.items() if isinstance(value, np.ndarray)}


def describe(value):
    """Return what a value is, for a message."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    return repr(value) if isinstance(value, str | float | None) else type(value).__name__


def in_words(error):
    """Return what an exception says."""
    if isinstance(error, Wrong):
        return str(error)
    if isinstance(error, NotImplementedError):
        return f"still to be written: {error}"
    is_import = isinstance(error, ImportError | SyntaxError)
    return f"{'cannot be imported:' if is_import else 'raised'} {type(error).__name__}: {error}"


def unpack(function, result, names):
    """Return the items of what a function must return, by name."""
    items = result if isinstance(result, tuple | list) else (result,)
    if len(items) != len(names):
        values = "1 value" if len(items) == 1 else f"{len(items)} values"
        raise Wrong(f"{function.split('.')[-1]} must return {', '.join(names)}, got {values}")
    return dict(zip(names, items, strict=True))


def same(name, got, expected, check):
    """Raise Wrong unless one value of an answer is what is expected."""
    if isinstance(expected, float | np.generic):
        if not isinstance(got, int | float | np.generic | np.ndarray) or np.ndim(got):
            raise Wrong(f"{name} must be a number, got {describe(got)}")
        expected, got = np.asarray(expected), np.asarray(got)
    if not isinstance(expected, np.ndarray):
        if type(got) is not type(expected) or got != expected:
            raise Wrong(f"{name} must be {expected}, got {describe(got)}")
        return
    if not isinstance(got, np.ndarray) or got.dtype.kind not in "fiub":
        raise Wrong(f"{name} must be an array of shape {expected.shape}, got {describe(got)}")
    if got.shape != expected.shape:
        raise Wrong(f"{name} must have shape {expected.shape}, got {got.shape}")
    if check.dtype and expected.ndim and got.dtype != expected.dtype:
        raise Wrong(f"{name} must be of {expected.dtype} for such inputs, got {got.dtype}")
    if not np.isfinite(got).all():
        raise Wrong(f"{name} holds NaN or infinity")
    with np.errstate(all="ignore"):
        difference = np.abs(np.subtract(got, expected, dtype=np.float64))
    is_exact = expected.ndim and expected.dtype != np.float32
    tolerance = check.tolerance if is_exact else ROUGH
    if not (difference <= tolerance * np.abs(expected).max(initial=1e-300)).all():
        where = np.unravel_index(difference.argmax(), difference.shape)
        place = f" at {name}[{', '.join(map(str, where))}]" if where else ""
        raise Wrong(f"{name} is wrong by up to {difference.max():.3g}{place}")


def compare(got, expected, check, is_kept=False):
    """As `same` for all that an answer holds: its error names what is wrong."""
    lost = {name: f"{name} must not be there" for name in got if name not in expected}
    for name, value in expected.items():
        try:
            if name not in got:
                raise Wrong(f"{name} is missing")
            same(name, got[name], value, check)
        except Wrong as error:
            lost[name] = str(error)
    if lost and is_kept:
        raise Wrong(f"{', '.join(lost)} changed in place, which others still need")
    if lost:
        raise Wrong("\n".join(lost.values()))


def ask(check, code, right, rng, forward):
    """Ask the questions of a check; the first wrong answer is a `Wrong` that says what it is.

    code and right answer questions. ``forward(name)`` is the forward with which a wrong gradient is
    compared by differences.
    """
    for question in check.questions:
        question, got = question(rng), None
        expected = only(check.only, right(*copy.deepcopy(question)))
        try:
            got = only(check.only, code(*copy.deepcopy(question)))
            compare(got, expected, check, question[0] == "kept")
        except Wrong as error:
            is_value = got and check.name == "values"
            table = _beside_differences(forward, got, *question) if is_value else ""
            error.args = (f"{check.name}: {error}{table}",)
            error.question, error.got, error.expected = question, got, expected
            raise


def only(start, answer):
    """Return that part of an answer whose names begin so."""
    return {name: value for name, value in answer.items() if name.startswith(start)}


def _beside_differences(forward, got, method, name, inputs, douts=None, *_):
    """Return the table that check_layer makes of the gradients in an answer, where it can."""
    if method not in ("call", "backward") or "dx" not in got:
        return ""
    is_pair = method == "backward"
    options = {"seed": douts["seed"]} if is_pair else {"num_examples": len(inputs["x"])}
    given = arrays(inputs) if is_pair else {"x": inputs["x"]}
    rest = {key: value for key, value in inputs.items() if key not in given}
    run = partial(forward(name.replace("backward", "forward")), **rest)

    def backward(dout, _):
        times = 1 if is_pair else dout  # the loss itself has no dout
        return tuple(times * got[f"d{key}"] for key in given)

    try:
        with np.errstate(all="ignore"):
            table = check_layer(run, backward, *given.values(), **options)
    except Exception:  # whatever a forward does that is wrong itself
        return ""
    return f"\n\nYour gradients beside numerical ones:\n{table}"
