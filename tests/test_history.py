import math
from dataclasses import replace

import numpy as np
import pytest
from recorded import FINGERPRINT, PROBLEM, WORKER, make_facts, make_run, make_trace

from harness.history import (
    METRICS,
    Point,
    RunRow,
    comparable_facts,
    losses,
    metric_named,
    series,
)
from harness.history_lines import HistoryLine, history_lines
from harness.model import Facts, HarnessError, Measurement, Outcome, Status


def at(number, *, step_time=0.036, fingerprint=FINGERPRINT, worker=WORKER, **changes):
    measured = {"step_time": Measurement(name="step_time", value=step_time, unit="s")}
    facts = make_facts(measurements=measured, environment=worker)
    commit = {**fingerprint, "commit": f"c{number}"}
    return make_run(f"r{number}", started=float(number), environment=commit, facts=facts, **changes)


def crashed(number):
    facts = Facts(outcome=Outcome.CRASHED, message="SIGSEGV")
    return make_run(f"r{number}", started=float(number), facts=facts, status=Status.ERROR, reason="crashed")


def test_losses_are_medians_over_a_tenth_of_the_steps():
    loss = np.linspace(4.0, 2.0, 40)
    loss[1] = 100.0
    found = losses(make_trace(loss))
    assert found.first == np.median(loss[:4])
    assert found.final == np.median(loss[-4:])
    assert found.drop == pytest.approx((found.first - found.final) / found.first, rel=1e-15)


def test_losses_without_steps_and_from_zero():
    assert losses(None) is None
    assert losses(make_trace(())) is None
    assert math.isnan(losses(make_trace((0.0, 0.0))).drop)
    assert losses(make_trace((-2.0, -3.0))).drop == 0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parameters", 12416),
        ("first_loss", 3.5),
        ("final_loss", 2.0),
        ("loss_drop", 1.5 / 3.5),
        ("step_time", 0.036),
        ("peak_memory", 4096.0),
        ("peak_memory.build", 1024.0),
        ("throughput", None),
    ],
)
def test_metrics_of_a_run(name, value):
    assert METRICS[name].read(make_run()) == value


def test_metrics_of_a_light_run_come_from_its_columns():
    whole = make_run()
    values = {name: getattr(whole, name) for name in whole.__dataclass_fields__}
    light = RunRow(
        **{**values, "facts": make_facts(trace=None)}, first_loss=1.0, final_loss=0.5, loss_drop=0.5
    )
    assert [METRICS[name].read(light) for name in ("first_loss", "final_loss", "loss_drop")] == [
        1.0,
        0.5,
        0.5,
    ]
    assert METRICS["loss_drop"].read(make_run(facts=make_facts(trace=None))) is None


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_knows_a_direction_and_is_empty_for_a_crash(metric):
    others = {"throughput": "higher", "loss_drop": "higher", "first_loss": "none", "parameters": "none"}
    assert metric.better == others.get(metric.name, "lower")
    assert metric.about
    assert metric.read(crashed(1)) is None


def test_series_holds_comparable_runs_in_the_order_of_time():
    (found,) = series([at(2, step_time=0.04), at(1)], "step_time")
    assert (found.case, found.backend, found.metric, found.unit, found.better) == (
        "cllm-minimal", "torch_eager", "step_time", "s", "lower",
    )  # fmt: skip
    assert found.points == (
        Point(run="r1", when=1.0, commit="c1", dirty=False, status=Status.FAIL, value=0.036),
        Point(run="r2", when=2.0, commit="c2", dirty=False, status=Status.FAIL, value=0.04),
    )
    assert found.difference == ""


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"worker": {**WORKER, "threads": 2}}, "threads: 1 and 2"),
        ({"worker": {**WORKER, "device": "cuda:0"}}, "device: cpu and cuda:0"),
        ({"fingerprint": {**FINGERPRINT, "torch": "2.14.0"}}, "torch: 2.13 and 2.14"),
        ({"revision": 2}, "case revision: 1 and 2"),
    ],
)
def test_unlike_runs_never_share_a_series(other, difference):
    first, second = series([at(1), at(2, **other), at(3), at(4, **other)], "step_time")
    assert [point.run for point in first.points] == ["r1", "r3"]
    assert [point.run for point in second.points] == ["r2", "r4"]
    assert (first.difference, second.difference) == ("", difference)


