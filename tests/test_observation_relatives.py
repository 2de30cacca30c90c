"""Other forms of what the sick programs have, and healthy ones that look alike."""

import pytest
from programs import BASES, CLASSIFIER, LANGUAGE, PREAMBLE, SEGMENTS, sick

from harness.watching.shapes import exchanged

ACCUMULATION = BASES["accumulation"]
UNEVEN = ACCUMULATION.replace("[16, 16, 16, 16]", "[4, 28, 8, 24]")
SUMMED = '        loss = F.cross_entropy(model(x), labels, reduction="sum")\n'
EACH = '        loss = F.cross_entropy(model(x), labels, reduction="none")\n'
MEAN = "        loss = F.cross_entropy(model(x), labels)\n"
DIVIDED = "(loss / len(sizes)).backward()"

NEXT_TO_IT = (
    PREAMBLE
    + """
import copy

centres = 2 * torch.randn(4, 8)
below = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16))
head = nn.Linear(16, 4)
other = copy.deepcopy(head)
scale = nn.Parameter(torch.ones(()))
optimizer = torch.optim.Adam([*below.parameters(), *head.parameters(), scale], lr=1e-2)
for step in range(40):
    labels = torch.randint(4, (32,))
    x = centres[labels] + torch.randn(32, 8)
    scores = head(below(x))
    loss = F.cross_entropy(scale * scores, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

HEADS = LANGUAGE.replace(
    "        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True)\n",
    """        rows, places = ids.shape
        q, k, v = (each.view(rows, places, 4, 4).transpose(1, 2) for each in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, places, 16))
""",
).replace("        self.head =", "        self.out = nn.Linear(16, 16)\n        self.head =")

DENOISED = (
    PREAMBLE
    + """
