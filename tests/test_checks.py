"""Every check: a healthy training passes, sick ones fail with what was observed, expected, when and where."""

import ast
import re
from dataclasses import replace
from math import inf, log, nan
from pathlib import Path

import numpy as np
import pytest

from harness.checks._common import matching, spread, stands_at, window_of, within
from harness.checks.deterministic import Deterministic
from harness.checks.entropy_floor import EntropyFloor
from harness.checks.final_loss import FinalLoss
from harness.checks.gradients import GradientBounds, Gradients
from harness.checks.initial_loss import InitialLoss
from harness.checks.learning_rate import LearningRate
from harness.checks.loss_at import Between, LossAt
from harness.checks.loss_drop import LossDrop
from harness.checks.matches_reference import MatchesReference
from harness.checks.memory_growth import MemoryGrowth, climb
from harness.checks.parameters import Parameters
from harness.checks.peak_memory import PeakMemory
from harness.checks.startup_time import StartupTime
from harness.checks.step_time import StepTime
from harness.checks.throughput import Throughput
from harness.checks.updates import Updates
from harness.checks.weights import WeightBounds, Weights
from harness.discover import plugins
from harness.model import Anchors, Answer, Measurement, Status
from harness.testing import healthy_facts, healthy_problem, healthy_trace
from harness.units import PerSecond, rate, show

MIB = 2**20
LN_27 = log(27)


def verdicts(check, facts=None, **changes):
    """The verdicts over healthy facts. changes: fields of the trace."""
    facts = healthy_facts(healthy_trace(**changes)) if facts is None else facts
    return list(check.judge(facts))


def only(check, facts=None, **changes):
    (verdict,) = verdicts(check, facts, **changes)
    return verdict


def statuses(check, facts=None, **changes):
    return [verdict.status.value for verdict in verdicts(check, facts, **changes)]


def loss(*values):
    return np.array(values, np.float64)


def broken(array, step, column, value):
    array = array.copy()
    array[step, column] = value
    return array


def measuring(name, value, unit="s", samples=()):
    measurement = Measurement(name=name, value=value, unit=unit, samples=samples)
    return healthy_facts(measurements={**healthy_facts().measurements, name: measurement})


def answering(probe, **facts):
    answer = healthy_facts().answers[probe]
    return healthy_facts(answers={probe: replace(answer, facts={**answer.facts, **facts})})


def lacking(verdict, what):
    return (verdict.status, verdict.reason, verdict.message) == (
        Status.ERROR,
        "missing",
        f"{what} was not recorded",
    )


def failure(check, **expected):
    """Whether a verdict is exactly this failure, as far as it is told."""
    assert check.status is Status.FAIL, check
    found = {key: getattr(check, key) for key in expected}
    assert found == expected
    return True


def test_every_check_is_tested_here():
    files = sorted(Path(__file__).parent.glob("test_checks*.py"))
    bodies = [node for path in files for node in ast.parse(path.read_text()).body]
    imported = {
        node.module.rpartition(".")[2]
        for node in bodies
        if isinstance(node, ast.ImportFrom) and node.module.startswith("harness.checks.")
    }
    tested = {node.name for node in bodies if isinstance(node, ast.FunctionDef)}
    folder = Path(__file__).parents[1] / "harness" / "checks"
    for name in sorted(path.stem for path in folder.glob("[a-z]*.py")):
        assert name in imported, f"{name}: test the new check in {', '.join(path.name for path in files)}"
        for about in ("passes", "fails"):
            assert any(test.startswith(f"test_{name}_{about}") for test in tested), (
                f"no test_{name}_{about}..."
            )
    assert {name for name in imported if not name.startswith("_")} <= set(plugins("checks"))


# parameters


def test_parameters_passes():
    verdict = only(Parameters(count=12_416))
    assert (verdict.status, verdict.observed) == (Status.PASS, 12_416)
    assert verdict.message == "12,416 parameters, expected 12,416"


@pytest.mark.parametrize("count", [12_415, 12_417, 0])
def test_parameters_fails_unless_equal(count):
    verdict = only(Parameters(count=12_416), healthy_facts(parameters=count))
    message = f"{count:,} parameters, expected 12,416"
    assert failure(verdict, observed=count, expected="12,416", reason="out_of_bounds", message=message)


def test_parameters_need_a_count():
    assert lacking(only(Parameters(count=1), healthy_facts(parameters=None)), "the parameter count")


# initial_loss


def test_initial_loss_passes():
    verdict = only(InitialLoss(uniform=0.05))
    assert (verdict.status, verdict.observed, verdict.step) == (Status.PASS, LN_27, None)
    assert verdict.message == "3.296 before the first update (ln 27 = 3.29584), expected 3.131 to 3.461"


def test_initial_loss_fails_away_from_uniform():
    verdict = only(InitialLoss(uniform=0.05), loss=loss(3.0, 2.0))
    message = "3 before the first update (ln 27 = 3.29584), expected 3.131 to 3.461"
    assert failure(verdict, observed=3.0, step=0, tensor="", reason="out_of_bounds", message=message)


def test_initial_loss_fails_outside_its_bounds():
    check = InitialLoss(uniform=0.5, at_least=3.0, at_most=3.2)
    assert statuses(check, loss=loss(3.1)) == ["pass", "pass"]
    _, verdict = verdicts(check, loss=loss(3.25, 3.1))
    assert failure(verdict, observed=3.25, step=0, message="3.25, expected 3 to 3.2")


def test_initial_loss_bounds_are_inclusive():
    check = InitialLoss(at_least=3.0, at_most=3.5)
    assert [statuses(check, loss=loss(value)) for value in (3.0, 3.5)] == [["pass"], ["pass"]]
    assert [statuses(check, loss=loss(value)) for value in (2.9999, 3.5001)] == [["fail"], ["fail"]]


