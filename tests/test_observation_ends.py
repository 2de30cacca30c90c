"""Ends of samples, of episodes and of searches; futures of values; inputs that are lost; what breaks in the hub."""

from dataclasses import replace

import pytest
from programs import CLASSIFIER, FORECAST, IMAGES, LBFGS, PADDED, PREAMBLE, sick

from harness.checks.healthy import Healthy
from harness.discover import working
from harness.doctor import Ending, examine
from harness.model import Answer, Status
from harness.watching.hub import Hub
from harness.watching.keeper import Keeper

CONVOLVED = FORECAST.replace(
    """        self.memory, self.head = nn.GRU(features, 24, batch_first=True), nn.Linear(24, features)

    def forward(self, x):
        return self.head(self.memory(x)[0])
""",
    """        self.memory, self.head = nn.Conv1d(features, 24, 3), nn.Conv1d(24, features, 1)

    def forward(self, x):
        x = F.pad(x.transpose(1, 2), (2, 0))
        return self.head(torch.tanh(self.memory(x))).transpose(1, 2)
""",
)
TRACKS = (
    PREAMBLE
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory, self.head = nn.GRU(3, 16, batch_first=True), nn.Linear(16, 1)

    def forward(self, x, mask):
        return self.head(self.memory(x)[0]).squeeze(2)


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(60):
    mask = torch.arange(10) < torch.randint(3, 11, (16, 1))
    x = torch.randn(16, 10, 3) * mask[..., None]
    y = x.sum(2).cumsum(1) * mask
    loss = F.mse_loss(model(x, mask)[mask], y[mask])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)
OWN_LOSS = (
    "loss = F.cross_entropy(model(x), y)",
    "loss = (torch.logsumexp(model(x), 1) - model(x).gather(1, y[:, None])[:, 0]).mean()",
)
REPEATED = ("[nn.Linear(16, 16) for _ in range(2)]", "[nn.Linear(16, 16)] * 2")

SICK = {
    "a convolution that is padded on both sides": ("future_seen", sick(CONVOLVED, "(2, 0)", "(1, 1)")),
    "padded numbers count": ("padding_counts_in_loss", sick(TRACKS, "model(x, mask)[mask], y[mask]", "model(x, mask), y")),
    "padded labels count and the model knows": ("padding_counts_in_loss", sick(PADDED, ", ignore_index=0)", ")")),
    "padded labels count and the model does not know": (
        "padding_counts_in_loss",
        sick(PADDED, ", ignore_index=0)", ")", "model(ids, mask)", "model(ids)", "(self, ids, mask)", "(self, ids)",
             "mask.bool()[:, None, :]", "(ids != 0)[:, None, :]"),
    ),
    "stale statistics beside a loss of one's own": (
        "running_statistics_stale",
        sick(IMAGES, "nn.BatchNorm2d(4)", "nn.BatchNorm2d(4, momentum=1e-4)", "images = torch.randn",
             "images = 5 + 4 * torch.randn", *OWN_LOSS),
    ),
    "one batch, drawn once, and others are judged": (
        "batch_never_changes",
        sick(CLASSIFIER, "for epoch in range(4):", "x, y = next(iter(loader))\nfor epoch in range(64):",
             "    for x, y in loader:\n        optimizer", "    for _ in range(1):\n        optimizer",
             "        for x, y in DataLoader(test, batch_size=64):\n            held_out = F.cross_entropy(model(x), y)",
             "        for a, b in DataLoader(test, batch_size=64):\n            held_out = F.cross_entropy(model(a), b)"),
    ),
    "labels of the held-out part are permuted": (
        "nothing_holds_out",
        sick(CLASSIFIER, "labels[512:])", "labels[512:][torch.randperm(128)])"),
    ),
}  # fmt: skip
HEALTHY = {
    "a convolution that is padded on the left": CONVOLVED,
    "numbers with a mask": TRACKS,
    "a mask on both sides": TRACKS.replace("model(x, mask)[mask], y[mask]", "model(x, mask) * mask, y"),
    "a search that has found its end": LBFGS.replace("range(12)", "range(60)").replace("torch.sin(x.sum(1, keepdim=True))", "x.sum(1, keepdim=True)").replace("nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))", "nn.Linear(4, 1)"),
    "a loss of one's own": IMAGES.replace(*OWN_LOSS),
    "one batch and nothing else": CLASSIFIER.replace("TensorDataset(inputs[:512], labels[:512])", "TensorDataset(inputs[:32], labels[:32])"),
}  # fmt: skip


@pytest.mark.parametrize("case", SICK)
def test_relatives_are_found(clinic, case):
    name, program = SICK[case]
    seen = clinic.examine(program.text)
    assert name in seen.named, seen.told


@pytest.mark.parametrize("case", HEALTHY)
def test_what_looks_alike_is_healthy(clinic, case):
    seen = clinic.examine(HEALTHY[case])
    assert seen.told == []
    assert not seen.facts[0].answers["program"].facts["broken"]


def test_layers_that_are_meant_to_share_are_a_guess(clinic):
    text = sick(CLASSIFIER, *REPEATED).text
    assert "layers_repeated" in clinic.examine(text).named
    meant = clinic.examine(text.replace("class Net", "# All layers share one weight.\nclass Net"))
    assert "layers_repeated" in meant.guessed
    assert "layers_repeated" not in meant.named


def broken(facts):
    """What the program tells when that broke on which all else builds."""
    program = facts.answers["program"]
    told = Answer(facts={**program.facts, "broken": {"keeper": "ValueError: no"}})
    return replace(facts, answers={**facts.answers, "program": told})


def test_nothing_is_judged_where_the_keeper_broke(clinic):
    seen = clinic.examine(sick(CLASSIFIER, "    model.train()\n", "").text)
    assert seen.examination.exit_code == 1
    doctors = [one() for one in working("diagnoses").values()]
    again = examine("train.py", [broken(each) for each in seen.facts], Ending(how="completed"), doctors)
    assert (again.findings, again.exit_code) == ((), 3)
    assert "observation broke: ValueError: no" in again.verdict


def test_the_check_says_that_the_keeper_broke(clinic):
    facts = broken(clinic.examine(sick(CLASSIFIER, "    model.train()\n", "").text).facts[0])
    [verdict] = Healthy(on=True).judge(facts)
    assert (verdict.status, verdict.reason) == (Status.ERROR, "broken")
    assert "keeper broke" in verdict.message


def test_gradients_that_are_gone_are_no_gradients():
    import torch

    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hub = Hub({"keeper": Keeper()})
    model(torch.ones(3, 2)).sum().backward()
    hub.tell("stepping", optimizer, False)
    hub.tell("stepped", optimizer)
    assert hub.trainings[id(optimizer)].gradients().any()
    optimizer.zero_grad()
    hub.tell("clipping", list(model.parameters()), 1.0)
    assert not hub.broken
    assert not hub.trainings[id(optimizer)].gradients().any()
