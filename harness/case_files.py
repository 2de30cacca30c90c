"""What cases said when they were run, each once: runs can be replayed when their files have changed."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from harness.tables import CASE_FILE


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseFile:
    """What a case's file said, completed and without matrix, as JSON values. path: where it lay."""

    name: str
    digest: str
    path: str
    raw: Mapping[str, Any]


def add_case_files(connection: Connection, cases: Iterable[CaseFile]) -> None:
    """Insert what is not there yet."""
    known = {tuple(row) for row in connection.execute(select(CASE_FILE.c.name, CASE_FILE.c.digest))}
    new = {(case.name, case.digest): asdict(case) for case in cases}
    rows = [row for key, row in new.items() if key not in known]
    if rows:
        connection.execute(insert(CASE_FILE), rows)


def case_file_of(connection: Connection, name: str, digest: str) -> CaseFile | None:
    """What a case said when it had this digest, if it was kept."""
    place = (CASE_FILE.c.name == name, CASE_FILE.c.digest == digest)
    row = connection.execute(select(CASE_FILE).where(*place)).mappings().first()
    return None if row is None else CaseFile(**row)


def folders_of(connection: Connection) -> set[str]:
    """The folders in which kept cases lay."""
    paths = connection.execute(select(CASE_FILE.c.path).distinct()).scalars()
    return {str(Path(path).parent) for path in paths}
