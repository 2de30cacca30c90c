"""One run: its judgement, why, the curves behind it, and where it ran."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from harness.model import Facts, Measurement, Status, Verdict
from harness.units import show
from reports import Document, Page, Site
from reports._words import WORST_FIRST, commit_of, verdict_text
from reports.figures import figures_of


class RunPage(Page):
    """`runs/<id>.html`, for the runs of the newest sessions. Runs do not change, so each is drawn once."""

    def documents(self, site: Site) -> Iterable[Document]:
        """One file for each run that is drawn. A recorded run never changes: its id stands for all of it."""
        for run in sorted(site.drawn):
            path = site.run_page(run)
            yield Document(path=path, inputs=(run,), content=partial(_content, site, run))


def _content(site: Site, run_id: str) -> Mapping[str, Any]:
    run = site.source.run(run_id)
    return {
        "run": run,
        "case_page": site.case_page(run.case),
        "commit": commit_of(run),
        "verdicts": [(verdict, verdict_text(verdict)) for verdict in _worst_first(run.verdicts)],
        "counts": _counts(run.verdicts),
        "figures": figures_of(run),
        "measurements": [_measured(found) for found in run.facts.measurements.values()],
        "answers": _answers(run.facts),
        "problem": _problem(run.facts),
        "environment": _flat(run.environment),
        "worker": _flat(_beyond(run.facts.environment, run.environment)),
    }


def _worst_first(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.status))


def _counts(verdicts: tuple[Verdict, ...]) -> str:
    count = Counter(verdict.status for verdict in verdicts)
    skipped = f", {count[Status.SKIP]} skipped" if count[Status.SKIP] else ""
    return f"{count[Status.PASS]} of {len(verdicts) - count[Status.SKIP]} expectations met{skipped}"


def _measured(found: Measurement) -> dict[str, str]:
    samples = np.asarray(found.samples, dtype=float)
    spread = np.percentile(samples, [0, 25, 75, 100]) if len(samples) else ()
    low, lower, upper, high = (
        (show(float(value), found.unit) for value in spread) if len(spread) else ("",) * 4
    )
    return {
        "name": found.name,
        "value": show(found.value, found.unit),
        "samples": str(len(samples)) if len(samples) else "",
        "middle": f"{lower} to {upper}" if len(samples) else "",
        "range": f"{low} to {high}" if len(samples) else "",
    }


def _answers(facts: Facts) -> list[tuple[str, str, str]]:
    """Each probe with what it found and what it took."""
    return [
        (name, answer.skipped or "; ".join(f"{key}: {_text(found)}" for key, found in answer.facts.items()),
         show(answer.seconds, "s") if answer.seconds else "")
        for name, answer in facts.answers.items()
    ]  # fmt: skip


def _problem(facts: Facts) -> list[tuple[str, str]]:
    """What was trained, as named values."""
    problem = facts.problem
    if problem is None:
        return []
    anchors = problem.anchors
    rows: list[tuple[str, object]] = [
        ("parameters", problem.parameters if facts.parameters is None else facts.parameters),
        ("steps", problem.steps),
        ("samples a step", problem.samples_per_step),
        ("tokens a step", problem.tokens_per_step),
        ("vocabulary", problem.vocabulary),
        ("uniform loss, ln V", anchors.uniform),
        ("unigram entropy, H0", anchors.unigram),
        ("entropy floor, H1", anchors.floor),
        ("problem digest", problem.digest),
    ]
    return [(name, _text(value)) for name, value in rows if value is not None]


def _beyond(more: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """What one mapping says that the other does not."""
    return {key: value for key, value in more.items() if key not in known or known[key] != value}


def _flat(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(key).replace("_", " "), _environment_text(key, value))
        for key, value in sorted(environment.items())
    ]


def _environment_text(key: str, value: object) -> str:
    units = {"memory": "B", "cgroup_memory": "B", "canary": "s"}
    if key in units and isinstance(value, int | float):
        return show(value, units[key])
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not known"}[value]
    if isinstance(value, int | float):
        return show(value, "")
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    return str(value)
