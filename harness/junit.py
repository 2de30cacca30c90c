"""A night as JUnit XML: a suite a backend, a test case a case. Pure.

The shape is the one that Jenkins, GitLab and the report actions of GitHub read. A failure is a training that
is not healthy, an error one that could not be judged. What a quarantine holds back is skipped.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from harness.markdown import sentence
from harness.model import Run, Status
from harness.news import BAD
from harness.quarantine import holds, of

NO_XML = re.compile("[^\\t\\n\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""Characters that XML 1.0 cannot hold, and the carriage return, which a reader would make a line feed of."""


def junit(runs: Sequence[Run]) -> str:
    r"""The document; any text survives, what XML cannot hold as `\x1b` or `\ud800`."""
    root = ET.Element("testsuites", {"name": "training-harness", **_totals(runs)})
    for backend in dict.fromkeys(run.backend for run in runs):
        root.append(_suite(backend, [run for run in runs if run.backend == backend]))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def clean(text: str) -> str:
    """A text that XML can hold."""
    return NO_XML.sub(lambda found: _escape(ord(found[0])), text)


def _escape(number: int) -> str:
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _totals(runs: Sequence[Run]) -> dict[str, str]:
    kinds = [_kind(run) for run in runs]
    return {
        "tests": str(len(kinds)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "time": f"{sum(run.seconds for run in runs):.3f}",
    }


def _suite(backend: str, runs: Sequence[Run]) -> ET.Element:
    started = datetime.fromtimestamp(min(run.started for run in runs), UTC)
    skipped = sum(_kind(run) == "skipped" for run in runs)
    about = {"skipped": str(skipped), "timestamp": f"{started:%Y-%m-%dT%H:%M:%S}"}
    suite = ET.Element("testsuite", {"name": clean(backend), **_totals(runs), **about})
    for run in runs:
        suite.append(_case(run))
    return suite


def _case(run: Run) -> ET.Element:
    names = {"name": clean(run.case), "classname": clean(run.backend), "time": f"{run.seconds:.3f}"}
    case, kind, note = ET.Element("testcase", names), _kind(run), of(run)
    if kind == "skipped":
        ET.SubElement(case, kind, {"message": clean(_why_skipped(run))})
    elif kind:
        about = {"message": clean(sentence(run)), "type": clean(run.reason or kind)}
        ET.SubElement(case, kind, about).text = clean("\n".join(_lines(run)))
    if note is not None:
        ET.SubElement(case, "system-out").text = clean(f"quarantine: {note.message}")
    return case


def _kind(run: Run) -> str:
    """The element that says what came of a run; none for one that passed."""
    if run.status is Status.SKIP or holds(run):
        return "skipped"
    return {Status.FAIL: "failure", Status.ERROR: "error"}.get(run.status, "")


def _why_skipped(run: Run) -> str:
    note = of(run)
    return sentence(run) if note is None else f"{note.message}; {run.status}: {sentence(run)}"


def _lines(run: Run) -> Iterable[str]:
    """All that a person needs: the checks, the causes, and how it ended."""
    yield from (f"{each.check}: {each.message or each.reason}" for each in run.verdicts if each.status in BAD)
    yield from (f"{found.cause}. {found.remedy}" for found in run.diagnoses)
    yield from filter(None, (run.message, run.facts.detail))
