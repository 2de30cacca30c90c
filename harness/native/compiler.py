"""Builds shared libraries with the system's compiler, once for each content.

A build is named by a hash of all that goes into it (sources, flags, compiler, processor) and put into its
place in one move: builds at the same time do no harm, and a half-written library is never seen.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from harness.model import HarnessError
from harness.native import BUILTIN, FOLDER

COMPILERS = ("cc", "gcc", "clang")
FLAGS = (
    "-std=c11",
    "-O3",
    "-g1",
    "-fPIC",
    "-shared",
    "-pthread",
    "-fvisibility=hidden",
    "-fopenmp-simd",
    # What lets sums become vectors without -ffast-math, which would hide numbers that are not finite.
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
)
NATIVE = "-march=native"
LIBRARIES = ("-lm",)
SECONDS = 300
"""The longest that a compiler may take."""


def compiler() -> tuple[str, ...]:
    """The command that compiles C: `$CC`, or the first of `COMPILERS` that is there; empty where none is."""
    for command in (os.environ.get("CC", ""), *COMPILERS):
        words = shlex.split(command)
        found = shutil.which(words[0]) if words else None
        if found:
            return found, *words[1:]
    return ()


def cache_folder() -> Path:
    """Where builds are kept: below `$XDG_CACHE_HOME`, or `out/cache` of the working folder without it."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home, "training-harness", "native") if home else Path("out", "cache", "native").absolute()


def builtin_sources() -> tuple[Path, ...]:
    """The files of our own engine."""
    return tuple(sorted(FOLDER.glob("*.c")))


def library_file(sources: Sequence[str], flags: Sequence[str] = ()) -> Path:
    """The shared library of these sources, built if it is not there yet.

    Args:
        sources: C files, or `builtin` for our own engine; or one shared library, which is taken as it is.
        flags: of the compiler, after our own.

    Raises:
        HarnessError: a source is missing, there is no compiler, or it complains, with its first error.
    """
    if len(sources) == 1 and is_library(sources[0]):
        return _existing(Path(sources[0])).absolute()
    files = [file for source in sources for file in _files(source)]
    command = compiler()
    if not command:
        raise HarnessError(f"{_named(sources)}: cannot be compiled: {no_compiler()}")
    target = cache_folder() / f"{_digest(command, files, flags)}.so"
    if not target.exists():
        _build(command, files, flags, target)
    return target


def no_compiler() -> str:
    """Why nothing can be compiled, with what to install."""
    return "needs a C compiler: install gcc or clang (apt install gcc), or name one in CC"


def is_library(source: str) -> bool:
    """Whether a source is a shared library by its name, such as engine.so or engine.so.1."""
    return ".so" in Path(source).suffixes


def program(sources: Iterable[Path], target: Path, flags: Sequence[str] = ()) -> Path:
    """A program of our own engine and these sources, such as a command line tool; built anew.

    Raises:
        HarnessError: as `library_file`.
    """
    command = compiler()
    if not command:
        raise HarnessError(f"{target.name}: cannot be compiled: {no_compiler()}")
    ours = [flag for flag in FLAGS if flag not in ("-shared", "-fvisibility=hidden")]
    files = [*builtin_sources(), *sources]
    _compile_native([*command, *ours], files, flags, target)
    return target


def _files(source: str) -> Sequence[Path]:
    return builtin_sources() if source == BUILTIN else (_existing(Path(source)),)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise HarnessError(f"{path}: no such file; expected a C source or a shared library")
    return path


def _named(sources: Sequence[str]) -> str:
    return ", ".join(Path(source).name for source in sources)


def _digest(command: Sequence[str], files: Sequence[Path], flags: Sequence[str]) -> str:
    program_file = Path(command[0]).resolve()
    standing = program_file.stat()
    # Size and time stand for the compiler's version: asking it would cost more than all the rest.
    parts = [str(program_file), str(standing.st_size), str(standing.st_mtime_ns), *command[1:]]
    parts += [_processor(), *FLAGS, *flags]
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=12)
    # Headers beside a source count too: which of them it includes only the compiler knows.
    folders = dict.fromkeys([FOLDER, *(file.parent for file in files)])
    for file in [*files, *(header for folder in folders for header in sorted(folder.glob("*.h")))]:
        digest.update(f"\0{file}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@cache
def _processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    kept = [line for line in lines if line.startswith(("flags", "Features", "model name"))]
    return "\n".join([platform.machine(), *dict.fromkeys(kept)])


def _build(command: Sequence[str], files: Sequence[Path], flags: Sequence[str], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as folder:
        made = Path(folder, target.name)
        _compile_native([*command, *FLAGS], files, flags, made)
        made.replace(target)


def _compile_native(start: Sequence[str], files: Sequence[Path], flags: Sequence[str], target: Path) -> None:
    """For this processor, or for any where the compiler does not know it."""
    ending = [f"-I{FOLDER}", *flags, *map(str, files), "-o", str(target), *LIBRARIES]
    try:
        _compile([*start, NATIVE, *ending], files)
    except HarnessError as error:
        if "-march" not in str(error):
            raise
        _compile([*start, *ending], files)


def _compile(command: Sequence[str], files: Sequence[Path]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, never a shell
            command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HarnessError(f"{command[0]}: cannot be run: {error}") from error
    if done.returncode:
        who = ", ".join(dict.fromkeys(file.name for file in files if file.parent != FOLDER)) or BUILTIN
        raise HarnessError(f"{who}: cannot be compiled: {_first_error(done.stderr, done.returncode)}")


def _first_error(said: str, code: int) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line or "undefined reference" in line]
    return (errors or lines or [f"the compiler left with exit code {code}"])[0]
