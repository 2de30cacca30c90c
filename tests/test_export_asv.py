"""The history as results of asv: what asv itself makes of them, and what is left out and told."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

import commits
import nights
import pytest

from harness.cli import main
from harness.commits import read_commits
from harness.exports._asv import MEASURES, machine_name
from harness.exports.asv import export
from harness.history import losses
from harness.model import HarnessError, Measurement, Status, Verdict
from harness.sessions import Session
from harness.store import open_store

asv_results = pytest.importorskip("asv.results", reason="comes with the extra 'tests'")
DAYS = 12
ENVIRONMENT = {
    **nights.ENVIRONMENT, "python": "3.12.1", "numpy": "2.1.3", "torch": "2.13.0+cpu", "host": "0123456789abcdef",
    "kernel": "6.1", "architecture": "x86_64",
}  # fmt: skip


def a_run(commit, number=0, *, step=0.0012, **changes):
    environment = {**ENVIRONMENT, "commit": commit, "dirty": False, **changes.pop("environment", {})}
    facts = nights.completed(nights.trace(), measurements=nights.measurements(step))
    known = {"id": f"{number:05}", "started": commits.START + number * commits.DAY, "facts": facts}
    return nights.a_run(**{**known, "environment": environment, **changes})


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "code"
    return folder, commits.repository(folder, 3)


def exported(tmp_path, repository, runs):
    return export(runs, tmp_path / "asv", repository[0])


def files(folder):
    return sorted(
        path.relative_to(folder / "results").as_posix() for path in folder.glob("results/**/*.json")
    )


def only(folder):
    """The one file of results, as asv reads it."""
    [found] = asv_results.iter_results(str(folder / "results"))
    return found


class TestFiles:
    def test_are_those_of_asv(self, tmp_path, repository):
        run = a_run(repository[1][0])
        done = exported(tmp_path, repository, [run])
        name, short = machine_name(run), repository[1][0][:8]
        assert name == "EPYC-2-cores-01234567"
        assert files(done.folder) == [
            f"{name}/{short}-history-py3.12.1-torch2.13-numpy2.1.json",
            f"{name}/machine.json",
            "benchmarks.json",
        ]
        conf = json.loads((done.folder / "asv.conf.json").read_text())
        assert (conf["repo"], conf["branches"]) == ("../code", ["main"])
        machine = json.loads((done.folder / "results" / name / "machine.json").read_text())
        assert (machine["machine"], machine["cpu"], machine["num_cpu"]) == (name, "EPYC", "2")
        assert (done.commits, done.machines, done.left_out) == (1, (name,), {})

    def test_values_and_samples_are_those_of_the_run(self, tmp_path, repository):
        run = a_run(repository[1][0])
        done = exported(tmp_path, repository, [run])
        found, params = only(done.folder), [["'torch_eager'"]]
        samples = run.facts.measurements["step_time"].samples
        assert found.get_result_value("cllm-minimal.step_time", params) == [median(samples)]
        assert found.get_result_samples("cllm-minimal.step_time", params) == [list(samples)]
        assert found.get_result_value("cllm-minimal.peak_memory", params) == [9.0e6]
        known = losses(run.facts.trace)
        assert found.get_result_value("cllm-minimal.loss_ratio", params) == [known.final / known.first]
        assert found.date == 1000 * commits.START
        assert done.results == len(found.get_all_result_keys()) == 4

    def test_less_is_better_in_all_of_them(self):
        from harness.history import METRICS

        directions = {METRICS[each.name].better for each in MEASURES if each.name in METRICS}
        assert directions == {"lower"}

    def test_the_parity_error_is_the_largest_of_the_verdicts(self, tmp_path, repository):
        verdicts = [
            Verdict(check="matches_reference", status=Status.PASS, observed=value) for value in (1e-6, 3e-6)
        ]
        done = exported(tmp_path, repository, [a_run(repository[1][0], verdicts=tuple(verdicts))])
        assert only(done.folder).get_result_value("cllm-minimal.parity_error", [["'torch_eager'"]]) == [3e-6]

    def test_several_runs_of_one_commit_are_one_value_of_all_samples(self, tmp_path, repository):
        runs = [a_run(repository[1][0], number, step=step) for number, step in enumerate((0.001, 0.002))]
        found = only(exported(tmp_path, repository, runs).folder)
        [samples] = found.get_result_samples("cllm-minimal.step_time", [["'torch_eager'"]])
        assert len(samples) == 40

    def test_a_number_that_is_none_is_shown_as_failed(self, tmp_path, repository):
        run = a_run(repository[1][0])
        bad = {"step_time": Measurement(name="step_time", value=float("nan"), unit="s", samples=(1.0,))}
        found = only(
            exported(tmp_path, repository, [replace(run, facts=replace(run.facts, measurements=bad))]).folder
        )
        assert found.get_result_value("cllm-minimal.step_time", [["'torch_eager'"]]) == [None]

    def test_a_changed_case_starts_a_new_series(self, tmp_path, repository):
        runs = [a_run(repository[1][number], number, revision=1 + number) for number in range(2)]
        done = exported(tmp_path, repository, runs)
        known = json.loads((done.folder / "results" / "benchmarks.json").read_text())[
            "cllm-minimal.step_time"
        ]
        assert known["version"] == "revision 2, problem p0"
        versions = {
            found.commit_hash: found.benchmark_version["cllm-minimal.step_time"]
            for found in asv_results.iter_results(str(done.folder / "results"))
        }
        assert versions == {
            repository[1][0]: "revision 1, problem p0",
            repository[1][1]: "revision 2, problem p0",
        }

    def test_machines_and_versions_are_kept_apart(self, tmp_path, repository):
        commit = repository[1][0]
        runs = [
            a_run(commit),
            a_run(commit, 1, environment={"host": "f" * 16}),
            a_run(commit, 2, environment={"torch": "2.14.0"}),
        ]
        done = exported(tmp_path, repository, runs)
        assert done.machines == ("EPYC-2-cores-01234567", "EPYC-2-cores-ffffffff")
        assert len(files(done.folder)) == 3 + 2 + 1

    def test_machines_of_one_name_are_told(self, tmp_path, repository):
        runs = [a_run(repository[1][0], at, environment={"boot": boot}) for at, boot in enumerate("aba")]
        [note] = exported(tmp_path, repository, runs).notes
        assert note.startswith(
            "EPYC-2-cores-01234567 is several machines of one name, whose starts alternate; give"
        )
        assert exported(tmp_path, repository, runs[:2]).notes == ()

    def test_a_second_export_replaces_the_first_and_nothing_else(self, tmp_path, repository):
        first = exported(tmp_path, repository, [a_run(commit) for commit in repository[1]])
        second = exported(tmp_path, repository, [a_run(repository[1][0])])
        assert (len(files(first.folder)), second.commits) == (3, 1)
        (tmp_path / "asv" / "asv.conf.json").write_text("{}")
        with pytest.raises(HarnessError, match="holds results of asv that no export wrote; name another"):
            exported(tmp_path, repository, [a_run(repository[1][0])])
        assert len(files(first.folder)) == 3


class TestLeftOut:
    def test_is_told_with_its_reason(self, tmp_path, repository):
        runs = [
            a_run(repository[1][0]),
            a_run(None),
            a_run(repository[1][0], environment={"dirty": True}),
            a_run(repository[1][0], environment={"dirty": None}),
            a_run("f" * 40),
            replace(nights.unavailable(), environment={"commit": repository[1][0], "dirty": False}),
        ]
        done = exported(tmp_path, repository, runs)
        assert done.left_out == {
            "of no commit": 1,
            "with uncommitted changes": 2,
            "of commits that are not in the repository (rebased, or a shallow clone)": 1,
            "without measurements": 1,
        }
        assert done.results == 4

    def test_an_empty_history_is_an_empty_export(self, tmp_path, repository):
        done = exported(tmp_path, repository, [])
        assert (done.results, done.commits, done.machines, files(done.folder)) == (
            0,
            0,
            (),
            ["benchmarks.json"],
        )

    def test_what_only_a_merge_leads_to_is_told(self, tmp_path, repository):
        folder, made = repository
        commits.git(folder, "checkout", "-q", "-b", "side")
        side = commits.commit(folder, 5)
        commits.git(folder, "checkout", "-q", "main")
        commits.git(folder, "merge", "-q", "--no-ff", "side", "-m", "merge")
        known = read_commits(folder)
        assert known.branches_with([made[0], side]) == (("main", "side"), frozenset())
        commits.git(folder, "branch", "-q", "-D", "side")
        done = exported(tmp_path, repository, [a_run(side)])
        assert done.results == 4
        assert done.notes == (
            "commits that only merges lead to: asv compares them, and does not draw them: 1",
        )

    def test_a_shallow_clone_is_told(self, tmp_path, repository):
        folder, made = repository
        clone = tmp_path / "clone"
        commits.git(tmp_path, "clone", "-q", "--depth", "1", folder.as_uri(), str(clone))
        done = export([a_run(made[0]), a_run(made[2])], tmp_path / "asv", clone)
        assert (done.commits, sum(done.left_out.values())) == (1, 1)
        assert done.notes == ("the clone is shallow: `git fetch --unshallow` brings the other commits",)

    def test_a_detached_checkout(self, tmp_path, repository):
        folder, made = repository
        commits.git(folder, "checkout", "-q", "--detach")
        assert exported(tmp_path, repository, [a_run(made[0])]).results == 4

    def test_no_repository(self, tmp_path):
        with pytest.raises(HarnessError, match=r"expected a git repository with commits; name its folder"):
            export([], tmp_path / "asv", tmp_path)


def asv(folder, *arguments):
    """A command of asv on an export, with its notes about the machine in that folder, too."""
    environment = {**os.environ, "HOME": str(folder)}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "asv",
        *arguments,
        "--config",
        str(folder / "asv.conf.json"),
    ]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A store with a night a commit, on two backends; in the middle the step became slower by a half."""
    folder = tmp_path_factory.mktemp("history")
    made = commits.repository(folder / "code", DAYS)
    with open_store(folder / "history.sqlite") as store:
        for number, commit in enumerate(made):
            step = 0.001 * (1 + number % 3 / 100) * (1.5 if number >= DAYS // 2 else 1)
            name = f"night-{number}"
            store.begin(Session(id=name, started=float(number)))
            store.add_many(
                a_run(commit, number, step=step, session=name, backend=backend, id=f"{number}{backend}")
                for backend in ("torch_eager", "numpy_float64")
            )
            store.finish(name)
    return folder, made


@pytest.fixture(scope="module")
def published(history):
    folder, _ = history
    out = folder / "asv"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["export", "asv", "--store", "history.sqlite", "--out", str(out), "--repo", "code"]) == 0
    asv(out, "publish")
    return out


