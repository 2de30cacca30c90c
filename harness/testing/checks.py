"""The contract of a check."""

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

import numpy as np
import pytest

from harness.checks import Check
from harness.discover import Kind, get, plugins, working
from harness.documents import Node, Place, parse
from harness.model import Answer, Facts, Outcome, Status, Trace, Verdict
from harness.plain import plain
from harness.testing.contract import Contract
from harness.testing.healthy import healthy_trace
from harness.testing.sample import sample_facts
from harness.validation import validate

HEAVY = ("torch", "jax", "transformers", "matplotlib", "sqlalchemy", "ray")


def example(cls: type[Check]) -> Check:
    """A check made from the YAML in the first pair of backticks of its class docstring, as in a case file."""
    found = re.search(r"`([^`]+)`", cls.__doc__ or "")
    assert found, f"{cls.__name__}: expected an example `name: ...` in backticks in the class docstring"
    path = Path(f"{cls.__name__}.__doc__")
    ((key, node),) = parse(" ".join(found[1].split()), path).mapping.items()
    assert key == cls.__module__.rpartition(".")[2], f"{cls.__name__}: the example is for the key '{key}'"
    check, mistakes = validate(cls, node, key, entire=cls.entire)
    assert not mistakes, str(mistakes[0])
    assert isinstance(check, cls)
    return check


class CheckContract(Contract):
    """Every check is a frozen dataclass with an example, pure, and passes only what it has seen."""

    kind: ClassVar[Kind] = "checks"

    def test_it_is_a_frozen_dataclass(self, plugin: str) -> None:
        """Immutable, with named arguments only, and without a `__dict__` to hide state in."""
        cls: Any = self.load(plugin)
        whole = example(cls)
        assert is_dataclass(cls), f"{plugin}: expected @dataclass(frozen=True, kw_only=True, slots=True)"
        assert all(field.kw_only for field in fields(cls)), f"{plugin}: expected kw_only=True"
        with pytest.raises(FrozenInstanceError):
            setattr(whole, fields(cls)[0].name, None)
        assert not hasattr(whole, "__dict__"), f"{plugin}: expected slots=True"

    def test_its_fields_are_typed_and_documented(self, plugin: str) -> None:
        """The class docstring names each parameter, except one that stands for the whole value."""
        cls = self.load(plugin)
        hints = get_type_hints(cls, include_extras=True)
        for field in fields(cls):
            assert hints[field.name] is not Any, (
                f"{plugin}.{field.name}: expected a type that can be validated"
            )
            named = re.search(rf"\b{field.name}\b", cls.__doc__ or "")
            assert named or field.name == cls.entire, (
                f"{plugin}: the docstring does not tell of '{field.name}'"
            )

    def test_its_example_is_valid(self, plugin: str) -> None:
        """What the docstring shows can be written in a case file, and goes by the check's name."""
        assert example(self.load(plugin)).name == plugin

    def test_it_refuses_to_expect_nothing(self, plugin: str) -> None:
        """A check without any expectation could not fail; neither Python nor YAML makes one."""
        cls = self.load(plugin)
        with pytest.raises((TypeError, ValueError)):
            cls()
        check, mistakes = validate(cls, Node({}, Place(Path(plugin))), plugin, entire=cls.entire)
        assert check is None, f"{plugin}: expected a mistake for an empty mapping"
        assert mistakes

    def test_it_asks_probes_that_exist(self, plugin: str) -> None:
        """What it reads can be answered."""
        unknown = set(self.load(plugin).probes) - set(plugins("probes"))
        assert not unknown, f"{plugin}: reads the probes {sorted(unknown)}, which are not found"

    def test_its_verdicts_are_complete(self, plugin: str) -> None:
        """At least one; each with its status, a sentence in one line, and a reason unless it passes."""
        for verdict in _judge(example(self.load(plugin)), sample_facts()):
            assert isinstance(verdict, Verdict)
            assert verdict.check == plugin
            assert isinstance(verdict.status, Status)
            assert verdict.message, f"{plugin}: a verdict says nothing"
            assert "\n" not in verdict.message
            assert bool(verdict.reason) == (verdict.status is not Status.PASS), f"{plugin}: {verdict}"

    def test_it_is_pure(self, plugin: str) -> None:
        """The same facts give the same verdicts, and stay as they are."""
        check, facts = example(self.load(plugin)), _read_only(sample_facts())
        before = json.dumps(plain(_dict(facts)))
        assert repr(_judge(check, facts)) == repr(_judge(check, facts))
        assert json.dumps(plain(_dict(facts))) == before

    @pytest.mark.parametrize("trace", [None, healthy_trace(steps=0)], ids=["no trace", "no step"])
    def test_it_never_passes_what_is_missing(self, plugin: str, trace: Trace | None) -> None:
        """A completed run that recorded nothing is an error, or at most skipped."""
        verdicts = _judge(example(self.load(plugin)), Facts(outcome=Outcome.COMPLETED, trace=trace))
        assert {verdict.status for verdict in verdicts} <= {Status.ERROR, Status.SKIP}, verdicts

    def test_it_never_passes_nan(self, plugin: str) -> None:
        """Whatever it reads of the facts: where all those numbers are NaN, some verdict is no pass."""
        check, facts = example(self.load(plugin)), sample_facts()
        for what, sick in _poisoned(check, facts):
            passed = all(verdict.status is Status.PASS for verdict in _judge(check, sick))
            assert not passed, f"{plugin} passes although {what} is NaN"

    def test_it_pickles(self, plugin: str) -> None:
        """It travels to the isolated process, and its verdicts come back."""
        check = example(self.load(plugin))
        assert pickle.loads(pickle.dumps(check)) == check  # noqa: S301 - our own bytes
        verdicts = _judge(check, sample_facts())
        assert repr(pickle.loads(pickle.dumps(verdicts))) == repr(verdicts)  # noqa: S301 - our own bytes

    def test_checks_import_no_framework(self) -> None:
        """Judging needs numbers only; `harness list` imports all checks and must stay quick."""
        names = self.names or tuple(working("checks"))
        modules = sorted(get("checks", name).__module__ for name in names)
        code = f"import sys, {', '.join(modules)}; print(*(set({HEAVY}) & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        assert not done.stdout.split(), f"importing the checks loads {done.stdout.strip()}"


