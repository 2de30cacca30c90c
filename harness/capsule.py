"""One file with all that a recorded run takes to be run again on another machine. Data only; no pickle.

A zip: `capsule.json` (the run, its environment, seed, commit), `case.yaml`, `facts` (as recorded), `files/`
(what the case names, and its baseline), `requirements.txt` (what is installed where it was packed) and, of a
checkout with changes, `patch.diff`.
"""

import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath
from typing import Any

from harness.baselines import path_of
from harness.case_files import CaseFile
from harness.codec import SAME, read_facts, run_to_json, write_facts
from harness.model import BrokenError, HarnessError, Run, Status
from harness.named_files import named_files
from harness.plain import strict
from harness.repository import open_repository
from harness.spec import Case

SCHEMA = 1
LARGEST = 1 << 30
"""Bytes that a capsule may expand to."""
FILES = "files"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: equal capsules are equal files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpacked:
    """What a capsule held: the recorded run, and its case, whose files lie below `folder`."""

    run: Run
    kept: CaseFile
    folder: Path


def pack(run: Run, case: Case, target: Path) -> None:
    """Write a capsule; whoever dies meanwhile leaves no half of one.

    Raises:
        HarnessError: the files that the case names are not those of the run, or one is missing.
        BrokenError: the capsule cannot be written.
    """
    _refuse_changed(run, case)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in _parts(run, case):
                archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
        temporary.replace(target)
    except OSError as error:
        reason = error.strerror or error
        raise BrokenError(f"{error.filename or target}: {reason}; the capsule was not written") from error
    finally:
        temporary.unlink(missing_ok=True)


def _refuse_changed(run: Run, case: Case) -> None:
    was, now = run.case_digest, case.digest
    if was != now:
        commit = run.environment.get("commit") or "that it was run at"
        changed = " with the changes that were not committed then" if run.environment.get("dirty") else ""
        text = f"files that the case names have changed: digest {now}, expected {was}"
        raise HarnessError(
            f"run {run.id} ({case.name}): {text}; go back to the commit {commit}{changed} first"
        )


def _parts(run: Run, case: Case) -> Iterator[tuple[str, bytes]]:
    files = _named(case, run.backend)
    root = Path(os.path.commonpath([case.path.parent.absolute(), *(path.parent for path in files)]))
    folder = case.path.parent.absolute().relative_to(root).as_posix()
    about = {
        "schema": SCHEMA,
        "folder": folder,
        "file": case.path.name,
        "home": _home(case),
        "seed": case.config.seed,
        "commit": run.environment.get("commit"),
        "fingerprint": dict(run.environment),
        "run": run_to_json(run),
    }
    yield "capsule.json", _json(about)
    yield "case.yaml", _json(case.raw)
    yield "facts", _facts(run)
    yield "requirements.txt", "".join(f"{each}\n" for each in requirements()).encode()
    patch = _patch(run)
    if patch:
        yield "patch.diff", patch
    for path in files:
        yield f"{FILES}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _named(case: Case, backend: str) -> list[Path]:
    """The files that a case names, and its baseline, each once, with full paths."""
    paths = [*named_files(case), *(path for path in [path_of(case, backend)] if path.exists())]
    return sorted({Path(os.path.normpath(path.absolute())) for path in paths})


def _home(case: Case) -> str | None:
    """Where in its repository the case's folder lies; None outside of any."""
    try:
        return open_repository(case.path.parent).prefix
    except HarnessError:
        return None


def _json(value: Mapping[str, Any]) -> bytes:
    # JSON is YAML, too: nothing is lost between texts and numbers.
    return (json.dumps(strict(value), indent=1, ensure_ascii=False) + "\n").encode()


def _facts(run: Run) -> bytes:
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        path = Path(folder) / "facts"
        write_facts(path, run.facts)
        return path.read_bytes()


def _patch(run: Run) -> bytes:
    """The changes of the checkout, where it still stands at the commit of a run that had some."""
    if not run.environment.get("dirty"):
        return b""
    try:
        repository = open_repository(Path())
        return repository.patch() if repository.commit("HEAD").hash == run.environment.get("commit") else b""
    except HarnessError:
        return b""


def requirements() -> tuple[str, ...]:
    """What is installed here, as `name==version`."""
    found = {str(each.metadata["Name"]).lower(): each.version for each in distributions()}
    return tuple(f"{name}=={version}" for name, version in sorted(found.items()))


@contextmanager
def unpacked(capsule: Path) -> Iterator[Unpacked]:
    """A capsule's content in a folder that is gone afterwards.

    Raises:
        HarnessError: it is no capsule, is written by a newer version, or names a file outside of it.
    """
    with tempfile.TemporaryDirectory(prefix="harness-") as scratch:
        folder = Path(scratch)
        try:
            with zipfile.ZipFile(capsule) as archive:
                _extract(archive, folder)
            about = json.loads((folder / "capsule.json").read_text(encoding="utf-8"))
            raw = json.loads((folder / "case.yaml").read_text(encoding="utf-8"))
            found = _unpacked(about, raw, folder)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, BrokenError) as error:
            said = " ".join(str(error).split())
            raise HarnessError(
                f"{capsule}: not a capsule: {said:.200}; `harness capsule` makes one"
            ) from error
        yield found


def _extract(archive: zipfile.ZipFile, folder: Path) -> None:
    if sum(member.file_size for member in archive.infolist()) > LARGEST:
        raise ValueError(f"it expands to more than {LARGEST >> 30} GiB")
    for member in archive.infolist():
        target = folder / _inside(member.filename)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Bytes, whatever the entry says that it is: a link would be written as a file.
        target.write_bytes(archive.read(member))


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ValueError(f"'{name}' lies outside of it")
    return path


def _unpacked(about: Mapping[str, Any], raw: Mapping[str, Any], folder: Path) -> Unpacked:
    if about["schema"] != SCHEMA:
        raise ValueError(f"schema {about['schema']}, expected {SCHEMA}; upgrade training-harness")
    told = about["run"]
    run = Run(
        **{name: told[name] for name in SAME},
        status=Status(told["status"]),
        facts=read_facts(folder / "facts"),
        environment=about["fingerprint"],
    )
    place = folder / FILES / _inside(f"{about['folder']}/{about['file']}")
    place.parent.mkdir(parents=True, exist_ok=True)
    place = _in_checkout(about, folder) or place
    kept = CaseFile(name=run.case, digest=run.case_digest, path=str(place), raw=raw)
    return Unpacked(run=run, kept=kept, folder=folder)


def _in_checkout(about: Mapping[str, Any], folder: Path) -> Path | None:
    """The case's place in the repository here, if that stands at the run's commit with the same files.

    A program may need more of its repository than the files that its case names.
    """
    home = about.get("home")
    if home is None or about.get("commit") is None:
        return None
    try:
        repository = open_repository(Path())
        if repository.commit("HEAD").hash != about["commit"]:
            return None
    except HarnessError:
        return None
    place = repository.root / _inside(f"{home}{about['file']}")
    packed = folder / FILES
    files = [path for path in packed.rglob("*") if path.is_file()]
    root = place.parent.joinpath(*(".." for _ in PurePosixPath(about["folder"]).parts))
    same = all(_same(path, root / path.relative_to(packed)) for path in files)
    return place if same else None


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()
