from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import PROSE, SAMPLE, SAMPLE_DATA, arrays, build, decoder, error, ids, make_case, write

from harness.data import text
from harness.spec import TextData


def test_the_sample_is_the_one_of_the_smallest_reference_run():
    content = SAMPLE.read_bytes()
    assert len(content) == 173
    assert len(set(content)) == 27
    assert content.isascii()
    assert b"int main" in content


def test_an_epoch_of_the_sample_is_fourteen_batches_of_all_windows_in_a_new_order_each_time():
    built = build(SAMPLE_DATA, steps=28)
    epochs = ids(built.batches[:14]), ids(built.batches[14:])
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(28))
    assert epochs[0] != epochs[1]
    assert epochs[0] != sorted(epochs[0])


def test_a_sample_is_the_window_of_its_id_and_targets_are_one_token_ahead():
    characters = SAMPLE.read_text()
    alphabet = sorted(set(characters))
    for batch in build(SAMPLE_DATA).batches:
        for row, number in enumerate(batch.sample_ids):
            window = characters[6 * number : 6 * number + 9]
            assert "".join(alphabet[token] for token in batch.inputs[row]) == window[:-1]
            assert "".join(alphabet[token] for token in batch.targets[row]) == window[1:]


def test_bytes_are_their_own_ids(tmp_path):
    options = write(tmp_path, bytes([0, 200, 10, 13, 10]))
    built = build(
        TextData(text="text.txt", tokenizer="bytes"),
        decoder(256),
        path=options["path"],
        steps=1,
        batch=1,
        sequence=4,
    )
    assert built.batches[0].inputs.tolist() == [[0, 200, 10, 13]]
    assert built.batches[0].targets.tolist() == [[200, 10, 13, 10]]


def test_characters_are_code_points_and_line_ends_stay(tmp_path):
    built = build(**write(tmp_path, "é\r\n🙂a"), steps=1, batch=1, sequence=4)
    assert built.batches[0].inputs.tolist() == [[3, 1, 0, 4]]  # \n \r a é 🙂
    assert built.batches[0].targets.tolist() == [[1, 0, 4, 2]]


def test_windows_follow_each_other_by_default(tmp_path):
    built = build(**write(tmp_path, "abcdefghi"), steps=1, batch=2, sequence=4)
    assert sorted(built.batches[0].inputs.tolist()) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_the_last_incomplete_batch_of_an_epoch_is_dropped():
    built = build(SAMPLE_DATA, steps=18, batch=3)
    for epoch in (built.batches[:9], built.batches[9:]):
        assert len(set(ids(epoch))) == 27


@given(windows=st.integers(1, 40), data=st.data(), steps=st.integers(1, 30), seed=st.integers(0, 9))
def test_no_window_repeats_within_an_epoch(windows, data, steps, seed):
    batch = data.draw(st.integers(1, windows))
    config = make_case(SAMPLE_DATA, steps=steps, batch=batch, seed=seed).config
    order = text._order(windows, config)
    assert order.shape == (steps * batch,)
    per_epoch = windows // batch * batch
    for start in range(0, len(order), per_epoch):
        epoch = order[start : start + per_epoch]
        assert len(set(epoch.tolist())) == len(epoch)
        assert set(epoch.tolist()) <= set(range(windows))


def test_unigram_anchor_is_the_entropy_of_the_targets_of_all_windows():
    built, characters = build(SAMPLE_DATA), SAMPLE.read_text()
    counts = Counter("".join(characters[start + 1 : start + 9] for start in range(0, 173 - 8, 6)))
    total = sum(counts.values())
    assert total == 28 * 8
    expected = -sum(count / total * log(count / total) for count in counts.values())
    assert built.anchors.unigram == pytest.approx(expected, rel=1e-14)
    assert built.anchors.uniform == log(27)
    assert built.anchors.floor is None


def test_a_text_of_one_kind_of_token_has_no_entropy(tmp_path):
    assert build(**write(tmp_path, "a" * 50)).anchors.unigram == 0.0


