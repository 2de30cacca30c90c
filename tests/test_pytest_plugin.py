"""Cases as tests of pytest, and the fixture `training_health`, each in a pytest of its own."""

import os
import re
import sys
import tomllib
import types
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest
from tiny import TINY, write

from harness.cases import load_cases
from harness.pipeline import plan_tasks
from harness.runner import Runner
from harness.store import open_store
from harness.watching.changes import Changes

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
ENTRY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
SICK = ("parameters: 920", "parameters: 921")
ABSENT = ("backends: [numpy_float64]", "backends: [numpy_float64, torch_eager]")
BROKEN = ("about: A tiny decoder.", "about: A tiny decoder.\ntimeout: 1 ms")


@pytest.fixture
def project(pytester, monkeypatch):
    """An empty project whose pytest has this plugin by the entry point that is declared, whatever is installed."""
    metadata = pytester.mkdir("site") / "plugin_under_test-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-under-test\nVersion: 0\n")
    lines = [f"{name} = {module}" for name, module in ENTRY.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(metadata.parent)]))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (pytester.path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -W error\n")
    return pytester


def run(project, *arguments, **outcomes):
    """Run pytest; what it printed. outcomes: how many tests passed, failed, ... and none did otherwise."""
    result = project.runpytest_subprocess("-p", "no:cacheprovider", *map(str, arguments))
    assert result.parseoutcomes() == outcomes, str(result.stdout) + str(result.stderr)
    assert "Traceback" not in str(result.stdout) + str(result.stderr)
    return str(result.stdout)


def listed(project, *arguments):
    """Ids of what would be run."""
    result = project.runpytest_subprocess("--collect-only", "-q", *map(str, arguments))
    return [line for line in result.outlines if "::" in line]


# Collection.


def test_a_case_is_an_item_for_each_backend_and_an_abstract_one_is_none(project):
    write("tiny", ABSENT)
    write("base", ("schema: 1", "schema: 1\nabstract: true"))
    (project.path / "cases" / "family.yaml").write_text(
        "schema: 1\nextends: tiny.yaml\nabout: Two seeds.\nmatrix: {config.seed: [0, 1]}\nbackends: [numpy_float64]\n"
    )
    assert listed(project, "cases") == [
        "cases/family.yaml::family[seed=0][numpy_float64]",
        "cases/family.yaml::family[seed=1][numpy_float64]",
        "cases/tiny.yaml::tiny[numpy_float64]",
        "cases/tiny.yaml::tiny[torch_eager]",
    ]
    assert listed(project, "cases/tiny.yaml::tiny[torch_eager]") == ["cases/tiny.yaml::tiny[torch_eager]"]


@pytest.mark.parametrize(
    "text",
    [
        "schema: 1\nname: other\n",
        "schema: rows\nexpect: 3\n",
        "spec:\n  schema: 1\n  expect: 2\n",
        "extends: [recommended]\nrules: {}\n",
        ": not YAML at all [\n",
        "",
    ],
)
def test_other_yaml_is_left_alone(project, text):
    (project.path / "other.yaml").write_text(text)
    (project.path / "test_it.py").write_text("def test_it(): pass\n")
    run(project, ".", passed=1)


def test_tags_are_marks_and_words_and_backends_are_words(project):
    write("one", ABSENT)
    write("two", ("[small]", "[large, skip, 'two words']"))
    assert listed(project, "cases", "-m", "small and not large", "-k", "torch_eager") == [
        "cases/one.yaml::one[torch_eager]"
    ]
    assert listed(project, "cases", "-m", "large") == ["cases/two.yaml::two[numpy_float64]"]
    assert listed(project, "cases", "-k", "skip") == ["cases/two.yaml::two[numpy_float64]"]
    run(project, "cases", "-k", "two", passed=1, deselected=2)  # a tag 'skip' skips nothing


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), 0),
        (("cases",), 1),
        ((".",), 1),
        (("tests",), 0),
        (("-o", "testpaths=cases"), 1),
        (("-o", "harness_cases=true"), 1),
        (("-o", "harness_cases=false", "cases"), 0),
    ],
)
def test_cases_are_collected_where_a_path_leads_to_them(project, arguments, found):
    write()
    (project.mkdir("tests") / "test_it.py").write_text("def test_it(): pass\n")
    assert sum("tiny" in each for each in listed(project, *arguments)) == found


