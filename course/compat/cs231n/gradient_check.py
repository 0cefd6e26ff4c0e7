"""`gradient_check` by the path of cs231n."""

from gradient_check import eval_numerical_gradient, eval_numerical_gradient_array, rel_error
