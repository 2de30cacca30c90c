"""`harness schema`: the JSON Schema of case files, for editors."""

import json

import typer


def schema() -> int:
    """Print the JSON Schema of case files, for completion and checking in editors."""
    from harness.schema import schema as schema_of_cases  # noqa: PLC0415 - heavy

    typer.echo(json.dumps(schema_of_cases(), indent=2))
    return 0
