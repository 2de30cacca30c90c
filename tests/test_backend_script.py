"""Scripts and built models under observation, as cases: judged rightly, however they end."""

from dataclasses import replace
from math import log
from textwrap import dedent

import pytest
from watching import alive, content, eventually

from harness.cases import load_cases, read_cases
from harness.discover import get, working
from harness.judge import judge
from harness.measure import Progress
from harness.model import HarnessError, Outcome, Status
from harness.runner import Runner, Task

CASE = """
schema: 1
about: A script.
timeout: 100 s
model: {script: train.py, arguments: ["0.3", "{steps}"]}
config: {steps: 40}
backends: [script]
expect:
  healthy: true
"""
TRAIN = """
import sys
import torch
from torch import nn
from parts import classifier, samples

rate, steps = float(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
inputs, targets = samples()
model = classifier()
optimizer = torch.optim.SGD(model.parameters(), lr=rate)
for step in range(steps):
    chosen = torch.randint(0, len(inputs), (32,))
    loss = nn.functional.cross_entropy(model(inputs[chosen]), targets[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("final", loss.item())
"""
PARTS = """
import torch
from torch import nn


def samples():
    inputs = torch.randn(256, 8)
    return inputs, (inputs @ torch.randn(8, 4)).argmax(1)


def classifier(width=32):
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 4))


def build(width=32, wrong=None):
    torch.manual_seed(1)
    inputs, targets = samples()
    model = classifier(width)
    batches = [(inputs[at : at + 64], targets[at : at + 64]) for at in range(0, 256, 64)]
    made = [model, batches, loss, torch.optim.SGD(model.parameters(), lr=0.5)]
    if wrong is not None:
        made[wrong] = 3
    return made


def by_step():
    model, batches, loss, optimizer = build()
    return model, lambda step: batches[step % 2], loss, optimizer


def once():
    model, batches, loss, optimizer = build()
    return model, iter(batches), loss, optimizer


def vector():
    model, batches, _, optimizer = build()
    return model, batches, lambda model, batch: model(batch[0]), optimizer


def pair():
    return 1, 2


def broken():
    raise RuntimeError("no data today")


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def accuracy(model):
    inputs, targets = held_out()
    return float((model(inputs).argmax(1) == targets).float().mean())


def held_out():
    torch.manual_seed(1)
    return samples()


def told(model):
    return {"accuracy": accuracy(model), "answer_rate": 1, "chance": 0.25}


def looked_up(model):
    return 1.0


def words(model):
    return "good"


def beyond(model):
    return {"accuracy": 70.0}


def raising(model):
    raise KeyError("test set")
"""


@pytest.fixture
def case(tmp_path):
    def make(program=TRAIN, text=CASE, **changes):
        (tmp_path / "train.py").write_text(dedent(program))
        (tmp_path / "parts.py").write_text(PARTS)
        path = tmp_path / "script.yaml"
        path.write_text(text)
        (found,) = load_cases([path]).cases
        return replace(found, **changes)

    return make


@pytest.fixture
def facts(tmp_path):
    def record(case):
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        return get("backends", case.backends[0])().record(case, scratch, Progress(scratch / "progress"))

    return record


def judged(case, found):
    return judge(case.expectations(case.backends[0]), found, [one() for one in working("diagnoses").values()])


def with_model(model, expect="  healthy: true"):
    head, _, tail = CASE.partition("model: ")
    rest = tail.partition("\n")[2].partition("expect:")[0]
    return f"{head}model: {model}\n{rest}expect:\n{expect}\n"


# a script


def test_the_checks_of_computed_models_read_a_script(case, facts):
    expect = """
  healthy: true
  parameters: 420
  initial_loss: {uniform: 20%}
  loss_drop: {at_least: 20%, at_most: 99%}
  final_loss: {at_most: 1}
  gradients: {"*": {norm: [1e-4, 10]}, "0.weight": {norm: [1e-3, 10]}}
  weights: {"*": {norm: [1e-2, 20]}}
  moves: {"*": true}
  optimizer_covers: all
  memory_growth: {at_most: 8 MiB}
  peak_memory: {at_least: 32 MiB}
  learning_rate: {peak: [0.3, 0.3]}
"""
    healthy = case(text=CASE.partition("expect:")[0] + "expect:" + expect)
    found = facts(healthy)
    judgement = judged(healthy, found)
    assert judgement.status is Status.PASS, judgement.message
    assert not [each.check for each in judgement.verdicts if each.status is not Status.PASS]
    assert found.trace.tensors == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert found.trace.steps == found.problem.steps == 40
    assert found.problem.anchors.uniform == pytest.approx(log(4))
    assert found.problem.learning_rates == ()


