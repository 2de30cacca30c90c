"""The contracts over all that is found, proof that each of them can fail, and how plugins are found."""

import importlib
import subprocess
import sys
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from textwrap import dedent

import pytest

from harness import discover
from harness.discover import KINDS, get, plugins, suggest, working
from harness.model import HarnessError
from harness.testing import BackendContract, CheckContract, ObserverContract, ProbeContract, example


class TestChecks(CheckContract):
    pass


class TestProbes(ProbeContract):
    pass


class TestBackends(BackendContract):
    pass


class TestObservers(ObserverContract):
    pass


def test_what_is_built_in_is_found_and_works():
    assert {"loss_drop", "gradients", "matches_reference"} <= set(working("checks"))
    assert {"reference", "repeat"} <= set(working("probes"))
    assert {"numpy_float64", "torch_eager"} <= set(working("backends"))
    broken = {
        f"{kind}: {plugin.error}" for kind in KINDS for plugin in plugins(kind).values() if plugin.error
    }
    assert not broken


def test_plugins_are_sorted_and_begin_with_no_underscore():
    for kind in KINDS:
        assert list(plugins(kind)) == sorted(plugins(kind))
        assert not [name for name in plugins(kind) if name.startswith("_")]


# finding: a new file is a new plugin, and a broken one hurts nothing else


@contextmanager
def added(folder, kind, **sources):
    """A folder of plugins beside the built-in ones, for as long as the block lasts."""
    package = importlib.import_module(f"harness.{kind}")
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(dedent(source))
    package.__path__.append(str(folder))
    importlib.invalidate_caches()
    plugins.cache_clear()
    try:
        yield
    finally:
        package.__path__.remove(str(folder))
        for name in sources:
            sys.modules.pop(f"harness.{kind}.{name}", None)
            vars(package).pop(name, None)
        plugins.cache_clear()


CALM = '''
    """The last loss is calm."""

    from dataclasses import dataclass

    from harness.checks import Check
    from harness.checks._common import bounded, missing


    @dataclass(frozen=True, kw_only=True, slots=True)
    class Calm(Check):
        """`calm: {below: 3.2}`, the largest last loss."""

        below: float

        def judge(self, facts):
            if facts.trace is None or not facts.trace.steps:
                return [missing(self.name, "the loss")]
            return [bounded(self.name, float(facts.trace.loss[-1]), None, self.below)]
'''


def test_a_new_file_is_a_new_plugin(tmp_path):
    with added(tmp_path, "checks", calm=CALM):
        assert plugins("checks")["calm"].about == "The last loss is calm."
        assert get("checks", "calm")(below=3.0).name == "calm"
        assert example(get("checks", "calm")).below == 3.2
        assert "loss_drop" in working("checks")
    assert "calm" not in plugins("checks")


def test_a_helper_is_no_plugin(tmp_path):
    with added(tmp_path, "checks", _helper="raise RuntimeError('never imported')"):
        assert "_helper" not in plugins("checks")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (
            "import a_module_that_is_not_there",
            "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
        ),
        ("1 +", "SyntaxError: invalid syntax"),
        ("raise ValueError('not today')", "ValueError: not today"),
        ("import sys; sys.exit(7)", "SystemExit: 7"),
        ("", "TypeError: expected one public subclass of Check, found 0"),
        (
            "from harness.checks import Check\nclass A(Check): pass\nclass B(Check): pass",
            "TypeError: expected one public subclass of Check, found 2",
        ),
        ("from harness.checks.parameters import Parameters", "found 0"),
    ],
)
def test_a_broken_file_is_listed_with_its_error(tmp_path, source, error):
    with added(tmp_path, "checks", broken=source):
        assert error in plugins("checks")["broken"].error
        assert "broken" not in working("checks")
        assert {"loss_drop", "updates"} <= set(working("checks"))
        with pytest.raises(HarnessError, match=r"^checks: 'broken' cannot be loaded: ") as caught:
            get("checks", "broken")
        assert error in str(caught.value)
        assert caught.value.exit_code == 2


