"""The right answers to the questions that the tests of the starter ask, in an .npz file."""

import importlib
import io
import json

import numpy as np

from course.starter_tests.asked import Code
from course.starter_tests.questions import CHECKS, generator


def record():
    """Return the bytes of ``expected.npz``: arrays, and in JSON what is none, by question."""
    code, answers = Code(importlib.import_module), {}
    for part, checks in CHECKS.items():
        for number, check in enumerate(checks):
            for i, question in enumerate(check.questions(generator(part, number))):
                for name, value in code(*question).items():
                    if not isinstance(value, np.ndarray):
                        value = np.array(json.dumps(value, default=float))
                    answers[f"{part}|{number}|{i}|{name}"] = value
    np.savez_compressed(file := io.BytesIO(), **answers)
    return file.getvalue()
