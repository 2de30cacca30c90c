"""Case files: what is read, what families give, and every mistake with its place, all at once."""

import json
import pickle
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import draft, schema, spec
from harness.cases import CaseErrors, find, load_cases, read_cases
from harness.checks import Check
from harness.discover import Plugin, plugins
from harness.documents import plain
from harness.documents import read as read_document
from harness.model import HarnessError
from harness.spec import (
    AdamWOptimizer,
    Config,
    CopyData,
    Decoder,
    DecoderModel,
    MarkovData,
    MlpModel,
    Schedule,
    Sgd,
    SgdOptimizer,
    TextData,
)

SHIPPED = Path(__file__).parents[1] / "cases"
TEXT = "the quick brown fox jumps over it"
GOOD = """\
schema: 1
about: A small decoder.
model:
  decoder: {vocab: 27, width: 32, layers: 1, heads: 1}
config:
  data: {text: t.txt}
  sequence: 8
  batch: 2
  steps: 28
  optimizer: {sgd: {lr: 0.01}}
backends: [torch_eager, numpy_float64]
expect:
  loss_drop: {at_least: 3%, at_most: 60%}
"""
MLP = GOOD.replace(
    "decoder: {vocab: 27, width: 32, layers: 1, heads: 1}", "mlp: {inputs: 4, hidden: [8], outputs: 2}"
)
MLP = MLP.replace("  sequence: 8\n", "").replace("{text: t.txt}", "{teacher: {}}")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Every test has a folder of its own as its working folder, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text(TEXT)