def test_workers_of_xdist_collect_what_their_master_would(project):
    write()
    (project.path / "test_it.py").write_text("def test_it(): pass\n")
    run(project, "-n", "1", passed=1)
    run(project, "-n", "1", ".", passed=2)


def test_a_setting_that_is_none_of_the_three_is_refused(project):
    result = project.runpytest_subprocess("-o", "harness_cases=maybe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: harness_cases: expected true, false or auto, got 'maybe'"])


def test_a_bad_file_is_an_error_of_one_line_for_each_mistake(project):
    write("bad", ("steps: 3", "stepz: 3"), ("parameters: 920", "parametres: 920"))
    write("good")
    said = run(project, "cases", errors=1)
    shown = re.search(r"_ ERROR collecting cases/bad.yaml _+\n(.*?)\n=", said, re.DOTALL)[1].splitlines()
    assert shown == [
        "cases/bad.yaml:6:1: config.steps: missing",
        "cases/bad.yaml:10:3: config.stepz: unknown key; did you mean 'steps'?",
        "cases/bad.yaml:14:3: expect.parametres: unknown key; did you mean 'parameters'?",
    ]
    run(project, "cases/good.yaml", passed=1)


# What comes of a case.


def test_each_status_is_shown_as_what_it_is(project):
    write("healthy")
    write("sick", SICK)
    write("broken", BROKEN)
    write("elsewhere", ("[numpy_float64]", "[torch_cuda]"))
    said = run(project, "cases", "--junitxml=found.xml", "-rA", passed=1, failed=1, errors=1, skipped=1)
    assert "\nfail   sick [numpy_float64] parameters: 920 parameters, expected 921\n" in said
    assert "ERROR at setup of broken[numpy_float64]" in said
    assert re.search(
        r"\nerror  broken \[numpy_float64\] timeout: stopped after its time limit of 0.001 s", said
    )
    summary = said.partition("short test summary info")[2]
    assert "FAILED cases/sick.yaml::sick[numpy_float64] - fail parameters: 920" in summary.replace(
        "Unhealthy: ", ""
    )
    assert re.search(r"^SKIPPED \[1\] cases/elsewhere.yaml:1: unavailable: needs ", summary, re.MULTILINE)
    assert "ERROR cases/broken.yaml::broken[numpy_float64]" in summary
    found = {
        each.get("name"): [child.tag for child in each]
        for each in ET.parse(project.path / "found.xml").iter("testcase")
    }
    assert found == {
        "healthy[numpy_float64]": [],
        "sick[numpy_float64]": ["failure"],
        "broken[numpy_float64]": ["error"],
        "elsewhere[torch_cuda]": ["skipped"],
    }
    assert not (project.path / "out").exists()


def test_the_first_failure_ends_it_if_asked(project):
    write("a", SICK)
    write("b")
    run(project, "cases", "-x", failed=1)


def test_a_fault_must_fail_and_nothing_else_will_do(project):
    fault = ("[small]", "[fault]")
    write("caught", fault, SICK)
    run(project, "cases", xfailed=1)
    write("broken", fault, BROKEN)
    write("missed", fault)
    said = run(project, "cases", xfailed=1, failed=1, errors=1)
    assert "[XPASS(strict)] a case with the tag 'fault' must fail on the first of its backends" in said


