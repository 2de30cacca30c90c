import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jobs import MB, launch
from watching import content

from harness import measure
from harness.forkserver import ForkServer
from harness.measure import PhaseMemory, Progress, Standing, free_memory, peak_bytes, reset_peak
from harness.model import Measurement

HERE = str(Path(__file__).parent)
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(filter(None, (HERE, os.environ.get("PYTHONPATH"))))}
PRELOAD = ("jobs",)


@pytest.fixture(scope="module")
def server():
    with ForkServer(PRELOAD, ENVIRONMENT) as server:
        yield server


def run(server, function, path, **options):
    server.start(launch(1, function, path, **options))
    (ended,) = server.ended(60)
    assert (ended.code, ended.signal) == (0, None)


def near(size):
    """Within 2 % or 2 MB of some bytes."""
    return pytest.approx(size, rel=0.02, abs=2 * MB)


class TestPeakMemory:
    def test_it_is_that_of_each_phase_alone(self, server, tmp_path):
        run(server, "phases", tmp_path / "found")
        self.check(json.loads((tmp_path / "found").read_text()))

    @pytest.mark.slow
    @pytest.mark.parametrize("hold", [0, 600 * MB])
    def test_the_owners_memory_is_not_in_it(self, tmp_path, hold):
        arguments = (
            f"'phases', {str(tmp_path / 'found')!r}, {str(tmp_path)!r}, hold={hold}, preload={PRELOAD}"
        )
        command = [sys.executable, "-c", f"import jobs; jobs.own({arguments})"]
        subprocess.run(command, env={**os.environ, **ENVIRONMENT}, check=True)
        found = json.loads((tmp_path / "found").read_text())
        self.check(found)
        assert found["baseline"] < 200 * MB

    def test_imports_are_not_in_it(self, server, tmp_path):
        with ForkServer((*PRELOAD, "sqlalchemy", "pydantic", "psutil"), ENVIRONMENT) as heavier:
            run(heavier, "phases", tmp_path / "heavy")
        run(server, "phases", tmp_path / "light")
        heavy, light = (json.loads((tmp_path / name).read_text()) for name in ("heavy", "light"))
        self.check(heavy)
        assert heavy["baseline"] > light["baseline"] + 5 * MB

    def check(self, found):
        assert found["peak_memory.build"] == near(100 * MB)  # the larger of both times
        assert found["peak_memory.train"] == near(40 * MB)
        assert found["peak_memory.evaluate"] == near(40 * MB)
        assert found["held"] == 60 * MB

    @pytest.mark.slow
    def test_code_that_runs_for_the_first_time_is_not_in_it(self, tmp_path):
        with ForkServer(("jobs", "torch", "torch._dynamo"), ENVIRONMENT) as server:
            run(server, "torch_phases", tmp_path / "found")
        found = json.loads((tmp_path / "found").read_text())
        assert found["held"] == 100 * MB
        assert found["peak_memory.build"] == near(100 * MB)
        assert found["peak_memory.train"] < 110 * MB

    def test_measurements_are_bytes_by_phase(self, monkeypatch):
        peaks = iter([1000, 1500, 1200, 1900, 1100])
        monkeypatch.setattr(measure, "reset_peak", lambda: None)
        monkeypatch.setattr(measure, "peak_bytes", lambda: next(peaks))
        memory = PhaseMemory()
        for phase in ("build", "train", "build", "train"):
            memory.close(phase)
        assert memory.baseline == 1000
        assert memory.measurements() == [
            Measurement(name="peak_memory.build", value=900.0, unit="B"),
            Measurement(name="peak_memory.train", value=200.0, unit="B"),
        ]

    def test_a_peak_stays_until_it_is_reset(self):
        reset_peak()
        before = peak_bytes()
        np.ones(50 * MB, np.uint8)
        assert peak_bytes() - before == near(50 * MB)
        assert peak_bytes() - before == near(50 * MB)
        reset_peak()
        assert peak_bytes() == near(before)


class TestLimits:
    def test_a_lifted_limit_leaves_room_for_the_report(self, server, tmp_path):
        run(server, "hoard_and_lift", tmp_path / "got", memory=64 * 2**20)
        (got,) = content(tmp_path / "got")
        assert got > 48 * 2**20

    def test_dropped_caches_go_back_to_the_system(self, server, tmp_path):
        run(server, "trim", tmp_path / "found")
        before, filled, after, _ = content(tmp_path / "found", 4)
        assert filled - before > 30 * MB
        assert after - before < 8 * MB


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Write what the control group says."""
    monkeypatch.setattr(measure, "CGROUP", tmp_path)

    def say(**files):
        for name, text in files.items():
            (tmp_path / f"memory.{name}").write_text(text)

    return say


class TestFreeMemory:
    def test_it_is_that_of_the_system(self, container):
        assert 10 * MB < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        container(max="max\n", current="5000000\n", stat="inactive_file 1\n")
        assert free_memory() > 10 * MB

    def test_or_that_of_the_container_where_it_is_less(self, container):
        container(max="9000000\n", current="5000000\n", stat="anon 7\ninactive_file 1000000\n")
        assert free_memory() == 5 * MB
        container(current="20000000\n")
        assert free_memory() == 0

    @pytest.mark.parametrize("files", [{"max": "word"}, {"current": ""}, {"stat": "three words here"}])
    def test_what_cannot_be_read_is_passed_over(self, container, files):
        container(**{"max": "9000000", "current": "5000000", "stat": "", **files})
        assert free_memory() > 10 * MB


class TestProgress:
    def test_it_tells_the_phase_and_the_step(self, tmp_path):
        path = tmp_path / "progress"
        assert Progress.read(path) == Standing("start", -1)
        progress = Progress(path)
        assert Progress.read(path) == Standing("start", -1)
        progress.enter("train")
        progress.step(7)
        assert Progress.read(path) == Standing("train", 7)
        progress.enter("evaluate")
        assert Progress.read(path) == Standing("evaluate", -1)

    @pytest.mark.parametrize("content", [b"", b"train", bytes(40), bytes(33)])
    def test_what_is_not_whole_has_not_begun(self, tmp_path, content):
        (tmp_path / "progress").write_bytes(content)
        assert Progress.read(tmp_path / "progress").phase == "start"

    def test_where_it_stands_in_words(self):
        assert Standing("train", 3).where(28) == "in phase train at step 3 of 28"
        assert Standing("build", -1).where(28) == "in phase build"
