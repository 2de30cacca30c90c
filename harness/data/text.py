"""Text from a file: windows of sequence + 1 tokens, shuffled anew each epoch, less the last incomplete batch.

Tokens are characters (ids in the order of their code points) or bytes (ids are their values); line ends stay
as they are. The held-out batch is the last `batch` windows, and no trained window touches their tokens. Where
that would cost more than one window in twenty, none is spared, and the first batch stands in.

Anchors: H0 is the entropy of the targets' counts over all trained windows; a text's entropy rate is unknown.
"""

from math import log

import numpy as np

from harness.data.common import Dataset, decoder_of, draw_lengths, entropy, next_token, refuse, split, stream
from harness.model import Anchors, Array, Batch, HarnessError
from harness.spec import Case, Config, TextData

HELD_OUT_SHARE = 0.05
"""The largest share of all windows that may be kept from training."""


def load(case: Case, data: TextData) -> Dataset:
    """The windows of a text.

    Raises:
        HarnessError: the file cannot be read, is empty, too short, not UTF-8, or has too many kinds of token.
    """
    config, vocab = case.config, decoder_of(case, "text").vocab
    tokens, stride = _tokens(case, data, vocab), data.stride or config.sequence
    windows = _windows(case, tokens, stride)
    trained = _trained(len(windows), config, stride)
    order = _order(trained, config)
    samples = _samples(windows, order, config, "train", vocab - 1)
    fresh = trained < len(windows)
    last = np.arange(len(windows) - config.batch, len(windows))
    held_out = (
        _samples(windows, last, config, "held-out", vocab - 1) if fresh else split(samples, config.steps)[0]
    )
    starts = np.arange(trained) * stride
    anchors = Anchors(uniform=log(vocab), unigram=entropy(_target_counts(tokens, starts, config.sequence)))
    return Dataset(samples=samples, held_out=held_out, anchors=anchors, fresh=fresh)


def _tokens(case: Case, data: TextData, vocab: int) -> Array:
    """(tokens,) int64 ids of the whole file."""
    content = _read(case, data.text)
    if not content:
        raise _refuse(case, f"'{data.text}' is empty; expected a text")
    if data.tokenizer == "bytes":
        return _bytes(case, content, vocab)
    return _characters(case, data.text, content, vocab)


def _read(case: Case, name: str) -> bytes:
    path = case.path.parent / name
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise _refuse(
            case, f"cannot read {str(path)!r}: {reason}; name it relative to the case's folder"
        ) from error


def _bytes(case: Case, content: bytes, vocab: int) -> Array:
    tokens = np.frombuffer(content, np.uint8).astype(np.int64)
    largest = int(tokens.max())
    if largest >= vocab:
        raise _refuse(
            case,
            f"text has byte value {largest}, model.decoder.vocab is {vocab}; raise it to {largest + 1}",
        )
    return tokens


def _characters(case: Case, name: str, content: bytes, vocab: int) -> Array:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refuse(
            case, f"'{name}' is not UTF-8 at byte offset {error.start}; convert it, or use tokenizer: bytes"
        ) from error
    distinct, tokens = np.unique(np.frombuffer(text.encode("utf-32-le"), "<u4"), return_inverse=True)
    if len(distinct) > vocab:
        raise _refuse(
            case,
            f"text has {len(distinct)} distinct characters, model.decoder.vocab is {vocab}; "
            f"raise vocab to {len(distinct)}, or use tokenizer: bytes",
        )
    return tokens.astype(np.int64)


def _windows(case: Case, tokens: Array, stride: int) -> Array:
    """(windows, L+1) tokens, a view: window i starts at token i x stride."""
    needed, batch = case.config.sequence + 1, case.config.batch
    if len(tokens) < needed:
        raise _refuse(
            case,
            f"text has {len(tokens)} tokens, one sample needs {needed} (config.sequence and one more); "
            "lengthen the text or shorten config.sequence",
        )
    windows = np.lib.stride_tricks.sliding_window_view(tokens, needed)[::stride]
    if len(windows) < batch:
        raise _refuse(
            case,
            f"text gives {len(windows)} windows of {needed} tokens at stride {stride}, "
            f"config.batch is {batch}; lengthen the text, or lower batch, sequence or stride",
        )
    return windows


def _trained(windows: int, config: Config, stride: int) -> int:
    """How many windows are trained on: all, or the first, which end before the last `batch` begin."""
    overlapping = -(-(config.sequence + 1) // stride) - 1
    kept_back = config.batch + overlapping
    return windows - kept_back if kept_back <= HELD_OUT_SHARE * windows else windows


def _order(windows: int, config: Config) -> Array:
    """(steps x batch,) windows, epoch after epoch: each a shuffle of them all, cut to whole batches."""
    generator = stream(config.seed, "order")
    steps_per_epoch = windows // config.batch
    epochs = -(-config.steps // steps_per_epoch)
    shuffles = [generator.permutation(windows)[: steps_per_epoch * config.batch] for _ in range(epochs)]
    return np.concatenate(shuffles)[: config.steps * config.batch]


def _samples(windows: Array, ids: Array, config: Config, purpose: str, pad: int) -> Batch:
    return next_token(windows[ids], ids, draw_lengths(config, len(ids), purpose), pad)


def _target_counts(tokens: Array, starts: Array, sequence: int) -> Array:
    """How often each id is a target in the windows at these starts, without laying the windows out."""
    changes = np.bincount(starts + 1, minlength=len(tokens) + 1)
    changes -= np.bincount(starts + sequence + 1, minlength=len(tokens) + 1)
    return np.bincount(tokens, weights=np.cumsum(changes)[:-1])


def _refuse(case: Case, problem: str) -> HarnessError:
    return refuse(case, "config.data.text", problem)
