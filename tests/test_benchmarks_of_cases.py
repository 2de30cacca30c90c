"""The benchmarks that asv makes of the smoke cases."""

from dataclasses import replace

import numpy as np
import pytest
from nights import a_run, stuck, unavailable

from benchmarks import cases
from harness.model import Status, Verdict

SMOKE = cases.smoke_cases()


def test_every_smoke_case_is_a_benchmark_with_its_digest_as_version():
    assert len(SMOKE) >= 3
    for case in SMOKE:
        benchmark = getattr(cases, cases.class_name(case))
        assert (benchmark.version, benchmark.params) == (case.digest, (list(case.backends),))
        tracked = {name for name in dir(benchmark) if name.startswith("track_")}
        assert tracked == {
            "track_step_time", "track_peak_memory", "track_loss_ratio", "track_gradient_norm",
            "track_parity_error",
        }  # fmt: skip
        assert all(getattr(benchmark, name).unit for name in tracked)
    assert len({cases.class_name(case) for case in SMOKE}) == len(SMOKE)


def test_the_numbers_are_those_of_the_run():
    verdicts = [
        Verdict(check="matches_reference", status=Status.PASS, observed=value) for value in (2e-6, 1e-6)
    ]
    run = replace(a_run(), verdicts=tuple(verdicts))
    found = cases.numbers_of(run)
    norm = np.median(np.linalg.norm(run.facts.trace.gradient_norm, axis=1))
    assert found == {
        "step_time": 0.0012,
        "peak_memory": 9.0e6,
        "parity_error": 2e-6,
        "loss_ratio": 2.5 / 3.3,
        "gradient_norm": pytest.approx(norm),
    }


def test_what_a_run_did_not_tell_is_absent_or_no_number():
    assert cases.numbers_of(unavailable()) == {}
    assert "parity_error" not in cases.numbers_of(stuck())
    case = SMOKE[0]
    benchmark, cache = getattr(cases, cases.class_name(case))(), {case.name: {"x": {"loss_ratio": 0.5}}}
    assert benchmark.track_loss_ratio(cache, "x") == 0.5
    assert np.isnan(benchmark.track_parity_error(cache, "x"))
    with pytest.raises(NotImplementedError):
        benchmark.setup(cache, "y")
