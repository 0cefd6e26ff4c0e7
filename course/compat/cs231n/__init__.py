"""The names of Stanford's cs231n, for notebooks of its second assignment.

With ``PYTHONPATH=course/compat``, their cells call this project's layers, networks, rules and
Solver. The notebook must lie in the project's folder: that is where Jupyter starts it, and what a
relative path is relative to. What stands here renames or adapts; the work is done at the top. Where
the years of that course differ, the newer ones count, but for what one can tell apart:

- A number of dropout, ``p`` or ``dropout``, is the part that is *kept*, as in that course since
  2018. Until 2017 it was the part that is dropped: such notebooks run, with the other part. 0 and
  1 mean no dropout in all years. (In this project's own networks, ``dropout`` is what is dropped,
  and so it is with the prefix of Berkeley's CS182, ``deeplearning.``, which has all names too.)
- ``use_batchnorm=True``, until 2017, is ``normalization='batchnorm'``.
- Weights, dropout and the order of examples follow NumPy's global state, ``np.random.seed``.
  A network with a seed drops the same units at each call, as that course has it for its checks.
"""
