"""The student's side: gives up what it may do, then loads the student's code and answers questions.

The judge starts a process of it for each part. Up to `drop` only files of the course are read;
after it, nothing of what this process says is trusted any more, and nothing here is a secret.
"""

import ctypes
import importlib
import importlib.util
import json
import os
import re
import sys
import traceback
from contextlib import suppress
from types import ModuleType

NO_NEW_PRIVILEGES = 38  # of prctl(2)
LONGEST = 500  # characters of an error's text
# What students may import beside the course's modules. After `drop`, Python's own folder may be out
# of reach, so that what their files mention is imported before.
LIBRARIES = (
    "scipy.special", "scipy.signal", "matplotlib", "matplotlib.pyplot", "pandas", "tqdm",
    "tqdm.auto", "numpy.fft", "numpy.testing", "copy", "dataclasses", "itertools", "random",
    "timeit", "typing",
)  # fmt: skip


class Refused(ModuleType):
    """A module, or what it holds, that can be imported but not called."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Refused(f"{self.__name__}.{name}")

    def __call__(self, *args, **kwargs):
        raise RuntimeError(f"{self.__name__} is not to be used here")


class Layers(ModuleType):
    """The module ``layers`` for a student's networks, which call none of it but `softmax_loss`.

    What the course has not, the student's own file is asked for.
    """

    def __init__(self, names, path):
        super().__init__("layers")
        self._path = path
        for name in names:
            setattr(self, name, Refused(f"layers.{name}"))
        self.softmax_loss = softmax_loss

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        spec = importlib.util.spec_from_file_location("students_layers", self._path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, name)


def softmax_loss(x, y):
    """The loss by its definition, and dx by differences in the complex plane, which are exact."""
    import numpy as np

    def loss(x):
        return np.mean(np.log(np.exp(x).sum(axis=1)) - x[np.arange(len(y)), y])

    dx = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape, complex)
        step[index] = 1e-30j
        dx[index] = loss(x + step).imag / 1e-30
    return loss(x), dx


def drop(uid, seconds, memory):
    """Bound time, memory and files; become the user uid, where one is given, for good."""
    import resource  # which Windows has not

    limits = {"CPU": seconds, "AS": memory, "FSIZE": 2**20, "NOFILE": 64, "CORE": 0}
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        limits["NPROC"] = 16  # of this user
    for name, value in limits.items():
        with suppress(ValueError, OSError):  # not every system has each of them
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    with suppress(AttributeError, OSError):  # Linux: no program may give the process more rights
        ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def mentioned(folder):
    """Return those of LIBRARIES that a line of a student's file seems to import."""
    texts = []
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            texts.append(file.read())
    lines = re.findall(rb"\b(?:import|from|np\.)\b.*", b"\n".join(texts))
    words = {word.decode() for line in lines for word in re.findall(rb"\w+", line)}
    return [name for name in LIBRARIES if words.issuperset(name.removeprefix("numpy.").split("."))]


def place(error):
    """Return where an exception was raised: the last line of a student's file on the way there."""
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
    lines = [f for f in frames if os.path.basename(os.path.dirname(f.filename)) == "student"]
    return f" ({os.path.basename(lines[-1].filename)}, line {lines[-1].lineno})" if lines else ""


def serve(channel, answer, in_words):
    """Answer questions until the judge closes its pipe."""
    while True:
        question = channel.receive()
        try:
            channel.send({"answer": answer(*question)})
        except Exception as error:
            channel.send({"error": in_words(error)[:LONGEST] + place(error)})


def main():
    settings = json.loads(sys.argv[1])
    student = settings["student"]
    sys.path.insert(0, settings["course"])
    for name, exception in settings["refused"].items():
        sys.modules[name] = module = Refused(name)
        exec(exception, vars(module))
    for name in settings["preload"]:
        importlib.import_module(name)
    for name in mentioned(student):
        with suppress(ImportError):
            importlib.import_module(name)
    from asked import Code, in_words
    from wire import Channel, Closed, rehearse

    rehearse()
    place(ValueError())
    if settings["layers"]:
        sys.modules["layers"] = Layers(settings["layers"], os.path.join(student, "layers.py"))
    drop(settings["uid"], settings["seconds"], settings["memory"])
    sys.path.insert(1, student)
    channel = Channel(settings["reader"], settings["writer"])
    with suppress(Closed):
        serve(channel, Code(importlib.import_module), in_words)


if __name__ == "__main__":
    main()
