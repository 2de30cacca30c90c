"""What a case tells a program and expects of it: numbers, a folder, the case itself, rates, packages."""

import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.optimizers import peak_rate
from harness.schedules import learning_rate
from harness.spec import Case


def places(case: Case, scratch: Path) -> dict[str, str]:
    """What stands for `{steps}`, `{seed}`, `{threads}`, `{case}` and `{out}`; the last two are made."""
    out = scratch / "out"
    out.mkdir(exist_ok=True)
    path = scratch / "case.json"
    path.write_text(json.dumps({"schema": 1, "name": case.name, "out": str(out), **case.raw}, default=str))
    config = case.config
    numbers = {"steps": config.steps, "seed": config.seed, "threads": config.threads}
    return {**{name: str(value) for name, value in numbers.items()}, "case": str(path), "out": str(out)}


def expected_rates(case: Case) -> tuple[float, ...]:
    """The learning rate of each step, where the case names an optimizer."""
    config = case.config
    if "optimizer" not in case.raw.get("config", {}):
        return ()
    peak = peak_rate(config.optimizer)
    return tuple(learning_rate(config.schedule, peak, step, config.steps) for step in range(config.steps))


def lacking_packages(needs: tuple[str, ...]) -> str:
    """Which of the packages are not installed, and how to install them; empty when all are."""
    lacking = [each for each in needs if not _installed(re.split(r"[^\w.-]", each)[0])]
    quoted = " ".join(f"'{each}'" for each in lacking)
    return f"needs {' and '.join(lacking)}: pip install {quoted}" if lacking else ""


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
