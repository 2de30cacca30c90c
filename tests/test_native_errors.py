"""What is wrong with a library is said in one line; what an engine does to its process hurts nobody else."""

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import engines
import pytest

from harness.cases import load_cases, read_cases
from harness.model import BrokenError, HarnessError, Outcome, Status
from harness.models import Tensor
from harness.native import compiler
from harness.native.compiler import cache_folder, library_file
from harness.native.library import Engine, Library
from harness.pipeline import judged
from harness.problem import build_problem
from harness.runner import Runner, Task, impossible
from harness.spec import DecoderModel

pytestmark = engines.needs_compiler

TENSORS = (Tensor(name="embedding", shape=(11, 4)), Tensor(name="final_norm.weight", shape=(4,)))
CASE = """\
schema: 1
about: A library of one's own.
model:
  library:
    decoder: {vocab: 11, width: 8, layers: 1, heads: 1}
config:
  data: {markov: {}}
  sequence: 8
  steps: 4
  optimizer: {sgd: {lr: 0.1}}
backends: [native_c, numpy_float64]
timeout: 60 s
expect: {parameters: 944}
"""


@pytest.fixture(autouse=True)
def _workplace(tmp_path, monkeypatch):
    engines.keep_builds(monkeypatch)
    monkeypatch.chdir(tmp_path)


def case(name="own.yaml", library=""):
    Path(name).write_text(CASE.replace("    decoder:", f"{library}    decoder:"))
    [found] = load_cases([Path(name)]).cases
    return found


def runs(*cases):
    """Runs on `native_c` by case."""
    ended = Runner(workers=1).run([Task(case=each, backend="native_c") for each in cases])
    return {run.case: run for run in (judged(finished, "session", {}) for finished in ended)}


def refused(sources, *flags):
    with pytest.raises(HarnessError) as caught:
        Library.open(library_file([str(source) for source in sources], flags), "own")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


# Libraries that cannot be built or loaded.


def test_a_source_that_is_not_there():
    assert refused(["missing.c"]) == "missing.c: no such file; expected a C source or a shared library"
    assert refused(["missing.so"]) == "missing.so: no such file; expected a C source or a shared library"


def test_the_first_error_of_the_compiler_is_shown():
    Path("own.c").write_text("int good;\nint bad = undeclared;\nint worse = 1 +;\n")
    said = refused([Path("own.c").absolute()])
    assert said.startswith("own.c: cannot be compiled: ")
    assert ":2:" in said
    assert "undeclared" in said


def test_a_compiler_that_cannot_be_run(monkeypatch):
    Path("broken").write_text("no program")
    Path("broken").chmod(0o755)
    monkeypatch.setenv("CC", "./broken")
    assert refused([engines.STUB], "-DOTHER").startswith("./broken: cannot be run: ")


def test_a_file_that_is_no_library():
    Path("engine.so").write_text("int main;" * 100)
    assert refused(["engine.so"]) == "own: is no shared library that can be loaded here: invalid ELF header"


def test_a_library_that_lacks_a_function():
    assert (
        refused([engines.STUB], "-DWITHOUT_UPDATE")
        == "own: lacks the function 'engine_update', which engine.h requires"
    )
    Path("empty.c").write_text("int nothing;")
    assert (
        refused([Path("empty.c").absolute()])
        == "own: lacks the function 'engine_abi', which engine.h requires"
    )


def test_a_library_that_needs_another():
    Path("needy.c").write_text("int absent(void);\nint engine_abi(void) { return absent(); }\n")
    assert "is no shared library that can be loaded here: " in refused([Path("needy.c").absolute()])


def test_a_library_of_another_version():
    assert (
        refused([engines.STUB], "-DSPEAKS=7")
        == "own: speaks version 7 of engine.h, expected 1; build it again"
    )