def test_the_losses_are_those_of_the_script_alone(case, facts, tmp_path):
    found = facts(case(TRAIN.replace('print("final"', 'print("loss"').replace("print(", "    print(")))
    lines = (tmp_path / "scratch/watched/output.log").read_text().split()
    printed = [float(word) for word in lines if word != "loss"]
    assert found.trace.loss.tolist() == pytest.approx(printed)


def test_a_rate_of_zero_is_unhealthy_with_its_cause(case, facts):
    sick = case(text=CASE.replace('"0.3"', '"0.0"'))
    judgement = judged(sick, facts(sick))
    assert (judgement.status, judgement.reason) == (Status.FAIL, "unhealthy")
    assert judgement.message == "healthy: the learning rate is zero at all 40 updates"
    assert judgement.diagnoses


def test_a_script_is_stopped_after_its_steps(case, facts):
    longer = case(text=CASE.replace('"{steps}"', '"100000000"'))
    found = facts(longer)
    assert judged(longer, found).status is Status.PASS
    assert found.trace.steps == 40
    assert found.answers["program"].facts["ending"] == "stopped"


def test_a_script_of_just_its_steps_comes_to_its_own_end(case, facts, capsys):
    assert facts(case()).answers["program"].facts["ending"] == "completed"
    assert "final" in capsys.readouterr().out


def test_fewer_steps_are_cut_short(case, facts):
    short = case(text=CASE.replace('"{steps}"', '"30"'))
    judgement = judged(short, facts(short))
    assert (judgement.status, judgement.reason) == (Status.FAIL, "cut_short")
    assert judgement.message == "complete: 30 of 40 steps were recorded, expected all of them"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            TRAIN + 'raise ValueError("no such split")\n',
            "the program raised ValueError: no such split (train.py:19) after 40 of 40 steps",
        ),
        (
            "import not_installed_here\n",
            (
                "the program raised ModuleNotFoundError: No module named 'not_installed_here' (train.py:1)"
                " after 0 of 40 steps; install it, or list it under model.needs"
            ),
        ),
        (TRAIN + "sys.exit(3)\n", "the program left with exit code 3 after 40 of 40 steps"),
        (TRAIN + "sys.exit('bad')\n", "the program left with exit code 1 after 40 of 40 steps: bad"),
        (
            "import os, sys, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
            "the program died of SIGSEGV after 0 of 40 steps",
        ),
        ("def broken(:\n", "the program raised SyntaxError: "),
    ],
)
def test_a_script_that_ends_badly_is_an_error_with_its_own_line(case, facts, program, message):
    found = case(program)
    judgement = judged(found, facts(found))
    assert (judgement.status, judgement.reason) == (Status.ERROR, "crashed")
    assert judgement.message.startswith(message)


def test_memory_that_ran_out_is_told_apart(case, facts):
    starved = case("import torch\ntorch.empty(1 << 50)\n")
    assert facts(starved).outcome is Outcome.OUT_OF_MEMORY


@pytest.mark.parametrize(
    "program", ["print('hello')\n", "import torch\n(torch.ones(3, requires_grad=True).sum()).backward()\n"]
)
def test_a_script_that_trains_nothing_is_the_users_input(case, facts, program):
    with pytest.raises(HarnessError, match=r"script.yaml: model: no training was seen; expected steps"):
        facts(case(program))


def test_a_script_runs_in_the_folder_of_its_case_and_may_be_called_as_a_module_of_python(
    case, facts, tmp_path
):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    program = TRAIN + "import os, pathlib\nassert pathlib.Path('script.yaml').exists()\n"
    program += "assert os.environ['OMP_NUM_THREADS'] == '1' and torch.get_num_threads() == 1\n"
    (tmp_path / "harness.py").write_text("raise SystemExit('the wrong harness')")
    assert facts(case(program)).outcome is Outcome.COMPLETED


def test_nothing_of_a_script_survives_its_time_limit(case, tmp_path):
    program = """
    import os, pathlib, time
    import torch
    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(600)
    """
    (done,) = Runner().run([Task(case=case(program, timeout=15.0), backend="script")])
    assert done.facts.outcome is Outcome.TIMEOUT
    (pid,) = content(tmp_path / "pid")
    eventually(lambda: not alive(pid))