def _judge(check: Check, facts: Facts) -> list[Verdict]:
    verdicts = list(check.judge(facts))
    assert verdicts, f"{check.name}: gave no verdict"
    return verdicts


def _read_only(facts: Facts) -> Facts:
    """The same facts; writing to an array of the trace raises."""
    assert facts.trace is not None
    arrays = {field.name: getattr(facts.trace, field.name) for field in fields(facts.trace)}
    for name, values in arrays.items():
        if isinstance(values, np.ndarray):
            arrays[name] = values.copy()
            arrays[name].flags.writeable = False
    return replace(facts, trace=Trace(**arrays))


def _dict(value: Any) -> Any:
    """Dataclasses as dicts, all the way down; unlike `asdict`, without copies of what is no dataclass."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _dict(getattr(value, field.name)) for field in fields(value)}
    return {key: _dict(part) for key, part in value.items()} if isinstance(value, Mapping) else value


class _Read(Mapping[str, Any]):
    """A mapping that remembers which of its values were asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values_by_name = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self.values_by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self.values_by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


class _ReadTrace(Trace):
    """A trace that remembers which of its fields were asked for; counting its steps does not count."""

    __slots__ = ("read",)
    read: set[str]

    @classmethod
    def of(cls, trace: Trace) -> "_ReadTrace":
        """The same trace, watched."""
        watched = cls(**{field.name: getattr(trace, field.name) for field in fields(Trace)})
        object.__setattr__(watched, "read", set())
        return watched

    def __getattribute__(self, name: str) -> Any:
        if name in Trace.__slots__:
            read = getattr(self, "read", None)
            if read is not None:
                read.add(name)
        return object.__getattribute__(self, name)

    @property
    def steps(self) -> int:
        """How many steps were recorded."""
        return len(object.__getattribute__(self, "loss"))


def _poisoned(check: Check, facts: Facts) -> Iterator[tuple[str, Facts]]:
    """The facts once for each thing that a check reads of them, with all its numbers replaced by NaN."""
    assert facts.trace is not None
    trace, measurements = _ReadTrace.of(facts.trace), _Read(facts.measurements)
    answers = {name: replace(answer, facts=_Read(answer.facts)) for name, answer in facts.answers.items()}
    _judge(check, replace(facts, trace=trace, measurements=measurements, answers=answers))
    for name in sorted(trace.read):
        values = getattr(facts.trace, name)
        if _has_numbers(values):
            yield name, replace(facts, trace=replace(facts.trace, **{name: _nan(values)}))
    for name in sorted(measurements.read & set(facts.measurements)):
        nan = replace(facts.measurements[name], value=float("nan"))
        yield name, replace(facts, measurements={**facts.measurements, name: nan})
    for probe, answer in answers.items():
        yield from _poisoned_answers(facts, probe, answer)


def _poisoned_answers(facts: Facts, probe: str, answer: Answer) -> Iterator[tuple[str, Facts]]:
    plain_facts = facts.answers[probe].facts
    assert isinstance(answer.facts, _Read)
    for name in sorted(answer.facts.read & set(plain_facts)):
        if _has_numbers(plain_facts[name]):
            sick = Answer(facts={**plain_facts, name: _nan(plain_facts[name])})
            yield f"{name} of the probe {probe}", replace(facts, answers={**facts.answers, probe: sick})


def _has_numbers(value: Any) -> bool:
    """Whether there is a real number in it that can be NaN."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.size > 0
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return isinstance(value, float) or any(map(_has_numbers, parts))


def _nan(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.full_like(value, np.nan) if value.dtype.kind == "f" else value
    if isinstance(value, Mapping):
        return {key: _nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_nan(part) for part in value)
    return float("nan") if isinstance(value, float) else value
