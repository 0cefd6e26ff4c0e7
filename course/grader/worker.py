"""The student's side: gives up what it may do, then loads the student's code and answers calls.

The judge starts a process of it for each part. Up to `drop` only files of the course are read;
after it, nothing of what this process says is trusted any more, and nothing here is a secret.
"""

import ctypes
import importlib.util
import inspect
import json
import os
import sys
from contextlib import suppress
from functools import partial
from types import ModuleType

NO_NEW_PRIVILEGES = 38  # of prctl(2)


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


class CourseLayers(ModuleType):
    """The module ``layers`` for a student's networks: the course's functions, called at the judge.

    What the course has not, the student's own file is asked for.
    """

    def __init__(self, call, names, path):
        super().__init__("layers")
        self._call, self._names, self._path = call, names, path

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._names:
            return getattr(self._students(), name)

        def function(*args, **kwargs):
            return self._call(f"layers.{name}", *args, **kwargs)

        function.__name__ = function.__qualname__ = name
        setattr(self, name, function)
        return function

    def _students(self):
        spec = importlib.util.spec_from_file_location("students_layers", self._path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


class Functions:
    """What the judge may call: the student's functions, and some that handle networks.

    Every array that comes from the judge is kept with a copy, so that a function which changes one
    of them is found out.
    """

    def __init__(self, refused):
        self.refused = refused
        self.received = []
        self.ours = {
            "changed": self.changed,
            "forgive": self.forgive,
            "method": lambda thing, name, *a, **k: self.run(getattr(thing, name), *a, **k),
            "make_net": self.make_net,
            "describe": describe,
            "set_params": lambda net, params: net.params.update(params),
            "pair_forward": lambda net, i, *args: net.pairs[i].forward(*args),
            "with_pairs": lambda net, *caches: list(zip(net.pairs, caches, strict=True)),
            "borrow": self.borrow,
        }

    def __call__(self, name):
        if name in ("changed", "forgive", "borrow", "method"):
            return self.ours[name]
        return partial(self.run, self.ours.get(name) or self.student(name))

    def student(self, name):
        """What a module of the student's has, by 'module.name'."""
        module_name, _, wanted = name.partition(".")
        module = importlib.import_module(module_name)
        for other in self.refused:
            setattr(module, other, partial(refuse, other))
        if not hasattr(module, wanted):
            raise AttributeError(f"{module_name}.py has no {wanted}")
        return getattr(module, wanted)

    def run(self, function, *args, **kwargs):
        try:
            names = list(inspect.signature(function).parameters)
        except (TypeError, ValueError):
            names = []
        labels = names[: len(args)] + [f"argument {i}" for i in range(len(names), len(args))]
        for label, value in zip([*labels, *kwargs], [*args, *kwargs.values()], strict=True):
            parts = value.items() if isinstance(value, dict) else [(label, value)]
            self.received += [(name, a, a.copy()) for name, a in parts if hasattr(a, "tobytes")]
        return function(*args, **kwargs)

    def changed(self):
        """Names of the judge's arrays that are no longer what they were."""
        return sorted({name for name, a, copy in self.received if a.tobytes() != copy.tobytes()})

    def forgive(self):
        """Let what was changed up to now be another part's fault."""
        self.received = [(name, a, a.copy()) for name, a, _ in self.received]

    def make_net(self, input_dim, entries, **options):
        """Make a network of the student's class Network from a list of names with arguments."""
        layers = [self.student(f"fc_net.{name}")(*args) for name, *args in entries]
        return self.student("fc_net.Network")(input_dim, layers, **options)

    def borrow(self, net):
        """Give a network the judge's forward and backward."""
        net.forward = partial(self.call, "net.forward")
        net.backward = partial(self.call, "net.backward")


def describe(net):
    """Return the list of a network's layers, each as its name and arguments, and its parameters."""
    layers = [[type(layer).__name__, *vars(layer).values()] for layer in net.layers]
    return {"layers": layers, "params": dict(net.params)}


def refuse(name, *args, **kwargs):
    raise RuntimeError(f"{name} is not to be used here")


def main():
    settings = json.loads(sys.argv[1])
    sys.path.insert(0, settings["course"])
    for name in settings["preload"]:  # after `drop`, Python's own folder may be out of reach
        importlib.import_module(name)
    from wire import Channel, rehearse

    rehearse()
    functions = Functions(settings["refused"])
    channel = Channel(settings["reader"], settings["writer"], functions)
    functions.call = channel.call
    if settings["layers"]:
        path = os.path.join(settings["student"], "layers.py")
        sys.modules["layers"] = CourseLayers(channel.call, settings["layers"], path)
    drop(settings["uid"], settings["seconds"], settings["memory"])
    sys.path.insert(1, settings["student"])
    channel.serve()


if __name__ == "__main__":
    main()
