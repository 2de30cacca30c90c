import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

from harness import environment
from harness.comparable import environment_digest, kind, same_kind
from harness.environment import canary, checkout, fingerprint, machine

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=trunk")


def git(folder, *arguments):
    return subprocess.run(
        [*GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1")
    (tmp_path / ".gitignore").write_text("/out/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first", "--date", "2020-01-02T03:04:05+00:00")
    return tmp_path


def test_clean_checkout(repository):
    (repository / "below").mkdir()
    assert checkout(repository / "below") == {
        "commit": git(repository, "rev-parse", "HEAD"),
        "commit_date": git(repository, "log", "-1", "--format=%cI"),
        "branch": "trunk",
        "dirty": False,
    }


@pytest.mark.parametrize(
    ("name", "dirty"), [("file", True), ("new", True), ("out/ignored", False), (".gitignore", True)]
)
def test_dirty_means_anything_that_git_would_show(repository, name, dirty):
    path = repository / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("changed")
    assert checkout(repository)["dirty"] is dirty


def test_detached_head_has_a_commit_and_no_branch(repository):
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "--detach")
    assert checkout(repository) == {**checkout(repository), "commit": commit, "branch": None, "dirty": False}


def test_branch_without_commits(tmp_path):
    git(tmp_path, "init", "-q")
    assert checkout(tmp_path) == {"commit": None, "commit_date": None, "branch": "trunk", "dirty": False}


UNKNOWN = {"commit": None, "commit_date": None, "branch": None, "dirty": None}


def test_folder_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert checkout(tmp_path) == UNKNOWN


def test_missing_folder(tmp_path):
    assert checkout(tmp_path / "missing") == UNKNOWN


def test_machine_without_git(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert checkout(repository) == UNKNOWN


def test_git_that_hangs_is_given_up(repository, monkeypatch):
    def hang(*arguments, **options):
        raise subprocess.TimeoutExpired(arguments, options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    assert checkout(repository) == UNKNOWN


def test_hook_of_another_repository_does_not_mislead(repository, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert checkout(repository)["branch"] == "trunk"
    assert checkout(repository)["commit"] is not None


def test_machine_agrees_with_other_sources():
    found = machine()
    assert found["python"] == sys.version.split()[0]
    assert found["kernel"] == os.uname().release
    assert found["numpy"] == version("numpy")
    assert found["torch"] == version("torch")
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["host"] == hashlib.sha256(platform.node().encode()).hexdigest()[:16]
    total = (
        subprocess.run(["free", "-b"], check=True, capture_output=True, text=True)
        .stdout.splitlines()[1]
        .split()[1]
    )
    assert found["memory"] == int(total)
    assert 0 < found["canary"] < float("inf")


def test_fingerprint_is_checkout_and_machine_in_json(repository):
    found = fingerprint(repository)
    assert found == {**checkout(repository), **machine()}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert platform.node() not in found.values()


def test_machine_is_read_once_and_cannot_be_spoiled():
    first = machine()
    first["cpu"] = "spoiled"
    assert machine()["cpu"] != "spoiled"
    assert machine()["canary"] == first["canary"]


def test_cores_follow_the_affinity_of_the_process():
    one = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{one}}});"
        "from harness.environment import machine; print(machine()['cores'])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "1\n"
    )


def test_import_and_fingerprint_load_no_framework():
    code = (
        "import sys; from harness.environment import fingerprint; fingerprint();"
        "print([name for name in ('torch', 'sqlalchemy', 'matplotlib', 'pydantic') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "[]\n"
    )


def test_canary_is_the_best_of_its_repeats(monkeypatch):
    times = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0])
    monkeypatch.setattr(environment.time, "perf_counter", lambda: next(times))
    assert canary(repeats=3, products=1) == 2.0


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "memory", "cpus"),
    [
        (
            {
                "self/cgroup": "0::/a/b\n",
                "cg/a/b/memory.max": "max\n",
                "cg/a/memory.max": "4096\n",
                "cg/a/cpu.max": "150000 100000",
            },
            4096,
            1.5,
        ),
        ({"self/cgroup": "0::/\n", "cg/memory.max": "8192\n", "cg/cpu.max": "max 100000\n"}, 8192, None),
        (
            {
                "self/cgroup": "4:memory:/j\n1:cpu,cpuacct:/j\n",
                "cg/memory/j/memory.limit_in_bytes": "9223372036854771712\n",
                "cg/memory/memory.limit_in_bytes": "1024\n",
                "cg/cpu/j/cpu.cfs_quota_us": "200000\n",
                "cg/cpu/j/cpu.cfs_period_us": "100000\n",
                "cg/cpu/cpu.cfs_quota_us": "-1\n",
                "cg/cpu/cpu.cfs_period_us": "100000\n",
            },
            1024,
            2.0,
        ),
        ({"self/cgroup": "0::/gone\n"}, None, None),
        ({}, None, None),
    ],
)
def test_limits_of_control_groups(tmp_path, monkeypatch, files, memory, cpus):
    write(tmp_path, files)
    monkeypatch.setattr(environment, "PROC", tmp_path)
    monkeypatch.setattr(environment, "CGROUPS", tmp_path / "cg")

    assert environment._cgroup_memory() == memory
    assert environment._cgroup_cpus() == cpus