def test_cases_and_backends_have_series_of_their_own():
    found = series([at(1), at(2, backend="numpy_float64"), at(3, case="other")], "step_time")
    assert [(one.case, one.backend, one.difference) for one in found] == [
        ("cllm-minimal", "torch_eager", ""),
        ("cllm-minimal", "numpy_float64", ""),
        ("other", "torch_eager", ""),
    ]


def test_another_problem_is_another_series():
    changed = at(2)
    changed = replace(changed, facts=replace(changed.facts, problem=replace(PROBLEM, digest="p1")))
    assert [one.difference for one in series([at(1), changed], "final_loss")] == [
        "",
        "problem digest: p0 and p1",
    ]


def test_a_part_that_a_backend_says_does_not_matter_is_not_compared():
    worker = {**WORKER, "torch": None}
    newer = {**FINGERPRINT, "torch": "3.0"}
    assert len(series([at(1, worker=worker), at(2, worker=worker, fingerprint=newer)], "step_time")) == 1


def test_runs_without_the_metric_stay_out_and_nan_stays_in():
    (found,) = series([at(1), crashed(2), at(3, step_time=math.nan)], "step_time")
    assert [point.run for point in found.points] == ["r1", "r3"]
    assert math.isnan(found.points[1].value)
    assert series([crashed(1)], "step_time") == ()
    assert series([], "step_time") == ()


def test_any_measurement_is_a_metric():
    odd = {"wakeups": Measurement(name="wakeups", value=3.0, unit="1/s")}
    (found,) = series([make_run(facts=make_facts(measurements=odd))], "wakeups")
    assert (found.unit, found.better, found.points[0].value) == ("1/s", "none", 3.0)


def test_throughput_keeps_the_unit_that_was_recorded():
    samples = {"throughput": Measurement(name="throughput", value=3.0, unit="sample/s")}
    (found,) = series([make_run(facts=make_facts(measurements=samples))], "throughput")
    assert (found.unit, found.better) == ("sample/s", "higher")


def test_unknown_metric_names_the_nearest():
    with pytest.raises(HarnessError, match=r"^metric 'steptime': unknown; did you mean 'step_time'\?$"):
        metric_named("steptime", [make_run()])


def test_comparable_facts_join_what_the_machine_and_the_worker_recorded():
    found = comparable_facts(make_run())
    expected = {"case": "cllm-minimal", "backend": "torch_eager", "revision": 1, "problem_digest": "p0"}
    assert found == {**FINGERPRINT, **WORKER, **expected}
    assert comparable_facts(crashed(1))["problem_digest"] is None


def test_history_has_one_line_a_run():
    (line,) = history_lines([make_run()])
    assert line == HistoryLine(
        run="r1",
        case="cllm-minimal",
        backend="torch_eager",
        when=1000.0,
        commit="c0ffee",
        dirty=False,
        status=Status.FAIL,
        reason="nonfinite",
        message="gradients: nan",
        values={"final_loss": 2.0, "loss_drop": 1.5 / 3.5, "step_time": 0.036, "peak_memory": 4096.0},
        changed="",
    )


def test_history_says_where_runs_stop_being_comparable():
    newer = {**FINGERPRINT, "torch": "2.14.0"}
    runs = [at(4, fingerprint=newer), at(1), at(2, backend="jax"), crashed(3), at(5, fingerprint=newer)]
    lines = history_lines(runs, ["step_time"])
    assert [line.run for line in lines] == ["r1", "r2", "r3", "r4", "r5"]
    assert [line.changed for line in lines] == ["", "", "", "torch: 2.13 and 2.14", ""]
    assert [line.values for line in lines] == [{"step_time": 0.036}] * 2 + [{}] + [{"step_time": 0.036}] * 2


def test_history_refuses_an_unknown_metric():
    with pytest.raises(HarnessError, match="metric 'x': unknown"):
        history_lines([make_run()], ["x"])