class TestAsv:
    def test_the_command_says_what_it_did(self, history, capsys, monkeypatch, tmp_path):
        monkeypatch.chdir(history[0])
        arguments = ["--store", "history.sqlite", "--repo", "code", "--out"]
        assert main(["export", "asv", *arguments, str(tmp_path / "x")]) == 0
        conf = tmp_path / "x" / "asv.conf.json"
        assert capsys.readouterr().out.splitlines() == [
            "96 results of 12 commits on EPYC-2-cores-01234567",
            f"asv publish --config {conf} && asv preview --config {conf}",
        ]
        assert main(["export", "asw", *arguments, "x"]) == 2
        assert capsys.readouterr().err == "export: unknown form 'asw'; did you mean 'asv'?\n"
        (tmp_path / "file").write_text("")
        assert main(["export", "asv", *arguments, str(tmp_path / "file" / "x")]) == 3
        assert capsys.readouterr().err.endswith("cannot be written: Not a directory\n")

    def test_compare_sees_what_became_slower(self, history, published):
        _, made = history
        said = asv(published, "compare", made[0], made[-1]).stdout
        rows = {
            row[5].strip(): row[1].strip() for line in said.splitlines() if len(row := line.split("|")) > 5
        }
        slower = {name.partition(" ")[0] for name, mark in rows.items() if mark == "+"}
        assert slower == {"cllm-minimal.step_time('torch_eager')", "cllm-minimal.step_time('numpy_float64')"}
        assert sum("cllm-minimal." in name for name in rows) == 8

    def test_publish_draws_every_commit(self, published):
        graphs = [
            path
            for path in published.glob("html/graphs/**/cllm-minimal.step_time.json")
            if "machine-" in str(path)
        ]
        points = [json.loads(path.read_text()) for path in graphs]
        assert [len(found) for found in points] == [DAYS]
        assert all(len(values) == 2 for _, values in points[0])

    def test_publish_finds_the_regression(self, published):
        found = json.loads((published / "html" / "regressions.json").read_text())["regressions"]
        assert {row[0] for row in found} == {
            "cllm-minimal.step_time('torch_eager')",
            "cllm-minimal.step_time('numpy_float64')",
        }


