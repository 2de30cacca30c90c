"""The probe of repeatability: it says where two trainings part, by training once more where they do."""

from dataclasses import replace

import pytest
from asking import context_of

from harness.passes import digest, recorded_training
from harness.probes.repeat import Repeat, _changed_weights
from harness.testing import healthy_trace, sample_problem

STEPS = 5


class Drifting:
    """Spoils each trainer a little more than the one before, in one tensor, from one step on."""

    def __init__(self, part, step=2, tensor="layers.0.mlp.up.weight"):
        self.part, self.step, self.tensor, self.made = part, step, tensor, 0

    def __call__(self, trainer):
        self.made += 1
        size, original = 1e-3 * self.made, getattr(trainer, self.part)

        def spoiled(*given):
            found = original(*given)
            if trainer.position == self.step:
                values = trainer.held if self.part == "accumulate" else trainer.weights
                values[self.tensor] = values[self.tensor] * (1 + size)
            return found

        setattr(trainer, self.part, spoiled)


def asked(spoil):
    """The probe's answer: one training that nobody watches, one that is recorded, as in a run."""
    problem = sample_problem(steps=STEPS)
    context = context_of("numpy_float64", problem, spoil)
    timed, observed = context.build(), context.build()
    losses = [timed.step(batch) for batch in problem.batches]
    trace = recorded_training(observed, problem)
    digests = {"weights_digest": digest(timed), "observed_digest": digest(observed)}
    return Repeat().ask(replace(context, observed=observed, trace=trace, losses=losses, **digests))


def test_a_training_that_repeats_is_not_trained_a_third_time():
    made = []
    answer = asked(made.append)
    assert len(made) == 2
    assert answer["weights_equal"] is True
    assert set(answer) == {"losses", "weights_equal"}
    assert len(answer["losses"]) == STEPS


@pytest.mark.parametrize(("part", "stage"), [("accumulate", "gradient"), ("update", "update")])
def test_step_stage_and_tensor_where_two_trainings_part(part, stage):
    answer = asked(Drifting(part))
    parting = answer["parting"]
    assert answer["weights_equal"] is False
    assert (parting["step"], parting["stage"], parting["tensor"]) == (2, stage, "layers.0.mlp.up.weight")
    assert parting["words"].startswith(f"step 2, {stage} of layers.0.mlp.up.weight: ")
    assert 0 < parting["difference"] < 0.1


def test_a_loss_that_parts_first_is_the_forward_pass():
    parting = asked(Drifting("learning_rate"))["parting"]  # before the batch is computed: the weights moved
    assert (parting["step"], parting["stage"], parting["tensor"]) == (2, "forward", "")


def test_recorded_trainings_that_agree_blame_the_recording():
    class Watched:
        made = 0

        def __call__(self, trainer):
            self.made += 1
            if self.made == 1:  # only the one that nobody watches
                trainer.weights["embedding"][0] *= 1.5

    assert asked(Watched())["parting"] is None


def test_other_weights_of_the_same_norms():
    ours = healthy_trace()
    theirs = replace(ours, digests=(*ours.digests[:3], "other", *ours.digests[4:]))
    found = {
        "step": 3,
        "stage": "update",
        "tensor": "",
        "words": "step 3, update: equal in norm, not in bits",
    }
    assert _changed_weights(ours, theirs) == found
    assert _changed_weights(ours, ours) is None
