import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from jobs import launch
from watching import alive, content, eventually

from harness.forkserver import Ended, ForkServer
from harness.model import BrokenError

HERE = str(Path(__file__).parent)
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(filter(None, (HERE, os.environ.get("PYTHONPATH"))))}


@pytest.fixture(scope="module")
def shared():
    """A server for the tests that leave it as it was."""
    with ForkServer(("jobs",), ENVIRONMENT) as server:
        yield server
        assert all_ended(server, seconds=0) == []


@pytest.fixture
def server():
    """A server for one test."""
    with ForkServer(("jobs",), ENVIRONMENT) as server:
        yield server


def all_ended(server, count=0, seconds=60.0):
    found = server.ended(seconds)
    while len(found) < count:
        found += server.ended(seconds)
    return found


def run(server, function, argument=None, **options):
    """One job, to its end."""
    server.start(launch(1, function, argument, **options))
    (ended,) = all_ended(server, 1)
    return ended


def described(server, folder, **options):
    run(server, "describe", folder / "described", **options)
    return json.loads((folder / "described").read_text())


class TestHowItEnded:
    def test_a_job_that_returns_ends_with_0(self, shared):
        assert run(shared, "nothing") == Ended(id=1, code=0, signal=None)

    @pytest.mark.parametrize(
        ("given", "code"), [(0, 0), (3, 3), (None, 0), (True, 1), (-1, 255), (2**70, 0), ("a text", 1)]
    )
    def test_an_exit_code_is_told(self, shared, given, code):
        assert run(shared, "leave", given) == Ended(id=1, code=code, signal=None)

    @pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGTERM", "SIGFPE"])
    def test_a_signal_is_told_apart(self, shared, name):
        number = signal.Signals[name]
        assert run(shared, "die", number) == Ended(id=1, code=None, signal=number)

    def test_an_exception_is_exit_code_1_and_a_traceback_in_the_log(self, shared, tmp_path):
        ended = run(shared, "fail", "the weights are unhappy", log=tmp_path / "log")
        assert ended == Ended(id=1, code=1, signal=None)
        assert (tmp_path / "log").read_text().rstrip().endswith("ValueError: the weights are unhappy")

    def test_a_text_to_exit_with_goes_to_the_log(self, shared, tmp_path):
        run(shared, "leave", "no data", log=tmp_path / "log")
        assert (tmp_path / "log").read_text() == "no data\n"

    def test_an_unknown_function_is_exit_code_1(self, shared, tmp_path):
        assert run(shared, "no_such_function", log=tmp_path / "log").code == 1
        assert "AttributeError" in (tmp_path / "log").read_text()

    def test_many_at_once_are_told_each_once(self, shared):
        for job in range(20):
            shared.start(launch(job, "leave", job))
        found = all_ended(shared, 20)
        assert sorted((ended.id, ended.code) for ended in found) == [(job, job) for job in range(20)]


class TestIsolation:
    def test_a_job_leads_a_group_in_the_servers_session(self, shared, tmp_path):
        found = described(shared, tmp_path)
        assert found["group"] == found["pid"]
        assert found["session"] == found["parent"] == shared.pid
        assert shared.pid != os.getsid(0)

    def test_a_job_holds_nothing_of_the_servers(self, shared, tmp_path):
        found = described(shared, tmp_path, log=tmp_path / "log")
        log = str(tmp_path / "log")
        assert found["descriptors"] == {"0": os.devnull, "1": log, "2": log}
        assert found["child_signal"]

    def test_a_job_does_not_see_what_another_changed(self, shared, tmp_path):
        first, second = described(shared, tmp_path, memory=2**30), described(shared, tmp_path)
        assert first["limit"] != second["limit"]
        assert first["pid"] != second["pid"]

    def test_modules_are_imported_before_the_fork(self, tmp_path):
        with ForkServer(("this", "jobs", "wave"), ENVIRONMENT) as server:
            assert {"wave", "jobs"} <= set(described(server, tmp_path)["modules"])
        with ForkServer((), ENVIRONMENT) as server:
            assert "wave" not in described(server, tmp_path)["modules"]

    def test_a_module_that_is_missing_or_broken_is_passed_over(self, tmp_path):
        (tmp_path / "broken_module.py").write_text("raise RuntimeError('unhappy')")
        path = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
        with ForkServer(("no_such_module", "broken_module", "wave"), path) as server:
            assert "wave" in described(server, tmp_path)["modules"]

    def test_the_environment_is_added_to_ours(self, tmp_path):
        with ForkServer((), {**ENVIRONMENT, "HARNESS_TEST": "given"}) as server:
            assert described(server, tmp_path)["environment"] == {
                **os.environ,
                **ENVIRONMENT,
                "HARNESS_TEST": "given",
            }


