"""What became of a case over time, a line a run. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.comparable import same_kind
from harness.history import Metric, by_time, comparable_facts, metric_named
from harness.model import Run, Status

LINE_METRICS = ("final_loss", "loss_drop", "step_time", "peak_memory")


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryLine:
    """One run as `harness history` shows it.

    values: by metric, in base units. changed: why it does not compare with the line of its case before.
    """

    run: str
    case: str
    backend: str
    when: float
    commit: str | None
    dirty: bool | None
    status: Status
    reason: str
    message: str
    values: Mapping[str, float]
    changed: str = ""


def history_lines(runs: Iterable[Run], metrics: Sequence[str] = LINE_METRICS) -> tuple[HistoryLine, ...]:
    """One line a run in the order of time, with the metrics that it has.

    Raises:
        HarnessError: there is no such metric.
    """
    ordered = by_time(runs)
    known = [metric_named(name, ordered) for name in metrics]
    before: dict[tuple[str, str], Run] = {}
    lines = []
    for run in ordered:
        lines.append(_line(run, known, before.get((run.case, run.backend))))
        if run.facts.environment:  # a run that died early recorded no kind to compare with
            before[run.case, run.backend] = run
    return tuple(lines)


def _line(run: Run, metrics: Iterable[Metric], before: Run | None) -> HistoryLine:
    known = before is not None and run.facts.environment
    return HistoryLine(
        run=run.id,
        case=run.case,
        backend=run.backend,
        when=run.started,
        commit=run.environment.get("commit"),
        dirty=run.environment.get("dirty"),
        status=run.status,
        reason=run.reason,
        message=run.message,
        values={metric.name: value for metric in metrics if (value := metric.read(run)) is not None},
        changed=same_kind(comparable_facts(before), comparable_facts(run)) if before and known else "",
    )
