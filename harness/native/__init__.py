"""Training engines in C: the interface `engine.h`, our own engine, and what builds and calls any of them.

`engine.h` is all that an engine must implement to be put under test; the `.c` files are one that does, and
`faults.h` lists the ways in which it can be broken. `compiler` builds shared libraries, `library` calls them.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where `engine.h` is."""

BUILTIN = "builtin"
"""The source that stands for our own engine."""
