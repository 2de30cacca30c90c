"""Backends that misbehave, one in each way, as a distribution of their own on PYTHONPATH.

Found as anybody's plugins are: through entry points, here and in the processes that run them.
"""

import importlib
import os
import sys
from contextlib import contextmanager
from dataclasses import replace

from harness.discover import plugins
from harness.spec import Mlp, MlpModel, Sgd, SgdOptimizer, Teacher, TeacherData
from harness.testing.sample import sample_case

STEP = 2
"""The step at which those that misbehave in a step do so."""
STEPS = 5

BACKEND = '''\
"""A backend that {name}."""

import ctypes, os, signal, sys, time
from pathlib import Path

from harness.backends.numpy_float64 import NumpyFloat64, NumpyTrainer

{top}


def drain():
    """Hold all memory, to the last byte."""
    held, size = [], 2**20
    while size:
        try:
            held.append(bytearray(size))
        except MemoryError:
            size //= 4
    raise MemoryError


class _Trainer(NumpyTrainer):
    def step(self, batch, watch=None):
        loss = super().step(batch, watch)
        if self.position == {step} + 1:
            {in_step}
        return loss


class Sick(NumpyFloat64):
    reference = False
    {body}

    def build(self, problem):
        {in_build}
        return _Trainer(problem)
'''

IN_STEP = {
    "hangs": "signal.pause()",
    "spins": "while True: pass",
    "segfaults": "ctypes.string_at(0)",
    "leaves": "os._exit(0)",
    "leaves_early": "sys.exit(3)",
    "is_killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "raises": "raise ValueError('the weights are\\n   unhappy')",
    "exhausts": "held = []\n            while True: held.append(bytearray(2**20))",
    "crumbles": "held = []\n            while True: held.append(bytes(100))",
    "drains": "drain()",
    "prints": "while True: sys.stdout.write(f'{self.position} ' * 2000 + '\\n')",
    "forks": "os.fork() or signal.pause()",
    "diverges": "return float('nan')",
    "kills_server": "os.kill(os.getppid(), signal.SIGKILL); signal.pause()",
    "heals": "pass",
}
IN_BUILD = {
    "aborts": "os.abort()",
    "throws": "os.write(2, b'terminate called: std::bad_alloc\\n'); os.abort()",
    "claims": "raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory')",
    "meets": (
        "folder = Path(os.environ['MEETING']); (folder / str(os.getpid())).touch()\n"
        "        while len(list(folder.iterdir())) < 2: time.sleep(0.002)"
    ),
}
BODY = {
    "absent": "packages = {'no_such_module': 'no-such-package>=9'}",
    "refuses": "def unsupported(self, case): return f'it computes nothing, least of all {case.name}'",
    "confused": "def unavailable(self): raise KeyError('where am I')",
    "poisons": "preload = ('sick_backends._poison',)",
}
TOP = {"broken": "raise ImportError('no such thing as health')"}
POISON = "import os, sys\nif 'harness.runner' not in sys.modules: os._exit(5)\n"
NAMES = (*IN_STEP, *IN_BUILD, *BODY, *TOP)


def write_distribution(folder):
    """Put all of them below a folder, which then belongs on PYTHONPATH."""
    package, info = folder / "sick_backends", folder / "sick_backends-1.0.dist-info"
    package.mkdir(), info.mkdir()
    (package / "__init__.py").touch()
    (package / "_poison.py").write_text(POISON)
    for name in NAMES:
        text = BACKEND.format(
            name=name,
            step=STEP,
            in_step=IN_STEP.get(name, "pass"),
            in_build=IN_BUILD.get(name, "pass"),
            body=BODY.get(name, ""),
            top=TOP.get(name, ""),
        )
        (package / f"{name}.py").write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sick-backends\nVersion: 1.0\n")
    points = "".join(f"{name} = sick_backends.{name}\n" for name in NAMES)
    (info / "entry_points.txt").write_text(f"[harness.backends]\n{points}")


@contextmanager
def installed(folder):
    """While it lasts, these backends are there, for this process and for those it starts."""
    write_distribution(folder)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before)))
    sys.path.insert(0, str(folder))
    _forget()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
        for name in [name for name in sys.modules if name.partition(".")[0] == "sick_backends"]:
            del sys.modules[name]
        _forget()


def _forget():
    importlib.invalidate_caches()
    plugins.cache_clear()


def case(name="small", *, timeout=600.0, memory_limit=None, expect=None, **config):
    """A perceptron that trains in milliseconds."""
    settings = {
        "data": TeacherData(teacher=Teacher()),
        "optimizer": SgdOptimizer(sgd=Sgd(lr=0.05)),
        "steps": STEPS,
        "lengths": None,
        "sequence": 1,
        "clip_norm": None,
        **config,
    }
    small = sample_case(MlpModel(mlp=Mlp(inputs=4, hidden=(6,), outputs=2)), **settings)
    return replace(small, name=name, timeout=timeout, memory_limit=memory_limit, expect=expect or {})
