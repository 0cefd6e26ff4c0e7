"""`cs231n.layers`, with the p of dropout as the part that is dropped."""

from functools import partial

from cs231n.layers import *
from cs231n.layers import dropout_forward as _dropout_forward

dropout_forward = partial(_dropout_forward, is_kept=False)