def write(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def one(text, name="x.yaml"):
    [case] = load_cases([write(name, text)]).cases
    return case


def mistakes(*paths):
    return [str(mistake) for mistake in read_cases([Path(path) for path in paths]).mistakes]


def wrong(text, name="x.yaml"):
    return mistakes(write(name, text))


def changed(old, new, text=GOOD):
    assert text.count(old) == 1
    return text.replace(old, new)


def names(*paths):
    return [case.name for case in load_cases([Path(path) for path in paths]).cases]


# What is read ---------------------------------------------------------------------------------------------------


def test_a_small_case():
    case = one(GOOD)
    assert case.name == "x"
    assert case.path == Path("x.yaml")
    assert (case.revision, case.about, case.source, case.tags) == (1, "A small decoder.", "", ())
    assert case.model == DecoderModel(decoder=Decoder(vocab=27, width=32, layers=1, heads=1))
    assert case.config == Config(
        data=TextData(text="t.txt"), steps=28, optimizer=SgdOptimizer(sgd=Sgd(lr=0.01)), batch=2, sequence=8
    )
    assert case.backends == ("torch_eager", "numpy_float64")
    assert (case.timeout, case.memory_limit, case.catches) == (600.0, None, ())
    assert [(name, check.at_least, check.at_most) for name, check in case.expect.items()] == [
        ("loss_drop", 0.03, 0.6)
    ]


def test_everything_that_a_header_says():
    case = one(
        GOOD
        + "revision: 3\nsource: report.txt\ntags: [smoke, nightly]\ntimeout: 5 min\nmemory_limit: 2 GiB\ncatches: all\n"
    )
    assert (case.revision, case.source, case.tags) == (3, "report.txt", ("smoke", "nightly"))
    assert (case.timeout, case.memory_limit, case.catches) == (300.0, 2**31, "all")


def test_expectations_on_one_backend_replace_whole_checks():
    case = one(GOOD + "expect_on: {numpy_float64: {loss_drop: {at_least: 5%}, parameters: 8448}}\n")
    assert case.expectations("torch_eager") == case.expect
    on = case.expectations("numpy_float64")
    assert list(on) == ["loss_drop", "parameters"]
    assert (on["loss_drop"].at_least, on["loss_drop"].at_most, on["parameters"].count) == (0.05, None, 8448)


@pytest.mark.parametrize(
    ("written", "schedule"),
    [
        ("constant", Schedule()),
        ("linear", Schedule(kind="linear")),
        ("{cosine: {warmup: 10, final: 0.1}}", Schedule(kind="cosine", warmup=10, final=0.1)),
        ("{constant: {warmup: 5}}", Schedule(warmup=5)),
    ],
)
def test_schedules(written, schedule):
    assert one(changed("  steps: 28\n", f"  steps: 28\n  schedule: {written}\n")).config.schedule == schedule


def test_other_models_and_data():
    assert isinstance(one(MLP).model, MlpModel)
    clusters = MLP.replace("outputs: 2", "outputs: 3, task: classification").replace("teacher", "clusters")
    assert one(clusters).model.mlp.task == "classification"
    assert (
        one(changed("{text: t.txt}", "{markov: {concentration: 0.2}}")).config.data.markov.concentration
        == 0.2
    )
    assert isinstance(one(changed("{text: t.txt}", "{copy: {separator: 3}}")).config.data, CopyData)
    adamw = one(changed("{sgd: {lr: 0.01}}", "{adamw: {lr: 1e-3, betas: [0.9, 0.95]}}")).config.optimizer
    assert isinstance(adamw, AdamWOptimizer)
    assert (adamw.adamw.lr, adamw.adamw.betas) == (0.001, (0.9, 0.95))


def test_a_markov_case_of_full_size_is_not_sampled_while_it_is_read(monkeypatch):
    monkeypatch.setattr("harness.data.markov.transitions", lambda *_: pytest.fail("the chain was made"))
    assert isinstance(
        one(changed("{text: t.txt}", "{markov: {}}").replace("27", "1024")).config.data, MarkovData
    )


# Where cases are found --------------------------------------------------------------------------------------------


def test_folders_are_searched_but_not_those_of_baselines_and_hidden_ones():
    for name in (
        "c/b.yaml",
        "c/deep/er/a.yml",
        "c/baselines/n1.yaml",
        "c/.git/n2.yaml",
        "c/.n3.yaml",
        "c/n4.txt",
    ):
        write(name, GOOD)
    assert [str(path) for path in find([Path("c")])] == ["c/b.yaml", "c/deep/er/a.yml"]


def test_a_file_given_twice_is_read_once_and_cases_are_sorted_by_name():
    for name in ("c/b.yaml", "c/sub/a.yaml"):
        write(name, GOOD.replace("t.txt", str(Path("t.txt").absolute())))
    Path("c/link.yaml").symlink_to("b.yaml")
    loaded = load_cases([Path("c/b.yaml"), Path("c"), Path("c/../c/b.yaml")])
    assert [case.name for case in loaded.cases] == ["a", "b"]
    assert loaded.files == (Path("c/b.yaml"), Path("c/sub/a.yaml"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "nowhere: no such file or folder; expected case files or folders of them"),
        ("t.txt", "t.txt: expected a case file, *.yaml or *.yml"),
        ("empty", "empty: no case files; expected *.yaml or *.yml"),
        ("x" * 300, f"{'x' * 300}: no such file or folder; expected case files or folders of them"),
    ],
)
def test_nothing_found(path, message):
    Path("empty").mkdir()
    with pytest.raises(HarnessError) as caught:
        load_cases([Path(path)])
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_only_abstract_files_are_no_cases():
    write("base.yaml", "abstract: true\nschema: 1\n")
    with pytest.raises(HarnessError, match=r"^base\.yaml: no cases; every file there is abstract$"):
        load_cases([Path("base.yaml")])


def test_a_loop_of_links_is_left_alone():
    Path("loop.yaml").symlink_to("loop.yaml")
    write("x.yaml", GOOD)
    assert mistakes(".") == ["loop.yaml:1:1: no such file"]


# Mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema: 1", "schema: 2", "1:1: schema: 2 is written for a newer version; upgrade training-harness (this one reads schema 1)"),
        ("schema: 1", "schema: 0", "1:1: schema: expected >= 1, got 0"),
        ("schema: 1\n", "", "1:1: schema: missing"),
        ("about: A small decoder.\n", "", "1:1: about: missing"),
        ("about: A small decoder.", "about: ''", "2:1: about: expected a text that is not empty, got ''"),
        ("about: A small decoder.", "about: 3", "2:1: about: expected a text, got 3; put it in quotes"),
        ("about:", "timeout: 60\nabout:", "2:1: timeout: expected a time such as 36 ms, got 60"),
        ("about:", "timeout: 0\nabout:", "2:1: timeout: expected > 0, got 0"),
        ("about:", "memory_limit: 12\nabout:", "2:1: memory_limit: expected a size such as 12 MiB, got 12"),
        ("about:", "tags: smoke\nabout:", "2:1: tags: expected a list, got 'smoke'"),
        ("about:", "revision: 1.0\nabout:", "2:1: revision: expected a whole number, got 1.0"),
        ("about:", "abstract: yes\nabout:", "2:1: abstract: expected true or false"),
        ("about:", "abuot: x\nabout:", "2:1: abuot: unknown key; did you mean 'about'?"),
        ("  batch: 2", "  batch: 2\n  batch: 3", "9:3: batch: duplicate key; the first is in line 8"),
        ("decoder:", "decodre:", "4:3: model.decodre: unknown kind; did you mean 'decoder'?"),
        ("decoder:", "notebook: train.ipynb\n  decoder:", "4:3: model.notebook: unknown key; known: decoder"),
        ("heads: 1", "heads: 3", "4:3: model.decoder: heads (3) must divide width (32)"),
        ("heads: 1", "heads: 0", "4:46: model.decoder.heads: expected >= 1, got 0"),
        ("heads: 1", "heads: 1, tied: no", "4:56: model.decoder.tied: expected true or false, got 'no'"),
        ("heads: 1", "heads: 1, norm: batchnorm", "4:56: model.decoder.norm: expected 'layernorm' or 'rmsnorm', got 'batchnorm'"),
        ("width: 32, ", "", "4:3: model.decoder.width: missing"),
        ("  steps: 28", "  steps: 0", "9:3: config.steps: expected >= 1, got 0"),
        ("  steps: 28", "  steps: 28.0", "9:3: config.steps: expected a whole number, got 28.0"),
        ("  steps: 28", "  steps: true", "9:3: config.steps: expected a whole number, got true"),
        ("  steps: 28\n", "", "5:1: config.steps: missing"),
        ("lr: 0.01", "lr: -0.01", "10:21: config.optimizer.sgd.lr: expected >= 0, got -0.01"),
        ("lr: 0.01", "lr: .nan", "10:21: config.optimizer.sgd.lr: expected a finite number, got nan"),
        ("lr: 0.01", "lr: '0.01'", "10:21: config.optimizer.sgd.lr: expected a number, got '0.01'"),
        ("lr: 0.01", "lr: 0.01, nesterov: true", "10:15: config.optimizer.sgd: nesterov needs a momentum above 0"),
        ("{sgd: {lr: 0.01}}", "{adam: {lr: 1}}", "10:15: config.optimizer.adam: unknown kind; did you mean 'adamw'?"),
        ("{sgd: {lr: 0.01}}", "{}", "10:3: config.optimizer: expected one of sgd, adamw, got an empty mapping"),
        ("  batch: 2", "  batch: 2\n  schedule: cosin", "9:3: config.schedule: unknown kind 'cosin'; did you mean 'cosine'?"),
        ("  batch: 2", "  batch: 2\n  schedule: {cosine: {warmpu: 3}}", "9:23: config.schedule.cosine.warmpu: unknown key; did you mean 'warmup'?"),
        ("  batch: 2", "  batch: 2\n  schedule: {constant: {final: 0.5}}", "9:3: config.schedule: a constant schedule has no final share; use linear or cosine"),
        ("  batch: 2", "  batch: 2\n  micro_batches: 3", "5:1: config: micro_batches (3) must divide batch (2)"),
        ("  batch: 2", "  batch: 2\n  lengths: [2, 9]", "5:1: config: lengths [2, 9] must rise and end at most at sequence (8)"),
        ("  batch: 2", "  batch: 2\n  clip_norm: 0", "9:3: config.clip_norm: expected > 0, got 0"),
        ("  batch: 2", "  batch: 2\n  dtype: float16", "9:3: config.dtype: expected 'float32', 'float64' or 'bfloat16', got 'float16'"),
        ("torch_eager", "torch_eagre", "11:12: backends[0]: unknown backend 'torch_eagre'; did you mean 'torch_eager'?"),
        ("[torch_eager, numpy_float64]", "[torch_eager, torch_eager]", "11:25: backends[1]: 'torch_eager' is listed twice"),
        ("[torch_eager, numpy_float64]", "[]", "11:1: backends: expected at least 1 items, got 0"),
        ("[torch_eager, numpy_float64]", "torch_eager", "11:1: backends: expected a list, got 'torch_eager'"),
        ("  loss_drop: ", "  los_drop: ", "13:3: expect.los_drop: unknown key; did you mean 'loss_drop'?"),
        ("at_least: 3%", "at_least: 0.03", "13:15: expect.loss_drop.at_least: expected a percentage such as 3%, got 0.03: write 0.03% or 3%"),
        ("at_least: 3%", "at_lest: 3%", "13:15: expect.loss_drop.at_lest: unknown key; did you mean 'at_least'?"),
        ("at_least: 3%", "at_least: 70%", "13:3: expect.loss_drop: at_least (0.7) lies above at_most (0.6)"),
        ("{at_least: 3%, at_most: 60%}", "{}", "13:3: expect.loss_drop: give at least one of at_least, at_most"),
        ("loss_drop: {at_least: 3%, at_most: 60%}", "gradients: {'*': {nrom: [0, 1]}}", "13:21: expect.gradients.*.nrom: unknown key; did you mean 'norm'?"),
        ("loss_drop: {at_least: 3%, at_most: 60%}", "loss_at: {3: {at_mots: 1}}", "13:17: expect.loss_at.3.at_mots: unknown key; did you mean 'at_most'?"),
        ("{at_least: 3%, at_most: 60%}", "", "13:3: expect.loss_drop: expected a mapping, got null"),
        ("loss_drop: {at_least: 3%, at_most: 60%}", "matches_baseline: 3", "13:3: expect.matches_baseline: expected a mapping, got 3"),
        ("loss_drop: {at_least: 3%, at_most: 60%}", "matches_baseline: false", "13:3: expect.matches_baseline: nothing can be expected of what may be anything; leave the key out"),
        ("loss_drop: {at_least: 3%, at_most: 60%}", "matches_baseline: {relativ: 1e-3}", "13:22: expect.matches_baseline.relativ: unknown key; did you mean 'relative'?"),
        ("loss_drop: {at_least: 3%, at_most: 60%}", "matches_baseline: {}", "13:3: expect.matches_baseline: give at least one of relative, mean, improvement, or write true"),
        ("loss_drop: {at_least: 3%, at_most: 60%}", "matches_baseline: {mean: -1}", "13:22: expect.matches_baseline.mean: expected > 0, got -1"),
        ("expect:\n  loss_drop: {at_least: 3%, at_most: 60%}", "expect: {}", "12:1: expect: expected at least one check"),
        ("expect:\n  loss_drop: {at_least: 3%, at_most: 60%}", "expect: all", "12:1: expect: expected at least one check, got 'all'"),
        ("expect:\n  loss_drop: {at_least: 3%, at_most: 60%}", "", "1:1: expect: missing"),
        ("expect:", "expect_on: {jax: {parameters: 3}}\nexpect:", "12:13: expect_on.jax: not one of this case's backends; known: numpy_float64, torch_eager"),
        ("expect:", "expect_on: {torch_eager: {}}\nexpect:", "12:13: expect_on.torch_eager: expected at least one check"),
        ("expect:", "expect_on: [a]\nexpect:", "12:1: expect_on: expected a mapping of backends to checks, got a list"),
        ("expect:", "catches: some\nexpect:", "12:1: catches: expected 'all' or a list of faults, got 'some'"),
        ("text: t.txt", "text: 3", "6:10: config.data.text: expected a text, got 3; put it in quotes"),
        ("text: t.txt", "text: t.txt, markov: {}", "6:3: config.data: expected one kind, got text and markov; keep one"),
    ],
)  # fmt: skip
def test_one_mistake(old, new, message):
    assert wrong(changed(old, new)) == [f"x.yaml:{message}"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (changed("t.txt", "none.txt"), "6:10: config.data.text: cannot read 'none.txt': No such file"),
        (
            changed("sequence: 8", "sequence: 40"),
            "6:10: config.data.text: text has 33 tokens, one sample needs 41",
        ),
        (changed("vocab: 27", "vocab: 20"), "6:10: config.data.text: text has 21 distinct characters"),
        (
            changed("{text: t.txt}", "{copy: {separator: 27}}"),
            "6:17: config.data.copy.separator: 27 is no token",
        ),
        (
            changed("{text: t.txt}", "{copy: {}}").replace("sequence: 8", "sequence: 9"),
            "7:3: config.sequence: 9 is odd",
        ),
        (changed("{text: t.txt}", "{teacher: {}}"), "6:10: config.data.teacher: is made for regression"),
        (
            changed("{text: t.txt}", "{markov: {}}").replace("27", "1025"),
            "6:10: config.data.markov: model.decoder.vocab",
        ),
        (changed("{teacher: {}}", "{text: t.txt}", MLP), "6:10: config.data.text: is a source of tokens"),
        (changed("{teacher: {}}", "{markov: {}}", MLP), "6:10: config.data.markov: is a source of tokens"),
        (
            changed("{teacher: {}}", "{clusters: {}}", MLP),
            "6:10: config.data.clusters: is made for classification",
        ),
        (
            changed("outputs: 2", "outputs: 2, task: classification", MLP),
            "6:10: config.data.teacher: is made for regression",
        ),
    ],
)
def test_data_that_do_not_suit(text, place):
    [line] = wrong(text)
    assert line.startswith(f"x.yaml:{place}")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "'t.txt' is empty"), (b"caf\xe9 au lait", "'t.txt' is not UTF-8 at byte offset 3")],
)
def test_texts_that_cannot_be_trained_on(content, message):
    Path("t.txt").write_bytes(content)
    [line] = wrong(GOOD)
    assert line.startswith(f"x.yaml:6:10: config.data.text: {message}")