def test_initial_loss_fails_on_nan_as_nonfinite():
    for verdict in verdicts(InitialLoss(uniform=0.05, at_least=0.0), loss=loss(nan, 3.0)):
        assert failure(verdict, reason="nonfinite", step=0)


def test_initial_loss_names_the_classes_of_a_classifier():
    problem = healthy_problem(vocabulary=None, anchors=Anchors(uniform=log(3), unigram=log(3)))
    verdict = only(InitialLoss(uniform=0.05), healthy_facts(healthy_trace(loss=loss(1.2)), problem=problem))
    assert verdict.message == "1.2 before the first update (ln 3 = 1.09861), expected 1.044 to 1.154"


def test_initial_loss_needs_its_anchor():
    facts = healthy_facts(problem=healthy_problem(anchors=Anchors()))
    assert lacking(only(InitialLoss(uniform=0.05), facts), "the uniform anchor ln V of this problem")
    assert lacking(
        only(InitialLoss(uniform=0.05), healthy_facts(trace=None) and replace(facts, trace=None)), "the loss"
    )


# loss_drop


def test_loss_drop_passes():
    verdict = only(LossDrop(at_least=0.03, at_most=0.6), loss=loss(*[4.0] * 5, *[3.0] * 5))
    assert (verdict.status, verdict.observed, verdict.unit) == (Status.PASS, 0.25, "%")
    assert verdict.message == "25 % over 10 steps (4 to 3), expected 3 % to 60 %"


def test_loss_drop_fails_when_the_loss_stands_still():
    verdict = only(LossDrop(at_least=0.03), loss=np.full(28, LN_27))
    message = "0 % over 28 steps (3.296 to 3.296), expected >= 3 %; loss stands at 3.295837 = ln 27"
    assert failure(
        verdict, observed=0.0, expected=">= 3 %", unit="%", reason="out_of_bounds", message=message
    )


def test_loss_drop_fails_when_it_is_too_good():
    verdict = only(LossDrop(at_least=0.03, at_most=0.6), loss=loss(4.0, 1.0))
    assert failure(verdict, observed=0.75, message="75 % over 2 steps (4 to 1), expected 3 % to 60 %")


def test_loss_drop_fails_when_the_loss_climbs():
    verdict = only(LossDrop(at_least=0.0), loss=loss(4.0, 5.0))
    assert failure(verdict, observed=-0.25, message="-25 % over 2 steps (4 to 5), expected >= 0 %")


def test_loss_drop_bounds_are_inclusive():
    assert statuses(LossDrop(at_least=0.25, at_most=0.25), loss=loss(4.0, 3.0)) == ["pass"]


def test_loss_drop_is_relative_to_the_magnitude_of_the_start():
    assert only(LossDrop(at_least=0.5), loss=loss(-2.0, -3.0)).observed == 0.5
    assert failure(only(LossDrop(at_most=9.0), loss=loss(0.0, 0.0)), reason="nonfinite")


@pytest.mark.parametrize(
    ("steps", "window", "start", "end"),
    [
        (1, None, 0, 0),  # max(1, ...)
        (19, None, 0, 18),  # 19 // 10 = 1
        (20, None, 0.5, 18.5),  # 20 // 10 = 2
        (28, None, 0.5, 26.5),
        (49, None, 1.5, 46.5),
        (50, None, 2, 47),  # min(5, ...)
        (1000, None, 2, 997),
        (10, 3, 1, 8),
        (4, 100, 1.5, 1.5),  # no window is longer than the training
    ],
)
def test_loss_drop_takes_medians_over_its_window(steps, window, start, end):
    # Losses of 100 + step, in which the medians can be read.
    verdict = only(LossDrop(at_most=1.0, window=window), loss=100.0 + np.arange(steps))
    assert verdict.observed == (start - end) / (100 + start)


def test_loss_drop_is_not_swayed_by_one_spike():
    values = np.full(50, 4.0)
    values[-5:] = [3.0, 3.0, 40.0, 3.0, 3.0]
    assert only(LossDrop(at_least=0.2), loss=values).observed == 0.25


@pytest.mark.parametrize("step", [0, 27])
def test_loss_drop_fails_on_nan(step):
    values = np.full(28, 3.0)
    values[step] = nan
    assert failure(only(LossDrop(at_most=1.0), loss=values), reason="nonfinite")


def test_loss_drop_at_every_step():
    check = LossDrop(at_least=0.1, every_step=True)
    assert statuses(check, loss=loss(4.0, 3.9, 3.0)) == ["pass", "pass"]
    _, verdict = verdicts(check, loss=loss(4.0, 3.0, 3.5, 2.0, 3.0))
    message = "3.5 at step 2, after 3, expected a loss that falls at each step"
    assert failure(verdict, observed=3.5, step=2, reason="out_of_bounds", message=message)
    assert statuses(check, loss=loss(4.0, 3.0, 3.0)) == ["pass", "fail"]  # it stands
    assert statuses(check, loss=loss(4.0, nan, 3.0)) == ["pass", "fail"]


def test_loss_drop_needs_the_loss():
    assert lacking(only(LossDrop(at_least=0.0), steps=0), "the loss")


# final_loss


def test_final_loss_passes():
    verdict = only(FinalLoss(at_least=2.9, at_most=3.2), loss=loss(4.0, 3.0))
    assert (verdict.status, verdict.observed) == (Status.PASS, 3.0)
    assert verdict.message == "3 after 2 steps, expected 2.9 to 3.2"