# Engines that are not what they should be.


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("-DREFUSES", "stub.c: the stub refuses"),
        ("-DTENSORS=1", "stub.c: has 1 tensors, its description has 2"),
        ('-DNAME="wte"', "stub.c: tensor 0 is 'wte' (11, 4), expected 'embedding' (11, 4)"),
        ("-DROWS=12", "stub.c: tensor 0 is 'embedding' (12, 4), expected 'embedding' (11, 4)"),
        ("-DWITHOUT_WEIGHTS", "stub.c: has no weights for 'final_norm.weight', expected a pointer to them"),
    ],
)
def test_an_engine_that_differs_from_its_description(flag, message):
    with pytest.raises(HarnessError) as caught:
        Engine(engines.stub(flag), "", TENSORS)
    assert (str(caught.value), caught.value.exit_code) == (message, 2)


def test_an_engine_that_fails_gives_its_own_reason():
    engine = Engine(engines.stub(), "", TENSORS)
    with pytest.raises(BrokenError) as caught:
        engine.call("backward", None, None, 1, 1, 1, None)
    assert (str(caught.value), caught.value.exit_code) == ("stub.c: the stub broke", 3)


@pytest.mark.parametrize("function", ["state_save", "generate", "memory"])
def test_what_an_engine_lacks_is_said_by_name(function):
    engine = Engine(engines.stub(), "", TENSORS)
    assert not engine.has(function)
    with pytest.raises(NotImplementedError, match=f"^stub.c has no engine_{function}$"):
        engine.call(function)
    with pytest.raises(NotImplementedError, match=r"^stub.c has no engine_state_size$"):
        engine.state()


# Builds.


def test_a_build_is_kept_by_its_content(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("kept").absolute()))
    source = Path("own.c").absolute()
    source.write_text("int engine_abi(void) { return 1; }")
    first = library_file([str(source)])
    standing = first.stat().st_mtime_ns
    assert first.parent == cache_folder() == Path("kept/training-harness/native").absolute()
    assert library_file([str(source)]) == first
    assert first.stat().st_mtime_ns == standing
    others = {library_file([str(source)], ["-DX"])}
    source.write_text("int engine_abi(void) { return 2; }")
    others.add(library_file([str(source)]))
    Path("own.h").write_text("")
    others.add(library_file([str(source)]))
    assert len(others - {first}) == 3
    assert sorted(first.parent.iterdir()) == sorted({first, *others})