def test_a_memory_limit_holds_for_the_script(case):
    program = "import torch\nheld = [torch.ones(1 << 26) for _ in range(16)]\n"
    (done,) = Runner().run([Task(case=case(program, memory_limit=1 << 30), backend="script")])
    assert done.facts.outcome is Outcome.OUT_OF_MEMORY


def test_what_is_found_in_further_trainings_is_kept_and_fails(case, facts):
    program = TRAIN.replace(
        "print(",
        """
frozen = torch.optim.SGD(classifier().parameters(), lr=0.1)
other = classifier()
optimizer = torch.optim.SGD(other.parameters(), lr=0.0)
for step in range(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(other(inputs), targets).backward()
    optimizer.step()
print(""",
    )
    found = case(program)
    told = facts(found)
    (other,) = told.answers["others"].facts["trainings"]
    assert (other["name"], other["steps"]) == ("SGD 2", 20)
    assert "the learning rate is zero" in " ".join(each["cause"] for each in other["findings"])
    judgement = judged(found, told)
    assert judgement.reason == "unhealthy"
    assert "healthy: of SGD 2: the learning rate is zero at all 20 updates" in [
        f"{each.check}: {each.message}" for each in judgement.verdicts
    ]


def test_the_rates_that_the_case_tells_are_compared(case, facts):
    text = CASE.replace(
        "config: {steps: 40}", "config: {steps: 40, optimizer: {sgd: {lr: 0.3}}, schedule: linear}"
    )
    told = case(text=text + "  learning_rate: {follows: schedule}\n")
    found = facts(told)
    assert found.problem.learning_rates[0] == 0.3
    judgement = judged(told, found)
    assert (judgement.status, judgement.message.partition(":")[0]) == (Status.FAIL, "learning_rate")


# what a case may say


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("{script: nowhere.py}", "model.script: no such file: "),
        (
            "{script: train.py, arguments: ['{step}']}",
            "'{step}' in '{step}' stands for nothing; known: steps",
        ),
        ("{script: train.py, arguments: [1e-3]}", "expected a text, got 0.001; put it in quotes"),
        ("{script: train.py, evaluate: parts.py}", "evaluate: expected 'file.py:function', got 'parts.py'"),
        ("{script: train.py, evaluate: 'gone.py:score'}", "model.evaluate: no such file: "),
        ("{python: parts.py}", "python: expected 'file.py:function', got 'parts.py'"),
        ("{python: 'gone.py:build'}", "model.python: no such file: "),
    ],
)
def test_mistakes_in_the_case(case, tmp_path, model, words):
    case()
    path = tmp_path / "bad.yaml"
    path.write_text(with_model(model))
    assert words in " ".join(map(str, read_cases([path]).mistakes))


def test_the_digest_follows_the_script_and_what_it_imports_from_its_folder(case, tmp_path):
    first = case().digest
    assert case().digest == first
    assert case(TRAIN + "# changed\n").digest != first
    (tmp_path / "unrelated.py").write_text("x = 1")
    assert case().digest == first
    (tmp_path / "parts.py").write_text(PARTS + "# changed\n")
    (changed,) = load_cases([tmp_path / "script.yaml"]).cases
    assert changed.digest != first


def test_a_script_is_named_relative_to_the_file_that_names_it(case, tmp_path):
    case()
    (tmp_path / "below").mkdir()
    path = tmp_path / "below/own.yaml"
    path.write_text("schema: 1\nextends: ../script.yaml\nabout: Elsewhere.\n")
    (found,) = load_cases([path]).cases
    assert (path.parent / found.model.script).resolve() == (tmp_path / "train.py").resolve()


def test_packages_that_are_lacking_skip_the_case_with_what_to_install(case):
    needing = case(text=with_model("{script: train.py, needs: [numpy, 'no-such-package>=2']}"))
    (done,) = Runner().run([Task(case=needing, backend="script")])
    assert done.facts.outcome is Outcome.UNSUPPORTED
    assert done.facts.message == "needs no-such-package>=2: pip install 'no-such-package>=2'"


def test_a_script_is_no_model_of_the_other_backends(case):
    mixed = case(text=CASE.replace("[script]", "[torch_eager, script]"))
    (done,) = Runner().run([Task(case=mixed, backend="torch_eager")])
    assert done.facts.message == "takes a decoder or mlp, model is a script"


# a model that a function builds


@pytest.mark.parametrize("build", ["build", "by_step"])
def test_what_a_function_builds_is_trained_in_a_plain_loop(case, facts, build):
    built = case(
        text=with_model(f"{{python: 'parts.py:{build}'}}", "  healthy: true\n  loss_drop: {at_least: 5%}")
    )
    found = facts(built)
    assert judged(built, found).status is Status.PASS
    assert found.trace.steps == 40
    assert found.answers["losses"].facts["sites"][0]["where"].startswith("parts.py:")