@pytest.mark.parametrize(
    ("text", "model"),
    [("processor: 0\nmodel name\t: EPYC 9\nmodel name\t: EPYC 9\n", "EPYC 9"), ("Model\t\t: Pi 5\n", "Pi 5")],
)
def test_cpu_model(tmp_path, monkeypatch, text, model):
    write(tmp_path, {"cpuinfo": text})
    monkeypatch.setattr(environment, "PROC", tmp_path)
    assert environment._cpu_model() == model


RUN = {
    "case": "a",
    "backend": "torch_eager",
    "revision": 1,
    "problem_digest": "p",
    "device": "cpu",
    "dtype": "float32",
    "threads": 2,
    "architecture": "x86_64",
    "cpu": "EPYC",
    "cores": 2,
    "torch": "2.13.0+cpu",
    "numpy": "2.4.6",
    "blas": "openblas",
    "commit": "a",
    "boot": "x",
    "canary": 1.0,
}


@pytest.mark.parametrize(
    ("key", "value", "difference"),
    [
        ("case", "b", "case: a and b"),
        ("backend", "jax", "backend: torch_eager and jax"),
        ("revision", 2, "case revision: 1 and 2"),
        ("problem_digest", "q", "problem digest: p and q"),
        ("device", "cuda:0", "device: cpu and cuda:0"),
        ("dtype", "bfloat16", "dtype: float32 and bfloat16"),
        ("threads", 1, "threads: 2 and 1"),
        ("threads", None, "threads: 2 and not recorded"),
        ("architecture", "aarch64", "architecture: x86_64 and aarch64"),
        ("cpu", "Xeon", "CPU model: EPYC and Xeon"),
        ("cores", 4, "cores: 2 and 4"),
        ("torch", "2.14.0", "torch: 2.13 and 2.14"),
        ("numpy", "2.3.0", "NumPy: 2.4 and 2.3"),
        ("blas", "mkl", "BLAS: openblas and mkl"),
        ("torch", "2.13.1", ""),
        ("commit", "b", ""),
        ("boot", "y", ""),
        ("canary", 2.0, ""),
    ],
)
def test_first_difference_of_two_runs(key, value, difference):
    other = {**RUN, key: value}
    assert same_kind(RUN, other) == difference
    assert (kind(RUN) == kind(other)) is (not difference)
    machine_part = key not in ("case", "backend", "revision", "problem_digest")
    assert (environment_digest(RUN) == environment_digest(other)) is (not difference or not machine_part)


def test_first_of_several_differences_is_named():
    assert same_kind(RUN, {**RUN, "torch": "3.0", "device": "cuda:0"}) == "device: cpu and cuda:0"
    assert same_kind({}, {}) == ""


def test_cpus_of_one_name_are_told_apart_by_what_they_can(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "PROC", tmp_path)
    found = set()
    for flags in ("sse avx2", "sse avx2 avx512f", "sse avx2"):
        (tmp_path / "cpuinfo").write_text(
            f"model name : EPYC\ncpu family : 25\nflags : {flags}\nbogomips : 1\n" * 2
        )
        found.add(environment._cpu_features())
    assert len(found) == 2
    (tmp_path / "cpuinfo").unlink()
    assert environment._cpu_features() is None


def test_variables_that_choose_kernels_are_part_of_the_machine(monkeypatch):
    monkeypatch.setattr(environment, "canary", lambda: 1.0)
    for name in environment.CHOOSERS:
        monkeypatch.delenv(name, raising=False)
    assert environment._machine.__wrapped__()["kernels"] is None
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert environment._machine.__wrapped__()["kernels"] == "ATEN_CPU_CAPABILITY=default MKL_CBWR=AVX2"


def test_uncommitted_paths_are_listed_from_the_root(repository):
    assert environment.uncommitted(repository) == ()
    (repository / "below").mkdir()
    (repository / "below" / "new").write_text("")
    (repository / "file").write_text("2")
    (repository / "out").mkdir()
    (repository / "out" / "ignored").write_text("")
    assert set(environment.uncommitted(repository / "below")) == {"file", "below/new"}
