"""`harness lint`: validate case files without running them."""

import typer

from harness.cli._options import JsonFile, Paths, counted, paths_or_default, speaker, write_json


def lint(paths: Paths = None, json_file: JsonFile = None) -> int:
    """Validate case files; all mistakes at once, each with file, line and column."""
    from harness.cases import read_cases  # noqa: PLC0415 - heavy, and only commands that read cases need it

    loaded = read_cases(paths_or_default(paths))
    for mistake in loaded.mistakes:
        typer.echo(str(mistake), err=True)
    found = f"{counted(len(loaded.cases), 'case')} in {counted(len(loaded.files), 'file')}"
    speaker(json_file)(
        f"{found}, {counted(len(loaded.mistakes), 'mistake') if loaded.mistakes else 'no mistakes'}"
    )
    write_json(
        json_file,
        {
            "schema": 1,
            "cases": [case.name for case in loaded.cases],
            "mistakes": [str(mistake) for mistake in loaded.mistakes],
        },
    )
    return 2 if loaded.mistakes else 0
