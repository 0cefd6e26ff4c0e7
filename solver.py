"""Training: minibatches, learning-rate schedule, histories, best parameters."""

import signal
import threading
import time
import warnings
import zlib
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from checks import check_number, check_whole, describe
from npz import difference, load_npz, save_npz
from optim import UPDATE_RULES

# How far a run has come: what a checkpoint holds beside arrays.
_PROGRESS = (
    "epoch", "iteration", "seconds", "train_acc_history", "val_acc_history", "best_val_acc"
)  # fmt: skip
# The parts of a checkpoint that must be those of the run, and what it is of where they are not.
_KINDS = {"model": "another model", "data": "other data", "settings": "a run with other settings"}


class DivergedError(ArithmeticError):
    """The loss of a training run is no longer a finite number."""


class Solver:
    """Trains a model on minibatches, and keeps the parameters that did best on validation data.

    Parameters
    ----------
    model : object
        Anything with ``params``, a dict of float arrays by name, and ``loss``:
        ``loss(X) -> scores`` (N, C) and ``loss(X, y) -> loss, grads``, grads a dict with the keys
        of params.
    data : dict
        ``X_train`` and ``y_train``; ``X_val`` and ``y_val`` for validation, without which (or with
        empty ones) there is no best epoch and the last parameters count as best. X is any array
        that the model takes, a memory map too: it stays as it is stored, and only minibatches are
        read from it.
    update_rule : str, default 'sgd'
        Name of a rule in `optim`: sgd, sgd_momentum, rmsprop or adam.
    optim_config : dict, optional
        Hyperparameters of the rule, such as ``learning_rate``.
    lr_decay : float, default 1.0
        Factor on the learning rate after each epoch.
    batch_size : int, default 100
        Examples in a minibatch; the last of an epoch holds what is left.
    num_epochs : int, default 10
        Passes over the training data, each in a new random order.
    print_every : int, default 100
        Iterations between refreshes of the loss that the progress bar shows.
    verbose : bool, default True
        Show a progress bar and, at the end, a summary in one line.
    schedule : callable, optional
        ``schedule(t)`` is a factor on the learning rate, t the finished part of the training from
        0.0 up to, not including, 1.0. It is asked before each iteration, and multiplies with
        lr_decay.
    transform : callable, optional
        ``transform(X_batch, rng)`` returns the batch that the model trains on in place of X_batch;
        rng is a numpy.random.Generator. Not applied when accuracy is measured.
    after_epoch : callable, optional
        ``after_epoch(solver)`` is called when an epoch and its accuracies are done. What it raises
        ends the training, with the best parameters so far in the model.
    checkpoint : str or path, optional
        File in which everything that a continuation needs is kept, written after each epoch and at
        Ctrl-C. Where it is there already, the run goes on from it and ends with the same bits as
        one that never stopped. The arguments must be the same as before, but for ``num_epochs``
        and what only shows (``print_every``, ``verbose``); of ``schedule`` and ``transform`` this
        is not checked. A file that cannot be written is a warning; the last one is kept.
    num_train_samples : int, default 1000
        Training examples that the training accuracy of an epoch is measured on; None for all.
    num_val_samples : int, optional
        The same for validation; default all.
    seed : int or numpy.random.Generator, optional
        Of the order of examples, the transform and the samples that accuracy is measured on. The
        same seed, model and data give the same bits on the same machine.

    Attributes
    ----------
    loss_history : list of float
        Loss of each iteration's minibatch.
    train_acc_history, val_acc_history : list of float
        Accuracies from 0.0 to 1.0: first that of the untrained model, then one an epoch.
    best_val_acc : float
        Highest of val_acc_history, NaN where there is no validation data.
    best_params : dict of str to ndarray
        Copies of the parameters at that point.
    epoch, iteration : int
        Finished ones.
    seconds : float
        Time that they took, measuring accuracy included.
    interrupted : bool
        Whether the last `train` was stopped by Ctrl-C.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, or the checkpoint is damaged or that of another model, other
        data or other settings.

    Examples
    --------
    >>> from fc_net import FullyConnectedNet
    >>> X = np.random.default_rng(0).random((200, 2))
    >>> y = (X[:, 0] > X[:, 1]).astype(int)
    >>> data = {"X_train": X[:100], "y_train": y[:100], "X_val": X[100:], "y_val": y[100:]}
    >>> net = FullyConnectedNet(2, [8], num_classes=2, seed=0)
    >>> solver = Solver(net, data, "adam", {"learning_rate": 0.05}, verbose=False, seed=0)
    >>> solver.train()
    >>> solver.best_val_acc > 0.9
    True
    """

    def __init__(
        self,
        model,
        data,
        update_rule="sgd",
        optim_config=None,
        lr_decay=1.0,
        batch_size=100,
        num_epochs=10,
        print_every=100,
        verbose=True,
        *,
        schedule=None,
        transform=None,
        after_epoch=None,
        checkpoint=None,
        num_train_samples=1000,
        num_val_samples=None,
        seed=None,
    ):
        if update_rule not in UPDATE_RULES:
            raise ValueError(
                f"Solver: update_rule must be one of {', '.join(UPDATE_RULES)}, got {update_rule!r}"
            )
        self._rule = UPDATE_RULES[update_rule]
        # A step on nothing tells the rule's hyperparameters and their defaults.
        _, known = self._rule(np.zeros(1), np.zeros(1), None)
        optim_config = dict(optim_config or {})
        if unknown := set(optim_config) - set(known):
            raise ValueError(
                f"Solver: optim_config has {', '.join(sorted(unknown))}, "
                f"which {update_rule} does not take; it takes {', '.join(known)}"
            )
        check_whole("Solver", batch_size=batch_size, num_epochs=num_epochs, print_every=print_every)
        check_number("Solver", positive=True, lr_decay=lr_decay)
        samples = {"num_train_samples": num_train_samples, "num_val_samples": num_val_samples}
        check_whole("Solver", **{name: n for name, n in samples.items() if n is not None})
        functions = {"schedule": schedule, "transform": transform, "after_epoch": after_epoch}
        for name, function in functions.items():
            if function is not None and not callable(function):
                raise TypeError(f"Solver: {name} must be callable, got {function!r}")
        self.X_train, self.y_train = _examples(data, "train")
        if len(self.y_train) == 0:
            raise ValueError("Solver: X_train holds no examples")
        if data.get("X_val") is None and data.get("y_val") is None:
            self.X_val, self.y_val = self.X_train[:0], self.y_train[:0]
        else:
            self.X_val, self.y_val = _examples(data, "val")

        self.model = model
        self.lr_decay = float(lr_decay)
        self.batch_size = int(batch_size)
        self.num_epochs = int(num_epochs)
        self.print_every = int(print_every)
        self.verbose = verbose
        self.schedule = schedule
        self.transform = transform
        self.after_epoch = after_epoch
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.num_train_samples = num_train_samples
        self.num_val_samples = num_val_samples

        self._hyperparameters = {
            key: float(optim_config.get(key, default))
            for key, default in known.items()
            if isinstance(default, float)
        }
        self._learning_rate = optim_config.get("learning_rate", known["learning_rate"])
        self._state_names = [key for key, v in known.items() if isinstance(v, np.ndarray)]
        self._configs = {name: dict(optim_config) for name in model.params}
        # Measuring accuracy has a generator of its own, so that looking does not change the run.
        self._rng, self._sample_rng = np.random.default_rng(seed).spawn(2)
        self._generators = [self._rng, self._sample_rng]
        if hasattr(model, "rng"):  # of dropout
            self._generators.append(model.rng)
        self._order = None
        self._last_params = None

        self.epoch = 0
        self.iteration = 0
        self.seconds = 0.0
        self.interrupted = False
        self.loss_history = []
        self.train_acc_history = []
        self.val_acc_history = []
        self.best_val_acc = np.nan
        self.best_params = {}
        if self.checkpoint is not None and self.checkpoint.exists():
            self._load_checkpoint()

    def train(self):
        """Train until `num_epochs` epochs are done; then the model holds the best parameters.

        Ctrl-C stops the run after the iteration in progress: the best parameters and all histories
        are kept, and calling train again goes on where it stopped, as if it never had. After a
        finished run, raising ``num_epochs`` and calling train again trains on from the last epoch.

        Raises
        ------
        DivergedError
            If the loss is not finite. The model holds the best parameters up to then.
        ValueError
            If it is not because X_train holds NaN or infinite numbers.
        """
        if self._last_params is not None:
            self._set_params(self._last_params)
        total = self.num_epochs * self._iterations_per_epoch
        start = time.perf_counter() - self.seconds
        try:
            # A run that diverges overflows before its loss does; the exception says it better.
            with (
                np.errstate(over="ignore", invalid="ignore"),
                _deferred_interrupt() as interrupt,
                self._progress_bar(total) as bar,
            ):
                if not self.train_acc_history:
                    self._measure()
                while self.iteration < total and not interrupt.is_set():
                    self._step(self._current_learning_rate(total))
                    if self.iteration % self._iterations_per_epoch == 0:
                        self.epoch += 1
                        self._measure()
                        self.seconds = time.perf_counter() - start
                        self._save_checkpoint()
                        if self.after_epoch:
                            self.after_epoch(self)
                    bar.update()
                    if self.iteration % self.print_every == 0:
                        self._show(bar, total)
                self.interrupted = interrupt.is_set()
                if self.interrupted:
                    self.seconds = time.perf_counter() - start
                    self._save_checkpoint()
        finally:
            self._last_params = _copy(self.model.params)
            self._set_params(self.best_params)
        if self.verbose:
            print(self._summary())

    def check_accuracy(self, X, y, num_samples=None, batch_size=1000):
        """Part of the examples whose highest score is that of their label.

        Parameters
        ----------
        X : array, shape (N, d_1, ..., d_k)
            Examples, as the model takes them.
        y : ndarray of int, shape (N,)
            Labels.
        num_samples : int, optional
            Measure on that many examples, drawn at random, where there are more; default all.
        batch_size : int, default 1000
            Examples that are run at once, which bounds the memory.

        Returns
        -------
        accuracy : float
            From 0.0 to 1.0.

        Raises
        ------
        ValueError
            If there are no examples, or not as many labels.
        """
        if len(X) != len(y) or len(y) == 0:
            raise ValueError(
                "Solver.check_accuracy: X and y must have one length > 0, "
                f"got {len(X)} examples and {len(y)} labels"
            )
        check_whole("Solver.check_accuracy", batch_size=batch_size)
        if num_samples is not None:
            check_whole("Solver.check_accuracy", num_samples=num_samples)
        if num_samples is not None and num_samples < len(y):
            sample = self._sample_rng.choice(len(y), num_samples, replace=False)
            X, y = X[sample], y[sample]
        correct = 0
        for i in range(0, len(y), batch_size):
            scores = self.model.loss(X[i : i + batch_size])
            correct += int(np.count_nonzero(scores.argmax(axis=1) == y[i : i + batch_size]))
        return correct / len(y)

    @property
    def _iterations_per_epoch(self):
        return -(-len(self.y_train) // self.batch_size)

    def _current_learning_rate(self, total):
        factor = self.schedule(self.iteration / total) if self.schedule else 1.0
        return float(self._learning_rate * self.lr_decay**self.epoch * factor)

    def _step(self, learning_rate):
        """One iteration: draw a minibatch and follow the gradient of its loss."""
        start = self.iteration % self._iterations_per_epoch * self.batch_size
        if start == 0:
            self._order = self._rng.permutation(len(self.y_train))
        batch = self._order[start : start + self.batch_size]
        X, y = self.X_train[batch], self.y_train[batch]
        if self.transform:
            X = self.transform(X, self._rng)
        loss, grads = self.model.loss(X, y)
        if not np.isfinite(loss):
            if X.dtype.kind == "f" and not np.isfinite(X).all():
                raise ValueError(
                    "Solver: X_train, or what transform made of it, holds NaN or infinite numbers, "
                    f"in a minibatch at iteration {self.iteration}"
                )
            raise DivergedError(
                f"Solver: the loss is {loss} at iteration {self.iteration} "
                f"(epoch {self.epoch + 1}) with learning rate {learning_rate:g}; "
                "the best parameters so far are kept"
            )
        params = self.model.params
        for name, config in self._configs.items():
            config["learning_rate"] = learning_rate
            params[name], _ = self._rule(params[name], grads[name], config)
        self.loss_history.append(loss)
        self.iteration += 1

    def _measure(self):
        """Append to the accuracy histories; keep the parameters if they are the best so far."""
        train_acc = self.check_accuracy(self.X_train, self.y_train, self.num_train_samples)
        self.train_acc_history.append(train_acc)
        if len(self.y_val) == 0:
            self.best_params = _copy(self.model.params)
            return
        val_acc = self.check_accuracy(self.X_val, self.y_val, self.num_val_samples)
        self.val_acc_history.append(val_acc)
        if not val_acc <= self.best_val_acc:  # also where that is still NaN
            self.best_val_acc = val_acc
            self.best_params = _copy(self.model.params)

    def _set_params(self, params):
        for name, value in params.items():
            self.model.params[name][...] = value

    def _identity(self):
        """What a checkpoint and the run that goes on from it must have in common."""
        data = {}
        for name in ("X_train", "y_train", "X_val", "y_val"):
            array = getattr(self, name)
            # All labels, but only a sample of the examples, which may be many and on disk.
            step = 1 if name.startswith("y") else max(1, len(array) // 100)
            checksum = zlib.crc32(np.ascontiguousarray(array[::step]).tobytes())
            data[name] = [list(array.shape), str(array.dtype), checksum]
        return {
            "model": {n: [list(p.shape), str(p.dtype)] for n, p in self.model.params.items()},
            "data": data,
            "settings": {
                "update_rule": self._rule.__name__,
                **self._hyperparameters,
                "lr_decay": self.lr_decay,
                "batch_size": self.batch_size,
                "num_train_samples": self.num_train_samples,
                "num_val_samples": self.num_val_samples,
            },
        }

    def _save_checkpoint(self):
        if self.checkpoint is None:
            return
        info = {
            "identity": self._identity(),
            "rng": [rng.bit_generator.state for rng in self._generators],
            "configs": {},
            **{name: getattr(self, name) for name in _PROGRESS},
        }
        arrays = {"loss_history": np.array(self.loss_history)}
        # The scores of a few examples tell models apart whose parameters look the same.
        arrays["scores"] = self.model.loss(self.X_train[:4])
        if self.iteration % self._iterations_per_epoch:
            arrays["order"] = self._order
        for name, config in self._configs.items():
            arrays[f"params/{name}"] = self.model.params[name]
            arrays[f"best_params/{name}"] = self.best_params[name]
            states = {key: v for key, v in config.items() if isinstance(v, np.ndarray)}
            arrays.update({f"{key}/{name}": value for key, value in states.items()})
            info["configs"][name] = {k: v for k, v in config.items() if k not in states}
        try:
            save_npz(self.checkpoint, info, arrays)
        except OSError as error:
            message = f"Solver: the checkpoint could not be written, the last one is kept: {error}"
            warnings.warn(message, stacklevel=3)

    def _load_checkpoint(self):
        path, params = self.checkpoint, self.model.params
        # Parameters, best parameters and up to three states of them; order, scores, histories.
        max_bytes = 5 * sum(p.nbytes for p in params.values()) + 16 * len(self.y_train) + 2**26
        info, arrays = load_npz(path, "a checkpoint", max_bytes)
        here = self._identity()
        for part, what in _KINDS.items():
            with _damaged(path):
                found = difference(info["identity"][part], here[part])
            if found:
                raise ValueError(f"Solver: the checkpoint {path} is of {what}: {found}")
        before = _copy(params)
        with _damaged(path):
            configs = {name: dict(info["configs"][name]) for name in params}
            kinds = {"params": {}, "best_params": {}, **{key: {} for key in self._state_names}}
            for kind, name in product(kinds, params):
                array = arrays[f"{kind}/{name}"]
                if (array.shape, array.dtype) != (params[name].shape, params[name].dtype):
                    raise ValueError(f"{kind}/{name} is {array.dtype} {array.shape}")
                kinds[kind][name] = array
            for key, name in product(self._state_names, params):
                configs[name][key] = kinds[key][name]
            progress = {name: info[name] for name in _PROGRESS}
            check_whole("it", 0, epoch=progress["epoch"], iteration=progress["iteration"])
            check_number("it", seconds=progress["seconds"])
            loss_history, order = arrays["loss_history"].tolist(), None
            if progress["iteration"] % self._iterations_per_epoch:
                order = arrays["order"]
                if not np.array_equal(np.sort(order), np.arange(len(self.y_train))):
                    raise ValueError("order is no order of the examples")
            for rng, state in zip(self._generators, info["rng"], strict=True):
                rng.bit_generator.state = state
            self._set_params(kinds["params"])
            ours, scores = self.model.loss(self.X_train[:4]), arrays["scores"]
            same = ours.shape == scores.shape and np.allclose(ours, scores, 1e-3, 1e-3)
        if not same:
            self._set_params(before)
            raise ValueError(
                f"Solver: the checkpoint {path} is of another model: its parameters fit, but this "
                "model computes other scores with them"
            )
        for name, value in progress.items():
            setattr(self, name, value)
        self.loss_history, self._order = loss_history, order
        self._configs, self.best_params = configs, kinds["best_params"]
        self._last_params = kinds["params"]
        self._set_params(self.best_params)
        if self.verbose:
            print(f"going on from {path}: {self.epoch} of {self.num_epochs} epochs are done")

    def _progress_bar(self, total):
        return tqdm(
            total=total, initial=self.iteration, unit="it", leave=False, disable=not self.verbose
        )

    def _show(self, bar, total):
        bar.set_description(f"epoch {self.epoch + 1}/{self.num_epochs}", refresh=False)
        shown = {"loss": np.mean(self.loss_history[-self.print_every :])}
        shown["train"] = self.train_acc_history[-1]
        if self.val_acc_history:
            shown["val"] = self.val_acc_history[-1]
        shown["lr"] = self._current_learning_rate(total)
        bar.set_postfix({key: f"{value:.4g}" for key, value in shown.items()}, refresh=False)

    def _summary(self):
        done = f"{self.epoch} epochs ({self.iteration:,} iterations)"
        if self.interrupted:
            done = f"stopped by Ctrl-C after {done}"
        line = f"{done}: training accuracy {self.train_acc_history[-1]:.2%}"
        if self.val_acc_history:
            best = self.val_acc_history.index(self.best_val_acc)
            line += f", best validation accuracy {self.best_val_acc:.2%} after epoch {best}"
        return line


def _examples(data, part):
    """X and y of a part of the data, checked against each other."""
    names = f"X_{part}", f"y_{part}"
    if missing := [name for name in names if data.get(name) is None]:
        raise ValueError(f"Solver: data lacks {' and '.join(missing)}; it has {', '.join(data)}")
    X, y = (data[name] for name in names)
    if not hasattr(X, "shape"):
        raise TypeError(f"Solver: {names[0]} must be an array, got {describe(X)}")
    y = np.asarray(y)
    if y.ndim != 1 or len(X) != len(y):
        raise ValueError(
            f"Solver: {names[1]} must have shape ({len(X)},), one label an example of {names[0]}, "
            f"got {y.shape}"
        )
    if y.dtype.kind not in "iu":
        raise TypeError(f"Solver: {names[1]} must hold integers, got {y.dtype}")
    if len(y) and y.min() < 0:
        raise ValueError(f"Solver: {names[1]} must hold labels from 0 on, got {y.min()}")
    return X, y


@contextmanager
def _damaged(path):
    """Say of a checkpoint that it is damaged, where its content is not what it must be."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"Solver: the checkpoint {path} is damaged: {error!r}") from error


def _copy(params):
    return {name: value.copy() for name, value in params.items()}


@contextmanager
def _deferred_interrupt():
    """Turn the first Ctrl-C into an event that is set, so that no step is left half done.

    A second Ctrl-C acts at once, as it would without this.
    """
    event = threading.Event()
    previous = signal.getsignal(signal.SIGINT)
    # Only the main thread may handle signals, and a job in the background ignores Ctrl-C.
    if threading.current_thread() is not threading.main_thread() or previous is signal.SIG_IGN:
        yield event
        return

    def handler(signum, frame):
        event.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, handler)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