def test_final_loss_fails_outside_its_bounds():
    high = only(FinalLoss(at_most=3.2), loss=loss(4.0, LN_27))
    message = "3.296 after 2 steps, expected <= 3.2; loss stands at 3.295837 = ln 27"
    assert failure(high, observed=LN_27, expected="<= 3.2", message=message)
    low = only(FinalLoss(at_least=2.9), loss=loss(4.0, 2.5))
    assert failure(low, observed=2.5, message="2.5 after 2 steps, expected >= 2.9")


def test_final_loss_is_a_median_over_the_window():
    assert only(FinalLoss(at_most=9.0, window=3), loss=loss(9, 1, 2, 7)).observed == 2.0


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_final_loss_fails_on_what_is_not_finite(value):
    for check in (FinalLoss(at_least=-9.0), FinalLoss(at_most=9.0)):
        assert failure(only(check, loss=loss(3.0, value)), reason="nonfinite")


# loss_at


def test_loss_at_passes():
    check = LossAt(steps={0: Between(at_least=3.2, at_most=3.4), 1: Between(at_most=3.0)})
    first, last = verdicts(check, loss=loss(3.3, 3.0))
    assert (first.status, first.message) == (Status.PASS, "3.3 at step 0, expected 3.2 to 3.4")
    assert (last.status, last.message) == (Status.PASS, "3 at step 1, expected <= 3")


def test_loss_at_fails_at_its_step():
    check = LossAt(steps={0: Between(at_most=4.0), 2: Between(at_least=2.0)})
    good, bad = verdicts(check, loss=loss(3.3, 0.0, 1.5))
    assert good.status is Status.PASS
    assert failure(bad, observed=1.5, step=2, message="1.5 at step 2, expected >= 2")
    assert failure(
        only(LossAt(steps={1: Between(at_least=0.0)}), loss=loss(1, nan)), reason="nonfinite", step=1
    )


def test_loss_at_needs_its_step():
    assert lacking(only(LossAt(steps={2: Between(at_most=9.0)}), loss=loss(3.0, 3.0)), "step 2")


# gradients


def test_gradients_passes():
    check = Gradients(tensors={"*": GradientBounds(norm=(0.5, 0.5), largest=(0.1, 0.1), dead=0.0)})
    norm, largest, dead = verdicts(check)
    assert {verdict.status for verdict in (norm, largest, dead)} == {Status.PASS}
    assert norm.message == "norm 0.5 to 0.5"
    assert largest.message == "largest element 0.1 to 0.1"
    assert dead.message == "0 % of embedding never receive a gradient, expected <= 0 %"


@pytest.mark.parametrize(
    ("field", "bounds", "quantity"),
    [
        ("gradient_norm", {"norm": (0.25, 1.0)}, "norm"),
        ("gradient_largest", {"largest": (0.05, 1.0)}, "largest element"),
    ],
)
def test_gradients_fails_at_the_first_bad_step_and_tensor(field, bounds, quantity):
    values = broken(broken(getattr(healthy_trace(), field), 5, 2, 7.0), 4, 1, 1e-9)
    verdict = only(Gradients(tensors={"*": GradientBounds(**bounds)}), **{field: values})
    low = next(iter(bounds.values()))[0]
    message = f"1e-09 is the {quantity} of layers.0.mlp.up.weight at step 4, expected {low} to 1"
    assert failure(verdict, observed=1e-9, step=4, tensor="layers.0.mlp.up.weight", message=message)


def test_gradients_fails_on_nan_and_infinity():
    for value in (nan, inf):
        values = broken(healthy_trace().gradient_norm, 3, 0, value)
        verdict = only(Gradients(tensors={"emb*": GradientBounds(norm=(0.0, 1.0))}), gradient_norm=values)
        assert failure(verdict, reason="nonfinite", step=3, tensor="embedding")


def test_gradients_fails_where_elements_never_receive_one():
    nonzero = np.full((28, 3), 1.0)
    nonzero[:, 1], nonzero[9, 1] = 0.5, 0.75
    verdict = only(Gradients(tensors={"*": GradientBounds(dead=0.2)}), gradient_nonzero=nonzero)
    message = "25 % of layers.0.mlp.up.weight never receive a gradient, expected <= 20 %"
    assert failure(verdict, observed=0.25, unit="%", tensor="layers.0.mlp.up.weight", message=message)
    # The tensor's best step counts: an element that is zero now and then is not dead.
    assert statuses(Gradients(tensors={"*": GradientBounds(dead=0.25)}), gradient_nonzero=nonzero) == ["pass"]


def test_gradients_fails_on_a_dead_share_of_nan():
    nonzero = broken(np.full((28, 3), 1.0), 3, 2, nan)
    verdict = only(Gradients(tensors={"*": GradientBounds(dead=0.5)}), gradient_nonzero=nonzero)
    assert failure(verdict, reason="nonfinite", tensor="final_norm.weight")


def test_gradients_looks_only_at_the_tensors_of_its_pattern():
    values = broken(healthy_trace().gradient_norm, 0, 0, 99.0)
    check = Gradients(
        tensors={"*.weight": GradientBounds(norm=(0.0, 1.0)), "embedding": GradientBounds(norm=(0, 1))}
    )
    assert statuses(check, gradient_norm=values) == ["pass", "fail"]


def test_gradients_needs_a_tensor_of_its_pattern():
    check = Gradients(tensors={"attention.*": GradientBounds(dead=0.0)})
    assert lacking(only(check), "a tensor that matches 'attention.*'")


# weights


def test_weights_passes():
    check = Weights(tensors={"*": WeightBounds(norm=(2.0, 2.0), mean=(0.02, 0.02))})
    norm, mean = verdicts(check)
    assert (norm.status, norm.message) == (Status.PASS, "norm 2 to 2")
    assert (mean.status, mean.message) == (Status.PASS, "mean magnitude 0.02 to 0.02")