def test_all_mistakes_of_all_files_at_once_in_order():
    write(
        "b.yaml", GOOD.replace("steps: 28", "steps: 0").replace("los", "lss").replace("vocab: 27", "vocab: x")
    )
    write("a.yaml", "a:\n\tb: 1")
    write("ok.yaml", GOOD)
    with pytest.raises(CaseErrors) as caught:
        load_cases([Path()])
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "a.yaml:2:1",
        "b.yaml:4:13",
        "b.yaml:9:3",
        "b.yaml:13:3",
    ]
    assert [case.name for case in read_cases([Path()]).cases] == ["ok"]


def test_names_that_cannot_be():
    write("a b.yaml", GOOD)
    assert mistakes(".") == [
        "a b.yaml:1:1: the file's name 'a b' names the case; expected letters, digits, '.', '_' and '-'"
    ]
    Path("a b.yaml").unlink()
    write("c/x.yaml", GOOD.replace("t.txt", "../t.txt"))
    write("x.yaml", GOOD)
    assert mistakes("c", "x.yaml") == [
        "x.yaml:1:1: the name 'x' is taken by c/x.yaml; rename one of the files"
    ]


# Plugins ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Strange(Check):
    entire: ClassVar[str] = "level"

    level: int

    def __post_init__(self):
        1 / self.level


