"""The module path of other years of this course; with ``PYTHONPATH=course/compat``."""