def test_weights_fails_when_the_norm_leaves_its_range():
    values = broken(healthy_trace().weight_norm, 20, 1, 50.0)
    verdict = only(Weights(tensors={"*": WeightBounds(norm=(1.0, 10.0))}), weight_norm=values)
    message = "50 is the norm of layers.0.mlp.up.weight at step 20, expected 1 to 10"
    assert failure(verdict, observed=50.0, step=20, tensor="layers.0.mlp.up.weight", message=message)


def test_weights_fails_when_the_start_is_wrong():
    check = Weights(tensors={"*": WeightBounds(mean=(0.01, 0.1))})
    values = broken(healthy_trace().weight_mean, 0, 2, 0.5)
    message = "0.5 is the mean magnitude of final_norm.weight at step 0, expected 0.01 to 0.1"
    assert failure(only(check, weight_mean=values), step=0, tensor="final_norm.weight", message=message)
    later = broken(healthy_trace().weight_mean, 1, 2, 0.5)
    assert statuses(check, weight_mean=later) == ["pass"]


def test_weights_fails_on_nan():
    values = broken(healthy_trace().weight_norm, 27, 0, nan)
    verdict = only(Weights(tensors={"*": WeightBounds(norm=(0.0, 9.0))}), weight_norm=values)
    assert failure(verdict, reason="nonfinite", step=27, tensor="embedding")


def test_weights_needs_a_tensor_of_its_pattern():
    check = Weights(tensors={"nothing": WeightBounds(norm=(0.0, 9.0))})
    assert lacking(only(check), "a tensor that matches 'nothing'")


# updates


def test_updates_passes():
    once, matches = verdicts(Updates(per_step=1, matches_optimizer=1e-6))
    assert (once.status, once.message) == (
        Status.PASS,
        "1 x of the optimizer's own update happened at step 0, expected 0.5 x to 1.5 x",
    )
    assert (matches.status, matches.observed) == (Status.PASS, 1e-6)


@pytest.mark.parametrize("times", [0.0, 2.0])
def test_updates_fails_when_a_step_makes_none_or_two(times):
    ratio = np.ones((28, 3))
    ratio[6] = times
    verdict = only(Updates(per_step=1), update_ratio=ratio)
    message = f"{times:.0f} x of the optimizer's own update happened at step 6, expected 0.5 x to 1.5 x"
    assert failure(verdict, observed=times, step=6, unit="x", message=message)
    assert statuses(Updates(per_step=2), update_ratio=np.full((28, 3), 2.0)) == ["pass"]


def test_updates_takes_the_median_over_tensors():
    ratio = np.ones((28, 3))
    ratio[:, 0] = 0.0
    assert statuses(Updates(per_step=1), update_ratio=ratio) == ["pass"]
    ratio[:, 1] = nan  # of a tensor that the rule leaves alone
    assert only(Updates(per_step=1), update_ratio=ratio).observed == 0.5


def test_updates_leaves_out_steps_without_any_update():
    ratio = np.ones((28, 3))
    ratio[-1] = nan  # a schedule that ends at zero
    assert statuses(Updates(per_step=1), update_ratio=ratio) == ["pass"]


def test_updates_fails_when_no_step_has_an_update():
    nothing = np.full((28, 3), nan)
    check = Updates(per_step=1, matches_optimizer=1e-3)
    for verdict in verdicts(check, update_ratio=nothing, update_error=nothing):
        message = "the optimizer's rule gives no update for any tensor: gradients or learning rate are 0"
        assert failure(verdict, observed=0.0, reason="no_update", message=message)


def test_updates_fails_at_the_first_tensor_off_the_rule():
    error = broken(broken(np.full((28, 3), 1e-6), 9, 0, 5.0), 8, 1, 0.05)
    verdict = only(Updates(matches_optimizer=1e-3), update_error=error)
    tensor = "layers.0.mlp.up.weight"
    message = f"0.05 relative distance of {tensor} from the optimizer's rule at step 8, expected <= 0.001"
    assert failure(verdict, observed=0.05, step=8, tensor=tensor, message=message)


def test_updates_fails_where_something_moves_that_should_rest():
    error = broken(np.full((28, 3), nan), 2, 1, inf)
    verdict = only(Updates(matches_optimizer=1e-3), update_error=error)
    assert failure(verdict, observed=inf, step=2, tensor="layers.0.mlp.up.weight", reason="nonfinite")


def test_updates_matches_is_inclusive():
    assert statuses(Updates(matches_optimizer=0.5), update_error=np.full((28, 3), 0.5)) == ["pass"]


# learning_rate


def test_learning_rate_passes():
    follows, peak, last = verdicts(LearningRate(follows="schedule", peak=(0.01, 0.01), last=(0.0, 0.01)))
    assert (follows.status, follows.message) == (Status.PASS, "follows the schedule for 28 steps")
    assert (peak.status, peak.message) == (Status.PASS, "0.01 at the peak, expected 0.01 to 0.01")
    assert (last.status, last.message) == (Status.PASS, "0.01 at the last step, expected 0 to 0.01")


def test_learning_rate_fails_at_the_first_step_off_the_schedule():
    used = np.full(28, 0.01)
    used[[7, 9]] = 0.02
    verdict = only(LearningRate(follows="schedule"), learning_rate=used)
    message = "0.02 at step 7, expected 0.01 by the schedule"
    assert failure(verdict, observed=0.02, expected="0.01", step=7, reason="out_of_bounds", message=message)


def test_learning_rate_is_compared_relative_to_the_peak():
    used = np.full(28, 0.01)
    used[7] += 0.9e-8
    assert statuses(LearningRate(follows="schedule"), learning_rate=used) == ["pass"]
    used[7] += 0.2e-8
    assert statuses(LearningRate(follows="schedule"), learning_rate=used) == ["fail"]
    assert statuses(LearningRate(follows="schedule", tolerance=1e-3), learning_rate=used) == ["pass"]


