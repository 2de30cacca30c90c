"""Programs that end badly, or oddly: a clear line and a partial report, never a traceback of ours."""

import json
import re

import pytest
from programs import BASES

from harness.cli import main
from harness.model import HarnessError
from harness.watching.program import Job, watch

TRAINING = BASES["regression"]
LOOP = "for step in range(60):"
END = "    optimizer.step()\n"
AT_20 = END + "    if step == 20:\n        "


def at_20(statement, head=""):
    return head + TRAINING.replace(END, AT_20 + statement + "\n")


def line_of(text, words):
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


# what a program does with itself; one process has torch already, and each is a child of it


RAISES = at_20("raise ValueError('no such shard')")
ENDINGS = {
    "raises": (RAISES, "raised", f"ValueError: no such shard (train.py:{line_of(RAISES, 'raise V')})", 21, 2),
    "raises within torch": (
        at_20("model(x[:, :2])"),
        "raised",
        f"(train.py:{line_of(at_20('model(x[:, :2])'), 'x[:, :2]')})",
        21,
        2,
    ),
    "leaves": (at_20("raise SystemExit"), "left", "", 21, 0),
    "leaves with 0": (at_20("import sys; sys.exit(0)"), "left", "", 21, 0),
    "leaves with 3": (at_20("import sys; sys.exit(3)"), "left", "", 21, 2),
    "leaves with a text": (at_20("import sys; sys.exit('no shards')"), "left", "no shards", 21, 2),
    "a package is missing": (
        "import nosuchmodule\n" + TRAINING,
        "raised",
        "ModuleNotFoundError: No module named 'nosuchmodule' (train.py:1)",
        0,
        2,
    ),
    "syntax": ("import torch\n1 +\n", "raised", "SyntaxError: invalid syntax (train.py, line 2)", 0, 2),
    "nothing at all": ("", "completed", "", 0, 2),
    "trains nothing": ("import torch\nprint(torch.ones(2).sum())\n", "completed", "", 0, 2),
    "never goes backward": (TRAINING.replace("    loss.backward()\n", ""), "completed", "", 60, 1),
    "killed by itself": (at_20("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), "killed", "", 16, 2),
    "a fault in memory": (at_20("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), "killed", "", 16, 2),
    "leaves at once": (at_20("import os; os._exit(5)"), "killed", "", 16, 2),
    "deletes its model": (TRAINING + "del model, optimizer, predicted, loss\n", "completed", "", 60, 0),
    "changes directory": ("import os\n" + TRAINING.replace(LOOP, f"os.chdir('/')\n{LOOP}"), "completed", "", 60, 0),
    "catches everything": (
        TRAINING.replace(LOOP, LOOP + "\n  try:").replace("\n    ", "\n      ").rstrip()
        + "\n  except BaseException:\n    pass\n",
        "completed",
        "",
        60,
        0,
    ),
    "is the main program": (
        TRAINING.replace(LOOP, f"if __name__ == '__main__':\n  {LOOP}").replace("\n    ", "\n      "),
        "completed",
        "",
        60,
        0,
    ),
    "forks": (
        "import os\n" + at_20("child = os.fork()\n        if not child:\n            continue"),
        "completed",
        "",
        60,
        0,
    ),
    "reads standard input": ("import sys\nassert sys.stdin.read() == ''\n" + TRAINING, "completed", "", 60, 0),
    "closes standard output": (at_20("import sys; sys.stdout.close()"), "completed", "", 60, 0),
    "prints megabytes": (at_20("print('x' * 4_000_000)"), "completed", "", 60, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDINGS)
def test_how_a_program_ends_is_told(clinic, name):
    text, how, words, steps, code = ENDINGS[name]
    examination = clinic.examine(text).examination
    assert examination.ending.how == how, examination.ending
    assert words in examination.ending.text
    assert max((training.steps for training in examination.trainings), default=0) == steps
    assert examination.exit_code == code, examination.verdict
    assert "\n" not in examination.verdict


def test_an_endless_training_is_stopped(clinic):
    text = TRAINING.replace(LOOP, "import itertools\nfor step in itertools.count():")
    assert clinic.examine(text, steps=30).examination.verdict == "healthy: nothing was found in 30 steps"
    by_time = clinic.examine(text, minutes=1e-6).examination
    assert (by_time.ending.how, by_time.exit_code) == ("stopped", 0)


def test_what_catches_the_end_still_ends(clinic):
    text = TRAINING.replace(LOOP, "import itertools\nfor step in itertools.count():\n  try:")
    text = text.replace("\n    ", "\n      ").rstrip() + "\n  except BaseException:\n    pass\n"
    seen = clinic.examine(text, steps=30)
    assert (seen.examination.ending.how, seen.examination.exit_code) == ("stopped", 0)
    assert 30 <= seen.examination.trainings[0].steps < 40


# from outside: the command itself, in a fresh interpreter each


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(text, *arguments):
        (tmp_path / "train.py").write_text(text)
        code = main(["doctor", "train.py", *arguments])
        shown = capsys.readouterr()
        assert "harness/" not in shown.out + shown.err, "expected no traceback of ours"
        return code, shown.out, shown.err

    return run


def test_there_is_no_such_script(tmp_path, capsys):
    assert main(["doctor", str(tmp_path / "gone.py")]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/gone.py: no such file; expected a Python script\n"
    with pytest.raises(HarnessError, match="no such file"):
        watch(Job(script=tmp_path, folder=tmp_path / "out"))


def test_an_interpreter_that_cannot_observe_is_ours_to_tell(doctor):
    code, _, err = doctor("pass", "--python", "/nonexistent/python")
    assert code == 2
    assert err.count("\n") == 1
    assert "/nonexistent/python" in err


def test_the_command_tells_of_a_sick_program(doctor, tmp_path):
    (tmp_path / "sibling.py").write_text("RATE = 0.05\n")
    text = "import sys\nfrom sibling import RATE\nassert sys.argv[1:] == ['--rate', '3']\n" + TRAINING
    text = text.replace("lr=0.05", "lr=RATE").replace("    optimizer.zero_grad()\n", "")
    code, out, _ = doctor(text, "--json", "doctor.json", "--html", "doctor.html", "--", "--rate", "3")
    assert code == 1
    lines = out.splitlines()
    assert lines[0] == "train.py: sick, 1 finding"
    assert "  gradients left over: gradients are never cleared" in out
    assert re.search(r"^model +Sequential: 129 parameters, 129 trainable$", out, re.MULTILINE)
    _check_json(json.loads((tmp_path / "doctor.json").read_text()))
    page = (tmp_path / "doctor.html").read_text()
    assert "gradients are never cleared" in page
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", page)


def _check_json(told):
    assert told["schema"] == 1
    [run] = told["runs"]
    assert (run["case"], run["backend"], run["status"]) == ("train.py", "script", "fail")
    assert run["reason"] == "gradients_left_over"
    assert run["diagnoses"][0]["name"] == "gradients_left_over"
    assert run["diagnoses"][0]["weight"] == 0.97
    assert run["verdicts"] == []
    assert run["measurements"]["program_time"]["unit"] == "s"
    assert run["environment"]["device"] == "cpu"
    assert run["seen"]["models"] == ["Sequential"]
    assert run["seen"]["trainings"][0]["steps"] == 60


def test_the_command_tells_of_a_program_that_died(doctor):
    text = at_20("print('last words'); import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    code, out, _ = doctor(text)
    assert code == 2
    assert out.startswith(
        "train.py: not judged: the program died of SIGSEGV; up to there nothing was found\n"
    )
    assert "SGD 1: 16 steps" in out
    assert out.endswith("last lines of the script:\nlast words\n")
