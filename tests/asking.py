"""Probes asked of trainers that a test has spoiled; of an observed training they have no use."""

import pytest

from harness.discover import get
from harness.probes import Context
from harness.spec import Clusters, ClustersData, Mlp, MlpModel, Teacher, TeacherData
from harness.testing import sample_problem

BACKENDS = ("torch_eager", "numpy_float64")
CLASSES = {
    "model": MlpModel(mlp=Mlp(inputs=5, hidden=(7,), outputs=3, task="classification")),
    "data": ClustersData(clusters=Clusters()),
    "sequence": 1,
    "lengths": None,
    "batch": 6,
}
NUMBERS = {
    **CLASSES,
    "model": MlpModel(mlp=Mlp(inputs=5, hidden=(7,), outputs=2)),
    "data": TeacherData(teacher=Teacher()),
}

backends = pytest.mark.parametrize("backend", BACKENDS)
both_models = pytest.mark.parametrize(
    "settings", [{}, CLASSES, NUMBERS], ids=["decoder", "classes", "numbers"]
)


def context_of(backend, problem, spoil=None):
    """All that these probes may use; the observed trainer is not there to be touched."""
    made = get("backends", backend)()
    made.configure(problem.config)

    def build():
        trainer = made.build(problem)
        if spoil is not None:
            spoil(trainer)
        return trainer

    return Context(
        problem=problem,
        build=build,
        observed=None,
        trace=None,
        losses=(),
        weights_digest="",
        observed_digest="",
        reference=False,
        scratch=None,
        cache=None,
    )


def ask(probe, backend="numpy_float64", spoil=None, problem=None, **settings):
    problem = problem or sample_problem(**settings)
    return get("probes", probe)().ask(context_of(backend, problem, spoil))


def why_not(probe, backend="numpy_float64", spoil=None, problem=None, **settings):
    with pytest.raises(NotImplementedError) as reason:
        ask(probe, backend, spoil, problem, **settings)
    return str(reason.value)


def overriding(**methods):
    """A way to spoil: each replacement is called with the trainer, the original, and its arguments."""

    def spoil(trainer):
        for name, replacement in methods.items():
            original = getattr(trainer, name)
            setattr(
                trainer,
                name,
                lambda *given, _new=replacement, _old=original, **named: _new(trainer, _old, *given, **named),
            )

    return spoil
