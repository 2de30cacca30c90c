"""When pages are written, where, and what becomes of old ones."""

import ast
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import nights
import pytest
from pages import parsed

import reports
from harness.model import BrokenError
from reports import _files, _words
from reports._files import Document
from reports._site import Site
from reports.case import SHOWN

# Files


def listed(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_same_history_gives_the_same_bytes_in_another_process(tmp_path):
    code = (
        "import sys, pathlib, nights, reports;"
        "runs = [nights.exploded(1), nights.stuck(2), nights.a_run(0)];"
        "reports.render(nights.History(runs), pathlib.Path(sys.argv[1]))"
    )
    here = Path(__file__).parent
    paths = f"{here}{os.pathsep}{here.parent}"
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True, env=environment)
    reports.render(nights.History([nights.a_run(0), nights.exploded(1), nights.stuck(2)]), tmp_path / "here")
    assert listed(tmp_path / "there") == listed(tmp_path / "here")


def test_nothing_is_rendered_twice(tmp_path):
    history = nights.History([nights.a_run(), nights.stuck(1)])
    reports.render(history, tmp_path)
    assert history.reads == 2
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.html")}
    reports.render(history, tmp_path)
    assert history.reads == 2
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.html")} == before


def test_a_new_run_draws_itself_alone(tmp_path):
    runs = [nights.a_run(), nights.stuck(1)]
    reports.render(nights.History(runs), tmp_path)
    history = nights.History([*runs, nights.a_run(2, night=1)])
    reports.render(history, tmp_path)
    assert history.reads == 1
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_other_code_renders_everything_anew(tmp_path, monkeypatch):
    history = nights.History([nights.a_run()])
    reports.render(history, tmp_path)
    monkeypatch.setattr(_files, "code_digest", lambda: "another")
    reports.render(history, tmp_path)
    assert history.reads == 2


def test_pages_of_runs_that_are_gone_are_removed_and_other_files_are_not(tmp_path):
    reports.render(nights.History([nights.a_run(), nights.stuck(1)]), tmp_path)
    mine = tmp_path / "runs" / "mine.html"
    mine.write_text("<h1>Not the report's</h1>")
    (tmp_path / "runs" / "half.html.part").write_text("kept: not in the form that the report writes")
    (tmp_path / "runs" / f"half.html.{os.getpid()}.part").write_text("<!doctype")
    theirs = tmp_path / "runs" / f"half.html.{os.getppid()}.part"
    theirs.write_text("another process that lives is writing this")
    reports.render(nights.History([nights.a_run()]), tmp_path)
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {
        "index.html",
        "cllm-minimal.html",
        "000x0000.html",
        "mine.html",
        "half.html.part",
        theirs.name,
    }


def test_an_interrupted_write_leaves_the_old_page(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    _files.write(path, "old")
    monkeypatch.setattr(
        Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError, match="No space"):
        _files.write(path, "new")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["page.html"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "site").write_text("a file")
    with pytest.raises(BrokenError) as caught:
        reports.render(nights.History([]), tmp_path / "site")
    assert str(caught.value) == (
        f"report: cannot write {tmp_path / 'site'}: File exists; give a writable folder with free space"
    )
    assert caught.value.exit_code == 3


def stems(folder):
    return {path.stem for path in folder.iterdir()}


def test_the_newest_night_and_the_first_of_each_lasting_failure_are_drawn(tmp_path):
    runs = [run for night in range(3) for run in (nights.a_run(0, night=night), nights.stuck(1, night=night))]
    reports.render(nights.History(runs), tmp_path)
    assert stems(tmp_path / "runs") == {"002x0000", "002x0001", "000x0001"}
    assert 'href="runs/000x0001.html"' in (tmp_path / "index.html").read_text()


def test_a_page_of_an_earlier_night_stays_and_is_still_linked(tmp_path):
    first = [nights.a_run(0), nights.a_run(1, backend="native_c")]
    reports.render(nights.History(first), tmp_path)
    page = tmp_path / "runs" / "000x0000.html"
    before = page.stat().st_mtime_ns
    history = nights.History([*first, nights.a_run(0, night=1)])
    reports.render(history, tmp_path)
    assert stems(tmp_path / "runs") == {"000x0000", "000x0001", "001x0000"}
    assert page.stat().st_mtime_ns == before
    assert 'href="../runs/000x0000.html"' in (tmp_path / "cases" / "cllm-minimal.html").read_text()
    assert history.reads == 1


def test_only_what_changed_is_read(tmp_path):
    history = nights.History(nights.a_night())
    reports.render(history, tmp_path)
    asked = []
    history.whole.append(nights.a_run(0, night=1))
    history.history = lambda case: asked.append(case) or nights.History.history(history, case)
    reports.render(history, tmp_path)
    assert asked == ["cllm-minimal"]


def test_thousands_of_rows_need_no_trace(tmp_path):
    light = nights.History([nights.a_run()]).light()[0]
    rows = [
        replace(
            light,
            id=f"{number:06d}",
            session=f"s{number // 20}",
            case=f"case-{number % 20}",
            started=float(number),
        )
        for number in range(4000)
    ]
    history = nights.History([])
    history.light = lambda: rows
    history.run = lambda run_id: next(row for row in rows if row.id == run_id)
    reports.render(history, tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == 20
    text = parsed(tmp_path / "cases" / "case-3.html").text
    assert f"The newest {SHOWN} of 200 runs." in text


def test_the_real_store_is_a_source(tmp_path):
    from harness.sessions import Session
    from harness.store import open_store

    runs = [nights.a_run(), nights.stuck(1)]
    with open_store(tmp_path / "history.sqlite") as store:
        store.begin(Session(id="night-0", started=nights.START, plan=[1, 2, 3]))
        store.add_many(runs)
        path = reports.render(store, tmp_path / "site")
    text = parsed(path).text
    assert "1 of 2 healthy; 1 fails" in text
    assert "Not complete: 1 of 3 planned runs are not on record." in text
    assert [path.stem for path in sorted((tmp_path / "site" / "runs").iterdir())] == [run.id for run in runs]


# Pages are found, not listed


def test_every_page_has_its_template():
    assert [page.name for page in reports.pages()] == [
        "case",
        "compare",
        "night",
        "rebases",
        "run",
        "sabotage",
    ]
    for page in reports.pages():
        assert _words.environment().get_template(f"{page.name}.html")


def test_a_page_module_without_a_page_is_refused():
    with pytest.raises(TypeError, match=r"reports.empty: expected one public subclass of Page, found 0"):
        reports._page(ModuleType("reports.empty"))


def test_importing_the_report_imports_no_matplotlib():
    heavy = {"matplotlib", "torch", "sqlalchemy"}
    code = f"import sys, reports; reports.pages(); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert ast.literal_eval(done.stdout) == []


def test_documents_draw_nothing_until_they_are_read():
    history = nights.History(nights.a_night())
    found = [document for page in reports.pages() for document in page.documents(Site.read(history))]
    assert all(isinstance(document, Document) for document in found)
    assert history.reads == 0
    assert len(found) == 1 + len(nights.a_night()) + len({run.case for run in nights.a_night()})
