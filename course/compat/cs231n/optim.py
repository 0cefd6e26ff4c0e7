"""`optim` by the path of cs231n."""

from optim import adam, rmsprop, sgd, sgd_momentum
