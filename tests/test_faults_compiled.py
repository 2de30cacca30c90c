"""Faults of the training loop on the compiled backends: they break a training as they do on eager torch.

Each is written once, and its meaning is tested in test_faults.py; here the eager story is the oracle.
"""

import numpy as np
import pytest
from test_faults import BREAKING, case_of, differences, problem_of, story

from harness.backends.jax import Jax
from harness.backends.torch_compile import TorchCompile
from harness.discover import get, working
from harness.faults._loops import EVERY_LOOP, IN_PLACE, NOT_IN_JAX
from harness.sabotage import not_here

FAMILY = "adamw"
"""Ragged lengths, micro-batches, clipping that acts, a moving rate, an optimizer that remembers."""
KEPT_APART = {
    "nondeterministic_reduction", "memory_leak", "slower_every_step", "layers_start_equal", "weights_start_too_large",
}  # fmt: skip
"""They change no number, or only what is rounding in theory, or magnify every rounding."""
STORY = {
    "loss", "learning_rate", "gradient_norm", "clipped_norm", "optimized", "backward", "update", "zero_grad",
    "held out", "mode after",
}  # fmt: skip


def applying(backend):
    return [
        name
        for name in BREAKING
        if backend in get("faults", name).backends
        and name not in KEPT_APART
        and not get("faults", name)().not_applicable(case_of(FAMILY))
    ]


def breaks_alike(name, backend, tmp_path):
    """What the two broken trainings do not share; a rounding is none."""
    ours, theirs = (story(each, FAMILY, name, tmp_path) for each in (backend, "torch_eager"))
    return STORY & set(differences(ours, theirs, 1e-3))


@pytest.mark.skipif(bool(TorchCompile().unavailable()), reason=TorchCompile().unavailable() or "-")
@pytest.mark.slow
@pytest.mark.parametrize("name", applying("torch_compile"))
def test_torch_compile_breaks_as_eager_torch(name, tmp_path):
    TorchCompile().configure(problem_of(FAMILY).config)
    assert breaks_alike(name, "torch_compile", tmp_path) == set()


@pytest.mark.skipif(bool(Jax().unavailable()), reason=Jax().unavailable() or "-")
@pytest.mark.slow
@pytest.mark.parametrize("name", applying("jax"))
def test_jax_breaks_as_eager_torch(name, tmp_path):
    Jax().configure(problem_of(FAMILY).config)
    assert breaks_alike(name, "jax", tmp_path) == set()


def test_most_faults_of_the_loop_reach_the_compiled_backends():
    assert len(applying("jax")) > 20
    assert set(applying("torch_compile")) > set(applying("jax"))


def test_what_stays_out_says_why():
    case = case_of(FAMILY)
    fault = get("faults", "loss_detached")()
    assert fault.backends == IN_PLACE
    assert not_here(fault, case, "jax") == f"only on numpy_float64, torch_eager, torch_compile: {NOT_IN_JAX}"
    assert not_here(fault, case, "torch_compile") == ""
    assert not_here(get("faults", "double_step")(), case, "jax") == ""
    partly = [one for one in working("faults").values() if one.backends == IN_PLACE]
    assert all(one.because for one in partly)
    assert not np.isin("native_c", EVERY_LOOP)  # its faults are flags of the compiler
