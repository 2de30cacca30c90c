"""Reads training logs: lines of a program into numbers of steps. Pure; knows the names that people use.

A log is read line by line. What a line says of a step is an `Entry`; a line that says nothing is passed over,
and one that says something unreadable is kept as it is, for the judge.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from harness.model import TENSOR_COLUMNS

KNOWN = {
    "step": ("step", "iteration", "iter", "it", "global_step", "batch"),
    "loss": ("loss", "train_loss", "train/loss", "training_loss"),
    "learning_rate": ("learning_rate", "lr", "train/learning_rate"),
    "grad_norm": ("grad_norm", "gradient_norm", "train/grad_norm", "gnorm"),
    "step_time": ("step_time", "seconds", "step_seconds"),
}
"""The names of each quantity, as they stand in logs; letters of either case, blanks for underscores."""
NAMES = {name: ours for ours, names in KNOWN.items() for name in names}
RUN_NUMBERS = ("parameters", "held_out_loss")
"""What a program may say once, of the whole run."""
_NOT_OK = re.compile(r"^\s*not ok\b", re.IGNORECASE)
_HUGGING_FACE = re.compile(r"'([^']+)':\s*('?)([^,'}]+)\2")
_PAIR = re.compile(
    r"([A-Za-z_][\w/]*)\s*[:=]?\s*([-+]?(?:\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf)\b)", re.IGNORECASE
)


class UnreadableError(ValueError):
    """A number was due, and something else stood there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What one line says. numbers: by our names; tensors: by tensor and column; said: once for the run."""

    line: int
    numbers: Mapping[str, float] = field(default_factory=dict)
    tensors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Log:
    """All that was read. unreadable, not_ok: (line, text) in order."""

    entries: list[Entry] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    not_ok: list[tuple[int, str]] = field(default_factory=list)
    lines: int = 0


Parse = Callable[[str], Mapping[str, Any] | None]


def read_log(lines: Iterable[str], log: str = "json", pattern: str | None = None) -> Log:
    """A log of the kind `log`, or by `pattern`."""
    parse = partial(_by_pattern, re.compile(pattern)) if pattern else _parser(log)
    found = Log()
    for number, line in enumerate(lines, start=1):
        found.lines = number
        if _NOT_OK.match(line):
            found.not_ok.append((number, line.strip()[:200]))
            continue
        try:
            _take(found, number, parse(line))
        except UnreadableError as error:
            found.unreadable.append((number, str(error)))
    return found


def read_series(text: str, suffix: str) -> Log:
    """A whole file: `.csv` and `.tsv` with a header, `.jsonl`, or `.json` (rows, or a list for each name).

    Raises:
        UnreadableError: it is none of them, or not what its name says.
    """
    if suffix == ".jsonl":
        return read_log(text.splitlines())
    try:
        rows = _rows(text, suffix)
    except (ValueError, csv.Error) as error:
        raise UnreadableError(f"cannot be read as {suffix}: {error}") from error
    found = Log()
    for number, row in enumerate(rows, start=1):
        found.lines = number
        try:
            _take(found, number, row)
        except UnreadableError as error:
            found.unreadable.append((number, str(error)))
    return found


def number_of(name: str, value: Any) -> float:
    """A number as people log it: 0.5, "0.5", "nan", "1_000".

    Raises:
        UnreadableError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnreadableError(f"{name} is {value!r:.60}, expected a number")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise UnreadableError(f"{name} is {value!r:.60}, expected a number") from None


def _take(found: Log, number: int, row: Mapping[str, Any] | None) -> None:
    if row is None:
        return
    if row.get("ok") is False:
        found.not_ok.append((number, str(row.get("message", "ok: false"))[:200]))
    numbers = {
        ours: number_of(name, value)
        for name, value in row.items()
        if (ours := NAMES.get(str(name).strip().lower().replace(" ", "_"))) and value not in (None, "")
    }
    said = {name: row[name] for name in (*RUN_NUMBERS, "checkpoint") if name in row}
    entry = Entry(line=number, numbers=numbers, tensors=_tensors(row.get("tensors")), said=said)
    if "loss" in numbers or entry.tensors or said or ("step" in numbers and len(numbers) > 1):
        found.entries.append(entry)


def _tensors(value: Any) -> dict[str, dict[str, float]]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        raise UnreadableError(
            f"tensors is {value!r:.60}, expected a mapping of tensors to mappings of numbers"
        )
    return {
        str(tensor): {
            column: number_of(f"tensors.{tensor}.{column}", numbers[column])
            for column in TENSOR_COLUMNS
            if column in numbers
        }
        for tensor, numbers in value.items()
    }


