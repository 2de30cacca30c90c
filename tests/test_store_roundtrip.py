from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from recorded import make_trace, same

from harness.model import (
    Anchors,
    Answer,
    Diagnosis,
    Facts,
    Measurement,
    Outcome,
    ProblemFacts,
    Run,
    Status,
    Verdict,
)
from harness.sessions import Session
from harness.store import open_store

words = st.text(max_size=8)
keys = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=8)
numbers = st.floats(allow_nan=True, allow_infinity=True)
steps = st.none() | st.integers(0, 2**40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(words, json_values, max_size=3)
measurements = st.builds(
    Measurement, name=keys, value=numbers, unit=words, samples=st.lists(numbers, max_size=4).map(tuple)
)
verdicts = st.builds(
    Verdict,
    check=keys,
    status=st.sampled_from(Status),
    observed=st.none() | numbers | words,
    expected=words,
    unit=words,
    step=steps,
    tensor=words,
    reason=words,
    message=words,
)
diagnoses = st.builds(
    Diagnosis,
    name=keys,
    cause=words,
    remedy=words,
    weight=numbers,
    step=steps,
    tensor=words,
    evidence=st.lists(words, max_size=3).map(tuple),
)
problems = st.builds(
    ProblemFacts,
    digest=keys,
    vocabulary=st.none() | st.integers(1, 10**6),
    parameters=st.integers(0, 2**40),
    shapes=st.dictionaries(words, st.lists(st.integers(1, 99), max_size=3).map(tuple), max_size=3),
    anchors=st.builds(Anchors, uniform=st.none() | numbers, floor=st.none() | numbers),
    tokens_per_step=numbers,
    samples_per_step=st.integers(1, 99),
    steps=st.integers(1, 99),
    learning_rates=st.lists(numbers, max_size=3).map(tuple),
)
traces = arrays(np.uint64, (4,), elements=st.integers(0, 2**64 - 1)).map(
    lambda bits: replace(
        make_trace(), loss=bits.view(np.float64), events={"update": bits[::-1].view(np.float64)}
    )
)
facts = st.builds(
    Facts,
    outcome=st.sampled_from(Outcome),
    phase=words,
    message=words,
    detail=words,
    problem=st.none() | problems,
    parameters=st.none() | st.integers(0, 2**40),
    trace=st.none() | traces,
    measurements=st.lists(measurements, max_size=3).map(lambda found: {one.name: one for one in found}),
    answers=st.dictionaries(
        words, st.builds(Answer, facts=json_objects, seconds=numbers, skipped=words), max_size=2
    ),
    environment=json_objects,
)
runs = st.builds(
    Run,
    id=keys,
    session=st.just("s"),
    case=keys,
    backend=keys,
    revision=st.integers(1, 99),
    case_digest=keys,
    started=st.floats(0, 2e9),
    seconds=numbers,
    status=st.sampled_from(Status),
    reason=words,
    message=words,
    facts=facts,
    environment=json_objects,
    verdicts=st.lists(verdicts, max_size=3).map(tuple),
    diagnoses=st.lists(diagnoses, max_size=2).map(tuple),
)


@pytest.fixture(scope="module")
def one_store(tmp_path_factory):
    with open_store(tmp_path_factory.mktemp("store") / "history.sqlite") as store:
        store.begin(Session(id="s", started=1.0))
        yield store


numbered = count()


@settings(max_examples=60, deadline=None)
@given(run=runs)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_any_run_comes_back_as_it_was(one_store, run):
    run = replace(run, id=f"{next(numbered)}.{run.id}")
    one_store.add(run)
    assert same(one_store.run(run.id), run)