class TestLogAndMemory:
    def test_megabytes_of_output_go_to_the_log(self, shared, tmp_path, capfd):
        assert run(shared, "shout", 8, log=tmp_path / "log").code == 0
        text = (tmp_path / "log").read_text()
        assert len(text) == 8 * (2**20 + 16) + len("the end\n")
        assert text.endswith("the end\n")
        assert text.count("e" * 15) == 8
        assert capfd.readouterr() == ("", "")

    def test_a_log_is_appended_to(self, shared, tmp_path):
        (tmp_path / "log").write_text("before\n")
        run(shared, "leave", "after", log=tmp_path / "log")
        assert (tmp_path / "log").read_text() == "before\nafter\n"

    def test_a_crash_leaves_its_stack_in_the_log(self, shared, tmp_path):
        run(shared, "die", signal.SIGSEGV, log=tmp_path / "log")
        text = (tmp_path / "log").read_text()
        assert "Fatal Python error: Segmentation fault" in text
        assert "in die" in text

    @pytest.mark.parametrize("limit", [64, 256])
    def test_a_memory_limit_is_a_memory_error_inside(self, shared, tmp_path, limit):
        assert run(shared, "hoard", tmp_path / "got", memory=limit * 2**20).code == 0
        (got,) = content(tmp_path / "got")
        assert 0.8 * limit < got <= limit


class TestKill:
    def test_it_kills_the_whole_group(self, server, tmp_path):
        server.start(launch(7, "family", tmp_path / "pids"))
        pids = content(tmp_path / "pids", 3)
        assert all(map(alive, pids))
        server.kill(7)
        assert all_ended(server, 1) == [Ended(id=7, code=None, signal=signal.SIGKILL)]
        eventually(lambda: not any(map(alive, pids)))

    def test_it_spares_the_others(self, server, tmp_path):
        server.start(launch(1, "pause", tmp_path / "one"))
        server.start(launch(2, "wait_for", (tmp_path / "two", tmp_path / "go")))
        content(tmp_path / "one"), content(tmp_path / "two")
        server.kill(1)
        assert all_ended(server, 1) == [Ended(id=1, code=None, signal=signal.SIGKILL)]
        (tmp_path / "go").touch()
        assert all_ended(server, 1) == [Ended(id=2, code=0, signal=None)]

    def test_it_may_follow_the_start_at_once(self, server, tmp_path):
        for job in range(10):
            server.start(launch(job, "family", tmp_path / "pids"))
            server.kill(job)
        assert {ended.signal for ended in all_ended(server, 10)} == {signal.SIGKILL}
        eventually(lambda: not psutil.Process(server.pid).children(recursive=True))

    def test_a_job_that_ended_or_never_was_is_passed_over(self, server):
        run(server, "nothing")
        server.kill(1)
        server.kill(99)
        assert run(server, "leave", 4) == Ended(id=1, code=4, signal=None)

    def test_what_a_job_leaves_behind_is_killed(self, server, tmp_path):
        assert run(server, "leave_family", tmp_path / "pids").code == 0
        (pid,) = content(tmp_path / "pids")
        eventually(lambda: not alive(pid))