def test_a_plugin_of_ones_own_and_broken_ones(monkeypatch):
    checks = {
        "strange": Plugin(name="strange", value=Strange),
        "broken": Plugin(name="broken", error="ImportError: no module"),
    }
    faults = {"double_step": Plugin(name="double_step")}
    mine = {"checks": checks, "faults": faults}
    monkeypatch.setattr(draft, "plugins", lambda kind: mine.get(kind, plugins(kind)))
    expect = "loss_drop: {at_least: 3%, at_most: 60%}"
    assert one(changed(expect, "strange: 7")).expect == {"strange": Strange(level=7)}
    assert wrong(changed(expect, "strange: x")) == [
        "x.yaml:13:3: expect.strange: expected a whole number, got 'x'"
    ]
    assert wrong(changed(expect, "strange: 0")) == [
        "x.yaml:13:3: expect.strange: cannot be validated: ZeroDivisionError: division by zero"
    ]
    assert wrong(changed(expect, "broken: 0")) == [
        "x.yaml:13:3: expect.broken: the check cannot be loaded: ImportError: no module"
    ]
    assert one(changed(expect, "strange: 7\ncatches: [double_step]")).catches == ("double_step",)
    assert wrong(changed(expect, "strange: 7\ncatches: [double_step, doubel_step]")) == [
        "x.yaml:14:24: catches[1]: unknown fault 'doubel_step'; did you mean 'double_step'?"
    ]


# Families ---------------------------------------------------------------------------------------------------------


def test_a_child_says_only_what_differs():
    write("base.yaml", GOOD + "tags: [nightly]\nrevision: 2\n")
    case = one(
        "extends: base.yaml\nconfig: {steps: 5, seed: 3}\nexpect: {parameters: 8448, loss_drop: {at_most: 50%}}\n"
    )
    base = one(GOOD, "base2.yaml")
    assert (case.config.steps, case.config.seed, case.config.batch) == (5, 3, 2)
    assert (case.tags, case.revision, case.about, case.model) == (("nightly",), 2, base.about, base.model)
    drop = case.expect["loss_drop"]
    assert (list(case.expect), drop.at_least, drop.at_most) == (["loss_drop", "parameters"], 0.03, 0.5)