def test_an_entry_point_is_a_plugin(tmp_path, monkeypatch):
    (tmp_path / "acme_calm").mkdir()
    (tmp_path / "acme_calm" / "calm.py").write_text(dedent(CALM))
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint(name="calm", value="acme_calm.calm", group="harness.checks"),
        EntryPoint(name="quiet", value="acme_calm.calm", group="harness.checks"),
        EntryPoint(name="gone", value="acme_calm.gone", group="harness.checks"),
        EntryPoint(name="loss_drop", value="acme_calm.loss_drop", group="harness.checks"),
    ]
    monkeypatch.setattr(discover, "entry_points", lambda group: [p for p in points if p.group == group])
    plugins.cache_clear()
    try:
        assert get("checks", "calm").__module__ == "acme_calm.calm"
        assert plugins("checks")["quiet"].error == (
            "NameError: its file is acme_calm.calm; call the file and the entry point the same"
        )
        assert plugins("checks")["gone"].error == "ModuleNotFoundError: No module named 'acme_calm.gone'"
        # Nobody replaces a built-in check by installing a package.
        assert get("checks", "loss_drop").__module__ == "harness.checks.loss_drop"
    finally:
        plugins.cache_clear()


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("checks", "los_drop", "checks: unknown name 'los_drop'; did you mean 'loss_drop'?"),
        ("backends", "torch_eagr", "backends: unknown name 'torch_eagr'; did you mean 'torch_eager'?"),
        ("probes", "xyz", "probes: unknown name 'xyz'; known: "),
    ],
)
def test_an_unknown_name_names_the_nearest(kind, name, message):
    with pytest.raises(HarnessError) as caught:
        get(kind, name)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_suggest_lists_what_there_is_when_nothing_is_near():
    assert suggest("xyz", ("sgd", "adamw")) == "; known: adamw, sgd"
    assert suggest("xyz", ()) == "; known: none"
    assert suggest("adam", {"adamw": 1}) == "; did you mean 'adamw'?"


