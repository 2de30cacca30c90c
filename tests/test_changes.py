"""Since when, which way, healed or not, code or environment: over made-up runs in the order of time."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recorded import FINGERPRINT, PROBLEM, WORKER, make_facts, make_run, make_trace

from harness.changes import EXACT, TOLD, Change, changes
from harness.cli import main
from harness.clocks import namesakes
from harness.history import METRICS
from harness.model import Measurement, Status
from harness.sessions import Session
from harness.store import open_store


def night(number, *, step_time=0.036, loss=2.0, fingerprint=None, worker=None, **more):
    measured = {"step_time": Measurement(name="step_time", value=step_time, unit="s")}
    measured |= {name: Measurement(name=name, value=value, unit="B") for name, value in more.items()}
    environment = {**WORKER, **(worker or {})}
    facts = make_facts(
        measurements=measured, environment=environment, trace=make_trace((3.5, 3.0, 2.5, loss))
    )
    around = {**FINGERPRINT, "commit": f"c{number:03d}", "canary": 1e-3, **(fingerprint or {})}
    return make_run(
        f"r{number:03d}", started=1000.0 + number, environment=around, facts=facts, status=Status.PASS
    )


def nights(*levels, seed=0, noise=0.02, **surroundings):
    """Runs with step times at these levels, (how many, seconds); surroundings: name=function of the number."""
    generator = np.random.default_rng(seed)
    times = [
        level * (1 + noise * generator.standard_normal()) for count, level in levels for _ in range(count)
    ]
    return [
        night(number, step_time=time, **{name: give(number) for name, give in surroundings.items()})
        for number, time in enumerate(times)
    ]


def of(metric, runs):
    return list(changes(runs, [metric]))


def test_a_slower_step_is_a_regression_since_a_commit():
    (change,) = of("step_time", nights((60, 0.036), (20, 0.042)))
    assert (change.case, change.backend, change.metric, change.unit) == (
        "cllm-minimal", "torch_eager", "step_time", "s",
    )  # fmt: skip
    assert (change.kind, change.commit, change.last_commit) == ("regression", "c060", "c059")
    assert (change.run, change.when) == ("r060", 1060.0)
    assert change.share == pytest.approx(1 / 6, abs=0.02)
    assert (change.environment, change.healed) == ("", "")


def test_a_faster_step_is_an_improvement():
    (change,) = of("step_time", nights((60, 0.042), (20, 0.036)))
    assert (change.kind, change.commit) == ("improvement", "c060")


def test_a_regression_that_healed_stays_listed():
    found = of("step_time", nights((60, 0.036), (15, 0.042), (15, 0.036), seed=2))
    assert [(change.kind, change.healed != "") for change in found] == [
        ("regression", True),
        ("improvement", False),
    ]
    assert found[0].healed == found[1].run


def test_half_a_way_back_heals_nothing():
    found = of("step_time", nights((60, 0.036), (25, 0.046), (25, 0.041), seed=2, noise=0.01))
    assert [(change.kind, change.healed) for change in found] == [("regression", ""), ("improvement", "")]


@pytest.mark.parametrize("metric", TOLD)
def test_every_metric_that_is_told_exists(metric):
    assert metric in METRICS
    assert changes([], [metric]) == ()


# What is computed bit for bit.


def test_a_loss_that_differs_in_the_last_bit_is_told_at_once():
    runs = [night(0), night(1), night(2, loss=float(np.nextafter(2.0, 3)))]
    (change,) = of("final_loss", runs)
    assert (change.kind, change.run, change.before) == ("change", "r002", 2.0)
    assert 0 < change.share < 1e-15


def test_a_lower_loss_is_an_improvement_and_the_first_loss_only_a_change():
    runs = [night(0), night(1, loss=1.9)]
    assert [change.kind for change in of("final_loss", runs)] == ["improvement"]
    other = replace(runs[1], facts=replace(runs[1].facts, trace=make_trace((3.4, 3.0, 2.5, 2.0))))
    assert [change.kind for change in of("first_loss", [runs[0], other])] == ["change"]


@pytest.mark.parametrize(("loss", "kind"), [(2.0 + 1e-5, "change"), (2.0 + 4e-5, "regression")])
def test_rounding_is_neither_better_nor_worse(loss, kind):
    assert [change.kind for change in of("final_loss", [night(0), night(1, loss=loss)])] == [kind]


def test_a_first_loss_that_comes_back_has_healed():
    def begins(number, loss):
        run = night(number)
        return replace(run, facts=replace(run.facts, trace=make_trace((loss, 3.0, 2.5, 2.0))))

    found = of("first_loss", [begins(0, 3.5), begins(1, 3.6), begins(2, 3.5)])
    assert [(change.run, change.healed) for change in found] == [("r001", "r002"), ("r002", "")]


def test_an_improvement_that_went_back_does_not_stand():
    found = of("final_loss", [night(0), night(1, loss=1.5), night(2, loss=2.5), night(3, loss=1.0)])
    assert [(change.kind, change.healed) for change in found] == [
        ("improvement", "r002"),
        ("regression", "r003"),
        ("improvement", ""),
    ]


def test_nan_is_worse_than_any_number_and_equals_itself():
    found = of("final_loss", [night(0), night(1, loss=math.nan), night(2, loss=math.nan), night(3)])
    assert [(change.kind, change.run) for change in found] == [
        ("regression", "r001"),
        ("improvement", "r003"),
    ]
    assert [change.healed for change in found] == ["r003", ""]
    lost = of("final_loss", [night(0, loss=math.nan), night(1), night(2, loss=math.nan)])
    assert [(change.kind, change.healed) for change in lost] == [("improvement", "r002"), ("regression", "")]


def test_what_never_repeats_is_no_matter_of_bits():
    generator = np.random.default_rng(0)
    runs = [night(number, loss=2 + 0.01 * generator.standard_normal()) for number in range(40)]
    assert of("final_loss", runs) == []
    later = [night(number, loss=2.2 + 0.01 * generator.standard_normal()) for number in range(40, 60)]
    (change,) = of("final_loss", runs + later)
    assert change.run == "r040"


def test_other_parameters_are_told():
    runs = [night(0), night(1)]
    runs[1] = replace(runs[1], facts=replace(runs[1].facts, parameters=12417))
    assert [(c.kind, c.before, c.after) for c in of("parameters", runs)] == [("change", 12416, 12417)]
    assert "parameters" in EXACT


# Code or environment.


def around(**parts):
    """A fingerprint that is another from run 60 on; parts: name=(before, since)."""
    return lambda number: {name: values[number >= 60] for name, values in parts.items()}


def test_a_slower_machine_is_not_the_code():
    runs = nights((60, 0.036), (20, 0.042), fingerprint=around(canary=(1e-3, 1.17e-3)))
    (change,) = of("step_time", runs)
    assert change.environment == "canary kernel: 1 ms and 1.17 ms"


def test_a_canary_that_explains_less_than_half_explains_nothing():
    runs = nights((60, 0.036), (20, 0.046), fingerprint=around(canary=(1e-3, 1.05e-3)))
    assert [change.environment for change in of("step_time", runs)] == [""]


def test_a_canary_that_went_the_other_way_explains_nothing():
    runs = nights((60, 0.036), (20, 0.042), fingerprint=around(canary=(1e-3, 0.8e-3)))
    assert [change.environment for change in of("step_time", runs)] == [""]


def test_a_canary_that_only_scatters_explains_nothing():
    generator = np.random.default_rng(1)
    scattered = [{"canary": 1e-3 * (1 + 0.3 * generator.random())} for _ in range(80)]
    runs = nights((60, 0.036), (20, 0.042), fingerprint=lambda number: scattered[number])
    assert [change.environment for change in of("step_time", runs)] == [""]


def test_a_throughput_falls_where_the_canary_rises():
    def rate(number):
        value = 1000.0 if number < 60 else 850.0
        run = night(number, fingerprint={"canary": 1e-3 if number < 60 else 1.2e-3})
        noisy = value * (1 + 0.01 * math.sin(number * number))
        measured = {"throughput": Measurement(name="throughput", value=noisy, unit="token/s")}
        return replace(run, facts=replace(run.facts, measurements=measured))

    (change,) = of("throughput", [rate(number) for number in range(80)])
    assert (change.kind, change.environment) == ("regression", "canary kernel: 1 ms and 1.2 ms")


def test_memory_is_no_matter_of_the_canary():
    runs = [
        night(number, **{"peak_memory.train": 1e6 if number < 60 else 2e6}, fingerprint={"canary": canary})
        for number, canary in ((number, 1e-3 if number < 60 else 2e-3) for number in range(80))
    ]
    (change,) = of("peak_memory", runs)
    assert (change.kind, change.environment) == ("regression", "")


def test_what_else_changed_just_then_is_named():
    runs = nights((60, 0.036), (20, 0.042), fingerprint=around(kernel=("6.1", "6.8")))
    assert [change.environment for change in of("step_time", runs)] == ["kernel: 6.1 and 6.8"]
    worker = nights((60, 0.036), (20, 0.042), worker=around(compiler=("gcc 13", "gcc 14")))
    assert [change.environment for change in of("step_time", worker)] == ["compiler: gcc 13 and gcc 14"]


def test_what_changes_every_night_is_blamed_for_nothing():
    runs = nights((60, 0.036), (20, 0.042), fingerprint=lambda number: {"host": f"h{number}"})
    assert [change.environment for change in of("step_time", runs)] == [""]


def test_what_changed_long_before_is_blamed_for_nothing():
    runs = nights((60, 0.036), (20, 0.042), fingerprint=lambda number: {"kernel": str(number >= 40)})
    assert [change.environment for change in of("step_time", runs)] == [""]


def test_where_no_commit_lies_between_it_was_not_the_code():
    runs = nights((60, 0.036), (20, 0.042), fingerprint=lambda _: {"commit": "c0ffee00112233"})
    assert [change.environment for change in of("step_time", runs)] == ["the commit stayed c0ffee001"]
    dirty = nights((60, 0.036), (20, 0.042), fingerprint=lambda _: {"commit": "c0ffee", "dirty": True})
    assert [change.environment for change in of("step_time", dirty)] == [""]


def test_another_kind_of_run_is_an_environment_that_changed():
    runs = nights((60, 0.036), (20, 0.042), fingerprint=around(torch=("2.13.0", "2.14.0")))
    assert [(change.kind, change.run, change.environment) for change in of("step_time", runs)] == [
        ("regression", "r060", "torch: 2.13 and 2.14")
    ]
    still = nights((60, 0.036), (20, 0.036), fingerprint=around(torch=("2.13.0", "2.14.0")))
    assert of("step_time", still) == []


def test_a_loss_on_another_kind_of_machine_differs_because_of_it():
    runs = [
        night(0),
        night(1, loss=2.1, fingerprint={"cpu": "other"}),
        night(2, loss=2.1, fingerprint={"cpu": "other"}),
    ]
    assert [(change.run, change.environment) for change in of("final_loss", runs)] == [
        ("r001", "CPU model: EPYC and other")
    ]


def test_other_numbers_that_were_wanted_are_no_change():
    again = replace(night(1, loss=1.0), revision=2)
    other = night(2, loss=0.5)
    other = replace(other, facts=replace(other.facts, problem=replace(PROBLEM, digest="p1")))
    assert of("final_loss", [night(0), again, other]) == []


# The command.


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    def told(runs, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TZ", "UTC")
        with open_store(tmp_path / "out" / "history.sqlite") as store:
            store.begin(Session(id="s1", started=1.0))
            for run in runs:
                store.add(run)
        assert main(["history", *arguments]) == 0
        return [line for line in capsys.readouterr().out.splitlines() if "since" in line]

    return told


def test_history_tells_changes_in_a_line_each(told):
    lines = told(nights((60, 0.036), (20, 0.042)), "--json", "found.json")
    assert len(lines) == 1
    assert lines[0].startswith("regression  cllm-minimal [torch_eager]  step_time 36")
    assert " ms to 42" in lines[0]
    assert " since c060, run r060 of 1970-01-01 00:17  code  stands" in lines[0]
    [change] = json.loads(Path("found.json").read_text())["changes"]
    assert change["metric"] == "step_time"
    assert set(change) == {*Change.__dataclass_fields__, "share"}


def test_history_names_the_environment_and_the_run_that_healed(told):
    canary = around(canary=(1e-3, 1.17e-3))
    [line] = told(nights((60, 0.036), (20, 0.042), fingerprint=canary))
    assert "run r060 of " in line
    assert line.endswith("  environment: canary kernel: 1 ms and 1.17 ms  stands")


def test_history_looks_at_all_runs_however_few_it_shows(told):
    assert len(told(nights((60, 0.036), (40, 0.042)), "--limit", "3")) == 1


def test_history_of_one_run_tells_no_change(told):
    assert told([night(0)]) == []


def test_clocks_that_went_backwards_make_no_change(told):
    assert told([replace(night(number), started=1000.0 - number) for number in range(1, 30)]) == []


def test_a_clock_that_was_wrong_is_told(told, capsys):
    late = replace(night(2), id="late", started=4e10)
    early = night(3, fingerprint={"commit_date": "2026-03-02T03:10:00+01:00"})
    told([night(1), replace(early, id="early", started=1e9), late])
    main(["history"])
    [note] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert note == (
        "note: 2 runs (first early of 2001-09-09 01:46) dated after now or before the commit: a clock was wrong;"
        " what changed is told without them"
    )


def test_a_run_that_is_dated_ahead_heals_nothing(told):
    ahead = replace(night(2), id="ahead", started=4e10)
    [line] = told([night(0), night(1, loss=2.5), ahead])
    assert line.startswith("regression  cllm-minimal [torch_eager]  final_loss 2 to 2.5")
    assert line.endswith("  stands")


def test_two_machines_of_one_name_are_told(told, capsys):
    def starts(boots):
        return [night(at, fingerprint={"host": "0123456789", "boot": boots[at]}) for at in range(len(boots))]

    told(starts("aabbab"))
    main(["history"])
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")] == [
        "note: host 01234567 is the name of several machines, whose starts alternate: give each a host name of its own",
        "note: changes of time and memory are told from 20 comparable runs on; here are 6 at most",
    ]
    assert namesakes(starts("aabbcc")) == namesakes(starts(["a", None, "a", "b"])) == ()
