"""`python -m harness` and the `harness` command."""

import sys


def main() -> None:
    """Run the command line."""
    from harness.cli import main as run  # noqa: PLC0415 - the fork server imports this module's package, not the CLI

    sys.exit(run())


if __name__ == "__main__":
    main()