def test_the_time_of_a_case_is_that_of_its_training(project):
    slow = "import time; time.sleep(0.5); print('step 0 loss 1.0'); print('step 1 loss 0.5')"
    (project.mkdir("cases") / "slow.yaml").write_text(
        "schema: 1\nabout: Sleeps.\nbackends: [command]\nconfig: {steps: 2}\nexpect: {loss_drop: {at_least: 10%}}\n"
        f'model: {{command: [{sys.executable}, -c, "{slow}"], log: plain}}\n'
    )
    run(project, "cases", "--junitxml=found.xml", passed=1)
    [case] = ET.parse(project.path / "found.xml").iter("testcase")
    assert float(case.get("time")) >= 0.5


def test_cases_run_on_several_processes_into_one_session_of_a_store(project):
    write("a", ABSENT)
    write("b", SICK)
    said = run(project, "cases", "-n", "2", "--harness-store", "runs.sqlite", passed=2, failed=1)
    assert "fail   b [numpy_float64] parameters: 920 parameters, expected 921" in said
    with open_store(project.path / "runs.sqlite", create=False) as store:
        [session] = store.sessions()
        runs = store.runs(session=session.id)
    assert {(each.case, each.backend, each.status) for each in runs} == {
        ("a", "numpy_float64", "pass"), ("a", "torch_eager", "pass"), ("b", "numpy_float64", "fail"),
    }  # fmt: skip
    assert session.finished >= max(each.started for each in runs)


def test_a_store_that_cannot_be_is_refused_before_anything_runs(project):
    write()
    result = project.runpytest_subprocess("cases", "--harness-store", "nosuch://here")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [line] = [line for line in result.errlines if line.startswith("ERROR")]
    assert line.startswith("ERROR: --harness-store: ")


def test_a_project_without_cases_loads_nothing_and_sees_nothing(project):
    (project.path / "other.yaml").write_text("a: 1\n")
    (project.path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    heavy = {'torch', 'numpy', 'pydantic', 'sqlalchemy', 'yaml', 'typer'} & set(sys.modules)\n"
        "    assert 'harness.pytest_plugin' in sys.modules and not heavy\n"
    )
    before = set(project.path.iterdir())
    run(project, ".", passed=1)
    of_pytester = {"stdout", "stderr", "runpytest-0", "runpytest-current"}
    assert {path.name for path in set(project.path.iterdir()) - before} - of_pytester <= {"__pycache__"}


# The fixture.

TRAINING = """\
import torch
import torch.nn.functional as F
from torch.nn.functional import mse_loss
from torch.nn.utils import clip_grad_norm_


def train(lr=0.1, steps=20, step=True):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    teacher = torch.randn(4, 1)
    losses = []
    for _ in range(steps):
        inputs = torch.randn(16, 4)
        loss = mse_loss(model(inputs), inputs @ teacher)
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), 5.0)
        if step:
            optimizer.step()
        losses.append(loss.item())
    return losses, [each.detach().clone() for each in model.parameters()], torch.rand(3)
"""


