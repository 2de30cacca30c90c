"""`harness list`: what there is, in a line each. Loads no framework."""

from collections.abc import Callable
from typing import Any

import typer

from harness.cli._options import JsonFile, Paths, counted, paths_or_default, speaker, write_json


def list_(paths: Paths = None, json_file: JsonFile = None) -> int:
    """List cases, backends, checks, probes, diagnoses and faults, and why one is unavailable."""
    from harness.cases import read_cases  # noqa: PLC0415 - heavy, and only commands that read cases need it
    from harness.discover import KINDS, plugins  # noqa: PLC0415 - loads all plugins

    loaded = read_cases(paths_or_default(paths))
    found: dict[str, list[dict[str, Any]]] = {
        "cases": [
            {"name": c.name, "about": c.about, "backends": c.backends, "tags": c.tags} for c in loaded.cases
        ]
    }
    for kind in KINDS:
        found[kind] = [
            {
                "name": plugin.name,
                "about": plugin.about,
                "unavailable": plugin.error or _why_not(kind, plugin.value),
            }
            for plugin in plugins(kind).values()
        ]
    for name, rows in found.items():
        _show(name, rows, speaker(json_file))
    if loaded.mistakes:
        typer.echo(
            f"{counted(len(loaded.mistakes), 'mistake')} in case files: `harness lint` shows more", err=True
        )
    write_json(json_file, {"schema": 1, **found})
    return 2 if loaded.mistakes else 0


def _why_not(kind: str, value: Any) -> str:
    return str(value().unavailable()) if kind == "backends" else ""


def _show(kind: str, rows: list[dict[str, Any]], say: Callable[[str], None]) -> None:
    if not rows:
        return
    say(f"{kind} ({len(rows)})")
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        why = f"  unavailable: {row['unavailable']}" if row.get("unavailable") else ""
        on = f"  [{', '.join(row['backends'])}]" if "backends" in row else ""
        say(f"  {row['name']:<{width}}  {row['about']}{on}{why}")
