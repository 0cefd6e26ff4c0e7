"""The names of `cs231n` with the prefix of Berkeley's CS182, whose dropout is what is dropped."""

import cs231n

__path__ += cs231n.__path__  # modules that are not in this folder
