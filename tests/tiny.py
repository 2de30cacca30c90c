"""The smallest case that trains, for tests of what surrounds a training."""

from pathlib import Path

TINY = """\
schema: 1
about: A tiny decoder.
tags: [small]
model:
  decoder: {vocab: 8, width: 8, layers: 1, heads: 2}
config:
  data: {markov: {}}
  sequence: 4
  batch: 2
  steps: 3
  optimizer: {sgd: {lr: 0.1}}
backends: [numpy_float64]
expect:
  parameters: 920
"""


def write(name="tiny", *changes, folder="cases"):
    """Write a case file; each change is a pair of what stands in `TINY` and what to put in its place."""
    text = TINY
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the case"
        text = text.replace(old, new)
    path = Path(folder) / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path