def test_learning_rate_fails_outside_its_ranges():
    used = np.linspace(0.01, 0.001, 28)
    peak, last = verdicts(LearningRate(peak=(0.02, 0.03), last=(0.0, 1e-4)), learning_rate=used)
    assert failure(peak, observed=0.01, message="0.01 at the peak, expected 0.02 to 0.03")
    assert failure(last, observed=0.001, message="0.001 at the last step, expected 0 to 0.0001")


def test_learning_rate_fails_on_nan():
    used = np.full(28, 0.01)
    used[27] = nan
    check = LearningRate(follows="schedule", peak=(0.0, 1.0), last=(0.0, 1.0))
    for verdict in verdicts(check, learning_rate=used):
        assert failure(verdict, reason="nonfinite")


def test_learning_rate_needs_the_whole_schedule():
    facts = healthy_facts(problem=healthy_problem(learning_rates=(0.01,) * 27))
    assert lacking(only(LearningRate(follows="schedule"), facts), "the schedule")


# peak_memory


def test_peak_memory_passes():
    verdict = only(PeakMemory(at_most=8 * MIB))
    assert (verdict.status, verdict.observed, verdict.unit) == (Status.PASS, 8.0 * MIB, "B")
    assert verdict.message == "8 MiB in phase train, expected <= 8 MiB"


def test_peak_memory_fails_on_the_highest_phase():
    verdict = only(PeakMemory(at_most=8 * MIB), measuring("peak_memory.evaluate", 9.0 * MIB, "B"))
    message = "9 MiB in phase evaluate, expected <= 8 MiB"
    assert failure(verdict, observed=9.0 * MIB, expected="<= 8 MiB", reason="out_of_bounds", message=message)
    assert failure(only(PeakMemory(at_least=9 * MIB)), message="8 MiB in phase train, expected >= 9 MiB")


def test_peak_memory_of_one_phase():
    assert only(PeakMemory(at_most=MIB, phase="build")).message == "1 MiB in phase build, expected <= 1 MiB"
    assert failure(only(PeakMemory(at_most=MIB, phase="evaluate")), observed=2.0 * MIB)


@pytest.mark.parametrize("phase", ["build", "train", "evaluate"])
def test_peak_memory_fails_on_nan_in_any_phase(phase):
    facts = measuring(f"peak_memory.{phase}", nan, "B")
    assert failure(only(PeakMemory(at_most=64 * MIB), facts), reason="nonfinite")


@pytest.mark.parametrize("phase", ["build", "train", "evaluate"])
def test_peak_memory_needs_every_phase(phase):
    left = {k: v for k, v in healthy_facts().measurements.items() if k != f"peak_memory.{phase}"}
    verdict = only(PeakMemory(at_most=64 * MIB), healthy_facts(measurements=left))
    assert lacking(verdict, f"measurement 'peak_memory.{phase}'")


# memory_growth


def test_memory_growth_passes():
    verdict = only(MemoryGrowth(at_most=4096))
    assert (verdict.status, verdict.observed) == (Status.PASS, 0.0)
    assert verdict.message == "0 B more at every step, expected <= 4 KiB"


def test_memory_growth_fails_when_memory_climbs():
    verdict = only(MemoryGrowth(at_most=4096), memory=1e8 + 8192.0 * np.arange(28))
    message = "8 KiB more at every step, expected <= 4 KiB"
    assert failure(verdict, observed=8192.0, expected="<= 4 KiB", unit="B", message=message)
    assert statuses(MemoryGrowth(at_most=8192), memory=1e8 + 8192.0 * np.arange(28)) == ["pass"]


def test_memory_growth_forgives_warm_up_and_single_jumps():
    memory = np.full(28, 1e8)
    memory[:9] = 1e7 * np.arange(9)
    memory[20:] += 5e7
    assert only(MemoryGrowth(at_most=0), memory=memory).observed == 0.0


