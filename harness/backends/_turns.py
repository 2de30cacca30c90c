"""One process at a time compiles into a cache. Imports torch.

Inductor takes a library that is there for one that is finished: of two processes that compile the same kernel
at once, the second may load a file that the linker still writes ("file too short"). So they take turns.
"""

import fcntl
import os
from pathlib import Path
from typing import Any

from torch._dynamo.callback import callback_handler
from torch._inductor.runtime.cache_dir_utils import cache_dir


class Turns:
    """Holds a lock on the cache's folder while this process compiles; it ends with the process."""

    def __init__(self) -> None:
        self._file: int | None = None

    def take(self) -> None:
        """Be told of every compilation from now on; asking again changes nothing."""
        if self.begin not in callback_handler.start_callbacks:
            callback_handler.register_start_callback(self.begin)
            callback_handler.register_end_callback(self.end)

    def begin(self, _: Any) -> None:
        """Wait until nobody else compiles."""
        folder = Path(cache_dir())
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / "turns.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def end(self, _: Any) -> None:
        """Let the next one."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
