"""One expectation a file. A check is a frozen dataclass: its fields are its parameters, its file its key."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.model import Facts, Verdict

Keys = tuple[str | int, ...]
"""Where a value stands in YAML below its check's key: names, tensor patterns, places in a list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One number of a case file that a check holds a run to, and what the run showed.

    value, low, high: what is compared, and its bounds, in `unit`; None: open. Of what is held at every step,
    the value is the extreme that lies nearest to the bound.
    kind: `spread`, what differs from seed to seed; `time` or `memory`, what the machine took; `tolerance`,
    an error that should be rounding.
    worse: the side on which a time or a memory has become worse; a bound on the other side is a promise.
    least, most: what the quantity can be, and so its bounds.
    noise: a time, memory or error beyond which nothing can be told apart.
    centre: where the file gives one distance from here in place of the bounds.
    """

    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    kind: Literal["spread", "time", "memory", "tolerance"] = "spread"
    worse: Literal["low", "high"] = "high"
    least: float | None = None
    most: float | None = None
    noise: float | None = None
    centre: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """Base of all checks. Pure: facts in, verdicts out; no clock, no file, no framework.

    entire: the field that takes the whole YAML value, for a check that is written `key: value` instead of
    `key: {field: value}`. probes: names of the probes whose answers it reads. pinned: whether it holds of the
    case's own seed only.
    """

    entire: ClassVar[str] = ""
    pinned: ClassVar[bool] = False
    probes: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The check's key in YAML: the name of its file."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def patterns(self) -> tuple[str, ...]:
        """Patterns of the tensors that it looks at; a case file whose model has no such tensor is refused."""
        return ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Arrays of the trace that it reads; where a program did not tell one of them, nothing is judged."""
        return ()

    @property
    def trainings(self) -> int:
        """From how many seeds the case is to be trained: its own, and those after it."""
        return 1

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict, or one for each thing that was looked at. Every comparison lets NaN fail."""
        raise NotImplementedError

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """Every bound of this check that healthy runs can set, by its place in YAML; none by default.

        Of a completed run. The check fails where a value lies outside its bounds.
        """
        del facts
        return {}


Base = Check
