"""`solver` by the path of cs231n."""

from solver import DivergedError, Solver