def training(project, body):
    """Run a file of tests that share one training; `body` is the test."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (project.path / "test_it.py").write_text(f"{TRAINING}\n\ndef test_it(training_health):\n{lines}\n")


def test_a_healthy_training_passes_and_is_told(project):
    training(
        project,
        "with training_health(expect={'loss_drop': {'at_least': '30%'}, 'parameters': 49}) as watch:\n"
        "    losses, _, _ = train()\n"
        "assert watch.losses == tuple(losses) and len(losses) == 20\n"
        "assert watch.findings == ()\n"
        "assert [each.check for each in watch.verdicts] == ['finite', 'loss_drop', 'parameters']\n"
        "assert watch.facts[0].trace.tensors == ('0.weight', '0.bias', '2.weight', '2.bias')\n"
        "assert watch.facts[0].answers['cycle'].facts['trainings'][0]['clipped'] > 0\n",
    )
    run(project, passed=1)


def test_a_sick_training_fails_with_cause_and_remedy_at_the_users_own_line(project):
    training(project, "with training_health():\n    train(lr=0.0)\n")
    said = run(project, failed=1)
    assert re.search(r"^E .*UnhealthyError: the training is not healthy$", said, re.MULTILINE)
    assert re.search(
        r"^E +sick   rate_zero: the learning rate is zero at all 20 updates\. Which ", said, re.MULTILINE
    )
    assert set(re.findall(r"^(\S+\.py):\d+:", said, re.MULTILINE)) == {"test_it.py"}


WRONG = [
    ("", "train(step=False)", "sick   optimizer_never_steps: "),
    ("", "train(steps=0)", "nothing was trained: no optimizer made a step inside the block"),
    ("", "train(lr=float('nan'))", "fail   finite: learning rate is nan at step 0"),
    ("expect={'parameters': 50}", "train()", "fail   parameters: 49 parameters, expected 50"),
    (
        "expect={'startup_time': {'at_most': '1 s'}}",
        "train()",
        "error  startup_time: measurement 'startup_time' was not",
    ),
    (
        "expect={'los_drop': 1}",
        "train()",
        "training_health: expect.los_drop: unknown key; did you mean 'loss_drop'?",
    ),
    (
        "expect={'causal': True}",
        "train()",
        "training_health: expect.causal: asks trainings that are made anew",
    ),
    ("expect={}", "train()", "training_health: expect: expected at least one check"),
    (
        "expect={'parameters': torch}",
        "train()",
        "training_health: expect: expected plain values as in a case",
    ),
    (
        "accept=['rate_zer']",
        "train()",
        "training_health: accept: unknown finding 'rate_zer'; did you mean 'rate_zero'?",
    ),
]
"""Arguments, what the block does, and the line that says what is wrong."""


def test_whatever_is_wrong_is_a_clear_line(project):
    tests = [
        f"def test_{number}(training_health):\n    with training_health({arguments}):\n        {call}\n"
        for number, (arguments, call, _) in enumerate(WRONG)
    ]
    (project.path / "test_it.py").write_text("\n\n".join([TRAINING, *tests]))
    said = run(project, failed=len(WRONG))
    shown = re.split(r"^_+ test_\d+ _+$", said, flags=re.MULTILINE)[1:]
    assert [line for (_, _, line), text in zip(WRONG, shown, strict=True) if line not in text] == []


def test_a_finding_that_is_accepted_fails_nothing(project):
    training(
        project,
        "with training_health(accept=['rate_zero', 'learned_nothing']) as watch:\n    train(lr=0.0)\n"
        "assert 'rate_zero' in [each.name for each in watch.findings]\n",
    )
    run(project, passed=1)


def test_what_the_block_raises_passes_unchanged(project):
    training(
        project,
        "import pytest\n"
        "mine = KeyError('mine')\n"
        "with pytest.raises(KeyError) as caught, training_health() as watch:\n"
        "    train(lr=0.0)\n    raise mine\n"
        "assert caught.value is mine and watch.facts == ()\n"
        "with training_health():\n    train()\n"
        "with training_health():\n    train()\n    pytest.skip('enough')\n",
    )
    run(project, skipped=1)


def test_a_watch_within_a_watch_is_refused_and_the_outer_one_goes_on(project):
    training(
        project,
        "import pytest\n"
        "from harness.model import HarnessError\n"
        "with training_health() as watch:\n"
        "    with pytest.raises(HarnessError, match='under observation already'), training_health():\n"
        "        pass\n"
        "    train()\n"
        "assert len(watch.losses) == 20\n",
    )
    run(project, passed=1)


# In this process: what is left behind.

TORCH = """\
import sys, types, torch, torch.optim.lr_scheduler, torch.utils.data.dataloader
from torch.nn.modules import module
from torch.optim import optimizer


