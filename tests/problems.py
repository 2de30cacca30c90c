"""Cases and problems that the tests of data and problem share."""

from pathlib import Path

import numpy as np
import pytest

from harness.model import HarnessError
from harness.problem import build_problem
from harness.spec import (
    Case,
    Clusters,
    ClustersData,
    Config,
    Copy,
    CopyData,
    Decoder,
    DecoderModel,
    Markov,
    MarkovData,
    Mlp,
    MlpModel,
    Sgd,
    SgdOptimizer,
    Teacher,
    TeacherData,
    TextData,
)

CASES = Path(__file__).parent.parent / "cases"
SAMPLE, PROSE = CASES / "data" / "sample.txt", CASES / "data" / "prose.txt"


def decoder(vocab=27, **options):
    return DecoderModel(decoder=Decoder(vocab=vocab, width=4, layers=1, heads=1, **options))


def mlp(inputs=6, outputs=3, task="regression"):
    return MlpModel(mlp=Mlp(inputs=inputs, hidden=(5,), outputs=outputs, task=task))


def make_case(data, model=None, path=CASES / "x.yaml", **config):
    config = {"steps": 4, "batch": 2, "sequence": 8, "optimizer": SgdOptimizer(sgd=Sgd(lr=0.1)), **config}
    return Case(
        name="x",
        path=path,
        digest="",
        revision=1,
        about="",
        model=model or decoder(),
        config=Config(data=data, **config),
        backends=(),
        expect={},
    )


def build(data, model=None, **options):
    return build_problem(make_case(data, model, **options))


def error(data, model=None, **options):
    """The message for a case that cannot be built, without the path, which must come first."""
    case = make_case(data, model, **options)
    with pytest.raises(HarnessError) as caught:
        build_problem(case)
    assert caught.value.exit_code == 2
    where, _, message = str(caught.value).partition(": ")
    assert where == str(case.path)
    assert "\n" not in message
    return message


def write(folder, content):
    """A text beside a case in `folder`, and the options that find it."""
    content = content if isinstance(content, bytes) else content.encode()
    (folder / "text.txt").write_bytes(content)
    return {"data": TextData(text="text.txt"), "path": folder / "case.yaml"}


SAMPLE_DATA = TextData(text="data/sample.txt", stride=6)
MARKOV_DATA = MarkovData(markov=Markov(concentration=0.3))
COPY_DATA = CopyData(copy=Copy())
TEACHER_DATA = TeacherData(teacher=Teacher())
CLUSTERS_DATA = ClustersData(clusters=Clusters())
ALL_KINDS = {
    "text": (SAMPLE_DATA, decoder()),
    "markov": (MARKOV_DATA, decoder()),
    "copy": (COPY_DATA, decoder()),
    "teacher": (TEACHER_DATA, mlp()),
    "clusters": (CLUSTERS_DATA, mlp(task="classification")),
}
kinds = pytest.mark.parametrize(("data", "model"), ALL_KINDS.values(), ids=ALL_KINDS)


def ids(batches):
    return [int(number) for batch in batches for number in batch.sample_ids]


def arrays(batch):
    return batch.inputs, batch.targets, batch.sample_ids, batch.lengths


def assert_counts(counts, shares):
    """Within five standard errors of a multinomial, and none at all where the share is 0."""
    total = counts.sum()
    deviation = np.abs(counts - total * shares)
    assert (deviation <= 5 * np.sqrt(total * shares * (1 - shares)) + 1e-9).all()