def test_finding_all_plugins_loads_no_framework():
    code = """
        import sys
        from harness.discover import KINDS, plugins
        for kind in KINDS: list(plugins(kind))
        print(*({"torch", "jax", "matplotlib", "sqlalchemy", "pydantic", "pytest"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# the contracts have teeth


CHECK = '''
    """A check of {what}."""

    import random
    from collections.abc import Iterable
    from dataclasses import dataclass
    from typing import ClassVar

    from harness.checks import Check
    from harness.checks._common import bounded, missing
    from harness.model import Facts, Status, Verdict


    @dataclass(frozen=True, kw_only=True, slots=True)
    class Sick(Check):
        """`sick: {{below: 3.2}}`, the largest last loss."""

        below: float

        def judge(self, facts):
            if facts.trace is None or not facts.trace.steps:
                return [missing(self.name, "the loss")]
            loss = float(facts.trace.loss[-1])
            {body}
            return [bounded(self.name, loss, None, self.below)]
'''
HEALTHY_CHECK = CHECK.format(what="nothing new", body="")


def sick_check(old="", new="", body=""):
    source = CHECK.format(what="something", body=body)
    assert old in source
    return source.replace(old, new, 1) if old else source


def says(status, message):
    return f"return [Verdict(check='sick', status=Status.{status}, message={message})]"


def over(quantity):
    """Lets NaN pass: a comparison the wrong way round."""
    return f"if not {quantity} > 1e9: {says('PASS', repr('calm'))}"


MISSING = 'return [missing(self.name, "the loss")]'


@pytest.mark.parametrize(
    ("test", "source"),
    [
        ("test_its_file_begins_with_one_line", sick_check('"""A check of something."""', "")),
        ("test_its_file_begins_with_one_line", sick_check("something.", "something")),
        ("test_it_is_a_frozen_dataclass", sick_check(", slots=True", "")),
        ("test_it_is_a_frozen_dataclass", sick_check("kw_only=True, ", "")),
        ("test_its_fields_are_typed_and_documented", sick_check("float", "float; above: float = 0.0")),
        ("test_its_example_is_valid", sick_check("`sick: {below: 3.2}`", "`sick: {bellow: 3.2}`")),
        ("test_its_example_is_valid", sick_check("`sick: {below: 3.2}`", "`calm: {below: 3.2}`")),
        ("test_its_example_is_valid", sick_check("`sick: {below: 3.2}`", "No example")),
        ("test_it_refuses_to_expect_nothing", sick_check("below: float", "below: float = 9.0")),
        ("test_it_asks_probes_that_exist", sick_check("float", "float; probes: ClassVar = ['oracle']")),
        ("test_its_verdicts_are_complete", sick_check(body="return []")),
        ("test_its_verdicts_are_complete", sick_check("self.name, loss", "'other', loss")),
        ("test_its_verdicts_are_complete", sick_check(body=says("FAIL", "'x'"))),
        ("test_its_verdicts_are_complete", sick_check(body=says("PASS", "''"))),
        ("test_it_is_pure", sick_check(body="loss = random.random()")),
        ("test_it_is_pure", sick_check(body="facts.trace.loss[-1] = 0.0")),
        ("test_it_is_pure", sick_check(body="facts.measurements.popitem()")),
        ("test_it_never_passes_what_is_missing", sick_check(MISSING, says("PASS", "'calm'"))),
        ("test_it_never_passes_what_is_missing", sick_check(MISSING, "return []")),
        ("test_it_never_passes_nan", sick_check(body=over("loss"))),
        ("test_it_never_passes_nan", sick_check(body=over("facts.measurements['step_time'].value"))),
        ("test_it_never_passes_nan", sick_check(body=over("facts.answers['reference'].facts['scale']"))),
        ("test_it_pickles", sick_check(body=says("PASS", "lambda: 0"))),
    ],
)  # fmt: skip
def test_the_contract_of_a_check_can_fail(tmp_path, test, source):
    contract, raised = CheckContract(), pytest.raises((Exception, pytest.fail.Exception))
    arguments = [None] if test == "test_it_never_passes_what_is_missing" else []
    with added(tmp_path, "checks", sick=HEALTHY_CHECK):
        getattr(contract, test)("sick", *arguments)
    importlib.invalidate_caches()
    (tmp_path / "again").mkdir()
    with added(tmp_path / "again", "checks", sick=source), raised as caught:
        getattr(contract, test)("sick", *arguments)
    assert not isinstance(caught.value, NameError | SyntaxError | ImportError | HarnessError), caught.value


def test_the_contract_of_checks_sees_a_framework(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "heavy_check.py").write_text("import sqlalchemy")
    contract = CheckContract()
    monkeypatch.setattr(CheckContract, "names", ("heavy_check",))
    monkeypatch.setattr(
        "harness.testing.checks.get", lambda *_: type("Heavy", (), {"__module__": "heavy_check"})
    )
    with pytest.raises(AssertionError, match="importing the checks loads sqlalchemy"):
        contract.test_checks_import_no_framework()


PROBE = '''
    """What is the loss?"""

    import numpy as np
    from harness.probes import Probe


    class Sick(Probe):
        """Asks a fresh trainer."""

        def ask(self, context):
            """loss: of the first batch."""
            trainer = context.build()
            loss = trainer.loss(context.problem.batches[0])
            {body}
            trainer.close()
            return {{"loss": loss}}
'''
LEAK = "context.build()"
SHARED = "first = context.build.__closure__; self.kept = loss"


@pytest.mark.parametrize(
    ("test", "body"),
    [
        ("test_it_is_stateless", "self.kept = loss"),
        ("test_its_answer_is_json", "loss = np.float32(loss)"),
        ("test_its_answer_is_json", "loss = {3: loss}"),
        ("test_it_leaves_the_problem_as_it_was", "context.problem.batches[0].inputs[0, 0] ^= 1"),
        ("test_it_leaves_a_live_training_as_it_was", "context.problem.batches[-1].inputs[:] = 0"),
        (
            "test_it_leaves_the_observed_trainer_as_it_was",
            "context.observed.step(context.problem.batches[0])",
        ),
        ("test_it_leaves_the_observed_trainer_as_it_was", "context.observed.train(False)"),
        ("test_it_leaves_the_observed_trainer_as_it_was", "context.observed.position = 3"),
        ("test_it_closes_what_it_builds", "context.build()"),
    ],
)
def test_the_contract_of_a_probe_can_fail(tmp_path, monkeypatch, test, body):
    from harness.testing import probes, sample

    # A problem of its own, because what is shared would stay broken.
    monkeypatch.setattr(probes, "sample_problem", sample.sample_problem.__wrapped__)
    with added(tmp_path, "probes", sick=PROBE.format(body="")):
        getattr(ProbeContract(), test)("sick")
    (tmp_path / "again").mkdir()
    with (
        added(tmp_path / "again", "probes", sick=PROBE.format(body=body)),
        pytest.raises((AssertionError, TypeError)),
    ):
        getattr(ProbeContract(), test)("sick")


OBSERVER = '''
    """How many updates are made?"""

    from harness.observers import Observer

    SHARED = []


    class Sick(Observer):
        """Counts them."""

        def __init__(self):
            self.steps = 0
            {init}

        def {event}:
            self.steps += 1
            {body}

        def found(self, hub):
            """steps: so many."""
            {found}
            return {{"steps": self.steps}}
'''


def sick_observer(init="pass", event="stepped(self, hub, optimizer)", body="pass", found="pass"):
    return OBSERVER.format(init=init, event=event, body=body, found=found)


DRAWS = "import torch; torch.rand(1)"


@pytest.mark.parametrize(
    ("test", "flaw"),
    [
        ("test_it_listens_to_events_that_exist", {"event": "steped(self, hub, optimizer)"}),
        ("test_it_listens_to_events_that_exist", {"event": "stepped(self, hub)"}),
        ("test_it_listens_to_events_that_exist", {"event": "_stepped(self, hub, optimizer)"}),
        ("test_it_is_made_without_arguments", {"init": "self.kept = SHARED"}),
        ("test_it_says_when_there_was_nothing", {"found": "if not self.steps: raise NotImplementedError"}),
        ("test_it_says_when_there_was_nothing", {"found": "1 / self.steps"}),
        ("test_what_it_found_can_be_recorded", {"body": "raise ValueError"}),
        ("test_what_it_found_can_be_recorded", {"found": "return {}"}),
        ("test_what_it_found_can_be_recorded", {"found": "return {'hub': hub}"}),
        ("test_it_changes_no_bit", {"body": DRAWS}),
        ("test_it_changes_no_bit", {"body": "optimizer.param_groups[0]['lr'] = 0.2"}),
        ("test_it_changes_no_bit", {"found": DRAWS}),
    ],
)
def test_the_contract_of_an_observer_can_fail(tmp_path, test, flaw):
    with added(tmp_path, "observers", sick=sick_observer()):
        getattr(ObserverContract(), test)("sick")
    (tmp_path / "again").mkdir()
    with (
        added(tmp_path / "again", "observers", sick=sick_observer(**flaw)),
        pytest.raises((AssertionError, TypeError, ZeroDivisionError)),
    ):
        getattr(ObserverContract(), test)("sick")


def test_the_contract_of_observers_sees_a_framework(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "heavy_observer.py").write_text("import sqlalchemy")
    monkeypatch.setattr(ObserverContract, "names", ("heavy_observer",))
    monkeypatch.setattr(
        "harness.testing.observers.get", lambda *_: type("Heavy", (), {"__module__": "heavy_observer"})
    )
    with pytest.raises(AssertionError, match="importing the observers loads sqlalchemy"):
        ObserverContract().test_importing_observers_loads_no_framework()


BACKEND = '''
    """NumPy with a flaw."""

    import numpy as np
    from harness.backends import Backend
    from harness.backends.numpy_float64 import NumpyFloat64, NumpyTrainer


    class Sick(Backend):
        """The reference, changed."""

        def unavailable(self):
            """Always there."""
            {unavailable}
            return ""

        def configure(self, config):
            """As the reference."""
            {configure}
            return NumpyFloat64().configure(config)

        def build(self, problem):
            """A trainer with one method replaced."""
            return _Trainer(problem)


    class _Trainer(NumpyTrainer):
        {method}
'''


def sick_backend(method="pass", unavailable="pass", configure="pass"):
    method = dedent(method).strip().replace("\n", "\n        ")
    return BACKEND.format(method=method, unavailable=unavailable, configure=configure)


@pytest.mark.parametrize(
    ("test", "flaw"),
    [
        ("test_it_is_stateless", {"configure": "self.config = config"}),
        ("test_it_says_what_it_set", {"configure": "return {'device': 'cpu'}"}),
        ("test_it_leaves_the_problem_as_it_was", {"method": """
            def step(self, batch, watch=None):
                batch.inputs[:] = 0
                return super().step(batch, watch)
        """}),
        ("test_it_starts_at_the_initial_values", {"method": """
            def __init__(self, problem):
                super().__init__(problem)
                self.weights["embedding"] *= 1.001
        """}),
        ("test_load_round_trips", {"method": """
            def load(self, parameters):
                self.weights["embedding"][:] = parameters.get("embedding", 0)
        """}),
        ("test_loss_is_that_of_the_logits", {"method": """
            def loss(self, batch):
                return super().loss(batch) * 1.0001
        """}),
        ("test_step_returns_the_loss_before_it", {"method": """
            def step(self, batch, watch=None):
                super().step(batch, watch)
                return self.loss(batch)
        """}),
        ("test_step_returns_the_loss_before_it", {"method": """
            def update(self, learning_rate):
                pass
        """}),
        ("test_asking_changes_nothing", {"method": """
            def gradients(self, batch):
                found = super().gradients(batch)
                self.position += 1
                return found
        """}),
        ("test_asking_changes_nothing", {"method": """
            def loss(self, batch):
                self.weights["embedding"] += 1e-15
                return super().loss(batch)
        """}),
        ("test_watching_changes_nothing", {"method": """
            def gradient_arrays(self):
                self.held["embedding"] *= 1.0000001
                return super().gradient_arrays()
        """}),
        ("test_watching_changes_nothing", {"method": """
            def update(self, learning_rate):
                super().update(learning_rate)
                super().update(learning_rate)
        """}),
        ("test_watching_changes_nothing", {"method": """
            def zero_gradients(self):
                self.held = {}
        """}),
        ("test_restore_returns_to_a_state", {"method": """
            def restore(self, state):
                self.load(state[0])
        """}),
        ("test_restore_returns_to_a_state", {"method": """
            def state(self):
                return self.weights, self.rule.state(), self.position
        """}),
        ("test_training_twice_gives_the_same_bits", {"method": """
            def __init__(self, problem):
                super().__init__(problem)
                self.weights["embedding"] *= 1 + 1e-12 * np.random.default_rng().random()
        """}),
        ("test_it_trains_as_the_reference", {"method": """
            def clip(self):
                pass
        """}),
        ("test_its_gradients_are_those_of_the_reference", {"method": """
            def gradients(self, batch):
                found = super().gradients(batch)
                found["layers.0.attention.query.weight"] *= 1.001
                return found
        """}),
    ],
)  # fmt: skip
def test_the_contract_of_a_backend_can_fail(tmp_path, monkeypatch, test, flaw):
    from harness.testing import backends, sample

    monkeypatch.setattr(backends, "sample_problem", sample.sample_problem.__wrapped__)
    with added(tmp_path, "backends", sick=sick_backend()):
        getattr(BackendContract(), test)("sick")
    (tmp_path / "again").mkdir()
    with added(tmp_path / "again", "backends", sick=sick_backend(**flaw)), pytest.raises(AssertionError):
        getattr(BackendContract(), test)("sick")


def test_the_contract_of_a_backend_sees_a_mean_of_means(tmp_path):
    source = sick_backend("""
        def backward(self, batch, total):
            return super().backward(batch, 2 * int((batch.targets >= 0).sum()))
    """)
    with added(tmp_path, "backends", sick=source), pytest.raises(AssertionError):
        BackendContract().test_micro_batches_give_the_gradients_of_the_whole("sick", 2)


def test_the_contract_of_a_backend_skips_what_it_lacks(tmp_path):
    source = sick_backend("""
        def gradients(self, batch):
            raise NotImplementedError("gradients stay inside the engine")
    """)
    with (
        added(tmp_path, "backends", sick=source),
        pytest.raises(pytest.skip.Exception, match="stay inside the engine"),
    ):
        BackendContract().test_asking_changes_nothing("sick")


def test_the_contract_of_a_backend_wants_a_reason_for_what_it_lacks(tmp_path):
    source = sick_backend("""
        def gradients(self, batch):
            raise NotImplementedError
    """)
    with added(tmp_path, "backends", sick=source), pytest.raises(AssertionError, match="does not say why"):
        BackendContract().test_asking_changes_nothing("sick")


def test_the_contract_runs_over_all_that_is_found_or_over_what_is_named():
    class Asked:
        fixturenames = ("plugin",)
        given = None

        def parametrize(self, name, values):
            self.given = (name, values)

    every, one, none = Asked(), Asked(), Asked()
    CheckContract().pytest_generate_tests(every)
    assert every.given == ("plugin", tuple(plugins("checks")))
    type("One", (CheckContract,), {"names": ("loss_drop",)})().pytest_generate_tests(one)
    assert one.given == ("plugin", ("loss_drop",))
    none.fixturenames = ()
    CheckContract().pytest_generate_tests(none)
    assert none.given is None
