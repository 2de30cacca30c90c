"""Models of transformers with adapters of PEFT, and the rows of lora-sft: healthy ones pass, faults are named."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from harness import data
from harness.cases import load_cases, read_cases
from harness.discover import get, working
from harness.judge import judge
from harness.measure import Progress
from harness.model import HarnessError, Outcome, Status
from harness.programs import Lora
from harness.runner import Runner, Task

CASES = Path(__file__).parent.parent / "cases" / "lora-sft"
CASE = """
schema: 1
about: A tiny Llama.
timeout: 300 s
model:
  transformers:
    config: {model_type: llama, vocab_size: 16, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 2}
config:
  data: {markov: {concentration: 0.1}}
  sequence: 12
  lengths: [6, 12]
  batch: 8
  steps: 40
  optimizer: {adamw: {lr: 1e-2, weight_decay: 0}}
  schedule: {linear: {warmup: 4}}
  clip_norm: 1
backends: [transformers]
expect:
  healthy: true
  loss_drop: {at_least: 10%}
  initial_loss: {uniform: 10%}
  entropy_floor: {margin: 10%}
  moves: {"*": true}
  learning_rate: {follows: schedule}
"""
needs_both = pytest.mark.skipif(
    bool(get("backends", "transformers")().unavailable()), reason="needs transformers and peft"
)


@pytest.fixture
def case(tmp_path):
    def make(text=CASE, lora=None, **config):
        path = tmp_path / "llama.yaml"
        path.write_text(text)
        (found,) = load_cases([path]).cases
        model = replace(found.model, transformers=replace(found.model.transformers, lora=lora))
        return replace(found, model=model, config=replace(found.config, **config))

    return make


@pytest.fixture
def facts(tmp_path):
    def record(case, name="scratch"):
        scratch = tmp_path / name
        scratch.mkdir()
        return get("backends", case.backends[0])().record(case, scratch, Progress(scratch / "progress"))

    return record


def judged(case, found):
    return judge(case.expectations(case.backends[0]), found, [one() for one in working("diagnoses").values()])


@needs_both
def test_a_tiny_llama_learns_its_markov_chain(case, facts):
    found = case()
    told = facts(found)
    judgement = judged(found, told)
    assert judgement.status is Status.PASS, judgement.message
    assert told.problem.anchors == data.load(found).anchors
    assert told.problem.learning_rates[3] == told.trace.learning_rate[3] == 1e-2
    assert told.trace.clipped_norm.shape == told.trace.gradient_norm.shape


@needs_both
def test_its_losses_are_those_of_a_loop_written_here(case, facts):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    found = case(steps=6, micro_batches=2)
    told = facts(found)
    torch.manual_seed(0)
    config = dict(found.model.transformers.config)
    model = LlamaForCausalLM(LlamaConfig(**{key: config[key] for key in config if key != "model_type"}))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    expected = []
    for step, batch in enumerate(data.split(data.load(found).samples, 6)):
        for group in optimizer.param_groups:
            group["lr"] = told.problem.learning_rates[step]
        optimizer.zero_grad()
        logits = model(input_ids=torch.from_numpy(batch.inputs)).logits
        loss = torch.nn.functional.cross_entropy(
            logits.mT, torch.from_numpy(batch.targets), ignore_index=-100
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        expected.append(loss.item())
    parts = told.trace.events["backward"].tolist()
    assert parts == [2.0] * 6
    # Each part's loss is weighed by its targets; the mean of two parts is half their sum.
    assert (2 * told.trace.loss).tolist() == pytest.approx(expected, rel=1e-3)


@needs_both
def test_adapters_train_alone(case, facts):
    told = facts(case(lora=Lora(rank=2)))
    assert told.trace.tensors
    assert all("lora_" in name for name in told.trace.tensors)
    assert told.trace.loss[-5:].mean() < told.trace.loss[:5].mean()


@needs_both
def test_adapters_in_inference_mode_are_caught_and_named(case, facts):
    frozen = case(lora=Lora(rank=2, inference_mode=True))
    judgement = judged(frozen, facts(frozen))
    assert judgement.reason == "unhealthy"
    assert "tensors of low-rank adapters are frozen" in judgement.message
    assert "adapters_frozen" in [each.name for each in judgement.diagnoses[:3]]


@needs_both
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("model_type: llama", "model_type: lama", "model.transformers.config: ValueError: "),
    ],
)
def test_a_configuration_of_nothing_is_the_users_input(case, facts, old, new, words):
    with pytest.raises(HarnessError, match=words):
        facts(case(CASE.replace(old, new)))


@needs_both
def test_targets_that_are_no_modules_are_the_users_input(case, facts):
    with pytest.raises(HarnessError, match=r"model.transformers.lora: Target modules .* not found"):
        facts(case(lora=Lora(rank=2, target=("nowhere",))))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "model_type: llama, ",
            "",
            "config.model_type: expected such as {model_type: llama, vocab_size: 64}",
        ),
        (
            "markov: {concentration: 0.1}",
            "copy: {separator: 99}",
            "99 is no token; expected < model.transformers.config.vocab_size (16)",
        ),
        ("  optimizer: {adamw: {lr: 1e-2, weight_decay: 0}}\n", "", "config.optimizer: missing"),
        (
            "num_attention_heads: 2}",
            "num_attention_heads: 2}\n    lora: {rank: 0}",
            "lora.rank: expected >= 1",
        ),
        ("num_attention_heads: 2}", "num_attention_heads: 2}\n    lora: {rnk: 2}", "did you mean 'rank'?"),
    ],
)
def test_mistakes_in_the_case(tmp_path, old, new, words):
    assert old in CASE
    path = tmp_path / "bad.yaml"
    path.write_text(CASE.replace(old, new))
    assert words in " ".join(map(str, read_cases([path]).mistakes))


def test_without_its_packages_it_is_skipped_with_what_to_install(case, monkeypatch):
    backend = get("backends", "transformers")
    monkeypatch.setattr(backend, "packages", {"no_such_module": "transformers>=5.0"})
    (done,) = Runner().run([Task(case=case(), backend="transformers")])
    assert done.facts.outcome is Outcome.UNAVAILABLE
    assert done.facts.message == "needs transformers>=5.0: pip install 'transformers>=5.0'"


# the rows of lora-sft: before and after, as in the report


def row(name):
    (found,) = load_cases([CASES / f"{name}.yaml"]).cases
    return found


@needs_both
@pytest.mark.parametrize("name", ["lora-sft", "lora-rft", "lora-sft-log"])
def test_healthy_rows_pass(facts, name):
    found = row(name)
    judgement = judged(found, facts(found))
    assert judgement.status is Status.PASS, judgement.message


@needs_both
@pytest.mark.parametrize(
    ("name", "checks", "cause"),
    [
        ("lora-sft-frozen", {"healthy", "loss_drop", "moves", "score"}, "adapters_frozen"),
        ("lora-rft-frozen", {"healthy", "loss_drop", "moves"}, "adapters_frozen"),
        ("lora-sft-lookup", {"score"}, "score_independent_of_weights"),
        ("lora-sft-nothing-counted", {"finite", "healthy"}, "numbers_not_finite"),
        ("lora-sft-log-frozen", {"loss_drop", "gradient_total"}, "buffers_never_allocated"),
        ("lora-sft-log-nothing-counted", {"loss_drop", "gradient_total"}, "loss_wrong_scale"),
    ],
)
def test_faults_are_caught_and_named(facts, name, checks, cause):
    found = row(name)
    judgement = judged(found, facts(found))
    failed = {each.check for each in judgement.verdicts if each.status is Status.FAIL}
    assert checks <= failed
    assert cause in [each.name for each in judgement.diagnoses[:4]]


@needs_both
def test_the_learning_rate_moves_while_nothing_learns(facts):
    told = facts(row("lora-sft-frozen"))
    assert told.trace.learning_rate[0] > 10 * told.trace.learning_rate[-1] > 0
    assert not told.trace.update_norm.any()
    assert math.isfinite(told.trace.loss[-1])
    assert told.answers["parameters"].facts["trainable"] == 0
