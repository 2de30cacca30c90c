"""The fingerprint of a run: which commit, on which machine, with which versions.

What cannot be read is None (no git, no repository, no /proc), never an error. Versions come from package
metadata: nothing is imported for its version's sake.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
GIT_SECONDS = 20.0
GIT_REDIRECTS = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
)
"""Set in git hooks: they would make every folder look like the hook's repository."""
CHOOSERS = (
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES",
)  # fmt: skip
"""Variables by which somebody chooses other kernels than the CPU would get: sums round otherwise."""
UNLIMITED = 1 << 60
"""Memory limits from here on mean no limit; cgroup v1 writes one as the largest multiple of a page."""


def fingerprint(folder: Path | str = ".") -> dict[str, Any]:
    """The measuring machine and the checkout that holds `folder`, as one flat mapping of JSON values."""
    return {**checkout(folder), **machine()}


def checkout(folder: Path | str) -> dict[str, Any]:
    """The git repository that holds `folder`: commit (full hash), commit_date (ISO 8601), branch, dirty.

    Untracked files count as dirty, ignored ones do not: one new file can be a plugin that changes results.
    A detached HEAD has no branch. All are None without git or a repository.
    """
    lines = git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=normal")
    if lines is None:
        return {"commit": None, "commit_date": None, "branch": None, "dirty": None}
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit = heads.get("branch.oid", "(initial)")
    branch = heads.get("branch.head", "(detached)")
    date = None if commit == "(initial)" else git(folder, "log", "-1", "--format=%cI", commit)
    return {
        "commit": None if commit == "(initial)" else commit,
        "commit_date": date[0] if date else None,
        "branch": None if branch == "(detached)" else branch,
        "dirty": any(not line.startswith("# ") for line in lines),
    }


def uncommitted(folder: Path | str) -> tuple[str, ...] | None:
    """Paths that git would commit or add, from the root of the repository; None where there is none."""
    lines = git(folder, "status", "--porcelain", "--untracked-files=all", "--no-renames")
    return None if lines is None else tuple(line[3:].strip('"') for line in lines)


def machine() -> dict[str, Any]:
    """What the machine is made of. Read once a process: the canary kernel takes some milliseconds.

    memory and cgroup_memory in bytes, canary in seconds, cgroup_cpus and cores in cores; host is a hash of
    the name, cpu_features one of what the CPU can do. The canary runs a NumPy kernel: do not call this in a
    process that others are forked from.
    """
    return dict(_machine())


@cache
def _machine() -> Mapping[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": sys.platform,
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "numpy": _version("numpy"),
        "torch": _version("torch"),
        **_blas(),
        "kernels": " ".join(f"{name}={os.environ[name]}" for name in CHOOSERS if name in os.environ) or None,
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "cpu": _cpu_model(),
        "cpu_features": _cpu_features(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _memory(),
        "cgroup_memory": _cgroup_memory(),
        "cgroup_cpus": _cgroup_cpus(),
        "boot": _read(PROC / "sys/kernel/random/boot_id"),
        "host": hashlib.sha256(platform.node().encode()).hexdigest()[:16],
        "canary": canary(),
    }


def canary(repeats: int = 5, products: int = 400) -> float:
    """Seconds of a fixed float32 matrix kernel, best of some repeats: is this machine as fast as it was?

    48 x 48 stays below the size from which OpenBLAS splits a product: the thread count does not matter.
    """
    left = np.linspace(-1, 1, 48 * 48, dtype=np.float32).reshape(48, 48)
    out = np.empty_like(left)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(products):
            np.matmul(left, left, out=out)
        best = min(best, time.perf_counter() - start)
    return best


def git(folder: Path | str, *arguments: str) -> list[str] | None:
    """The lines that git prints in a folder; None without git, or where it complains."""
    program = shutil.which("git")
    if program is None:
        return None
    # A git that runs beside us must not wait for a lock that we took only to look.
    clean = {name: value for name, value in os.environ.items() if name not in GIT_REDIRECTS}
    try:
        done = subprocess.run(  # noqa: S603 - the program is git, the arguments are ours
            [program, "-C", str(folder), *arguments],
            capture_output=True,
            check=True,
            timeout=GIT_SECONDS,
            env={**clean, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="backslashreplace").splitlines()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _blas() -> dict[str, str | None]:
    built: Any = np.show_config(mode="dicts")
    blas = (built or {}).get("Build Dependencies", {}).get("blas", {})
    return {"blas": blas.get("name"), "blas_version": blas.get("version")}


def _cpu_model() -> str | None:
    for line in (_read(PROC / "cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return platform.processor() or None


def _cpu_features() -> str | None:
    """A digest of what kernels are chosen by: machines of one model name can differ in it."""
    keys = ("cpu family", "model", "stepping", "flags", "Features", "CPU part")
    found: dict[str, str] = {}
    for line in (_read(PROC / "cpuinfo") or "").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key in keys:
            found.setdefault(key, value)
    text = json.dumps(found, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if found else None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _cgroup_memory() -> int | None:
    """The tightest memory limit of this process' control groups and all above them, in bytes."""
    names = ("memory.max", "memory.limit_in_bytes")
    found = [int(text) for text in _cgroup_files("memory", *names) if text.isdigit()]
    return min((limit for limit in found if limit < UNLIMITED), default=None)


def _cgroup_cpus() -> float | None:
    """The tightest CPU quota, in cores."""
    quotas = [text.split() for text in _cgroup_files("cpu", "cpu.max")]
    one, other = (list(_cgroup_files("cpu", f"cpu.cfs_{word}_us")) for word in ("quota", "period"))
    quotas += [list(pair) for pair in zip(one, other, strict=False)]
    shares = [int(quota) / int(period) for quota, period in quotas if quota.isdigit() and period.isdigit()]
    return min(shares, default=None)


def _cgroup_files(controller: str, *names: str) -> Iterator[str]:
    """Contents of the files of these names in this process' group and its parents, v1 and v2."""
    for line in (_read(PROC / "self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / controller if controllers else CGROUPS  # v1 mounts each controller apart
        below = PurePosixPath(path.lstrip("/"))
        for group in (below, *below.parents):
            for name in names:
                text = _read(root / group / name)
                if text:
                    yield text


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
