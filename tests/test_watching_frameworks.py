"""Training loops of others end in the same calls of torch: each is observed rightly, and none is called sick."""

from importlib.util import find_spec
from textwrap import dedent

import numpy as np
import pytest

from harness.diagnoses import PROOF
from harness.discover import working
from harness.judge import diagnose
from harness.watching.program import Job, watch

HEAD = """
import torch
from torch import nn

torch.manual_seed(0)
inputs = torch.randn(256, 8)
targets = (inputs @ torch.randn(8, 4)).argmax(1)


def batch(size=32):
    chosen = torch.randint(0, len(inputs), (size,))
    return inputs[chosen], targets[chosen]


def classifier():
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))


"""


@pytest.fixture
def watched(tmp_path):
    def run(program, steps=0):
        script = tmp_path / "train.py"
        script.write_text(HEAD + dedent(program))
        environment = {"OMP_NUM_THREADS": "1"}
        job = Job(
            script=script, folder=tmp_path / "seen", home=tmp_path, steps=steps, environment=environment
        )
        found = watch(job)
        assert found.ending == "completed", f"{found.text}\n{found.output}"
        return found.facts

    return run


def sick(facts):
    experts = [one() for one in working("diagnoses").values() if one.alone]
    return [each.cause for each in diagnose(experts, facts) if each.weight >= PROOF or not each.weight]


TRAINER = """
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

config = LlamaConfig(
    vocab_size=16, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2
)
model = LlamaForCausalLM(config)
starts = torch.randint(0, 16, (128, 1))
tokens = (starts + 3 * torch.arange(10)) % 16
rows = [{"input_ids": row, "labels": row.clone()} for row in tokens]
arguments = TrainingArguments(
    "out", max_steps=40, per_device_train_batch_size=8, gradient_accumulation_steps=2, learning_rate=1e-2,
    max_grad_norm=1.0, report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True, logging_steps=10,
)
Trainer(model, arguments, train_dataset=rows).train()
"""


@pytest.mark.skipif(
    not (find_spec("transformers") and find_spec("accelerate")), reason="needs transformers and accelerate"
)
def test_the_trainer_of_hugging_face(watched):
    (facts,) = watched(TRAINER)
    trace = facts.trace
    assert trace.steps == 40
    assert trace.events["backward"].tolist() == [2.0] * 40
    assert trace.loss[0] > trace.loss[-1] > 0
    assert trace.learning_rate[0] == pytest.approx(1e-2)
    assert trace.learning_rate[-1] == pytest.approx(1e-2 / 40)
    total, clipped = (np.linalg.norm(each, axis=1) for each in (trace.gradient_norm, trace.clipped_norm))
    assert clipped.max() <= 1.0 + 1e-3
    assert total.max() > 1.0
    assert sick(facts) == []


SCALED = """
model, parts = classifier(), 4
optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
for step in range(40):
    optimizer.zero_grad()
    for part in range(parts):
        some, wanted = batch()
        scaler.scale(nn.functional.cross_entropy(model(some), wanted) / parts).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
"""


def test_a_scaler_with_accumulation(watched):
    (facts,) = watched(SCALED)
    assert facts.trace.events["backward"].tolist() == [4.0] * 40
    assert 0 < facts.trace.gradient_norm.max() < 10
    assert 0 < facts.trace.loss.max() < 1
    assert sick(facts) == []


LBFGS = """
model = classifier()
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
for step in range(12):
    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss
    optimizer.step(closure)
"""


def test_an_optimizer_that_calls_back(watched):
    (facts,) = watched(LBFGS)
    assert facts.trace.steps == 12
    assert facts.trace.loss[-1] < facts.trace.loss[0]
    assert facts.trace.gradient_norm.min() > 0
    assert sick(facts) == []


WORKERS = """
from torch.utils.data import DataLoader, TensorDataset

if __name__ == "__main__":
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=32, shuffle=True, num_workers=2)
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for epoch in range(4):
        for some, wanted in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(some), wanted).backward()
            optimizer.step()
"""


def test_a_loader_with_processes_of_its_own(watched):
    (facts,) = watched(WORKERS)
    assert facts.trace.steps == 32
    assert sick(facts) == []


GAN = """
generator = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 8))
critic = nn.Sequential(nn.Linear(8, 32), nn.LeakyReLU(), nn.Linear(32, 1, bias=False))
mine = torch.optim.Adam(generator.parameters(), lr=1e-3)
other = torch.optim.Adam(critic.parameters(), lr=1e-3)
judge = nn.BCEWithLogitsLoss()
ones, zeros = torch.ones(32, 1), torch.zeros(32, 1)
for step in range(40):
    real, _ = batch()
    fake = generator(torch.randn(32, 4))
    other.zero_grad()
    (judge(critic(real), ones) + judge(critic(fake.detach()), zeros)).backward()
    other.step()
    mine.zero_grad()
    judge(critic(fake), ones).backward()
    mine.step()
"""


def test_two_models_that_train_against_each_other(watched):
    found = watched(GAN)
    assert [facts.trace.steps for facts in found] == [40, 40]
    assert [sick(facts) for facts in found] == [[], []]


def test_both_models_make_the_steps_that_were_asked_for(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(HEAD + GAN)
    found = watch(Job(script=script, folder=tmp_path / "seen", home=tmp_path, steps=10))
    assert found.ending == "stopped"
    assert [facts.answers["training"].facts["steps"] for facts in found.facts] == [10, 10]


COMPILED = """
model = torch.compile(classifier(), backend="aot_eager")
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for step in range(40):
    some, wanted = batch()
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(some), wanted).backward()
    optimizer.step()
"""


def test_a_compiled_model(watched):
    (facts,) = watched(COMPILED)
    assert facts.trace.steps == 40
    assert facts.trace.loss[-1] < facts.trace.loss[0]
    assert sick(facts) == []


LIGHTNING = """
import lightning
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.body(x))

    def training_step(self, rows, _):
        return nn.functional.cross_entropy(self(rows[0]), rows[1])

    def validation_step(self, rows, _):
        self.log("held_out", nn.functional.cross_entropy(self(rows[0]), rows[1]))

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


train = DataLoader(TensorDataset(inputs[:160], targets[:160]), batch_size=16, shuffle=True)
held_out = DataLoader(TensorDataset(inputs[160:], targets[160:]), batch_size=32)
trainer = lightning.Trainer(
    max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, gradient_clip_val=1.0,
)
trainer.fit(Classifier(), train, held_out)
"""
needs_lightning = pytest.mark.skipif(not find_spec("lightning"), reason="needs lightning")


@needs_lightning
def test_lightning(watched):
    (facts,) = watched(LIGHTNING)
    assert facts.trace.steps == 40
    assert facts.trace.loss[0] > facts.trace.loss[-1] > 0
    assert facts.trace.learning_rate[0] > 100 * facts.trace.learning_rate[-1] > 0
    assert facts.trace.gradient_norm.min() > 0
    assert sick(facts) == []


@needs_lightning
@pytest.mark.parametrize(
    ("healthy", "change", "cause"),
    [
        ("self.head(self.body(x))", "self.head(self.body(x).detach())", "never get a gradient"),
        ("AdamW(self.parameters()", "AdamW(self.body.parameters()", "no optimizer holds them"),
        ("cross_entropy(self(rows[0])", "cross_entropy(self(rows[0]).softmax(1)", "expects logits"),
    ],
)
def test_what_is_sick_under_lightning_is_named(watched, healthy, change, cause):
    (facts,) = watched(LIGHTNING.replace(healthy, change))
    assert cause in sick(facts)[0]