def test_a_short_text_is_trained_on_whole_and_says_so():
    built = build(SAMPLE_DATA)
    assert not built.held_out_fresh
    for mine, theirs in zip(arrays(built.held_out), arrays(built.batches[0]), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("stride", [3, 8, 9, 20])
def test_a_long_text_spares_its_last_windows_and_no_trained_window_touches_them(stride):
    data = TextData(text="data/prose.txt", tokenizer="bytes", stride=stride)
    built = build(data, decoder(256), steps=2000 // stride)
    content = np.frombuffer(PROSE.read_bytes(), np.uint8)
    windows = (len(content) - 9) // stride + 1
    assert built.held_out_fresh
    assert ids([built.held_out]) == [windows - 2, windows - 1]
    for row, number in enumerate(built.held_out.sample_ids):
        start = number * stride
        np.testing.assert_array_equal(built.held_out.inputs[row], content[start : start + 8])
    trained = max(ids(built.batches))
    assert trained * stride + 9 <= (windows - 2) * stride < (trained + 1) * stride + 9


def test_sparing_costs_at_most_one_window_in_twenty(tmp_path):
    # 8 tokens a window, neighbours share one, so two held-out windows cost three: 60 windows are needed.
    for windows, fresh in ((59, False), (60, True)):
        options = write(tmp_path, "ab" * 4 * windows + "a")
        assert build(**options).held_out_fresh is fresh


def test_the_case_s_folder_is_where_its_text_lies(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data", "hello, hello, hello")
    assert build(TextData(text="data/text.txt"), path=tmp_path / "a.yaml").batches


def test_too_many_characters_for_the_vocabulary(tmp_path):
    message = error(**write(tmp_path, "".join(map(chr, range(65, 96))) * 9))
    assert message == (
        "config.data.text: text has 31 distinct characters, model.decoder.vocab is 27; "
        "raise vocab to 31, or use tokenizer: bytes"
    )


def test_a_byte_beyond_the_vocabulary():
    message = error(TextData(text="data/sample.txt", tokenizer="bytes"), decoder(100))
    assert message == "config.data.text: text has byte value 125, model.decoder.vocab is 100; raise it to 126"
    assert build(TextData(text="data/sample.txt", tokenizer="bytes"), decoder(126)).anchors.uniform == log(
        126
    )


def test_a_missing_text(tmp_path):
    message = error(TextData(text="none.txt"), path=tmp_path / "case.yaml")
    assert message == (
        f"config.data.text: cannot read '{tmp_path}/none.txt': No such file or directory; "
        "name it relative to the case's folder"
    )


def test_a_folder_or_an_impossible_name_in_place_of_a_text(tmp_path):
    assert "Is a directory" in error(TextData(text="."), path=tmp_path / "case.yaml")
    assert "null" in error(TextData(text="a\0b"), path=tmp_path / "case.yaml")


def test_an_empty_text(tmp_path):
    assert error(**write(tmp_path, "")) == "config.data.text: 'text.txt' is empty; expected a text"


def test_a_text_shorter_than_one_sequence(tmp_path):
    assert error(**write(tmp_path, "12345678")) == (
        "config.data.text: text has 8 tokens, one sample needs 9 (config.sequence and one more); "
        "lengthen the text or shorten config.sequence"
    )
    assert build(**write(tmp_path, "123456789"), batch=1).batches


def test_fewer_windows_than_one_batch(tmp_path):
    assert error(**write(tmp_path, "abcd" * 4), batch=5) == (
        "config.data.text: text gives 1 windows of 9 tokens at stride 8, config.batch is 5; "
        "lengthen the text, or lower batch, sequence or stride"
    )


def test_a_text_that_is_not_utf8(tmp_path):
    assert error(**write(tmp_path, b"caf\xe9 au lait")) == (
        "config.data.text: 'text.txt' is not UTF-8 at byte offset 3; convert it, or use tokenizer: bytes"
    )
