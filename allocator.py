"""One setting of the C library's memory allocator, for arrays that come and go in every step."""

import numpy as np


def keep_freed_memory():
    """Have the memory of freed arrays used again, instead of returned to the system.

    A training step frees all that it took, and glibc's allocator returns the pages of large arrays
    to the system, which hands out new ones in the next step: half the time of a ConvNet's step, two
    thirds of a distortion's. To free one large block raises the limits from which it does so to 32
    and 64 MB (mallopt(3), M_MMAP_THRESHOLD). The block itself is never written to, so it takes no
    memory. With other C libraries this changes nothing.
    """
    np.empty(2**25 - 2**16, np.uint8)
