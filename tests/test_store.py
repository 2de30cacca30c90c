import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recorded import FINGERPRINT, make_facts, make_run, same

from harness.history import RunRow, losses
from harness.model import (
    Facts,
    HarnessError,
    Measurement,
    Outcome,
    Status,
    Verdict,
)
from harness.sessions import Session
from harness.store import open_store


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "out" / "history.sqlite") as store:
        store.begin(Session(id="s1", started=1.0))
        yield store


def rows(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def file_of(store):
    return Path(store.where)


def test_a_run_comes_back_with_and_without_its_arrays(store):
    run = make_run()
    store.add(run)
    assert same(store.run("r1"), run)
    assert same(store.trace("r1"), run.facts.trace)
    (light,) = store.runs()
    bare = {name: replace(found, samples=()) for name, found in run.facts.measurements.items()}
    loss = losses(run.facts.trace)
    expected = {
        **{name: getattr(run, name) for name in run.__dataclass_fields__},
        "facts": make_facts(trace=None, measurements=bare),
    }
    assert same(light, RunRow(**expected, first_loss=loss.first, final_loss=loss.final, loss_drop=loss.drop))


def test_a_run_that_never_trained_comes_back(store):
    run = make_run(
        facts=Facts(outcome=Outcome.UNAVAILABLE, message="no GPU"), verdicts=(), diagnoses=(), environment={}
    )
    store.add(run)
    assert same(store.run("r1"), run)
    assert store.trace("r1") is None
    assert store.runs()[0].final_loss is None


def test_numpy_numbers_are_recorded_as_numbers(store):
    verdict = Verdict(check="a", status=Status.PASS, observed=np.float32(0.5), step=np.int64(3))
    odd = make_facts(
        parameters=np.int64(7), measurements={"m": Measurement(name="m", value=np.float32(2), unit="s")}
    )
    store.add(make_run(verdicts=(verdict,), facts=odd))
    found = store.run("r1")
    assert same(found.verdicts[0], Verdict(check="a", status=Status.PASS, observed=0.5, step=3))
    assert (found.facts.parameters, found.facts.measurements["m"].value) == (7, 2.0)


def test_text_that_is_no_utf8_is_escaped(store):
    store.add(make_run(message="log: \udcff", facts=make_facts(detail="\udc80 ok")))
    found = store.run("r1")
    assert (found.message, found.facts.detail) == ("log: \\udcff", "\\udc80 ok")


def test_nan_is_told_from_nothing_inside_the_database(store):
    nan, nothing = (Verdict(check="c", status=Status.FAIL, observed=value) for value in (float("nan"), None))
    store.add(make_run(verdicts=(nan, nothing)))
    assert rows(file_of(store), "SELECT observed FROM verdict ORDER BY position") == [("nan",), (None,)]


def test_equal_fingerprints_are_kept_once(store):
    store.add_many(make_run(f"r{number}", environment=dict(FINGERPRINT)) for number in range(5))
    store.add(make_run("r9", environment=dict(reversed(FINGERPRINT.items()))))
    store.add(make_run("r10", environment={**FINGERPRINT, "cores": 4}))
    assert rows(file_of(store), "SELECT count(*) FROM environment") == [(3,)]
    assert store.run("r10").environment["cores"] == 4
    assert store.run("r9").environment == FINGERPRINT


def test_runs_in_the_order_of_time_by_case_backend_and_session(store):
    store.begin(Session(id="s2", started=2.0))
    added = [("b", 2.0, "x", "eager", "s1"), ("a", 1.0, "x", "numpy", "s1"), ("c", 3.0, "y", "eager", "s2")]
    for run_id, started, case, backend, session in added:
        store.add(make_run(run_id, started=started, case=case, backend=backend, session=session))
    ids = lambda **wanted: [run.id for run in store.runs(**wanted)]  # noqa: E731
    assert ids() == ["a", "b", "c"]
    assert ids(limit=2) == ["b", "c"]
    assert ids(case="x") == ["a", "b"]
    assert ids(backend="eager") == ["b", "c"]
    assert ids(session="s1", case="x", backend="numpy") == ["a"]
    assert ids(case="z") == []


def test_more_runs_than_one_statement_takes(store):
    bare = make_run(facts=Facts(outcome=Outcome.CRASHED), diagnoses=())
    many = [
        replace(bare, id=f"r{number:05}", started=float(number), environment={"n": number})
        for number in range(1203)
    ]
    store.add_many(many)
    found = store.runs()
    assert [run.id for run in found] == [run.id for run in many]
    assert all(
        run.environment == {"n": number} and len(run.verdicts) == 3 for number, run in enumerate(found)
    )


@pytest.mark.parametrize("begin", ["0a1", "0a", "0a1b"])
def test_a_run_by_the_beginning_of_its_id(store, begin):
    store.add_many([make_run("0a1b"), make_run("0b%_"), make_run("0A1B")])
    assert store.run(begin).id == "0a1b"


def test_an_id_that_begins_another_is_found(store):
    store.add_many([make_run("ab"), make_run("abc")])
    assert store.run("ab").id == "ab"


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        ("x", "no run 'x'; `harness history` lists them"),
        ("0%", "no run '0%'; `harness history` lists them"),
        ("1", "'1' begins several runs, expected one of: 10, 11, 12, 13, 14, 15, 16, 17, ..."),
        ("0", "'0' begins several runs, expected one of: 00, 01"),
    ],
)
def test_unclear_ids_are_refused(store, begin, said):
    store.add_many(make_run(name) for name in ("00", "01", *(str(number) for number in range(10, 20))))
    for look in (store.run, store.trace):
        with pytest.raises(HarnessError) as error:
            look(begin)
        assert str(error.value) == f"store {store.where}: {said}"
        assert error.value.exit_code == 2


def test_latest_is_the_last_session_that_has_runs(store):
    assert store.latest() == ()
    store.begin(Session(id="s3", started=30.0))
    store.begin(Session(id="s2", started=20.0))
    store.add_many(
        [make_run("a"), make_run("c", session="s2", started=5.0), make_run("b", session="s2", started=4.0)]
    )
    assert [run.id for run in store.latest()] == ["b", "c"]


def test_sessions_come_back_in_the_order_of_time(store):
    whole = Session(
        id="s0",
        started=0.5,
        finished=0.75,
        command=("run", "cases"),
        plan=[["a", "numpy", "d"]],
        checkout={"dirty": True},
    )
    store.begin(whole)
    assert store.sessions() == (whole, Session(id="s1", started=1.0))


def test_unfinished_is_the_latest_of_its_plan_that_did_not_end(store):
    plan = {"cases": ["a"], "workers": 2}
    for number, name in enumerate("abc"):
        store.begin(Session(id=name, started=10.0 + number, plan=plan))
    store.begin(Session(id="other", started=20.0, plan={"cases": ["b"]}))
    same_plan = Session(id="", started=0.0, plan={"workers": 2, "cases": ("a",)}).plan_digest
    store.finish("c", 99.0)
    assert store.unfinished(same_plan).id == "b"
    assert store.unfinished().id == "other"
    assert store.unfinished("nothing") is None
    for name in ("a", "b", "other", "s1"):
        store.finish(name)
    assert store.unfinished() is None
    assert {session.id: session.finished for session in store.sessions()}["c"] == 99.0


def test_sessions_begin_once_and_end_only_if_begun(store):
    with pytest.raises(HarnessError, match=r"session 's1' has already begun$"):
        store.begin(Session(id="s1", started=2.0))
    with pytest.raises(HarnessError, match=r"there is no session 's9'$"):
        store.finish("s9")
