"""Samples that do not stand for themselves: what is meant so is no finding."""

import pytest
from programs import BASES, LANGUAGE, PREAMBLE, SEQUENCE_FIRST, sick

QUANTISED = sick(
    BASES["classifier"],
    "return self.head(self.dropout(x))",
    """scale = x.detach().abs().mean() / 4
        return self.head(x + ((x / scale).round() * scale - x).detach())""",
).text

ENSEMBLE = (
    PREAMBLE
    + """
class Members(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(0.3 * torch.randn(5, 6, 16))
        self.second = nn.Parameter(0.3 * torch.randn(5, 16, 1))

    def forward(self, x):
        return (torch.tanh(x @ self.first) @ self.second).squeeze(-1)


truth = torch.randn(6)
model = Members()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(60):
    x = torch.randn(5, 32, 6)
    loss = F.mse_loss(model(x), x @ truth)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

MASKED_BATCH = sick(
    LANGUAGE,
    "def forward(self, ids):",
    "def forward(self, ids, noise):",
    "torch.arange(ids.shape[1]))",
    "torch.arange(ids.shape[1])) + noise",
    "model(ids)",
    "model(ids, 0.1 * torch.randn(8, 1, 16))",
).text


def asked(seen):
    return seen.facts[0].answers["behaviour"].facts["models"][0]


def test_what_a_scale_without_gradient_couples_is_a_guess(clinic):
    seen = clinic.examine(QUANTISED)
    assert asked(seen)["other_samples"] > 1e-3
    assert asked(seen)["others_felt"] == 0
    assert (seen.named, seen.examination.exit_code) == ([], 0), seen.told
    assert "samples_mix" in seen.guessed


def test_mixed_samples_feel_each_other(clinic):
    text = sick(BASES["classifier"], "self.head(self.dropout(x))", "self.head(x - x.mean(0))").text
    assert asked(clinic.examine(text))["others_felt"] > 0


def test_what_comes_with_each_sample_goes_with_it(clinic):
    assert asked(clinic.examine(MASKED_BATCH))["moved_by_place"] == 0


@pytest.mark.parametrize("text", [ENSEMBLE, SEQUENCE_FIRST], ids=["members first", "sequence first"])
def test_a_first_axis_of_other_things_is_not_asked(clinic, text):
    seen = clinic.examine(text)
    assert "moved_by_place" not in asked(seen)
    assert seen.told == []