def test_builds_at_the_same_time_do_no_harm(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("kept").absolute()))
    found = []
    builders = [
        threading.Thread(target=lambda: found.append(library_file([str(engines.STUB)]))) for _ in range(4)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert len(found) == 4
    assert set(found) == set(found[0].parent.iterdir())
    Library.open(found[0], "stub.c")


def test_builds_lie_below_the_working_folder_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path("out/cache/native").absolute()


def test_the_compiler_may_be_named(monkeypatch):
    monkeypatch.setenv("CC", f"{shutil.which('cc') or shutil.which('gcc')} -DFROM_CC")
    assert compiler.compiler()[1:] == ("-DFROM_CC",)
    monkeypatch.setenv("CC", "no-such-compiler")
    assert Path(compiler.compiler()[0]).name in compiler.COMPILERS


# Cases that name a library.


def test_to_all_but_the_engine_a_library_is_its_decoder():
    own = case(library="    source: builtin\n    flags: [-DX]\n")
    assert isinstance(own.model, DecoderModel)
    assert own.library.decoder is own.model.decoder
    plain = case("plain.yaml")
    assert plain.library.sources == ("builtin",)
    assert impossible(Task(case=own, backend="numpy_float64")) is None
    assert build_problem(own).digest == build_problem(plain).digest
    assert own.digest != plain.digest


def test_sources_lie_beside_the_file_that_names_them():
    Path("below").mkdir()
    for name in ("a.c", "b.c"):
        Path("below", name).write_text("")
    Path("below/base.yaml").write_text(CASE.replace("    decoder:", "    source: [a.c, b.c]\n    decoder:"))
    Path("above.yaml").write_text("schema: 1\nextends: below/base.yaml\nabout: From above.\n")
    [above] = load_cases([Path("above.yaml")]).cases
    assert above.library.sources == ("below/a.c", "below/b.c")
    folder = Path.cwd()
    assert build_problem(above).library.sources == (f"{folder}/below/a.c", f"{folder}/below/b.c")
    before = above.digest
    Path("below/b.c").write_text("int changed;")
    assert load_cases([Path("above.yaml")]).cases[0].digest != before


@pytest.mark.parametrize(
    ("library", "mistake"),
    [
        (
            "    source: none.c\n",
            "own.yaml:5:5: model.library.source: no such file: 'none.c'; name it relative to the case's folder",
        ),
        (
            "    source: []\n",
            "model.library: source names no file; expected engine.c, [a.c, b.c], engine.so or builtin",
        ),
        ("    source: ''\n", "model.library: source names no file"),
        ("    sources: a.c\n", "model.library.sources: unknown key; did you mean 'source'?"),
        ("    flags: -O0\n", "model.library.flags: expected a list, got '-O0'"),
    ],
)
def test_mistakes_in_a_library(library, mistake):
    Path("own.yaml").write_text(CASE.replace("    decoder:", f"{library}    decoder:"))
    said = [str(each) for each in read_cases([Path("own.yaml")]).mistakes]
    assert len(said) == 1
    assert mistake in said[0]


# What an engine does to its process.


def test_each_end_is_an_error_of_its_own_and_the_others_go_on():
    text = Path("broken.c").absolute()
    text.write_text("int engine_abi(void) { return 1 }")
    Path("junk.so").write_text("junk" * 100)
    flags = {"segfault": "SEGFAULT", "abort": "ABORT", "endless": "ENDLESS_LOOP"}
    cases = [case("well.yaml")]
    cases += [case(f"{name}.yaml", f"    flags: [-DFAULT_{flag}]\n") for name, flag in flags.items()]
    cases += [case("text.yaml", "    source: broken.c\n"), case("junk.yaml", "    source: junk.so\n")]
    cases.append(case("after.yaml"))
    found = runs(*(replace(each, timeout=5.0) if each.name == "endless" else each for each in cases))
    assert {name: run.status for name, run in found.items()} == {
        **dict.fromkeys([*flags, "text", "junk"], Status.ERROR), "well": Status.PASS, "after": Status.PASS,
    }  # fmt: skip
    assert {name: run.facts.outcome for name, run in found.items() if run.status is Status.ERROR} == {
        "segfault": Outcome.CRASHED, "abort": Outcome.CRASHED, "endless": Outcome.TIMEOUT,
        "text": Outcome.INVALID, "junk": Outcome.INVALID,
    }  # fmt: skip
    messages = {name: run.message for name, run in found.items()}
    assert messages["segfault"] == "crashed with SIGSEGV in phase train at step 2 of 4"
    assert messages["abort"] == "crashed with SIGABRT in phase train at step 2 of 4"
    assert messages["endless"] == "stopped after its time limit of 5 s in phase train at step 2 of 4"
    assert messages["text"].startswith("broken.c: cannot be compiled: ")
    assert messages["junk"].startswith("junk.so: is no shared library that can be loaded here: ")


def test_an_engine_that_refuses_or_differs_is_an_error():
    shutil.copy(engines.STUB, "stub.c")
    found = runs(
        case("differs.yaml", "    source: stub.c\n"),
        case("refuses.yaml", "    source: stub.c\n    flags: [-DREFUSES]\n"),
    )
    assert found["differs"].message == "stub.c: has 2 tensors, its description has 15"
    assert found["refuses"].message == "stub.c: the stub refuses"
    assert {run.facts.outcome for run in found.values()} == {Outcome.INVALID}


def test_an_own_engine_of_several_files_trains():
    """Our engine as anybody's: its files named one by one, in another folder."""
    for file in (*compiler.builtin_sources(), *compiler.FOLDER.glob("*.h")):
        shutil.copy(file, Path.cwd())
    names = sorted(os.path.relpath(file) for file in Path.cwd().glob("*.c"))
    own = case(library=f"    source: [{', '.join(names)}]\n")
    assert runs(own)["own"].status is Status.PASS
