"""`gradient_check` by the path of cs231n, and the checkers that only notebooks call."""

from random import randrange

from gradient_check import eval_numerical_gradient, eval_numerical_gradient_array, rel_error


def eval_numerical_gradient_blobs(f, inputs, output, h=1e-5):
    """Return the gradient for each input of f(*inputs, output), which writes to output.vals.

    Inputs and output have arrays vals and diffs; output.diffs is dL/doutput.
    """

    def value(_):
        f(*inputs, output)
        return output.vals

    arrays = [blob.vals for blob in inputs]
    return [eval_numerical_gradient_array(value, x, output.diffs, h) for x in arrays]


def eval_numerical_gradient_net(net, inputs, output, h=1e-5):
    """Do the same for a net whose method forward, without arguments, writes to output.vals."""
    return eval_numerical_gradient_blobs(lambda *_: net.forward(), inputs, output, h)


def grad_check_sparse(f, x, analytic_grad, num_checks=10, h=1e-5):
    """Print numerical and given gradient of f(x), a number, at random elements of x."""
    for _ in range(num_checks):
        index = tuple(map(randrange, x.shape))
        element = x[tuple(slice(i, i + 1) for i in index)]  # an array that x changes with
        numerical = eval_numerical_gradient(lambda _: f(x), element, h=h).item()
        analytic = analytic_grad[index]
        error = rel_error(numerical, analytic)
        print(f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {error:e}")