class TestTheEnd:
    def test_closing_leaves_nothing_alive(self, tmp_path):
        with ForkServer(("jobs",), ENVIRONMENT) as server:
            server.start(launch(1, "family", tmp_path / "pids"))
            server.start(launch(2, "daemon", tmp_path / "daemon"))
            pids = [*content(tmp_path / "pids", 3), *content(tmp_path / "daemon"), server.pid]
            assert all(map(alive, pids))
        assert not any(map(psutil.pid_exists, pids))

    def test_closing_while_it_imports_leaves_nothing_alive(self):
        server = ForkServer(("harness.pipeline",), ENVIRONMENT)
        server.close()
        assert not psutil.pid_exists(server.pid)
        server.close()

    def test_an_exception_in_the_owner_closes(self, tmp_path):
        def interrupted():
            with ForkServer(("jobs",), ENVIRONMENT) as server:
                server.start(launch(1, "pause", tmp_path / "pids"))
                pids.extend([*content(tmp_path / "pids"), server.pid])
                raise KeyboardInterrupt

        pids = []
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert len(pids) == 2
        assert not any(map(psutil.pid_exists, pids))

    def test_nobody_waits_to_be_buried(self, server, tmp_path):
        for job in range(5):
            server.start(launch(job, "nothing"))
            server.start(launch(100 + job, "leave_family", tmp_path / "pids"))
        all_ended(server, 10)
        assert eventually(lambda: psutil.Process(server.pid).children(recursive=True) == [])

    def test_the_server_itself_is_killed(self, tmp_path):
        with ForkServer(("jobs",), ENVIRONMENT) as server:
            server.start(launch(1, "family", tmp_path / "pids"))
            pids = content(tmp_path / "pids", 3)
            os.kill(server.pid, signal.SIGKILL)
            message = "fork server: died of SIGKILL, expected it to outlive its jobs; what ran is lost"
            with pytest.raises(BrokenError) as caught:
                all_ended(server, 1)
            assert str(caught.value) == message
            with pytest.raises(BrokenError) as caught:
                server.start(launch(2, "nothing"))
            assert str(caught.value) == message
        eventually(lambda: not any(map(alive, pids)))

    def test_a_server_that_cannot_begin_is_told(self):
        with (
            ForkServer(("jobs",), {"PYTHONHOME": "/nonexistent"}) as server,
            pytest.raises(BrokenError, match="fork server: left with exit code 1, expected"),
        ):
            server.start(launch(1, "nothing"))


@pytest.fixture
def owner(tmp_path, request):
    """A program that owns a server with one job, in a process group of its own."""
    function = request.param
    arguments = f"{function!r}, {str(tmp_path / 'pids')!r}, {str(tmp_path)!r}"
    command = [sys.executable, "-c", f"import jobs; jobs.own({arguments})"]
    process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("owner", ["family"], indirect=True)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killing_the_owner_leaves_nothing_alive(owner, how, tmp_path):
    pids = [*content(tmp_path / "pids", 3), *content(tmp_path / "server")]
    assert all(map(alive, pids))
    owner.send_signal(how)
    assert owner.wait() == -how
    eventually(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("owner", ["daemon"], indirect=True)
def test_killing_the_owner_ends_daemons_too(owner, tmp_path):
    (pid,) = content(tmp_path / "pids")
    content(tmp_path / "server")
    assert alive(pid)
    owner.kill()
    assert eventually(lambda: not alive(pid))


@pytest.mark.parametrize("owner", ["pause"], indirect=True)
def test_a_job_dies_with_its_server_even_when_nobody_looks(owner, tmp_path):
    (pid,), (server,) = content(tmp_path / "pids"), content(tmp_path / "server")
    owner.send_signal(signal.SIGSTOP)
    assert alive(pid)
    os.kill(server, signal.SIGKILL)
    assert eventually(lambda: not alive(pid))


@pytest.mark.parametrize("owner", ["family"], indirect=True)
def test_an_interrupt_reaches_the_owner_alone(owner, tmp_path):
    pids = [*content(tmp_path / "pids", 3), *content(tmp_path / "server")]
    os.killpg(owner.pid, signal.SIGINT)
    assert content(tmp_path / "interrupted") == ["yes"]
    assert all(map(alive, pids))
    assert {os.getpgid(pid) for pid in pids}.isdisjoint({owner.pid})
    os.killpg(os.getpgid(pids[0]), signal.SIGTERM)
    assert content(tmp_path / "ended", 3) == ["None", signal.SIGTERM, 0]
    assert owner.wait() == 0
