"""The networks of `cs231n.classifiers`."""

import cs231n.classifiers

__path__ += cs231n.classifiers.__path__