def _parser(log: str) -> Parse:
    parsers: dict[str, Parse] = {
        "json": _json,
        "hugging_face": _hugging_face,
        "plain": _plain,
        "columns": _Columns(),
    }
    return parsers[log]


def _json(line: str) -> Mapping[str, Any] | None:
    """One JSON object a line; other lines are talk. NaN and Infinity are numbers, as Python writes them."""
    text = line.strip()
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UnreadableError(f"no JSON object: {error}") from None
    return value if isinstance(value, dict) else None


def _hugging_face(line: str) -> Mapping[str, Any] | None:
    """The Trainer's `{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 0.00018125, 'epoch': 0.31}`."""
    start = line.find("{'")
    if start < 0:
        return None
    row = {name: value.strip() for name, _, value in _HUGGING_FACE.findall(line[start:])}
    return row if "loss" in row else None  # the last line sums up, with `train_loss`; that is no step


def _plain(line: str) -> Mapping[str, Any] | None:
    """`step 3: loss 2.31 lr=1e-3`: names and the numbers after them, whatever stands between."""
    row = {name: value.replace("_", "") for name, value in _PAIR.findall(line)}
    known = {NAMES.get(name.lower()) for name in row}
    return row if "loss" in known else None


def _by_pattern(pattern: "re.Pattern[str]", line: str) -> Mapping[str, Any] | None:
    found = pattern.search(line)
    return None if found is None else {k: v for k, v in found.groupdict().items() if v is not None}


class _Columns:
    """A header that names the columns, then rows as wide as it; blanks, commas, tabs or bars between."""

    def __init__(self) -> None:
        self.header: list[str] = []

    def __call__(self, line: str) -> Mapping[str, Any] | None:
        cells = [cell for cell in re.split(r"[\s,;|]+", line.strip()) if cell]
        if "loss" in {NAMES.get(cell.lower()) for cell in cells}:
            self.header = cells
            return None
        if not self.header or len(cells) != len(self.header):
            return None
        return dict(zip(self.header, cells, strict=True))


def _rows(text: str, suffix: str) -> Sequence[Mapping[str, Any]]:
    if suffix in (".csv", ".tsv"):
        return list(csv.DictReader(text.splitlines(), delimiter="\t" if suffix == ".tsv" else ","))
    if suffix != ".json":
        raise ValueError("expected .csv, .tsv, .json or .jsonl")
    value = json.loads(text)
    if isinstance(value, dict):
        return [dict(row) for row in _across(value)]
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError("expected a list of objects, or an object of lists")
    return value


def _across(series: Mapping[str, Any]) -> Iterator[Iterable[tuple[str, Any]]]:
    lists = {name: values for name, values in series.items() if isinstance(values, list)}
    longest = max((len(values) for values in lists.values()), default=0)
    for at in range(longest):
        yield [(name, values[at]) for name, values in lists.items() if at < len(values)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """A log by step, from 0. by_step, tensors: what is known of each, in order; missing, repeated: steps."""

    by_step: Mapping[int, Mapping[str, float]]
    tensors: Mapping[int, Mapping[str, Mapping[str, float]]]
    missing: tuple[int, ...]
    repeated: tuple[int, ...]


def by_step(entries: Sequence[Entry], planned: int) -> Steps:
    """Sort entries into steps. Without numbers they count in order; a log that begins at 1 counts from 1."""
    numbers: dict[int, dict[str, float]] = {}
    tensors: dict[int, dict[str, Mapping[str, float]]] = {}
    repeated = []
    for step, entry in _numbered(entries):
        known = numbers.setdefault(step, {})
        new = {name: value for name, value in entry.numbers.items() if name != "step"}
        if known.keys() & new.keys():
            repeated.append(step)
        known.update(new)
        tensors.setdefault(step, {}).update(entry.tensors)
    complete = {step: numbers[step] for step in sorted(numbers) if "loss" in numbers[step]}
    missing = tuple(step for step in range(planned) if step not in complete)
    return Steps(by_step=complete, tensors=tensors, missing=missing, repeated=tuple(dict.fromkeys(repeated)))


def _numbered(entries: Sequence[Entry]) -> Iterator[tuple[int, Entry]]:
    told = [entry.numbers["step"] for entry in entries if math.isfinite(entry.numbers.get("step", math.nan))]
    first = 1 if told and min(told) == 1 else 0
    counted = 0
    for entry in entries:
        if not entry.numbers and not entry.tensors:
            continue
        step = entry.numbers.get("step", math.nan)
        yield (int(step) - first if math.isfinite(step) else counted), entry
        counted += 1