def test_another_kind_replaces_and_the_same_kind_merges():
    write(
        "base.yaml", GOOD.replace("{sgd: {lr: 0.01}}", "{sgd: {lr: 0.01, momentum: 0.9}}\n  schedule: cosine")
    )
    same = one(
        "extends: base.yaml\nconfig: {optimizer: {sgd: {lr: 0.1}}, data: {tokenizer: bytes}}\nmodel: {decoder: {vocab: 256}}"
    )
    assert same.config.optimizer == SgdOptimizer(sgd=Sgd(lr=0.1, momentum=0.9))
    assert same.config.data == TextData(text="t.txt", tokenizer="bytes")
    assert (same.model.decoder.vocab, same.model.decoder.width) == (256, 32)
    other = one(
        "extends: base.yaml\nconfig: {optimizer: {adamw: {lr: 0.1}}, data: {copy: {}}, schedule: {linear: {warmup: 2}}}"
    )
    assert other.config.optimizer.adamw.lr == 0.1
    assert isinstance(other.config.data, CopyData)
    assert other.config.schedule == Schedule(kind="linear", warmup=2)


def test_null_takes_an_inherited_expectation_away():
    write("base.yaml", GOOD + "  parameters: 8448\n")
    assert list(one("extends: base.yaml\nexpect: {loss_drop: null}").expect) == ["parameters"]
    assert wrong("extends: base.yaml\nexpect: {step_time: null}") == [
        "x.yaml:2:10: expect.step_time: expected a mapping, got null"
    ]


def test_a_chain_across_folders_names_its_text_relative_to_the_case():
    write("a/base.yaml", "abstract: true\n" + GOOD)
    Path("t.txt").rename("a/t.txt")
    write("b/mid.yaml", "abstract: true\nextends: ../a/base.yaml\nabout: Mid.\n")
    case = one("extends: ../mid.yaml\nconfig: {batch: 1}", "b/c/x.yaml")
    assert case.config.data == TextData(text="../../a/t.txt")
    assert (case.path.parent / case.config.data.text).samefile("a/t.txt")
    assert (case.about, case.config.batch) == ("Mid.", 1)
    assert names("b", "a") == ["x"]


def test_a_matrix_is_not_inherited():
    write("base.yaml", GOOD + "matrix: {config.batch: [1, 2]}\n")
    write("x.yaml", "extends: base.yaml\nabout: Child.\n")
    assert names(".") == ["base[batch=1]", "base[batch=2]", "x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: none.yaml", "x.yaml:1:10: extends: no such file: 'none.yaml'"),
        ("extends: .", "x.yaml:1:10: extends: no such file: '.'"),
        ("extends: 3", "x.yaml:1:1: extends: expected the path of a case file, relative to this one"),
        (f"extends: {'x' * 300}", f"x.yaml:1:10: extends: no such file: '{'x' * 300}'"),
        ("extends: x.yaml", "x.yaml:1:1: extends: x.yaml -> x.yaml is a circle"),
        ("extends: back.yaml", "back.yaml:1:1: extends: x.yaml -> back.yaml -> x.yaml is a circle"),
        ("extends: t.txt", "t.txt:1:1: expected a mapping at the top of the file"),
    ],
)
def test_families_that_cannot_be(text, message):
    write("back.yaml", "extends: x.yaml")
    assert wrong(text) == [message]


def test_a_chain_without_end_is_cut():
    for number in range(17):
        write(f"c{number}.yaml", f"extends: c{number + 1}.yaml\n")
    write("c17.yaml", GOOD)
    assert wrong("extends: c1.yaml") == ["c15.yaml:1:1: extends: a chain of more than 16 files"]
    assert one("extends: c3.yaml").about == "A small decoder."


def test_a_mistake_of_a_base_is_said_once():
    write("base.yaml", "abstract: true\n" + GOOD.replace("steps: 28", "steps: 0"))
    for name in ("x.yaml", "y.yaml"):
        write(name, "extends: base.yaml")
    assert mistakes(".") == ["base.yaml:10:3: config.steps: expected >= 1, got 0"]
    assert mistakes("y.yaml") == [
        "base.yaml:10:3: config.steps: expected >= 1, got 0 (as extended by y.yaml)"
    ]


def test_an_abstract_file_may_lack_anything_but_not_be_wrong():
    write(
        "base.yaml",
        "abstract: true\nmodel: {decoder: {width: 32, hedas: 2}}\nexpect: {loss_drop: {at_least: 3}}\n",
    )
    assert mistakes("base.yaml") == [
        "base.yaml:2:30: model.decoder.hedas: unknown key; did you mean 'heads'?",
        "base.yaml:3:22: expect.loss_drop.at_least: expected a percentage such as 3%, got 3: write 3% or 300%",
    ]