@pytest.mark.parametrize("period", [2, 7, 32])
def test_memory_growth_forgives_what_is_given_back(period):
    taken = 4e6 * (np.arange(150) % period >= period // 2)
    assert only(MemoryGrowth(at_most=0), loss=np.linspace(3, 2, 150), memory=1e8 + taken).observed == 0.0
    leak = 1e8 + taken + 1024.0 * np.arange(150)
    verdict = only(MemoryGrowth(at_most=0), loss=np.linspace(3, 2, 150), memory=leak)
    assert verdict.observed == pytest.approx(1024, rel=0.25)


def test_memory_growth_needs_eight_steps():
    assert statuses(MemoryGrowth(at_most=0), steps=8) == ["pass"]
    verdict = only(MemoryGrowth(at_most=0), steps=7)
    assert (verdict.status, verdict.reason) == (Status.SKIP, "not_applicable")
    assert verdict.message == "7 steps are too few for a slope, need 8"


def test_memory_growth_fails_on_nan():
    assert failure(only(MemoryGrowth(at_most=4096), memory=np.full(28, nan)), reason="nonfinite")


def test_climb_sees_a_leak_of_less_than_a_page_a_step():
    # 1 KiB a step arrives as 4 KiB every fourth step.
    assert climb(4096.0 * (np.arange(64) // 4)) == pytest.approx(1024, rel=0.2)


# startup_time, step_time


@pytest.mark.parametrize(
    ("cls", "name", "about"),
    [(StartupTime, "startup_time", "until ready to train"), (StepTime, "step_time", "a step (median)")],
)
class TestTimes:
    def test_passes(self, cls, name, about):
        verdict = only(cls(at_least=0.001, at_most=0.036), measuring(name, 0.036))
        assert (verdict.status, verdict.observed, verdict.unit) == (Status.PASS, 0.036, "s")
        assert verdict.message == f"36 ms {about}, expected 1 ms to 36 ms"

    def test_fails(self, cls, name, about):
        verdict = only(cls(at_most=0.036), measuring(name, 0.05))
        message = f"50 ms {about}, expected <= 36 ms"
        assert failure(verdict, observed=0.05, expected="<= 36 ms", reason="out_of_bounds", message=message)
        assert failure(only(cls(at_least=0.06), measuring(name, 0.05)), expected=">= 60 ms")

    def test_fails_on_what_is_not_finite(self, cls, name, about):
        for value in (nan, inf):
            assert failure(only(cls(at_least=0.0), measuring(name, value)), reason="nonfinite"), about

    def test_needs_its_measurement(self, cls, name, about):
        verdict = only(cls(at_most=1.0), healthy_facts(measurements={}))
        assert lacking(verdict, f"measurement '{name}'"), about


def test_step_time_fails_with_the_spread_of_unstable_samples():
    facts = measuring("step_time", 0.05, samples=(0.01, 0.02, 0.08, 0.09))
    message = "50 ms a step (median), expected <= 36 ms; unstable: the middle half spans 17.5 ms to 82.5 ms"
    assert failure(only(StepTime(at_most=0.036), facts), message=message)


def test_startup_time_passes():
    assert only(StartupTime(at_most=0.1)).status is Status.PASS


def test_startup_time_fails():
    assert failure(only(StartupTime(at_most=0.09)), observed=0.1)


def test_step_time_passes():
    assert only(StepTime(at_most=0.001)).status is Status.PASS


# throughput


def test_throughput_passes():
    verdict = only(Throughput(at_least=rate("16000 tokens/s")))
    assert (verdict.status, verdict.observed, verdict.unit) == (Status.PASS, 16_000.0, "token/s")
    assert verdict.message == "16,000 token/s trained, expected >= 16,000 token/s"


def test_throughput_fails_outside_its_bounds():
    verdict = only(Throughput(at_least=rate("17000 tokens/s")))
    message = "16,000 token/s trained, expected >= 17,000 token/s"
    assert failure(verdict, observed=16_000.0, reason="out_of_bounds", message=message)
    assert failure(only(Throughput(at_most=rate("1 tokens/s"))), expected="<= 1 token/s")


@pytest.mark.parametrize(("bound", "value"), [("1000 steps/s", 1000.0), ("2000 samples/s", 2000.0)])
def test_throughput_is_converted_to_the_unit_of_its_bound(bound, value):
    # A step of the healthy problem holds 16 tokens and 2 samples.
    verdict = only(Throughput(at_least=rate(bound)))
    assert (verdict.status, verdict.observed, verdict.unit) == (Status.PASS, value, rate(bound).unit)
    more = PerSecond(1.001 * rate(bound), rate(bound).unit)
    assert failure(only(Throughput(at_least=more)), observed=value)


def test_throughput_fails_on_nan():
    facts = measuring("throughput", nan, "token/s")
    for bound in ("1 tokens/s", "1 steps/s"):
        assert failure(only(Throughput(at_least=rate(bound)), facts), reason="nonfinite")


def test_throughput_needs_its_measurement_and_the_problem():
    steps = Throughput(at_least=rate("1 steps/s"))
    assert lacking(only(steps, healthy_facts(measurements={})), "measurement 'throughput'")
    assert lacking(only(steps, healthy_facts(problem=None)), "the problem")


# matches_reference


def test_matches_reference_passes():
    moved, curve, default, scaled = verdicts(MatchesReference(loss=1e-5, gradients=1e-4))
    assert {verdict.status for verdict in (moved, curve, default, scaled)} == {Status.PASS}
    assert moved.message == "both trained"
    assert curve.message == "1e-08 relative loss difference at step 0, expected <= 1e-05"
    assert default.message == (
        "1e-07 relative gradient difference of embedding at default weights, expected <= 0.0001"
    )


def test_matches_reference_fails_at_the_first_step_that_differs():
    facts = answering("reference", loss_difference=[0.0, 1e-4, 1.0])
    _, verdict = verdicts(MatchesReference(loss=1e-5), facts)
    message = "0.0001 relative loss difference at step 1, expected <= 1e-05"
    assert failure(verdict, observed=1e-4, step=1, reason="out_of_bounds", message=message)


def test_matches_reference_fails_at_scaled_weights_only():
    close = {"embedding": 1e-7, "final_norm.weight": 1e-6}
    off = {"embedding": 1e-7, "final_norm.weight": 0.4}
    facts = answering("reference", gradients_default=close, gradients_scaled=off)
    _, default, scaled = verdicts(MatchesReference(gradients=1e-4), facts)
    assert (default.status, default.observed) == (Status.PASS, 1e-6)
    message = "0.4 relative gradient difference of final_norm.weight at scaled weights, expected <= 0.0001"
    assert failure(scaled, observed=0.4, tensor="final_norm.weight", message=message)


def test_matches_reference_fails_on_nan():
    _, verdict = verdicts(MatchesReference(loss=1.0), answering("reference", loss_difference=[0.0, nan, 0.0]))
    assert failure(verdict, step=1, reason="nonfinite")
    facts = answering("reference", gradients_default={"a": 9.0, "b": nan, "c": 0.0})
    _, verdict, _ = verdicts(MatchesReference(gradients=1.0), facts)
    assert failure(verdict, tensor="b", reason="nonfinite")


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (0.0, True, "this training moved no weight; agreement would mean nothing"),
        (1.0, False, "the reference moved no weight; agreement would mean nothing"),
        (0.0, False, "neither training moved a weight; agreement would mean nothing"),
        (nan, True, "this training moved no weight; agreement would mean nothing"),
    ],
)
def test_matches_reference_fails_when_one_did_not_train(ours, theirs, message):
    trace = healthy_trace(update_norm=np.full((28, 3), ours))
    facts = replace(answering("reference", reference_moved=theirs), trace=trace)
    moved, curve = verdicts(MatchesReference(loss=1e-5), facts)
    assert failure(moved, reason="not_trained", message=message)
    assert curve.status is Status.PASS


def test_matches_reference_is_skipped_with_the_probe():
    facts = healthy_facts(answers={"reference": Answer(skipped="this backend is the reference")})
    verdict = only(MatchesReference(loss=1e-5), facts)
    assert (verdict.status, verdict.reason) == (Status.SKIP, "not_applicable")
    assert verdict.message == "this backend is the reference"
    assert lacking(
        only(MatchesReference(loss=1e-5), healthy_facts(answers={})), "the comparison with numpy_float64"
    )
    _, verdict = verdicts(MatchesReference(loss=1e-5), answering("reference", loss_difference=[]))
    assert lacking(verdict, "a loss of the reference")


# deterministic


def test_deterministic_passes():
    verdict = only(Deterministic(required=True))
    assert (verdict.status, verdict.message) == (Status.PASS, "two trainings gave the same bits")


@pytest.mark.parametrize(
    ("step", "equal", "where"),
    [(3, False, "the loss of step 3"), (3, True, "the loss of step 3"), (None, False, "the final weights")],
)
def test_deterministic_fails_where_bits_differ(step, equal, where):
    losses = healthy_trace().loss.copy()
    if step is not None:
        losses[step] = np.nextafter(losses[step], 0)
    verdict = only(
        Deterministic(required=True), answering("repeat", losses=losses.tolist(), weights_equal=equal)
    )
    message = f"two trainings from the same problem differ in {where}, expected the same bits"
    assert failure(verdict, reason="nondeterministic", step=step, message=message)


@pytest.mark.parametrize(
    ("parting", "step", "tensor", "ending"),
    [
        (
            {
                "step": 2,
                "stage": "gradient",
                "tensor": "embedding",
                "words": "step 2, gradient of embedding: ...",
            },
            2,
            "embedding",
            "; two that were recorded part first at step 2, gradient of embedding: ...",
        ),
        (None, 3, "", "; two that were recorded agree: does recording change the training?"),
    ],
)
def test_deterministic_fails_with_step_tensor_and_stage(parting, step, tensor, ending):
    losses = healthy_trace().loss.copy()
    losses[3] = 0.0
    verdict = only(Deterministic(required=True), answering("repeat", losses=losses.tolist(), parting=parting))
    message = (
        f"two trainings from the same problem differ in the loss of step 3, expected the same bits{ending}"
    )
    assert failure(verdict, reason="nondeterministic", step=step, tensor=tensor, message=message)


def test_deterministic_needs_its_probe():
    assert lacking(only(Deterministic(required=True), healthy_facts(answers={})), "a second training")
    facts = healthy_facts(answers={"repeat": Answer(skipped="trained once")})
    assert only(Deterministic(required=True), facts).status is Status.SKIP


# entropy_floor


def test_entropy_floor_passes():
    training, held_out = verdicts(EntropyFloor(margin=0.1), loss=loss(3.0, 1.35))
    assert training.message == "1.35 is the lowest training loss (H1 = 1.5), expected >= 1.35"
    assert held_out.message == "2.5 is the held-out loss (H1 = 1.5), expected >= 1.35"
    assert {training.status, held_out.status} == {Status.PASS}


def test_entropy_floor_fails_below_the_entropy_of_the_source():
    training, _ = verdicts(EntropyFloor(margin=0.1), loss=loss(3.0, 1.2, 3.0))
    hint = "below the entropy of the source: targets leak into the inputs"
    message = f"1.2 is the lowest training loss (H1 = 1.5), expected >= 1.35; {hint}"
    assert failure(training, observed=1.2, step=1, reason="out_of_bounds", message=message)
    _, held_out = verdicts(EntropyFloor(margin=0.1), measuring("held_out_loss", 0.1, ""))
    message = f"0.1 is the held-out loss (H1 = 1.5), expected >= 1.35; {hint}"
    assert failure(held_out, observed=0.1, step=None, message=message)


def test_entropy_floor_is_not_swayed_by_one_easy_batch():
    values = np.full(50, 2.0)
    values[30:32] = 0.1
    training, _ = verdicts(EntropyFloor(margin=0.0), loss=values)
    assert (training.status, training.observed) == (Status.PASS, 2.0)
    values[30:33] = 0.1
    training, _ = verdicts(EntropyFloor(margin=0.0), loss=values)
    assert failure(training, observed=0.1, step=28)  # the first window of five with three of them


def test_entropy_floor_fails_on_nan():
    values = np.full(28, 2.0)
    values[5] = nan
    training, held_out = verdicts(EntropyFloor(margin=0.1), loss=values)
    assert failure(training, reason="nonfinite")
    assert held_out.status is Status.PASS
    _, held_out = verdicts(EntropyFloor(margin=0.1), measuring("held_out_loss", nan, ""))
    assert failure(held_out, reason="nonfinite")


def test_entropy_floor_needs_the_floor():
    facts = healthy_facts(problem=healthy_problem(anchors=Anchors(uniform=LN_27)))
    assert lacking(only(EntropyFloor(margin=0.1), facts), "the entropy floor of this problem")
    assert lacking(only(EntropyFloor(margin=0.1), replace(healthy_facts(), trace=None)), "the loss")


def test_entropy_floor_needs_no_held_out_loss():
    facts = healthy_facts(measurements={})
    assert statuses(EntropyFloor(margin=0.1), facts) == ["pass"]


# what cannot fail, or cannot hold, is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (InitialLoss, "give at least one of uniform, at_least, at_most"),
        (lambda: InitialLoss(at_least=2.0, at_most=1.0), "at_least (2) lies above at_most (1)"),
        (lambda: InitialLoss(uniform=-0.05), "expected uniform of at least 0%, got -5%"),
        (LossDrop, "give at least one of at_least, at_most"),
        (lambda: LossDrop(window=3), "give at least one of at_least, at_most"),
        (lambda: LossDrop(at_least=0.5, at_most=0.25), "at_least (0.5) lies above at_most (0.25)"),
        (FinalLoss, "give at least one of at_least, at_most"),
        (lambda: FinalLoss(at_least=2.0, at_most=1.0), "at_least (2) lies above at_most (1)"),
        (lambda: LossAt(steps={}), "give at least one step"),
        (Between, "give at least one of at_least, at_most"),
        (lambda: Between(at_least=2.0, at_most=1.0), "at_least (2) lies above at_most (1)"),
        (lambda: Gradients(tensors={}), "give at least one tensor pattern"),
        (GradientBounds, "give at least one of norm, largest, dead"),
        (lambda: GradientBounds(dead=1.0), "expected dead of at least 0% and below 100%, got 100%"),
        (lambda: GradientBounds(dead=-0.5), "expected dead of at least 0% and below 100%, got -50%"),
        (lambda: Weights(tensors={}), "give at least one tensor pattern"),
        (WeightBounds, "give at least one of norm, mean"),
        (Updates, "give at least one of per_step, matches_optimizer"),
        (LearningRate, "give at least one of follows, peak, last"),
        (lambda: LearningRate(tolerance=0.1), "give at least one of follows, peak, last"),
        (PeakMemory, "give at least one of at_least, at_most"),
        (lambda: PeakMemory(phase="build"), "give at least one of at_least, at_most"),
        (lambda: PeakMemory(at_least=2, at_most=1), "at_least (2) lies above at_most (1)"),
        (StartupTime, "give at least one of at_least, at_most"),
        (StepTime, "give at least one of at_least, at_most"),
        (lambda: StepTime(at_least=2.0, at_most=1.0), "at_least (2) lies above at_most (1)"),
        (Throughput, "give at least one of at_least, at_most"),
        (
            lambda: Throughput(at_least=rate("1 steps/s"), at_most=rate("9 tokens/s")),
            "at_least is in step/s and at_most in token/s; give both in one unit",
        ),
        (
            lambda: Throughput(at_least=rate("5 MiB/s")),
            "expected a rate in token/s, sample/s, step/s, got one in B/s",
        ),
        (MatchesReference, "give at least one of loss, gradients"),
        (
            lambda: Deterministic(required=False),
            "nothing can be expected of a training that may differ; leave the key out",
        ),
        (lambda: EntropyFloor(margin=1.0), "expected a margin of at least 0% and below 100%, got 100%"),
        (lambda: EntropyFloor(margin=-0.1), "expected a margin of at least 0% and below 100%, got -10%"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize(
    "cls", [Parameters, MemoryGrowth, EntropyFloor, Deterministic, LossAt, Gradients, Weights]
)
def test_required(cls):
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument"):
        cls()


# what several checks share


@pytest.mark.parametrize(
    ("value", "low", "high", "good"),
    [
        (1.0, 1.0, 1.0, True),
        (1.0, None, None, True),
        (0.999, 1.0, None, False),
        (1.001, None, 1.0, False),
        (nan, None, None, False),
        (nan, 0.0, 9.0, False),
        (inf, 0.0, None, False),
        (-inf, None, 0.0, False),
    ],
)
def test_within(value, low, high, good):
    assert within(value, low, high) is good


def test_window_of():
    assert [window_of(steps, None) for steps in (1, 9, 10, 19, 20, 50, 99)] == [1, 1, 1, 1, 2, 5, 5]
    assert [window_of(steps, 4) for steps in (1, 4, 99)] == [1, 4, 4]


def test_stands_at_names_each_anchor():
    facts = healthy_facts()
    assert stands_at(facts, LN_27) == "loss stands at 3.295837 = ln 27"
    assert stands_at(facts, 2.8) == "loss stands at 2.800000 = the unigram entropy"
    assert stands_at(facts, 1.5) == "loss stands at 1.500000 = the floor"
    assert stands_at(facts, 2.0) == stands_at(facts, nan) == stands_at(facts, inf) == ""
    assert stands_at(healthy_facts(problem=None), LN_27) == ""


def test_stands_at_allows_one_part_in_ten_thousand():
    assert stands_at(healthy_facts(), 2.8 * (1 + 0.99e-4))
    assert not stands_at(healthy_facts(), 2.8 * (1 + 1.01e-4))


def test_matching_is_by_shell_pattern_and_case():
    names = ("embedding", "layers.0.mlp.up.weight", "Embedding")
    assert matching("*", names) == [0, 1, 2]
    assert matching("emb*", names) == [0]
    assert matching("layers.?.mlp.*.weight", names) == [1]


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        ((), ""),
        ((1.0, 2.0, 9.0), ""),  # too few to tell
        ((1.0, 1.0, 1.0, 1.0), ""),
        ((1.0, 1.1, 1.2, 1.3), ""),
        ((1.0, 1.0, 2.0, 2.0), "unstable: the middle half spans 1 s to 2 s"),
        ((nan,) * 4, ""),
    ],
)
def test_spread(samples, says):
    assert spread(Measurement(name="step_time", value=1.0, unit="s", samples=samples)) == says


def test_messages_use_the_one_formatter():
    verdict = only(StepTime(at_most=0.0123456), measuring("step_time", 0.0123457))
    assert verdict.message == f"{show(0.0123457, 's')} a step (median), expected <= {show(0.0123456, 's')}"
