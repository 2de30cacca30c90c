"""Where in the user's own code something was called from."""

import linecache
import os
import sys
import sysconfig
from pathlib import Path
from types import FrameType

LIBRARIES = tuple(
    f"{path}{os.sep}"
    for path in sorted(
        {sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), str(Path(__file__).parents[1])}
    )
)
"""Whose lines nobody who reads a finding can change; ours among them."""


OURS = f"{Path(__file__).parents[1]}{os.sep}"


def place(frame: FrameType | None = None) -> str:
    """`train.py:41`: the innermost line that belongs to no library and not to us; '' if there is none."""
    here: FrameType | None = frame or sys._getframe(1)  # noqa: SLF001 - as `inspect`, without its cost
    while here is not None:
        name = here.f_code.co_filename
        if is_own(name):
            return f"{Path(name).name}:{here.f_lineno}"
        here = here.f_back
    return ""


def place_of_caller() -> str:
    """`train.py:41` where the first line that is not ours is the user's own, and not of a library."""
    here: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as above
    while here is not None and here.f_code.co_filename.startswith(OURS):
        here = here.f_back
    return place(here) if here is not None and is_own(here.f_code.co_filename) else ""


def text_of_caller() -> str:
    """The text of that line."""
    here: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as above
    while here is not None and here.f_code.co_filename.startswith(OURS):
        here = here.f_back
    return "" if here is None else linecache.getline(here.f_code.co_filename, here.f_lineno).strip()


def is_own(name: str) -> bool:
    """Whether a file is the user's: of no library, not ours, and no frozen module."""
    return not name.startswith((*LIBRARIES, "<"))