def test_matrix():
    write(
        "x.yaml",
        GOOD + "matrix: {config.batch: [1, 2], config.optimizer: [{sgd: {lr: 1e-2}}, {adamw: {lr: 1e-3}}]}\n",
    )
    cases = load_cases([Path("x.yaml")]).cases
    assert [
        (case.name, case.config.batch, next(iter(case.raw["config"]["optimizer"]))) for case in cases
    ] == [
        ("x[batch=1,optimizer=adamw]", 1, "adamw"),
        ("x[batch=1,optimizer=sgd]", 1, "sgd"),
        ("x[batch=2,optimizer=adamw]", 2, "adamw"),
        ("x[batch=2,optimizer=sgd]", 2, "sgd"),
    ]
    assert len({case.digest for case in cases}) == 4
    assert all("matrix" not in case.raw for case in cases)


def test_names_of_a_matrix():
    write(
        "x.yaml",
        GOOD
        + "matrix: {config.optimizer.sgd.lr: [1e-3], config.data.text: [./t.txt], config.lengths: [[2, 8]]}",
    )
    assert names("x.yaml") == ["x[lr=1e-3,text=._t.txt,lengths=2-8]"]
    write(
        "x.yaml",
        GOOD.replace("{text: t.txt}", "{markov: {}}")
        + "matrix: {config.seed: [1], config.data.markov.seed: [2, 3]}",
    )
    assert names("x.yaml") == [
        "x[config.seed=1,config.data.markov.seed=2]",
        "x[config.seed=1,config.data.markov.seed=3]",
    ]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("{config.bach: [1, 2]}", "14:10: config.bach: unknown key; did you mean 'batch'?"),
        ("{confg.batch: [1, 2]}", "14:10: matrix.confg.batch: unknown path; did you mean 'config'?"),
        ("{config.batch.size: [1]}", "14:10: matrix.config.batch.size: no such path, there is no mapping above 'size'"),
        ("{config.batch: [1, 0]}", "14:10: config.batch: expected >= 1, got 0"),
        ("{config.batch: 2}", "14:10: matrix.config.batch: expected a list of values that is not empty"),
        ("{config.batch: []}", "14:10: matrix.config.batch: expected a list of values that is not empty"),
        ("{config.batch: [2, 2]}", "14:1: matrix: two cases would be named 'x[batch=2]'; vary a path below, such as config.optimizer.sgd.lr"),
        ("{schema: [1]}", "14:10: matrix.schema: unknown path; known: backends, catches, config, expect, expect_on, memory_limit, model, timeout"),
        ("[config.batch]", "14:1: matrix: expected a mapping such as {config.batch: [2, 8]}"),
        (f"{{config.seed: {list(range(40))}, config.batch: {list(range(1, 40))}}}", "14:1: matrix: more than 1000 cases"),
    ],
)  # fmt: skip
def test_matrices_that_cannot_be(matrix, message):
    assert wrong(GOOD + f"matrix: {matrix}\n") == [f"x.yaml:{message}"]


# Digest -----------------------------------------------------------------------------------------------------------


def test_the_digest_is_of_what_changes_the_numbers_or_the_judgement():
    first = one(GOOD).digest
    assert len(first) == 16
    assert set(first) <= set("0123456789abcdef")
    for same in (
        changed("about: A small decoder.", "about: Another sentence."),
        GOOD + "tags: [smoke]\nsource: somewhere\n",
        GOOD.replace("0.01", "1e-2"),
        "backends: [torch_eager, numpy_float64]\n"
        + GOOD.replace("backends: [torch_eager, numpy_float64]\n", ""),
    ):
        assert one(same).digest == first
    assert one(GOOD, "other.yaml").digest == first
    for other in (
        changed("batch: 2", "batch: 1"),
        changed("3%", "4%"),
        GOOD + "revision: 2\n",
        GOOD + "timeout: 60 s\n",
        changed("[torch_eager, numpy_float64]", "[torch_eager]"),
    ):
        assert one(other).digest != first
    Path("t.txt").write_text(TEXT + "!")
    assert one(GOOD).digest != first


