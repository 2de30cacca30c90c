"""Logits that tell classes apart: small for good, or small because the model is young."""

from observed import Clinic
from programs import PREAMBLE, SICK

YOUNG = (
    PREAMBLE
    + """
centres = torch.randn(8, 8)
model = nn.Linear(8, 8)
nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
optimizer = torch.optim.SGD(model.parameters(), lr=4e-3)
for step in range(60):
    y = torch.randint(8, (64,))
    loss = F.cross_entropy(model(centres[y] + 0.3 * torch.randn(64, 8)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)


def scores(seen):
    return seen.facts[0].answers["losses"].facts["sites"][0]["scores"]


def test_logits_that_grow_are_young(tmp_path):
    clinic = Clinic(tmp_path)
    try:
        young, sick = clinic.examine(YOUNG), clinic.examine(SICK["logits_too_small"].text)
    finally:
        clinic.close()
    assert scores(young)["right"] > 0.6
    assert scores(young)["spread"] < 0.5
    assert scores(young)["grew"] > 1.1
    assert scores(sick)["grew"] < 1.05
    assert young.told == []
