"""The parts of the assignment, in its order: the functions that students write, and their points.

The starter leaves their bodies out, the autograder grades them; both read this table.
"""

from typing import NamedTuple


class Part(NamedTuple):
    """A function of the assignment.

    ``task`` says what is to be written. ``docstring`` stands in the starter in place of the
    function's own, where that one holds the answer to a question of the assignment. A part of 0
    points goes beyond the assignment: it is left out because it would give another part away.
    ``visibility`` of its score is as Gradescope knows it: visible, hidden, after_due_date,
    after_published.
    """

    name: str
    file: str
    points: int
    task: str
    docstring: str = ""
    visibility: str = "visible"


_DX = "dx. The cache has the shape of out."
_CACHE = "out, and the cache that {} unpacks."
_GRADIENTS = """Gradients of `{}`: dx, dw, db, by formulas that you derive in the notebook.

The first layer of a network has no use for dx: need_dx=False saves its computation, and dx is
None."""
_SOFTMAX = """Softmax and cross-entropy: scores x (N, C), integer labels y (N,) -> loss, dx (N, C).

The loss is the mean over the N examples, in nats, of -log softmax(s)_c for one example with
scores s and label c. It is finite for all finite float32 scores, and for float64 scores up to
half the largest float64. How no score overflows, and dx, dL/dx, you derive in the notebook."""
_POOL = """Gradient of `max_pool_forward_naive`, dx, by a formula that you derive in the notebook.

On a tie the gradient goes to the first of the largest in row-major order (top row first, then
from the left). Windows may overlap."""

PARTS = [
    Part("fc_forward", "layers.py", 5,
         "out, for examples flattened to D numbers, and the cache that fc_backward unpacks."),
    Part("fc_backward", "layers.py", 10,
         "dx of x's shape (None where need_dx is False), dw and db.",
         _GRADIENTS.format("fc_forward")),
    Part("relu_forward", "layers.py", 3, _CACHE.format("relu_backward")),
    Part("relu_backward", "layers.py", 5, _DX,
         "Gradient of `relu_forward`, dx; at x = 0 this project takes the subgradient 0."),
    Part("sigmoid_forward", "layers.py", 4,
         _CACHE.format("sigmoid_backward") + " No exponential may overflow.",
         "s(x) = 1 / (1 + e^-x), elementwise."),
    Part("sigmoid_backward", "layers.py", 4, _DX, "Gradient of `sigmoid_forward`, dx."),
    Part("tanh_forward", "layers.py", 3, _CACHE.format("tanh_backward")),
    Part("tanh_backward", "layers.py", 3, _DX, "Gradient of `tanh_forward`, dx."),
    Part("softmax_loss", "layers.py", 13,
         "the loss, a number, and dx. No score may overflow, and the loss stays finite.", _SOFTMAX),
    Part("dropout_backward", "layers.py", 0, "dx. The cache is the mask of dropout_forward.",
         "Gradient of `dropout_forward`, dx."),
    Part("FullyConnectedNet.__init__", "fc_net.py", 8,
         "the list of layers: for each hidden layer FC, NORMALIZATIONS[normalization], Activation "
         "unless activation is 'linear', and Dropout where dropout is not 0, in this order; FC for "
         "the scores at the end. super().__init__ takes input_dim, the list, and the settings."),
    Part("Network.forward", "fc_net.py", 5,
         "the scores, and a list of (pair, cache), one for each pair of self.pairs that ran. "
         "pair.forward runs where training is True, else pair.predict, or nothing where that is "
         "None. X becomes an array of the net's dtype by self._as_floats; pair.names are the keys "
         "in self.params of what a pair takes after its input."),
    Part("Network.backward", "fc_net.py", 7,
         "dL/dX, which leaves the last backward, and the dict of gradients. The backward of a pair "
         "with names returns dx and their gradients, another returns dx. That of the pair with "
         "'W1' takes need_dx; only its dx, and all below it, may be saved, where need_dx is "
         "False."),
    Part("Network.loss", "fc_net.py", 10,
         "the scores where y is None; else the loss, a number, and the dict of gradients, both "
         "with the penalty where self.reg is not 0. self.forward gets training=True where there "
         "are labels, self.backward the caches that it returned."),
    Part("Network.input_gradient", "fc_net.py", 0, "dL/dX, by what you have written above."),
    Part("conv_forward_naive", "conv.py", 6,
         "out, and the cache that conv_backward_naive unpacks: image is x with its padding. A last "
         "window that does not fit is left out: sizes of out are rounded down. This and the three "
         "below do without the fast functions."),
    Part("conv_backward_naive", "conv.py", 8,
         "dx of x's shape, which is without padding (None where need_dx is False), dw and db.",
         _GRADIENTS.format("conv_forward_naive")),
    Part("max_pool_forward_naive", "conv.py", 3,
         _CACHE.format("max_pool_backward_naive") + " A last window that does not fit is left out.",
         "The largest pixel of each window of each channel, by the expression that you write in "
         "the\nnotebook."),
    Part("max_pool_backward_naive", "conv.py", 3, "dx of x's shape.", _POOL),
    Part("ConvNet.__init__", "conv_net.py", 0,
         "the list of layers (Conv, MaxPool, NORMALIZATIONS, Activation, FC, Dropout), which "
         "super().__init__ takes with input_dim and the settings."),
]  # fmt: skip
_RULES = " No input is changed in place, and float32 stays float32. Numbers may differ by rounding."
PARTS = [part._replace(task=part.task + _RULES * bool(part.points)) for part in PARTS]
# Of the starter and of the autograder, as what NumPy takes changes; for Python 3.10 to 3.13.
NUMPY = "numpy==2.2.6"