def test_the_loop_is_that_of_a_person(case, facts, tmp_path, monkeypatch):
    import torch

    found = facts(case(text=with_model("{python: 'parts.py:build', arguments: {width: 16}}")))
    monkeypatch.syspath_prepend(tmp_path)
    import parts

    model, batches, loss, optimizer = parts.build(width=16)
    expected = []
    for step in range(40):
        optimizer.zero_grad()
        value = loss(model, batches[step % 4])
        value.backward()
        optimizer.step()
        expected.append(value.item())
    assert found.trace.loss.tolist() == pytest.approx(expected, rel=1e-4)
    assert sum(each.numel() for each in model.parameters()) == found.parameters
    assert torch.is_tensor(value)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("'parts.py:bild'", "parts.py has no function 'bild'; it has "),
        ("'parts.py:pair'", "pair returned tuple of 2; expected (model, batches, loss, optimizer)"),
        ("'parts.py:build', arguments: {wrong: 0}", "build returned int as model; expected"),
        ("'parts.py:build', arguments: {wrong: 2}", "build returned int as loss; expected"),
        ("'parts.py:build', arguments: {wrong: 3}", "build returned int as optimizer; expected"),
        ("'parts.py:vector'", "loss returned (64, 4); expected a scalar tensor"),
        ("'parts.py:once'", "batches end after 4 of 40 steps and do not begin again; expected an iterable"),
    ],
)
def test_a_function_that_builds_something_else_is_the_users_input(case, facts, named, words):
    with pytest.raises(HarnessError) as caught:
        facts(case(text=with_model(f"{{python: {named}}}")))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_function_that_raises_is_told_with_its_own_line(case, facts):
    found = facts(case(text=with_model("{python: 'parts.py:broken'}")))
    line = PARTS.split("\n").index('    raise RuntimeError("no data today")') + 1
    assert found.outcome is Outcome.CRASHED
    assert found.message == (
        f"the program raised RuntimeError: no data today (parts.py:{line}) after 0 of 40 steps"
    )


# the program's own evaluation

SCORE = "  score: {falls_when_randomised: true, at_least: 50%}"


def evaluated(function, expect=SCORE):
    return with_model(f"{{python: 'parts.py:build', evaluate: 'parts.py:{function}'}}", expect)


@pytest.mark.parametrize("function", ["accuracy", "told"])
def test_a_score_that_comes_from_the_weights_falls_with_them(case, facts, function):
    found = case(text=evaluated(function))
    told = facts(found)
    score = told.answers["score"].facts
    assert judged(found, told).status is Status.PASS
    assert score["randomised"] < 0.7 * score["trained"]
    assert score["chance"] == (0.25 if function == "told" else 0.0)


def test_a_table_of_the_answers_is_caught_and_named(case, facts):
    found = case(text=evaluated("looked_up"))
    judgement = judged(found, facts(found))
    assert judgement.status is Status.FAIL
    assert judgement.message.startswith("score: 0 % less with weights in random order (100 % to 100 % right)")
    assert judgement.diagnoses[0].name == "score_independent_of_weights"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("words", "parts.py:words returned 'good'; expected a share, 0 to 1, or one as 'score'"),
        ("beyond", "parts.py:beyond returned {'accuracy': 70.0}; expected a share"),
        ("raising", "KeyError: 'test set' (parts.py:"),
        ("missing", "parts.py has no function 'missing'; it has "),
    ],
)
def test_an_evaluation_that_breaks_is_an_error(case, facts, function, words):
    found = case(text=evaluated(function))
    judgement = judged(found, facts(found))
    assert (judgement.status, judgement.reason) == (Status.ERROR, "crashed")
    assert judgement.message.startswith(f"model.evaluate: {words}")


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (
            SCORE,
            "expect.score: cannot be asked of a program that is run once; name what gives it, model.evaluate",
        ),
        (
            "  deterministic: true",
            "expect.deterministic: cannot be asked of a program that is run once; leave it out",
        ),
    ],
)
def test_what_nobody_can_answer_is_a_mistake_before_anything_runs(case, tmp_path, expected, words):
    case()
    path = tmp_path / "asked.yaml"
    path.write_text(with_model("{python: 'parts.py:build'}", expected))
    (mistake,) = read_cases([path]).mistakes
    assert str(mistake).endswith(words)
