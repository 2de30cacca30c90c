"""Logs of programs: the kinds that people write, and what is wrong in them."""

import json

import pytest

from harness.logs import UnreadableError, by_step, number_of, read_log, read_series


def losses(log, planned=3):
    return [row["loss"] for row in by_step(log.entries, planned).by_step.values()]


JSON = """starting up
{"step": 0, "loss": 2.5, "lr": 0.1, "grad_norm": 1.0}
{"step": 1, "loss": 2.25, "lr": 0.1}
{"step": 2, "loss": NaN}
{"parameters": 7, "checkpoint": "w.bin"}"""
HUGGING_FACE = """{'loss': 2.2788, 'grad_norm': 1.5, 'learning_rate': 0.0002, 'epoch': 0.31}
 20%|██        | 1/5 [00:01<00:04]{'loss': '0.0', 'grad_norm': 'nan', 'learning_rate': '0.00018125', 'epoch': '0.62'}
{'eval_loss': 1.2, 'eval_runtime': 0.1}
{'loss': 1.4994, 'grad_norm': 2.9, 'learning_rate': 1e-05, 'epoch': 1.0}
{'train_runtime': 12.3, 'train_loss': 1.62, 'epoch': 1.0}"""
PLAIN = """Epoch 1
step 1: loss 2.5, lr=1e-1
Step=2 Loss=2.25 | gradient_norm: .5
iter: 3 loss: -inf"""
COLUMNS = """# warm-up
step  loss   lr
0     2.5    0.1
1     2.25   0.1
done in 3 seconds
2     2.0    0.05"""


def test_json_lines_among_talk():
    log = read_log(JSON.splitlines())
    steps = by_step(log.entries, 3)
    assert steps.by_step[0] == {"loss": 2.5, "learning_rate": 0.1, "grad_norm": 1.0}
    assert str(steps.by_step[2]["loss"]) == "nan"
    assert (steps.missing, steps.repeated, log.unreadable, log.not_ok) == ((), (), [], [])
    assert log.entries[-1].said == {"parameters": 7, "checkpoint": "w.bin"}


def test_logs_of_the_hugging_face_trainer_count_in_order():
    log = read_log(HUGGING_FACE.splitlines(), "hugging_face")
    assert losses(log) == [2.2788, 0.0, 1.4994]
    steps = by_step(log.entries, 3)
    assert str(steps.by_step[1]["grad_norm"]) == "nan"
    assert steps.by_step[1]["learning_rate"] == 0.00018125


def test_plain_lines_count_from_one_where_they_begin_so():
    log = read_log(PLAIN.splitlines(), "plain")
    steps = by_step(log.entries, 3)
    assert [*steps.by_step] == [0, 1, 2]
    assert steps.by_step[1] == {"loss": 2.25, "grad_norm": 0.5}
    assert steps.by_step[2]["loss"] == float("-inf")


@pytest.mark.parametrize("text", [COLUMNS, COLUMNS.replace("  ", ","), COLUMNS.replace("  ", " | ")])
def test_columns_under_their_header(text):
    log = read_log(text.splitlines(), "columns")
    assert losses(log) == [2.5, 2.25, 2.0]
    assert by_step(log.entries, 3).by_step[2]["learning_rate"] == 0.05


def test_a_pattern_of_ones_own():
    log = read_log(["E1 B7 L=2.5", "noise", "E1 B8 L=x"], pattern=r"B(?P<step>\d+) L=(?P<loss>\S+)")
    assert losses(log, 8) == [2.5]
    assert log.unreadable == [(3, "loss is 'x', expected a number")]


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("step,loss\n0,2.5\n1,2.25\n", ".csv"),
        ("step\tloss\n0\t2.5\n1\t2.25\n", ".tsv"),
        ('{"step": 0, "loss": 2.5}\n{"step": 1, "loss": 2.25}\n', ".jsonl"),
        ('[{"loss": 2.5}, {"loss": 2.25}]', ".json"),
        ('{"train_loss": [2.5, 2.25], "lr": [0.1], "name": "x"}', ".json"),
    ],
)
def test_series_in_files(text, suffix):
    assert losses(read_series(text, suffix), 2) == [2.5, 2.25]


@pytest.mark.parametrize(("text", "suffix"), [("[1, 2]", ".json"), ("{", ".json"), ("x", ".bin")])
def test_a_file_that_is_no_series(text, suffix):
    with pytest.raises(UnreadableError, match=f"cannot be read as {suffix}"):
        read_series(text, suffix)


def test_steps_that_lack_and_steps_that_repeat():
    lines = [json.dumps({"step": step, "loss": 1.0}) for step in (0, 1, 1, 4)]
    steps = by_step(read_log(lines).entries, 5)
    assert (steps.missing, steps.repeated) == ((2, 3), (1,))


def test_two_lines_may_share_a_step_when_they_say_different_things():
    lines = ['{"step": 0, "loss": 1.0}', '{"step": 0, "grad_norm": 2.0}']
    steps = by_step(read_log(lines).entries, 1)
    assert (steps.by_step, steps.repeated) == ({0: {"loss": 1.0, "grad_norm": 2.0}}, ())


@pytest.mark.parametrize(
    "line", ["not ok 3 - loss is finite", "  NOT OK", '{"ok": false, "message": "not ok 3 - loss is finite"}']
)
def test_a_program_that_says_that_it_failed(line):
    assert read_log([line]).not_ok[0][0] == 1


@pytest.mark.parametrize("line", ["nothing is not ok yet", "ok 1", '{"ok": true}', "notok"])
def test_a_program_that_does_not_say_so(line):
    assert read_log([line]).not_ok == []


@pytest.mark.parametrize("value", ["oops", True, None, [1.0], {}])
def test_text_where_a_number_is_due(value):
    with pytest.raises(UnreadableError, match=r"^loss is .*, expected a number$"):
        number_of("loss", value)


@pytest.mark.parametrize("line", ['{"step": 0, "loss": 2.', '{"step": 0, "loss": "oops"}', '{"tensors": 3}'])
def test_what_cannot_be_read_is_kept_with_its_line(line):
    log = read_log(["hello", line])
    assert [number for number, _ in log.unreadable] == [2]
    assert log.entries == []


def test_numbers_of_tensors():
    line = json.dumps({"step": 0, "loss": 1.0, "tensors": {"w": {"gradient_norm": 2.0, "colour": "red"}}})
    assert by_step(read_log([line]).entries, 1).tensors == {0: {"w": {"gradient_norm": 2.0}}}
