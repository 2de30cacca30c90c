"""Where in the user's own code something was called from."""

import sys
import sysconfig
from pathlib import Path
from types import FrameType

LIBRARIES = tuple(sorted({sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")}))
OURS = str(Path(__file__).parents[1])


def place(frame: FrameType | None = None) -> str:
    """`train.py:41`: the innermost line that belongs to no library and not to us; '' if there is none."""
    here: FrameType | None = frame or sys._getframe(1)  # noqa: SLF001 - as `inspect`, without its cost
    while here is not None:
        name = here.f_code.co_filename
        if not name.startswith((*LIBRARIES, OURS, "<")):
            return f"{Path(name).name}:{here.f_lineno}"
        here = here.f_back
    return ""
