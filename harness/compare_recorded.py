"""Two commits, case by case, by what is recorded of them. Nothing is run: what is there has to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.compare import Absent
from harness.decide import Comparison, Limits
from harness.history import RunRow
from harness.model import HarnessError
from harness.pairs import Lacking, compared
from harness.repository import Commit, open_repository
from harness.store import Store, open_store

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
    with open_store(where, create=False) as store:
        old, new = (_commit(store, repo, revision) for revision in revisions)
        if old.hash == new.hash:
            raise HarnessError(f"A and B are the same commit, {old.short}: there is nothing to compare")
        runs = store.runs(commits=[old.hash, new.hash])
        clean = [run for run in runs if run.environment.get("dirty") is False]
        _refuse_nothing(store.where, (old, new), clean)
    wanted = [run for run in clean if _wanted(run, cases, backends)]
    if not wanted:
        raise HarnessError(f"{', '.join([*cases, *backends])}: not among what is recorded of either commit")
    left_out = len(runs) - len(clean)
    return Compared(
        commits=(old, new),
        found=tuple(_found(wanted, (old, new), limits)),
        notes=(f"note: left out: {left_out} of uncommitted changes",) if left_out else (),
    )


def _found(
    runs: Sequence[RunRow], commits: tuple[Commit, Commit], limits: Limits
) -> Iterator[Comparison | Absent]:
    for one in compared(runs, (commits[0].hash, commits[1].hash), limits):
        if isinstance(one, Lacking):
            name, reason = f"{one.case} [{one.backend}]", f"nothing recorded of {commits[one.of].short}"
            yield Absent(case=name, reason=reason)
        else:
            yield one


def _commit(store: Store, repo: Path, revision: str) -> Commit:
    """From the repository; else, by its hash, from the store, which outlives a rebase and a shallow clone."""
    try:
        return open_repository(repo).commit(revision)
    except HarnessError as error:
        readable = len(revision) >= FEWEST_DIGITS and not set(revision) - set("0123456789abcdef")
        hashes = store.commits(revision) if readable else ()
        if len(hashes) > 1:
            raise HarnessError(
                f"store {store.where}: '{revision}' begins {len(hashes)} commits, expected one;"
                " give more of it"
            ) from error
        if not hashes:
            raise HarnessError(f"{error}; store {store.where}: nothing recorded of such a commit") from error
        return Commit(hash=hashes[0], authored="", parents=(), subject=GONE)


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
