"""Training: minibatches, learning-rate schedule, histories, best parameters."""

import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from os import PathLike

import numpy as np

from optim import UPDATE_RULES, complete_config, complete_options
from support import checks, examples, process
from support.checkpoints import copy_params, open_checkpoint, save_checkpoint, set_params


class DivergedError(ArithmeticError):
    """The loss of a training run is no longer a finite number."""


@dataclass(eq=False, repr=False)
class Solver:
    """Trains a model on minibatches, and keeps the parameters that did best on validation data.

    Parameters
    ----------
    model : object
        Anything with ``params``, a dict of float arrays, ``loss(X) -> scores`` (N, C) and
        ``loss(X, y) -> loss, grads``, grads a dict with the keys of params. A checkpoint compares
        also its ``settings``, a dict of what else changes the training, if it has them. Arrays in a
        dict ``buffers``, which loss(X, y) changes in place, are kept with the parameters.
    data : dict
        ``X_train`` and ``y_train``; ``X_val`` and ``y_val`` for validation, without which (or with
        empty ones) the last parameters count as best. X is any array that the model takes, a memory
        map too: it stays as it is stored, and only minibatches are read from it.
    update_rule : str, default 'sgd'
        Name of a rule in `optim`: sgd, sgd_momentum, rmsprop or adam.
    optim_config : dict, optional
        Hyperparameters of the rule, such as ``learning_rate``.
    lr_decay : float, default 1.0
        Factor on the learning rate after each epoch.
    batch_size : int, default 100
        Examples in a minibatch; the last of an epoch holds what is left. With batch normalization
        none may be left alone.
    num_epochs : int, default 10
        Passes over the training data, each in a new random order.
    print_every : int, default 100
        Iterations between refreshes of the loss that the progress bar shows.
    verbose : bool, default True
        Show a progress bar and, at the end, a summary in one line.
    schedule : callable, optional
        ``schedule(t)`` is a factor on the learning rate, beside that of lr_decay; t is the finished
        fraction of the training, from 0.0 up to, not including, 1.0. Called before each iteration.
    transform : callable, optional
        ``transform(X_batch, rng)`` returns the batch that the model trains on in place of X_batch;
        rng is a numpy.random.Generator. Not applied when accuracy is measured.
    after_epoch : callable, optional
        ``after_epoch(solver)`` is called after each epoch. What it raises ends the training, with
        the best parameters so far in the model.
    checkpoint : str or path, optional
        File that keeps everything needed to resume, written after each epoch and at Ctrl-C. Where
        it exists already, the run resumes from it and ends with the same bits as one that never
        stopped. The arguments must be the same as before, but for what only shows (``print_every``,
        ``verbose``) and, without a schedule, ``num_epochs``; of functions the names and the
        arguments of a partial are compared, of generators the kinds. What a file cannot keep is a
        ValueError at the start; a file that cannot be written is a warning, and the last one is
        kept.
    checkpoint_name : str or path, optional
        The parameters after each epoch are written to checkpoint_name_epoch_1.npz and so on, which
        the network's ``load`` reads. To resume a training is what ``checkpoint`` is for.
    num_train_samples : int, default 1000
        Training examples that the training accuracy of an epoch is measured on; None for all.
    num_val_samples : int, optional
        The same for validation; default all.
    seed : int or numpy.random.Generator, optional
        Of the order of examples, the transform and the samples of accuracies. The same seed, model
        and data give the same bits on the same machine with the same number of BLAS threads.

    Attributes
    ----------
    loss_history : list of float
        Loss of each iteration's minibatch.
    train_acc_history, val_acc_history : list of float
        Accuracies from 0.0 to 1.0: first that of the untrained model, then one an epoch.
    best_val_acc : float
        Highest of val_acc_history, NaN where there is no validation data.
    best_params : dict of str to ndarray
        Copies of the parameters, and of the buffers, at that point.
    last_params : dict of str to ndarray
        Copies of the parameters after the last iteration of `train`, None before it.
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

    Warns
    -----
    UserWarning
        If the numbers of X_train, X_val or a transformed batch are of another size than pixels and
        standardized inputs have, or if the first epoch changes no weights.

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

    model: object
    data: dict
    update_rule: str = "sgd"
    optim_config: dict | None = None
    lr_decay: float = 1.0
    batch_size: int = 100
    num_epochs: int = 10
    print_every: int = 100
    verbose: bool = True
    _: KW_ONLY
    schedule: Callable | None = None
    transform: Callable | None = None
    after_epoch: Callable | None = None
    checkpoint: str | PathLike | None = None
    checkpoint_name: str | PathLike | None = None
    num_train_samples: int | None = 1000
    num_val_samples: int | None = None
    seed: int | np.random.Generator | None = None

    def __post_init__(self):
        examples.check_model("Solver", self.model)
        for name in ("batch_size", "num_epochs", "print_every"):
            checks.check_integer("Solver", **{name: getattr(self, name)})
        samples = "num_train_samples num_val_samples"
        checks.check_given("Solver", checks.check_integer, self, samples)
        checks.check_given("Solver", checks.check_callable, self, "schedule transform after_epoch")
        checks.check_given("Solver", checks.as_path, self, "checkpoint checkpoint_name")
        parts = examples.check_examples("Solver", self.data)
        self.X_train, self.y_train, self.X_val, self.y_val = parts.values()
        self.optim_config = complete_options("Solver", self.update_rule, self.optim_config)
        examples.check_sense(self)
        self.optim_configs = {
            name: complete_config(self.update_rule, w, dict(self.optim_config))
            for name, w in self.model.params.items()
        }
        # Measuring accuracy has a generator of its own, so that looking does not change the run.
        self.rng, self.sample_rng = checks.as_generator("Solver", self.seed).spawn(2)
        self.epoch, self.iteration, self.order = 0, 0, None  # order: of the examples in this epoch
        self.loss_history, self.train_acc_history, self.val_acc_history = [], [], []
        self.best_val_acc, self.best_params, self.last_params = np.nan, {}, None
        self.seconds, self.interrupted, self.data_checksums = 0.0, False, None
        if self.checkpoint is not None:
            open_checkpoint(self, self.checkpoint)

    def train(self):
        """Train until `num_epochs` epochs are done; then the model holds the best parameters.

        Ctrl-C stops the run after the iteration in progress: the best parameters and all histories
        are kept, and calling train again resumes where it stopped, as if it never had. After a
        finished run, raising ``num_epochs`` and calling train again trains on from the last epoch.

        Raises
        ------
        DivergedError
            If the loss is not finite. The model holds the best parameters up to then.
        ValueError
            If it is not because X_train or X_val holds NaN or infinite numbers.
        """
        process.keep_freed_memory()
        if self.last_params is not None:
            set_params(self.model, self.last_params)
        start = time.perf_counter() - self.seconds
        try:
            with (
                # A run that diverges overflows before its loss does; the exception says it better.
                np.errstate(over="ignore", invalid="ignore"),
                process.deferred_interrupt() as interrupt,
                process.progress_bar(self) as bar,
            ):
                if not self.train_acc_history:
                    self._measure()
                while self.iteration < self.num_iterations and not interrupt.is_set():
                    self._step()
                    if self.is_epoch_done:
                        self.epoch += 1
                        self._measure()
                        self.seconds = time.perf_counter() - start
                        save_checkpoint(self)
                        if self.after_epoch:
                            self.after_epoch(self)
                    process.show_progress(bar, self)
                self.interrupted = interrupt.is_set()
                if self.interrupted:
                    self.seconds = time.perf_counter() - start
                    save_checkpoint(self)
        finally:
            self.last_params = copy_params(self.model)
            set_params(self.model, self.best_params)
        if self.verbose:
            print(process.summary(self))

    def _step(self):
        """One iteration: draw a minibatch and follow the gradient of its loss."""
        start = self.iteration % self.iterations_per_epoch * self.batch_size
        if start == 0:
            self.order = self.rng.permutation(len(self.y_train))
        batch = self.order[start : start + self.batch_size]
        X, y = self.X_train[batch], self.y_train[batch]
        if self.transform:
            X = examples.check_transformed(self, X, self.transform(X, self.rng))
        loss, grads = self.model.loss(X, y)
        if not np.isfinite(loss):
            examples.check_finite("Solver", "X_train or what transform returns", X)
            raise self._diverged(f"the loss is {loss}")
        params, rule = self.model.params, UPDATE_RULES[self.update_rule]
        if grads.keys() != params.keys():
            raise ValueError(f"Solver: model.loss must return the gradients of {', '.join(params)}")
        learning_rate = self.learning_rate
        for name, config in self.optim_configs.items():
            config["learning_rate"] = learning_rate
            params[name], _ = rule(params[name], grads[name], config)
        self.loss_history.append(float(loss))
        self.iteration += 1

    def _measure(self):
        """Append to the accuracy histories; keep the parameters if they are the best so far."""
        try:
            train_acc = self.check_accuracy(self.X_train, self.y_train, self.num_train_samples)
            self.train_acc_history.append(train_acc)
            val_acc = np.nan  # without validation data, the last parameters count as best
            if len(self.y_val):
                val_acc = self.check_accuracy(self.X_val, self.y_val, self.num_val_samples)
                self.val_acc_history.append(val_acc)
        except examples.NotFiniteError as error:
            examples.check_finite("Solver", "X_train or X_val", error.X)
            raise self._diverged("scores are not finite") from error
        if self.epoch == 1:
            examples.warn_if_unmoved(self)
        if not (val_acc <= self.best_val_acc):  # also where either is NaN
            self.best_val_acc, self.best_params = val_acc, copy_params(self.model)

    def check_accuracy(self, X, y, num_samples=None, batch_size=1000):
        """Fraction of the examples X whose highest score is that of their label in y (N,).

        Measured on num_samples examples, drawn at random, where that is given and there are more;
        batch_size of them are run at a time, which bounds the memory. No examples, another number
        of labels, or scores that are not finite are a ValueError.
        """
        X, y = examples.check_labels("Solver.check_accuracy", X, y)
        if num_samples is not None:
            checks.check_integer("Solver.check_accuracy", num_samples=num_samples)
            if num_samples < len(y):
                sample = self.sample_rng.choice(len(y), num_samples, replace=False)
                X, y = X[sample], y[sample]
        return examples.accuracy("Solver.check_accuracy", self.model, X, y, batch_size)

    @property
    def iterations_per_epoch(self):
        return -(-len(self.y_train) // self.batch_size)

    @property
    def num_iterations(self):
        return self.num_epochs * self.iterations_per_epoch

    @property
    def is_epoch_done(self):
        return self.iteration % self.iterations_per_epoch == 0

    @property
    def learning_rate(self):
        """That of the next iteration."""
        factor = self.schedule(self.iteration / self.num_iterations) if self.schedule else 1.0
        checks.check_number("Solver", **{"the factor that schedule returns": factor})
        return float(self.optim_config["learning_rate"] * self.lr_decay**self.epoch * factor)

    def _diverged(self, what):
        where = f"at iteration {self.iteration} with learning rate {self.learning_rate:g}"
        return DivergedError(f"Solver: {what} {where}; the best parameters so far are kept")