def everything():
    \"\"\"Identity of each name of torch's modules and classes, and the global hooks.\"\"\"
    found = {}
    for name, each in list(sys.modules.items()):
        if name.partition('.')[0] in ('torch', '__main__', 'test_it') and isinstance(each, types.ModuleType):
            for key, value in vars(each).items():
                found[name, key] = value
                if issubclass(type(value), type) and value.__module__.startswith('torch'):
                    found |= {(name, key, own): inner for own, inner in vars(value).items()}
    hooks = [
        {key: list(value) for key, value in vars(owner).items() if key.startswith('_global') and hasattr(value, 'keys')}
        for owner in (module, optimizer)
    ]
    return found, hooks
"""


def test_every_hook_is_gone_afterwards(project):
    training(
        project,
        "import importlib, pathlib, sys\n"
        "train()\n"  # torch adds to itself on first use
        "with training_health():\n    train()\n"
        "before, hooks = everything()\n"
        "assert len(before) > 10_000 and len(hooks[0]) >= 4\n"
        "seen = []\n"
        "with training_health():\n"
        "    train()\n"
        "    assert everything()[0]['torch.autograd', 'backward'] is not before['torch.autograd', 'backward']\n"
        "    pathlib.Path('late.py').write_text('from torch.nn.functional import mse_loss')\n"
        "    sys.path.insert(0, '.')\n"
        "    import late\n"
        "    assert late.mse_loss is mse_loss is F.mse_loss and everything()[1] != hooks\n"
        "after, left = everything()\n"
        "counters = {'next_id', '__warningregistry__'}\n"
        "changed = [key for key in before if after.get(key) is not before[key] and key[-1] not in counters]\n"
        "assert not changed, changed\n"
        "known = {key[0] for key in before}\n"
        "new = [key for key in after if key not in before and key[0] in known and key[-1] not in counters]\n"
        "new = [key for key in new if not isinstance(after[key], types.ModuleType) and key[:2] in before]\n"
        "assert not new and set(before) <= set(after) and left == hooks, (new, set(before) - set(after))\n"
        "assert late.mse_loss is mse_loss is F.mse_loss is before['torch.nn.functional', 'mse_loss']\n",
    )
    text = (project.path / "test_it.py").read_text()
    (project.path / "test_it.py").write_text(TORCH + text)
    run(project, passed=1)


def test_what_is_observed_is_the_same_to_the_last_bit_and_so_is_chance_afterwards(project):
    training(
        project,
        "import random\n"
        "import numpy\n"
        "def chance():\n    return torch.rand(3).tolist(), random.random(), numpy.random.random()\n"
        "def told():\n"
        "    random.seed(0)\n    numpy.random.seed(0)\n"
        "    losses, weights, drawn = train()\n"
        "    return losses, [each.tolist() for each in weights], drawn.tolist()\n"
        "plain, then = told(), chance()\n"
        "with training_health():\n    observed = told()\n"
        "assert observed == plain and chance() == then\n",
    )
    run(project, passed=1)


def replacement():
    """Nobody else's: every module that has it gets what it stood for."""


def test_a_change_of_somebody_else_stays_theirs():
    class Base:
        def inherited(self):
            return "base"

    class Owner(Base):
        pass

    module = types.ModuleType("owner")
    module.kept = module.replaced = str
    changes = Changes()
    changes.put(module, "kept", replacement)
    changes.put(module, "replaced", replacement)
    changes.put(Owner, "inherited", lambda _: "ours")
    assert (module.kept, Owner().inherited()) == (replacement, "ours")
    module.replaced = ascii
    changes.close()
    assert (module.kept, module.replaced, Owner().inherited()) == (str, ascii, "base")
    assert "inherited" not in vars(Owner)


def test_the_runner_answers_one_by_one_and_loses_nothing_with_its_server(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    [task] = plan_tasks(load_cases([tmp_path]).cases)
    runner, before = Runner(), set(psutil.Process().children())
    assert [runner.ask(task).facts.outcome for _ in range(2)] == ["completed", "completed"]
    [server] = set(psutil.Process().children()) - before
    server.kill()
    assert runner.ask(task).facts.outcome == "broken"
    assert runner.ask(task).facts.outcome == "completed"
    runner.close()
    assert set(psutil.Process().children()) <= before
