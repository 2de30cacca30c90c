"""Two commits, case by case, by what is recorded of them. Nothing is run: what is there has to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, select

from harness.compare import Absent
from harness.database import open_engine, prepare, reading, shown
from harness.decide import Comparison, Limits
from harness.history import RunRow
from harness.model import HarnessError
from harness.pairs import Lacking, compared
from harness.queries import values_of
from harness.repository import Commit, open_repository
from harness.tables import RUN

FEWEST_DIGITS = 7
"""Of a hash that only the store knows."""
GONE = "(not in this repository: rebased away, or the clone is shallow)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """The commits, what was found, and what was left out."""

    commits: tuple[Commit, Commit]
    found: tuple[Comparison | Absent, ...]
    notes: tuple[str, ...]


def compare_recorded(  # noqa: PLR0913 - what one command is told
    where: str,
    repo: Path,
    revisions: tuple[str, str],
    limits: Limits,
    *,
    cases: Sequence[str] = (),
    backends: Sequence[str] = (),
) -> Compared:
    """Compare what a store holds of two commits.

    Args:
        where: the store.
        repo: a folder of the repository that knows the revisions; the store alone may know hashes, too.
        revisions: before and after.
        limits: `recorded` is set.
        cases: names or files; all where none is named.
        backends: all where none is named.

    Raises:
        HarnessError: an unknown revision, twice the same, or nothing recorded of one of them.
    """
    engine = open_engine(where, create=False)
    prepare(engine)
    try:
        with reading(engine) as connection:
            old, new = (_commit(connection, shown(engine), repo, revision) for revision in revisions)
            if old.hash == new.hash:
                raise HarnessError(f"A and B are the same commit, {old.short}: there is nothing to compare")
            runs = _runs(connection, RUN.c.commit.in_([old.hash, new.hash]))
    finally:
        engine.dispose()
    clean = [run for run in runs if run.environment.get("dirty") is False]
    _refuse_nothing(shown(engine), (old, new), clean)
    wanted = [run for run in clean if _wanted(run, cases, backends)]
    if not wanted:
        raise HarnessError(f"{', '.join([*cases, *backends])}: not among what is recorded of either commit")
    found = tuple(
        Absent(case=f"{one.case} [{one.backend}]", reason=f"nothing recorded of {(old, new)[one.of].short}")
        if isinstance(one, Lacking)
        else one
        for one in compared(wanted, (old.hash, new.hash), limits)
    )
    left_out = len(runs) - len(clean)
    notes = (f"note: left out: {left_out} of uncommitted changes",) if left_out else ()
    return Compared(commits=(old, new), found=found, notes=notes)


def _commit(connection: Connection, where: str, repo: Path, revision: str) -> Commit:
    """From the repository; else, by its hash, from the store, which outlives a rebase and a shallow clone."""
    try:
        return open_repository(repo).commit(revision)
    except HarnessError as error:
        hashes = _hashes(connection, revision)
        if len(hashes) > 1:
            raise HarnessError(
                f"store {where}: '{revision}' begins {len(hashes)} commits, expected one; give more of it"
            ) from error
        if not hashes:
            raise HarnessError(f"{error}; store {where}: nothing recorded of such a commit") from error
        return Commit(hash=hashes[0], authored="", parents=(), subject=GONE)


def _hashes(connection: Connection, revision: str) -> list[str]:
    if len(revision) < FEWEST_DIGITS or set(revision) - set("0123456789abcdef"):
        return []
    begins = RUN.c.commit.startswith(revision, autoescape=True)
    return list(connection.execute(select(RUN.c.commit).where(begins).distinct()).scalars())


def _runs(connection: Connection, wanted: ColumnElement[bool]) -> list[RunRow]:
    ordered = select(RUN).where(wanted).order_by(RUN.c.started, RUN.c.id)
    rows = [dict(row) for row in connection.execute(ordered).mappings()]
    losses = ("first_loss", "final_loss", "loss_drop")
    return [
        RunRow(**{**values, **{name: row[name] for name in losses}})
        for row, values in zip(rows, values_of(connection, rows, samples=False), strict=True)
    ]


def _refuse_nothing(where: str, commits: tuple[Commit, Commit], runs: Sequence[RunRow]) -> None:
    known = {run.environment.get("commit") for run in runs}
    lacking = [commit for commit in commits if commit.hash not in known]
    if lacking:
        names = " and ".join(f"{commit.short} ({commit.subject})" for commit in lacking)
        advice = "`harness run` it there, or leave --recorded out to run both now"
        raise HarnessError(
            f"store {where}: nothing without uncommitted changes is recorded of {names}; {advice}"
        )


def _wanted(run: RunRow, cases: Sequence[str], backends: Sequence[str]) -> bool:
    if backends and run.backend not in backends:
        return False
    names = {run.case, run.case.partition("[")[0]}
    return not cases or any(case in names or _stem(case) in names for case in cases)


def _stem(case: str) -> str:
    """`line` of `cases/line.yaml`."""
    return Path(case).name.removesuffix(".yaml").removesuffix(".yml")
