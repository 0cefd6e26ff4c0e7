"""What a training shows of itself: a progress bar and, at the end, a line."""

import numpy as np
from tqdm.auto import tqdm


def progress_bar(solver):
    """A bar of all iterations that begins where the solver is; none where it is not verbose."""
    return tqdm(
        total=solver.num_iterations,
        initial=solver.iteration,
        unit="it",
        disable=not solver.verbose,
    )


def show_progress(bar, solver):
    """One iteration more; every print_every iterations also the loss and the accuracies."""
    bar.update()
    if solver.iteration % solver.print_every:
        return
    bar.set_description(f"epoch {solver.epoch + 1}/{solver.num_epochs}", refresh=False)
    shown = {"loss": np.mean(solver.loss_history[-solver.print_every :])}
    shown["train"] = solver.train_acc_history[-1]
    if solver.val_acc_history:
        shown["val"] = solver.val_acc_history[-1]
    shown["lr"] = solver.learning_rate
    bar.set_postfix({key: f"{value:.4g}" for key, value in shown.items()}, refresh=False)


def summary(solver):
    """How a training went."""
    done = f"{solver.epoch} epochs ({solver.iteration:,} iterations)"
    if solver.interrupted:
        done = f"stopped by Ctrl-C after {done}"
    line = f"{done}: training accuracy {solver.train_acc_history[-1]:.2%}"
    if solver.val_acc_history:
        best = solver.val_acc_history.index(solver.best_val_acc)
        line += f", best validation accuracy {solver.best_val_acc:.2%} (epoch {best})"
    return line