model = nn.Sequential(nn.Linear(4, 32), nn.SiLU(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(400):
    clean, noise = torch.randn(512, 4).sign(), torch.randn(512, 4)
    loss = (model(clean + noise) - noise).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

FAR = DENOISED.replace(
    "(model(clean + noise) - noise).pow(2).mean()", "F.smooth_l1_loss(model(clean + noise), noise, beta=0.2)"
)
PAIRS = (
    PREAMBLE
    + """
centre = torch.randn(6)
model = nn.Sequential(nn.Linear(6, 32), nn.SiLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(400):
    x = torch.randn(128, 6)
    labels = (x @ centre + 1 + torch.randn(128) > 0).float()
    loss = F.binary_cross_entropy_with_logits(model(x).squeeze(1), labels, pos_weight=torch.tensor(2.0))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

RARE = (
    PREAMBLE
    + """
model = nn.Sequential(nn.Linear(6, 32), nn.SiLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(300):
    labels = (torch.rand(256) < 0.05).long()
    x = torch.randn(256, 6) + labels[:, None]
    loss = F.cross_entropy(model(x), labels, weight=torch.tensor([1.0, 19.0]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

LISTED = (
    PREAMBLE
    + """
class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.layers = [nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)]

    def score(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.scale * x


centres = 2 * torch.randn(4, 8)
scorer = Scorer()
optimizer = torch.optim.Adam(scorer.parameters(), lr=1e-2)
for step in range(60):
    labels = torch.randint(4, (32,))
    loss = F.cross_entropy(scorer.score(centres[labels] + torch.randn(32, 8)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)
ATTENDED = ("is_causal=True)", "is_causal=True, DROPPED)", "DROPPED")
EVALUATED = (
    "    optimizer.step()\n",
    "    optimizer.step()\nwith torch.no_grad():\n    print(float(model.eval()(ids).sum()))\n",
)

SICK = {
    "sums by their own counts": (
        "mean_of_means_in_program", sick(UNEVEN, MEAN, SUMMED, DIVIDED, "(loss / size / len(sizes)).backward()")
    ),
    "every target by its own count": (
        "mean_of_means_in_program", sick(UNEVEN, MEAN, EACH, DIVIDED, "(loss.sum() / size / 4).backward()")
    ),
    "means with a penalty": (
        "mean_of_means_in_program", sick(UNEVEN, DIVIDED, "(loss / 4 + 1e-3 * model[0].weight.norm()).backward()")
    ),
    "a head called by itself": ("parameters_uncovered", sick(NEXT_TO_IT, ", *head.parameters()", "")),
    "layers called by a method": ("layers_unregistered", sick(LISTED)),
    "positives that are common": (
        "weights_favour_common",
        sick(PAIRS, "x @ centre + 1", "x @ centre + 4", "torch.tensor(2.0)", "labels.mean() / (1 - labels).mean()"),
    ),
    "dropout within attention": (
        "drops_in_evaluation", sick(LANGUAGE, *ATTENDED, "dropout_p=0.2", *EVALUATED)
    ),
    "a bare parameter": ("parameters_uncovered", sick(NEXT_TO_IT, ", scale]", "]")),
    "heads split wrongly": ("axes_scrambled", sick(HEADS, "view(rows, places, 4, 4).transpose(1, 2)", "reshape(rows, 4, places, 4)")),
    "heads joined wrongly": ("axes_scrambled", sick(HEADS, "mixed.transpose(1, 2)", "mixed")),
    "data prepared once": (
        "axes_scrambled",
        sick(SEGMENTS, "model = nn", "data = torch.reshape(torch.randn(64, 15, 2), (64, 2, 15))\nmodel = nn", "torch.randn(16, 2, 10)", "data[torch.randint(64, (16,))]"),
    ),
    "distances to noise of its own": ("learned_nothing", sick(FAR, "model(clean + noise)", "model(clean + torch.randn(512, 4))")),
    "other people's labels": ("learned_nothing", sick(PAIRS, "labels, pos", "labels[torch.randperm(128)], pos")),
    "labels at random, smoothed": (
        "learned_nothing",
        sick(RARE, "weight=torch.tensor([1.0, 19.0])", "label_smoothing=0.3", "model(x), labels", "model(x), labels[torch.randperm(256)]"),
    ),
    "labels at random, with weights": (
        "learned_nothing", sick(RARE, "model(x), labels", "model(x), labels[torch.randperm(256)]")
    ),
    "twice, behind a cut": (
        "targets_shifted",
        sick(LANGUAGE, "logits.flatten(0, 1), following.flatten()", "logits[:, 2:-1].flatten(0, 1), following[:, 3:].flatten()"),
    ),
    "noise of its own": ("learned_nothing", sick(DENOISED, "model(clean + noise)", "model(clean + torch.randn(512, 4))")),
}  # fmt: skip

HEALTHY = {
    "sums by all counts": sick(UNEVEN, MEAN, SUMMED, DIVIDED, "(loss / sum(sizes)).backward()"),
    "means by their shares": sick(UNEVEN, DIVIDED, "(loss * size / sum(sizes)).backward()"),
    "what comes next to a model": NEXT_TO_IT,
    "a copy to stay close to": sick(
        NEXT_TO_IT, "    optimizer.zero_grad()", "    loss = loss + (other(below(x)) - scores).pow(2).mean()\n    optimizer.zero_grad()"
    ),
    "moved by hand": sick(
        NEXT_TO_IT, ", scale]", "]", "    optimizer.step()\n", "    optimizer.step()\n    scale.data -= 0.01 * scale.grad\n    scale.grad = None\n"
    ),
    "heads": HEADS,
    "weights of twice the precision": sick(
        NEXT_TO_IT, "optimizer = torch.optim.Adam([*below.parameters(), *head.parameters(), scale], lr=1e-2)",
        "low = [*below.parameters(), *head.parameters(), scale]\nhigh = [each.detach().double().requires_grad_() for each in low]\noptimizer = torch.optim.Adam(high, lr=1e-2)",
        "    optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()\n",
        """    loss.backward()
    for one, other in zip(low, high, strict=True):
        other.grad, one.grad = one.grad.double(), None
    optimizer.step()
    for one, other in zip(low, high, strict=True):
        one.data.copy_(other)
""",
    ),
    "weights taken elsewhere to be evaluated": sick(
        DENOISED, "    optimizer.step()\n",
        """    optimizer.step()
    if step % 20 == 19:
        start = start if step > 19 else [each.detach().clone() for each in model.parameters()]
        for each, other in zip(model.parameters(), start, strict=True):
            each.data.lerp_(other, 0.1)
        with torch.no_grad():
            model.eval()(torch.randn(8, 4))
        for each, other in zip(model.train().parameters(), start, strict=True):
            each.data.lerp_(other, 1 - 1 / 0.9)
""",
    ),
    "no loss at the first place": sick(
        LANGUAGE, "logits.flatten(0, 1), following.flatten()", "logits[:, 1:].flatten(0, 1), following[:, 1:].flatten()"
    ),
    "a class that is rare and counts": RARE,
    "weights without their name": RARE.replace("labels, weight=", "labels, "),
    "a warm-up that ends": sick(CLASSIFIER, "1 - 0.5 * step / 64", "min(1.0, (step + 1) / 32)"),
    "a rate that follows its own rule": sick(CLASSIFIER, "1 - 0.5 * step / 64", "0.3 * min((step + 1) / 8, (8 / (step + 1)) ** 0.5)"),
    "a loss with a weight": sick(ACCUMULATION, "(loss / len(sizes))", "(0.5 * loss / len(sizes))"),
    "layers called by a method": LISTED.replace("layers = [", "layers = nn.ModuleList([").replace("4)]", "4)])"),
    "dropout within attention": sick(LANGUAGE, *ATTENDED, "dropout_p=0.2 * self.training", *EVALUATED),
    "labels that are smoothed": sick(RARE, "weight=torch.tensor([1.0, 19.0])", "label_smoothing=0.3"),
    "noise to remove": DENOISED,
    "noise at a distance": FAR,
    "labels of two classes": PAIRS,
    "sides that hold each other": sick(
        PAIRS, "    optimizer.zero_grad()", "    loss = loss + F.binary_cross_entropy_with_logits(model(-x).squeeze(1), 1 - labels)\n    optimizer.zero_grad()"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SICK)
def test_relatives_are_found(clinic, case):
    name, program = SICK[case]
    seen = clinic.examine(program.text)
    assert name in seen.named, seen.told


@pytest.mark.parametrize("case", HEALTHY)
def test_what_looks_alike_is_healthy(clinic, case):
    program = HEALTHY[case]
    seen = clinic.examine(getattr(program, "text", program))
    assert seen.told == []
    assert not seen.facts[0].answers["program"].facts["broken"]


def test_a_fixed_network_that_compares_is_a_guess(clinic):
    program = sick(
        NEXT_TO_IT, "other = copy.deepcopy(head)", "other = nn.Linear(16, 4)", "    optimizer.zero_grad()",
        "    loss = loss + (other(below(x)) - other(below(x).detach() + 1)).pow(2).mean()\n    optimizer.zero_grad()",
    )  # fmt: skip
    seen = clinic.examine(program.text)
    assert (seen.told, seen.guessed) == ([], ["parameters_uncovered"])


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ((40, 50, 6), (40, 6, 50), "moved"),
        ((40, 48, 6), (40, 6, 48), "packed"),
        ((8, 32, 32, 3), (8, 3, 32, 32), "moved"),
        ((32, 32, 32, 4), (32, 4, 32, 32), "moved"),
        ((8, 49, 32), (8, 32, 7, 7), "moved"),
        ((8, 32, 8, 8), (8, 64, 32), "moved"),
        ((8, 16, 64), (8, 4, 16, 16), "split"),
        ((8, 16, 64), (32, 16, 16), "split"),
        ((8, 4, 16, 16), (8, 16, 64), "joined"),
        ((32, 16, 8), (16, 32, 8), ""),
        ((8, 16, 64), (8, 16, 4, 16), ""),
        ((1024, 64), (64, 16, 64), ""),
        ((1024, 64), (64, 16, 4, 16), ""),
        ((8, 4, 8, 4, 8, 3), (8, 32, 32, 3), ""),
        ((8, 2, 16, 8, 8), (8, 32, 8, 8), ""),
        ((8, 8, 64), (8, 8, 8, 8), ""),
        ((7, 5), (5, 7), ""),
        ((8, 0, 5), (8, 5, 0), ""),
    ],
)
def test_which_reshapes_pretend_to_exchange_axes(before, after, kind):
    assert exchanged(before, after) == kind
