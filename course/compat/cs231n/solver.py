"""`solver` as notebooks of the course call it."""

import warnings
from pathlib import Path

import numpy as np

import solver
from solver import DivergedError
from support.files import atomic_write


class Solver(solver.Solver):
    """`solver.Solver`; its seed follows `np.random.seed`, and pixels may be from 0 to 255."""

    def __post_init__(self):
        if self.seed is None:
            self.seed = np.random.default_rng(np.random.randint(2**31))
        with warnings.catch_warnings():  # the course centres pixels, but does not divide by 255
            warnings.filterwarnings("ignore", "Solver: the numbers of X_")
            super().__post_init__()

    def record_histories_as_npz(self, filename):
        """Write the histories to an .npz file, by the names that CS182 has for them."""
        path = Path(filename if filename.endswith(".npz") else f"{filename}.npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            train_losses, train_accs = self.loss_history, self.train_acc_history
            np.savez(file, train_losses=train_losses, train_accs=train_accs,
                     val_accs=self.val_acc_history)  # fmt: skip