@pytest.mark.browser
@pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium and chromedriver"
)
class TestBrowser:
    """The pages of asv fetch their scripts from the network.

    Where there is none, `HARNESS_ASV_SCRIPTS` may name a folder that holds files of the same names.
    """

    @pytest.fixture
    def address(self, published):
        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        with_scripts(published / "html" / "index.html")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(published / "html")))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
        server.server_close()

    def test_what_the_pages_draw_from_is_there_without_a_network(self, browser, address):
        """Their own scripts need others from the network; what these would read, the browser reads itself."""
        browser.get(address + "error.html")
        assert browser.title == "airspeed velocity error"
        read = "const done = arguments[1]; fetch(arguments[0]).then(r => r.json()).then(done, e => done(String(e)))"

        def fetched(path):
            return browser.execute_async_script(read, address + path)

        index = fetched("index.json")
        assert index["project"] == "code"
        assert set(index["benchmarks"]) == {
            f"cllm-minimal.{name}" for name in ("loss_ratio", "peak_memory", "startup_time", "step_time")
        }
        assert index["params"]["machine"] == ["EPYC-2-cores-01234567"]
        assert index["benchmarks"]["cllm-minimal.step_time"]["params"] == [
            ["'numpy_float64'", "'torch_eager'"]
        ]
        drawn = [fetched(f"{folder}/cllm-minimal.step_time.json") for folder in graphs_of(index)]
        assert [len(points) for points in drawn] == [DAYS]
        middle = drawn[0][DAYS // 2 - 1 : DAYS // 2 + 1]
        assert all(
            after > 1.4 * before for before, after in zip(*(values for _, values in middle), strict=True)
        )
        assert {row[0].partition("(")[0] for row in fetched("regressions.json")["regressions"]} == {
            "cllm-minimal.step_time"
        }

    def test_the_pages_show_the_history(self, browser, address):
        from selenium.webdriver.support.ui import WebDriverWait

        def shown(fragment, wanted):
            browser.get("about:blank")
            browser.get(address + fragment)
            ready = (
                "return Boolean(window.jQuery && window.jQuery.plot) || location.href.endsWith('error.html')"
            )
            WebDriverWait(browser, 30).until(lambda driver: driver.execute_script(ready))
            if browser.current_url.endswith("error.html"):
                pytest.skip("asv's pages fetch jQuery and flot from the network, which is out of reach")
            return WebDriverWait(browser, 30).until(
                lambda driver: wanted in (text := driver.find_element("tag name", "body").text) and text
            )

        names = {"cllm-minimal", "loss_ratio", "peak_memory", "startup_time", "step_time"}
        assert names <= set(shown("#/", "step_time").splitlines())
        page = shown("#cllm-minimal.step_time", "EPYC-2-cores-01234567")
        assert "torch_eager" in page
        assert browser.find_elements("css selector", "canvas.flot-base")
        assert "cllm-minimal.step_time('torch_eager')" in shown("#regressions", "step_time")


def graphs_of(index):
    """The folder of each combination of parameters, as the scripts of asv make it up."""
    return [
        "/".join(["graphs", *(f"{key}-{value}" if value else key for key, value in sorted(each.items()))])
        for each in index["graph_param_list"]
    ]


def with_scripts(page):
    """The scripts beside the page in place of those on the network, where a folder has them."""
    folder = os.environ.get("HARNESS_ASV_SCRIPTS")
    if folder:
        shutil.copytree(folder, page.parent / "scripts", dirs_exist_ok=True)
        text = re.sub(r' (integrity|crossorigin)="[^"]*"', "", page.read_text())
        page.write_text(re.sub(r'"https://[^"]*/([^/"]+\.(js|css))"', r'"scripts/\1"', text))
