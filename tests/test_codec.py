import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from recorded import QUIET_NAN, make_facts, make_run, make_trace, same

from harness.codec import (
    pack_samples,
    pack_trace,
    read_facts,
    run_to_json,
    runs_to_json,
    unpack_samples,
    unpack_trace,
    write_facts,
)
from harness.model import BrokenError, Facts, Outcome, Status
from harness.plain import digest, plain, strict


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint64, (3, 2), elements=st.integers(0, 2**64 - 1)))
def test_trace_keeps_every_bit(bits):
    trace = replace(make_trace((1.0, 2.0, 3.0)), gradient_norm=bits.view(np.float64))
    assert same(unpack_trace(pack_trace(trace)), trace)


@pytest.mark.parametrize(
    "trace", [make_trace(()), make_trace((1.0,), ()), make_trace(), replace(make_trace(), events={})]
)
def test_trace_of_any_shape_comes_back(trace):
    assert same(unpack_trace(pack_trace(trace)), trace)


def test_traces_of_float32_numbers_take_much_less_than_their_size():
    noise = np.random.default_rng(0).standard_normal((200, 30)).astype(np.float32).astype(np.float64)
    trace = make_trace(np.ones(200), tuple(f"t{number}" for number in range(30)))
    empty = pack_trace(replace(trace, gradient_norm=np.zeros_like(noise)))
    assert len(pack_trace(replace(trace, gradient_norm=noise))) - len(empty) < 0.55 * noise.nbytes


@pytest.mark.parametrize(
    "data", [b"", b"garbage", pack_trace(make_trace())[:-9], pack_trace(make_trace())[:9]]
)
def test_damaged_trace_says_so(data):
    with pytest.raises(
        BrokenError, match=rf"^trace: {len(data)} bytes cannot be read \(.*\); the record is damaged$"
    ):
        unpack_trace(data)


def test_samples_keep_every_bit():
    samples = (1.0, -0.0, float("inf"), float(QUIET_NAN), 5e-324)
    assert pack_samples(unpack_samples(pack_samples(samples))) == np.array(samples, "<f8").tobytes()
    assert unpack_samples(pack_samples(())) == ()


@pytest.mark.parametrize(
    "facts", [make_facts(), Facts(outcome=Outcome.CRASHED, phase="train", message="SIGSEGV")]
)
def test_facts_come_back_from_their_file(tmp_path, facts):
    path = tmp_path / "facts"
    write_facts(path, facts)
    assert same(read_facts(path), facts)
    assert list(tmp_path.iterdir()) == [path]


def test_facts_with_numpy_answers_come_back_as_plain_numbers(tmp_path):
    answer = replace(
        make_facts().answers["repeat"],
        facts={"a": np.float32(0.5), "b": np.bool_(True), "c": (1, np.int64(2))},
    )
    write_facts(tmp_path / "facts", make_facts(answers={"repeat": answer}))
    assert read_facts(tmp_path / "facts").answers["repeat"].facts == {"a": 0.5, "b": True, "c": [1, 2]}


def test_full_disk_leaves_the_facts_that_were_there(tmp_path, monkeypatch):
    path = tmp_path / "facts"
    write_facts(path, make_facts())

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        BrokenError, match=r"facts: cannot write the facts of a run: No space left on device; free space"
    ):
        write_facts(path, make_facts(phase="other"))
    assert read_facts(path).phase == "done"
    assert list(tmp_path.iterdir()) == [path]


def test_facts_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BrokenError, match="Not a directory"):
        write_facts(tmp_path / "file" / "facts", make_facts())


@pytest.mark.parametrize("keep", [0, 5, 20, 200, -5])
def test_damaged_facts_say_so(tmp_path, keep):
    path = tmp_path / "facts"
    write_facts(path, make_facts())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BrokenError, match="damaged"):
        read_facts(path)


def test_missing_facts_say_so(tmp_path):
    with pytest.raises(
        BrokenError, match=r"facts: cannot read the facts of a run: No such file or directory"
    ):
        read_facts(tmp_path / "facts")


def test_json_shape_is_the_contract():
    shape = run_to_json(make_run(verdicts=make_run().verdicts[1:2], diagnoses=make_run().diagnoses[:1]))
    assert json.loads(json.dumps(shape, allow_nan=False)) == {
        "schema": 1,
        "id": "r1",
        "session": "s1",
        "case": "cllm-minimal",
        "backend": "torch_eager",
        "revision": 1,
        "case_digest": "d0",
        "problem_digest": "p0",
        "started": 1000.0,
        "seconds": 1.5,
        "status": "fail",
        "reason": "nonfinite",
        "message": "gradients: nan",
        "outcome": "completed",
        "phase": "done",
        "parameters": 12416,
        "verdicts": [
            {
                "check": "gradients",
                "status": "fail",
                "observed": "nan",
                "expected": "0.0001 to 10",
                "unit": "s",
                "step": 3,
                "tensor": "embedding",
                "reason": "nonfinite",
                "message": "",
            }
        ],
        "diagnoses": [
            {
                "name": "no_step",
                "cause": "the optimizer never steps",
                "remedy": "call step()",
                "weight": 0.9,
                "step": None,
                "tensor": "",
                "evidence": ["a", "b"],
            }
        ],
        "measurements": {
            "step_time": {"value": 0.036, "unit": "s", "samples": [0.035, 0.036, "inf"]},
            "peak_memory.build": {"value": 1024.0, "unit": "B", "samples": []},
            "peak_memory.train": {"value": 4096.0, "unit": "B", "samples": []},
        },
        "environment": {
            "commit": "c0ffee",
            "dirty": False,
            "cpu": "EPYC",
            "cores": 2,
            "torch": "2.13.0+cpu",
            "canary": 1e-4,
            "device": "cpu",
            "threads": 1,
            "dtype": "float32",
        },
    }


def test_json_document_holds_runs_that_never_began():
    run = make_run(
        facts=Facts(outcome=Outcome.UNAVAILABLE, message="no GPU"),
        verdicts=(),
        diagnoses=(),
        status=Status.SKIP,
    )
    document = runs_to_json([run, run])
    assert document["schema"] == 1
    assert [found["status"] for found in document["runs"]] == ["skip", "skip"]
    assert document["runs"][0]["problem_digest"] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "nan"),
        (np.float32("-inf"), "-inf"),
        ({"a": [float("inf"), (1,)]}, {"a": ["inf", [1]]}),
        (np.array([[1.0, np.nan]]), [[1.0, "nan"]]),
        (Status.PASS, "pass"),
        (Path("a/b"), "a/b"),
        (b"x", "b'x'"),
        ({1: True}, {"1": True}),
    ],
)
def test_strict_json_values(value, expected):
    assert strict(value) == expected
    assert type(strict(value)) is type(expected)


def test_digest_knows_values_not_the_order_of_keys():
    assert digest({"a": 1, "b": (1, 2)}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert plain({"b": 1, "a": 2}) == {"a": 2, "b": 1}
    assert list(plain({"b": 1, "a": 2})) == ["b", "a"]
