"""`harness validate`: confirmed, not reproduced, not fixed, breaks something."""

import json

import pytest
from recorded import DIAGNOSES, make_run
from revisions import case, commit, git, program
from test_compare import call

from harness.elsewhere import AbsentError
from harness.fixes import Answer, validate_fix
from harness.model import Status

__all__ = ["call"]
PASS, FAIL, ERROR = Status.PASS, Status.FAIL, Status.ERROR


def test_a_fix_is_confirmed_with_the_cause_that_it_removes(call, tmp_path):
    program("0.0", rate="0.0")
    case(uses="made.py")
    commit("broken")
    program("0.3")
    case("other", tag="smoke")
    commit("fixed")
    code, out, err = call(
        "validate", "line", "--before", "HEAD~1", "--after", "HEAD", "--diagnosis", "learning_rate_zero",
        "--build", "cp cases/train.py cases/made.py", "--json", tmp_path / "found.json",
    )  # fmt: skip
    assert (code, err) == (0, [])
    assert out == ["fix confirmed: line failed before of learning_rate_zero; 1 other run not worse"]
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["schema"], found["answer"], found["cause"], found["others"], found["runs"]) == (
        1, "fix confirmed", "learning_rate_zero", 1, [],
    )  # fmt: skip
    assert (found["before"], found["after"]) == (git("rev-parse", "HEAD~1"), git("rev-parse", "HEAD"))


class Recorded:
    """Stands for `Elsewhere`: before and after, what the case gives each time, and what others give."""

    def __init__(self, before="ff", after="pp", causes="aa", others=None, earlier=None):
        self.turns = {
            "before": list(zip(before, causes, strict=True)),
            "after": [(each, "a") for each in after],
        }
        self.others, self.earlier = others, earlier or {}

    def run(self, checkout, cases, tags=()):
        if tags:
            if self.others is None:
                raise AbsentError("no case carries it")
            return tuple(made(name, letter) for name, letter in self.others.items())
        [name] = cases
        if name != "line":
            if name not in self.earlier:
                raise AbsentError("not there")
            return (made(name, self.earlier[name]),)
        return (made("line", *self.turns[checkout].pop(0)),)


def made(name, letter, cause="a"):
    status = {"p": PASS, "f": FAIL, "e": ERROR, "s": Status.SKIP}[letter]
    [diagnosis, *_] = DIAGNOSES
    causes = [] if letter == "p" else [type(diagnosis)(name=cause, cause="c", remedy="r", weight=0.9)]
    return make_run(case=name, status=status, diagnoses=tuple(causes))


def validated(how, **more):
    return validate_fix("before", "after", how, "line", **more)


@pytest.mark.parametrize(
    ("given", "more", "answer", "reason"),
    [
        ({}, {}, Answer.CONFIRMED, ""),
        ({}, {"diagnosis": "a"}, Answer.CONFIRMED, ""),
        ({"before": "pp"}, {}, Answer.NOT_REPRODUCED, "before, the case does not fail each time, but gives pass"),
        ({"before": "fp"}, {}, Answer.NOT_REPRODUCED, "before, the case does not fail each time, but gives fail, pass"),
        ({"before": "ee"}, {}, Answer.NOT_REPRODUCED, "before, the case does not fail each time, but gives error (gradients: nan)"),
        ({"causes": "ab"}, {}, Answer.NOT_REPRODUCED, "before, the case fails of a, then b; expected the same cause each time"),
        ({}, {"diagnosis": "b"}, Answer.NOT_REPRODUCED, "before, the case fails of a, then a; expected b"),
        ({"after": "pf"}, {}, Answer.NOT_FIXED, "after, line [torch_eager] gives fail, of a still"),
        ({"after": "ee"}, {}, Answer.NOT_FIXED, "after, line [torch_eager] gives error, of a still"),
        ({"after": "ss"}, {}, Answer.NOT_FIXED, "after, line [torch_eager] gives skip, of a still"),
        ({"others": {"x": "p", "y": "s"}}, {}, Answer.CONFIRMED, ""),
        ({"others": {"line": "f"}}, {}, Answer.CONFIRMED, ""),
        ({"others": {"x": "f"}, "earlier": {"x": "f"}}, {}, Answer.CONFIRMED, ""),
        ({"others": {"x": "f", "y": "p"}, "earlier": {"x": "p"}}, {}, Answer.BREAKS, "x [torch_eager]"),
        ({"others": {"x": "e"}, "earlier": {"x": "p"}}, {}, Answer.BREAKS, "x [torch_eager]"),
        ({"others": {"x": "f"}}, {}, Answer.BREAKS, "x [torch_eager]"),
    ],
)  # fmt: skip
def test_answers(given, more, answer, reason):
    found = validated(Recorded(**given), **more)
    assert (found.answer, found.reason) == (answer, reason)
    assert found.others == len([name for name in given.get("others", {}) if name != "line"])
    assert (answer is Answer.BREAKS) == bool(found.runs and found.runs[0].case == "x")


def test_mistakes(call):
    assert call("validate", "line", "--before", "HEAD", "--after", "main")[0::2] == (
        2, ["--before and --after are the same commit: a fix lies between two"],
    )  # fmt: skip
    code, _, [line] = call(
        "validate", "line", "--before", "HEAD", "--after", "HEAD", "--diagnosis", "rate_zer"
    )
    assert (code, line) == (2, "--diagnosis: unknown name 'rate_zer'; did you mean 'rate_zero'?")
