"""A night as a short table in Markdown, for a pull request or an issue: what is new comes first. Pure."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from harness.model import Run, Status
from harness.news import BAD, News, Session, counts, news
from harness.quarantine import NAME, of

LONGEST = 300
"""A sentence is cut to so many characters: a table is there to be read."""
MOST = 100
"""Rows; what is new comes first, the others are counted."""
GROUPS = (
    ("new", "**new**"),
    ("known", "known"),
    ("quarantined", "quarantined"),
    ("lost", "not asked"),
    ("healed", "healed"),
    ("needless", "healed"),
)
"""Groups of `News` in the order of the table, and their words in it."""


def markdown(runs: Sequence[Run], before: Sequence[Run] = (), last: Session | None = None) -> str:
    """A heading, a table of what is not as it should be or was not, and counts.

    Args:
        runs: of this night.
        before: of the last night.
        last: that night; None if there is none.
    """
    found = news(runs, before)
    rows = [_row(word, run, group) for group, word in GROUPS for run in _sorted(getattr(found, group))]
    left = [f"... and {len(rows) - MOST} more rows."] if len(rows) > MOST else []
    table = ["| | case | backend | what |", "|---|---|---|---|", *rows[:MOST], ""] if rows else []
    text = [f"### {_heading(found, runs)}", "", *table, *left, f"{counts(runs)}. {_compared(runs, last)}"]
    return "\n".join(text) + "\n"


def escaped(text: str) -> str:
    """Any text as the same text in one cell of a table: no markup, no HTML, nobody mentioned."""
    line = re.sub(r"\s+", " ", _visible(text))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace("\\", "&bsol;")
    line = re.sub(r"([`*_\[\]|~>$])", r"\\\1", line)
    # A comment parts what the hosts would make a mention, or a link to an issue or another place, of.
    return re.sub(r"([@#!](?=\w)|:(?=//)|www(?=\.))", r"\1<!-- -->", line)


def _visible(text: str) -> str:
    """Characters that no file or page holds, as escapes: control characters and halves of pairs."""
    return re.sub(
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]",
        lambda found: f"\\u{ord(found[0]):04x}",
        text,
    )


def _heading(found: News, runs: Iterable[Run]) -> str:
    known = len(found.known) + len(found.quarantined)
    healed = len(found.healed) + len(found.needless)
    parts = [f"{len(found.new)} new"] * bool(found.new) + [f"{known} known"] * bool(known)
    parts += [f"{healed} healed"] * bool(healed)
    judged = any(run.status is not Status.SKIP for run in runs)
    healthy = "all healthy" if judged else "nothing was judged"
    return f"Training health: {', '.join(parts) or healthy}"


def _row(word: str, run: Run, group: str) -> str:
    return f"| {word} | {escaped(run.case)} | {escaped(run.backend)} | {_what(run, group)} |"


def _what(run: Run, group: str) -> str:
    note = of(run)
    if group == "needless" and note is not None:
        return escaped(note.message)
    said = escaped(_shorten(sentence(run))) if group != "healed" else "passes again"
    if run.status in BAD and run.diagnoses:
        said += f" *{escaped(_shorten(run.diagnoses[0].cause))}*"
    return said if note is None else f"{said} {_note(note.message, str(note.observed))}"


def sentence(run: Run) -> str:
    """Why a run is not healthy, in one line: its first bad check, and how many more there are."""
    bad = [verdict for verdict in run.verdicts if verdict.status in BAD and verdict.check != NAME]
    if not bad:
        return ": ".join(part for part in (run.reason, run.message) if part) or str(run.status)
    first = f"{bad[0].check}: {bad[0].message or bad[0].reason}"
    return first if len(bad) == 1 else f"{first} (and {len(bad) - 1} more)"


def _note(message: str, issue: str) -> str:
    """What a quarantine says, with its issue as a link."""
    if not re.fullmatch(r"https?://[^\s<>\"|\\`]+", issue):
        return escaped(message)
    link = f"[issue](<{issue}>)"
    return link.join(map(escaped, message.split(issue, 1)))


def _compared(runs: Sequence[Run], last: Session | None) -> str:
    commits = sorted({_commit(run) for run in runs})
    here = f"Commit {', '.join(commits)}" if commits else "No runs"
    if last is None:
        return f"{here}; no earlier night to compare with."
    return (
        f"{here}, compared with the night of {datetime.fromtimestamp(last.started, UTC):%Y-%m-%d %H:%M} UTC."
    )


def _commit(run: Run) -> str:
    commit = run.environment.get("commit")
    dirty = " with uncommitted changes" if run.environment.get("dirty") else ""
    return f"{str(commit)[:10]}{dirty}" if commit else "unknown"


def _sorted(runs: Iterable[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: (run.case, run.backend))


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 4].rstrip()} ..."