def test_raw_is_the_merged_plain_mapping():
    write("base.yaml", GOOD)
    raw = one("extends: base.yaml\nconfig: {batch: 1}").raw
    assert raw["config"]["batch"] == 1
    assert raw["config"]["optimizer"] == {"sgd": {"lr": 0.01}}
    assert not {"extends", "matrix", "abstract"} & set(raw)
    assert json.loads(json.dumps(raw)) == raw


# JSON Schema ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checker():
    jsonschema = pytest.importorskip("jsonschema")
    made = schema.schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(made)))


def test_every_shipped_case_is_good_and_fits_the_schema(checker):
    loaded = load_cases([SHIPPED])
    assert loaded.cases
    for path in loaded.files:
        assert list(checker.iter_errors(plain(read_document(path)))) == [], path


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (GOOD, True),
        (MLP, True),
        (GOOD + "expect_on: {torch_eager: {parameters: 3}}\ncatches: all\ntimeout: 5 min\n", True),
        (
            "extends: base.yaml\nexpect: {loss_drop: null, deterministic: true}\nconfig: {data: {tokenizer: bytes}}",
            True,
        ),
        ("abstract: true\nmodel: {decoder: {width: 3}}", True),
        (GOOD + "matrix: {config.batch: [1, 2]}", True),
        (GOOD.replace("loss_drop", "los_drop"), False),
        (GOOD.replace("steps: 28", "steps: 0"), False),
        (GOOD.replace("3%", "0.03"), False),
        (GOOD.replace("torch_eager", "torch_eagre"), False),
        (GOOD.replace("  steps: 28\n", ""), False),
        (GOOD.replace("about: A small decoder.\n", ""), False),
        (GOOD.replace("{at_least: 3%, at_most: 60%}", "null"), False),
        (GOOD + "matrix: {seed: [1, 2]}", False),
        (GOOD + "expect_on: {jax2: {parameters: 3}}", False),
        (GOOD + "zzz: 1", False),
        ("extends: base.yaml\nconfig: {bach: 2}", False),
        ("extends: base.yaml\nexpect: {loss_drop: {at_least: 3}}", False),
    ],
)
def test_the_schema_agrees_with_the_reader(checker, text, fits):
    assert checker.is_valid(plain(read_document(write("y.yaml", text)))) is fits


def test_the_schema_knows_every_check_by_its_parameters_and_every_backend():
    made = schema.schema()
    case = made["$defs"]["case"]["properties"]
    assert set(case["expect"]["properties"]) == set(plugins("checks"))
    assert case["backends"]["items"]["enum"] == list(plugins("backends"))
    assert set(made["$defs"]["check-loss_drop"]["properties"]) == {
        "at_least",
        "at_most",
        "every_step",
        "window",
    }
    assert made["$defs"]["check-parameters"]["type"] == "integer"
    assert set(case) == set(draft.KEYS)


def test_every_key_of_a_case_has_its_type():
    assert set(draft.HEADER) - {"schema"} <= set(spec.Case.__dataclass_fields__)


# Anything at all --------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [*GOOD.splitlines(keepends=True), *"[]{}:-,&*!|>'\"#%\n\t ~", "  ", "extends: x.yaml\n", "matrix: {config.batch: [1, 2]}\n",
     "null", "1e999", "expect_on: ", "catches: ", "abstract: true\n", "\x00", "é", "<<: ", ".nan", "-1", "schedule: "]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(PIECES, max_size=25).map(lambda pieces: "".join(pieces).encode())
    | st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), st.text(max_size=6)).map(
        lambda cut: (GOOD[: cut[0]] + cut[2] + GOOD[cut[0] + cut[1] :]).encode("utf-8", "surrogatepass")
    )
)
def test_any_content_is_cases_or_one_line_for_each_mistake(content):
    Path("x.yaml").write_bytes(content)
    try:
        load_cases([Path("x.yaml")])
    except CaseErrors as error:
        lines = [str(mistake) for mistake in error.mistakes]
    except HarnessError as error:
        lines = [str(error)]
    else:
        lines = []
    assert all(line.startswith(("x.yaml:", "t.txt:")) and len(line.splitlines()) == 1 for line in lines), (
        lines
    )


def test_a_case_travels_to_another_process():
    case = one(GOOD + "  throughput: {at_least: 1000 tokens/s}\nmemory_limit: 2 GiB\n")
    copy = pickle.loads(pickle.dumps(case))
    assert copy == case
    assert copy.expect["throughput"].at_least.unit == "token/s"
