"""What the tests of engines in C share: where builds are kept, small cases, and the skip without a compiler."""

from pathlib import Path

import pytest

from harness.backends.native_c import NativeC
from harness.native.compiler import library_file
from harness.native.library import Library
from harness.testing import sample_problem

ROOT = Path(__file__).parents[1]
OURS = Path(__file__).parent / "native"
STUB = OURS / "stub.c"

needs_compiler = pytest.mark.skipif(bool(NativeC().unavailable()), reason=NativeC().unavailable() or "-")


def keep_builds(monkeypatch):
    """Builds of a test that has a working folder of its own are those of all the others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(ROOT / "out" / "cache"))


def stub(*flags):
    """The stub, bent by flags."""
    return Library.open(library_file([str(STUB)], flags), "stub.c")


def trained(**config):
    """A trainer of the sample problem after all its steps, and its losses."""
    problem = sample_problem(**config)
    trainer = NativeC().build(problem)
    return trainer, [trainer.step(batch) for batch in problem.batches], problem
