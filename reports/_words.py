"""The report's words: states, sentences, times and numbers, and the templates that they go into."""

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.model import Run, Status, Verdict
from harness.quarantine import holds
from harness.units import show

HERE = Path(__file__).parent
SYMBOLS: Mapping[Status, str] = {Status.PASS: "✓", Status.FAIL: "✗", Status.SKIP: "–", Status.ERROR: "!"}  # noqa: RUF001
WORDS: Mapping[Status, str] = {
    Status.PASS: "pass",
    Status.FAIL: "fail",
    Status.SKIP: "skipped",
    Status.ERROR: "error",
}
WORST_FIRST = (Status.FAIL, Status.ERROR, Status.PASS, Status.SKIP)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@cache
def environment() -> Environment:
    """The templates, with everything escaped and nothing silently undefined."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = {
        "when": when,
        "day": day,
        "stamp": stamp,
        "quantity": show,
        "value": value,
        "first": first_sentence,
        "anchor": anchor,
    }
    made.filters.update(
        {**filters, "short": shorten, "symbol": SYMBOLS.__getitem__, "word": WORDS.__getitem__}
    )
    made.tests["endswith"] = str.endswith
    made.globals["css"] = Markup((HERE / "static" / "site.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    script = (HERE / "static" / "site.js").read_text(encoding="utf-8")
    made.globals["script"] = Markup(script)  # noqa: S704 - our own file
    made.globals["script_digest"] = f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"
    return made


def overall(runs: Iterable[Run]) -> Status:
    """The worst state of several runs; skips do not hide a pass."""
    present = {run.status for run in runs}
    return next((status for status in WORST_FIRST if status in present), Status.SKIP)


def headline(runs: Iterable[Run]) -> str:
    """The verdict on several runs in one sentence: `17 of 18 healthy; 1 fails`. Skipped ones are apart.

    What is in quarantine is counted among the failing too.
    """
    runs = tuple(runs)
    count, held = Counter(run.status for run in runs), sum(map(holds, runs))
    asked = count.total() - count[Status.SKIP]
    healthy = count[Status.PASS]
    parts = [_healthy(healthy, asked)] if asked else []
    parts += [f"{count[Status.FAIL]} {'fails' if count[Status.FAIL] == 1 else 'fail'}"] * (
        count[Status.FAIL] > 0
    )
    parts += [f"{count[Status.ERROR]} could not be judged"] * (count[Status.ERROR] > 0)
    parts += [f"{count[Status.SKIP]} skipped"] * (count[Status.SKIP] > 0)
    parts += [f"{held} in quarantine"] * (held > 0)
    return "; ".join(parts) or "Nothing has run yet"


def _healthy(healthy: int, asked: int) -> str:
    if healthy < asked:
        return f"{healthy} of {asked} healthy"
    return f"All {asked} healthy" if asked > 1 else "1 of 1 healthy"


def verdict_text(verdict: Verdict) -> str:
    """The sentence of a verdict, or one made of its parts when it has none."""
    if verdict.message:
        return verdict.message
    wanted = f"expected {verdict.expected}" if verdict.expected else ""
    return ", ".join(part for part in (value(verdict.observed, verdict.unit), wanted) if part)


def value(observed: float | str | None, unit: str) -> str:
    """An observed value: a quantity, a text as it is, or nothing."""
    if observed is None:
        return ""
    return show(observed, unit)


def first_sentence(text: str) -> str:
    """A text up to the end of its first sentence or line."""
    line = text.strip().split("\n", 1)[0]
    end = min((found for mark in (". ", "? ", "! ") if (found := line.find(mark)) >= 0), default=-1)
    return line[: end + 1] if end >= 0 else line


def shorten(text: str, limit: int) -> str:
    """At most so many characters; the end goes at a word's border when there is one near."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    head, space, _ = kept.rpartition(" ")
    return f"{(head if space and len(head) > limit * 0.6 else kept).rstrip(' ,;:')}…"


def shorten_middle(text: str, limit: int) -> str:
    """At most so many characters: the two ends of a name tell it from its neighbours."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def when(seconds: float) -> str:
    """A moment since the epoch as `Tuesday 3 June 2025, 02:00 UTC`, whatever the machine's locale."""
    moment = datetime.fromtimestamp(seconds, UTC)
    date = f"{DAYS[moment.weekday()]} {moment.day} {MONTHS[moment.month - 1]} {moment.year}"
    return f"{date}, {moment:%H:%M} UTC"


def day(seconds: float) -> str:
    """A moment since the epoch as `2025-06-03 02:00`, UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def stamp(seconds: float) -> str:
    """A moment since the epoch for machines: `2025-06-03T02:00:00Z`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def commit_of(run: Run) -> str:
    """The commit that a run measured, ten digits, with `+` when the tree held more than that commit."""
    return commit_text(run.environment.get("commit"), run.environment.get("dirty"))


def anchor(text: str) -> str:
    """A text as the id of an element."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)


def commit_text(commit: object, dirty: object = None) -> str:
    """A commit in ten digits, with `+` when the tree held more than it."""
    return f"{str(commit)[:10]}{'+' if dirty else ''}" if commit else "no commit"


def machine_of(run: Run) -> str:
    """The machine in a few words: CPU model, cores, framework."""
    known = run.environment
    cores = f"{known['cores']} cores" if known.get("cores") else ""
    torch = f"torch {known['torch']}" if known.get("torch") else ""
    words = [str(known.get("cpu") or known.get("architecture") or ""), cores, torch]
    return ", ".join(word for word in words if word) or "unknown machine"
