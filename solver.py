"""Training: minibatches, learning-rate schedule, histories, best parameters."""

import time
import warnings

import numpy as np

from optim import UPDATE_RULES, complete_config, complete_options
from support.checkpoints import copy_params, open_checkpoint, save_checkpoint, set_params
from support.checks import as_generator, as_path, check_callable, check_integer, check_number
from support.examples import (
    NotFiniteError,
    check_examples,
    check_labels,
    check_model,
    predict_labels,
)
from support.process import defer_sigint, keep_freed_memory, progress_bar, show_progress, summary

# What a minibatch is, in errors.
TRANSFORMED = "X_train, or what transform made of it,"


class DivergedError(ArithmeticError):
    """The loss of a training run is no longer a finite number."""


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
        Examples in a minibatch; the last of an epoch holds what is left.
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
        stopped. The arguments must be the same as before, but for ``num_epochs`` and what only
        shows (``print_every``, ``verbose``); of functions the names and the arguments of a partial
        are compared. A file that cannot be written is a warning; the last one is kept.
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
        checkpoint_name=None,
        num_train_samples=1000,
        num_val_samples=None,
        seed=None,
    ):
        check_model("Solver", model)
        self.model = model
        self.X_train, self.y_train, self.X_val, self.y_val = check_examples("Solver", data).values()
        self.update_rule = update_rule
        self.optim_config = complete_options("Solver", update_rule, optim_config)
        self.lr_decay = lr_decay
        self.batch_size = batch_size
        self.num_epochs = num_epochs
        self.print_every = print_every
        self.verbose = verbose
        self.schedule = schedule
        self.transform = transform
        self.after_epoch = after_epoch
        self.checkpoint = checkpoint
        self.checkpoint_name = checkpoint_name
        self.num_train_samples = num_train_samples
        self.num_val_samples = num_val_samples
        _check_options(self)

        self.epoch = 0
        self.iteration = 0
        self.seconds = 0.0
        self.interrupted = False
        self.loss_history = []
        self.train_acc_history = []
        self.val_acc_history = []
        self.best_val_acc = np.nan
        self.best_params = {}
        self.last_params = None
        self.data_checksums = None  # which a checkpoint makes and compares
        self.optim_configs = {
            name: complete_config(update_rule, w, dict(self.optim_config))
            for name, w in model.params.items()
        }
        # Measuring accuracy has a generator of its own, so that looking does not change the run.
        self.rng, self.sample_rng = as_generator("Solver", seed).spawn(2)
        self.order = None  # of the examples in this epoch
        self.planned_epochs = num_epochs  # of the last call of train
        if checkpoint is not None:
            open_checkpoint(self, checkpoint)

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
        keep_freed_memory()
        self._warn_of_a_jump()
        if self.last_params is not None:
            set_params(self.model, self.last_params)
        start = time.perf_counter() - self.seconds
        try:
            with (
                # A run that diverges overflows before its loss does; the exception says it better.
                np.errstate(over="ignore", invalid="ignore"),
                defer_sigint() as interrupt,
                progress_bar(self) as bar,
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
                    show_progress(bar, self)
                self.interrupted = interrupt.is_set()
                if self.interrupted:
                    self.seconds = time.perf_counter() - start
                    save_checkpoint(self)
        finally:
            self.last_params = copy_params(self.model)
            set_params(self.model, self.best_params)
        if self.verbose:
            print(summary(self))

    def _step(self):
        """One iteration: draw a minibatch and follow the gradient of its loss."""
        start = self.iteration % self.iterations_per_epoch * self.batch_size
        if start == 0:
            self.order = self.rng.permutation(len(self.y_train))
        batch = self.order[start : start + self.batch_size]
        X, y = self.X_train[batch], self.y_train[batch]
        if self.transform:
            X = self.transform(X, self.rng)
            if np.shape(X)[:1] != y.shape:
                raise ValueError(f"Solver: transform must return {len(y)} examples, as it gets")
        loss, grads = self.model.loss(X, y)
        if not np.isfinite(loss):
            raise self._not_finite(TRANSFORMED, X, f"the loss is {loss}")
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
        train_acc = self._accuracy("X_train", self.X_train, self.y_train, self.num_train_samples)
        self.train_acc_history.append(train_acc)
        if len(self.y_val) == 0:
            self.best_params = copy_params(self.model)
            return
        val_acc = self._accuracy("X_val", self.X_val, self.y_val, self.num_val_samples)
        self.val_acc_history.append(val_acc)
        if not val_acc <= self.best_val_acc:  # also where that is still NaN
            self.best_val_acc = val_acc
            self.best_params = copy_params(self.model)

    def _accuracy(self, name, X, y, num_samples):
        try:
            return self.check_accuracy(X, y, num_samples)
        except NotFiniteError as error:
            raise self._not_finite(name, error.X, "scores are not finite") from error

    def check_accuracy(self, X, y, num_samples=None, batch_size=1000):
        """Fraction of the examples X whose highest score is that of their label in y (N,).

        Measured on num_samples examples, drawn at random, where that is given and there are more;
        batch_size of them are run at a time, which bounds the memory. No examples, another number
        of labels, or scores that are not finite are a ValueError.
        """
        X, y = check_labels("Solver.check_accuracy", X, y)
        if len(y) == 0:
            raise ValueError("Solver.check_accuracy: X must have a length > 0, got 0 examples")
        if num_samples is not None:
            check_integer("Solver.check_accuracy", num_samples=num_samples)
            if num_samples < len(y):
                sample = self.sample_rng.choice(len(y), num_samples, replace=False)
                X, y = X[sample], y[sample]
        labels = predict_labels("Solver.check_accuracy", self.model, X, batch_size)
        return float(np.mean(labels == y))

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
        check_number("Solver", **{"the factor that schedule returns": factor})
        return float(self.optim_config["learning_rate"] * self.lr_decay**self.epoch * factor)

    @property
    def generators(self):
        """Everything that a run draws from: also the model's generator, of dropout."""
        return [
            self.rng,
            self.sample_rng,
            *([self.model.rng] if hasattr(self.model, "rng") else []),
        ]

    def _warn_of_a_jump(self):
        planned, self.planned_epochs = self.planned_epochs, self.num_epochs
        if self.schedule and self.iteration and planned != self.num_epochs:
            old, new = (
                self.iteration / (n * self.iterations_per_epoch) for n in (planned, self.num_epochs)
            )
            warnings.warn(
                f"Solver: num_epochs was {planned} and is {self.num_epochs}: the finished fraction "
                f"jumps from {old:.2f} to {new:.2f}, and the learning rate of the schedule with it",
                stacklevel=3,
            )

    def _not_finite(self, name, X, what):
        """The exception for what is not finite: X of that name is bad data, or the run diverged."""
        if X.dtype.kind == "f" and not np.isfinite(X).all():
            return ValueError(
                f"Solver: {name} holds NaN or infinite numbers, in a minibatch "
                f"at iteration {self.iteration}"
            )
        return DivergedError(
            f"Solver: {what} at iteration {self.iteration} (epoch {self.epoch + 1}) "
            f"with learning rate {self.learning_rate:g}; the best parameters so far are kept "
            "(a search over settings goes on with: except solver.DivergedError)"
        )


def _check_options(solver):
    check_number("Solver", positive=True, lr_decay=solver.lr_decay)
    for name in ("batch_size", "num_epochs", "print_every", "num_train_samples", "num_val_samples"):
        value = getattr(solver, name)
        if value is not None or "samples" not in name:
            check_integer("Solver", **{name: value})
    for name in ("schedule", "transform", "after_epoch"):
        function = getattr(solver, name)
        if function is not None:
            check_callable("Solver", **{name: function})
    if solver.checkpoint_name is not None:
        as_path("Solver", checkpoint_name=solver.checkpoint_name)
