"""What feeds a training, and what it is summed up in: other forms of what is sick, and healthy ones."""

import pytest
from programs import BASES, sick

PARTS, CLASSIFIER, REGRESSION = (BASES[name] for name in ("parts", "classifier", "regression"))
SPLIT = "train, held_out = random_split(full, [256, 64])\n"
ON, OFF = "    full.transform = Noise()\n", "    full.transform = None\n"
ALWAYS = PARTS.replace(ON, "").replace(OFF, "")
PLAIN = ALWAYS.replace(", Noise())", ")")
WRAPPED = ALWAYS.replace(
    "full = Table(torch.randint(4, (320,)), Noise())",
    """class Whole(Dataset):
    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def __getitem__(self, number):
        return self.table[number]


full = Whole(Table(torch.randint(4, (320,)), Noise()))""",
)
CROPS = "\n\nclass Crop:\n    def __call__(self, x):\n        return 0.9 * x\n"

LOADER = "loader = DataLoader(train, batch_size=32, shuffle=True)\n"
EPOCHS = "for epoch in range(4):\n    model.train()\n    for x, y in loader:\n"
ROWS = """
    rows = torch.randint(512, (32,))
    x, y = inputs[rows], targets[rows]
"""
SUMS = REGRESSION.replace("range(60)", "range(400)")
STEP = "    optimizer.step()\n"


def summed(first, then, program=SUMS):
    """A program with a sum: how it begins, and what is done at every step."""
    return sick(program, "for step", f"{first}\nfor step", STEP, f"{STEP}    {then}\n")


def held(then):
    """A program that keeps batches, and what it goes through."""
    return sick(CLASSIFIER, LOADER, LOADER + "import itertools, random\nkept = list(loader)\n", EPOCHS, then)


SICK = {
    "another one for evaluation": (
        "transform_shared", sick(ALWAYS, SPLIT, SPLIT + CROPS + "held_out.dataset.transform = Crop()\n")
    ),
    "each its own, one after the other": (
        "transform_shared",
        sick(PLAIN, SPLIT, SPLIT + "train.dataset.transform = Noise()\nheld_out.dataset.transform = None\n"),
    ),
    "within another data set": (
        "transform_shared", sick(WRAPPED, SPLIT, SPLIT + "held_out.dataset.table.transform = None\n")
    ),
    "by another name": ("transform_shared", sick(ALWAYS, SPLIT, SPLIT + "base = held_out.dataset\nbase.transform = None\n")),
    "a flag": (
        "transform_shared",
        sick(
            ALWAYS, SPLIT, SPLIT + "held_out.dataset.augment = False\n", "self.labels, self.transform",
            "self.augment = True\n        self.labels, self.transform",
            "if self.transform is None", "if not self.augment",
        ),
    ),
    "read by workers": (
        "transform_shared",
        sick(ALWAYS, SPLIT, SPLIT + "held_out.dataset.transform = None\n", "32, shuffle=True)", "32, shuffle=True, num_workers=1)"),
    ),
    "an endless cycle": (
        "shuffled_once",
        sick(CLASSIFIER, LOADER, LOADER + "import itertools\nendless = itertools.cycle(loader)\n", "in loader:", "in itertools.islice(endless, 16):"),
    ),
    "kept where it is used": (
        "shuffled_once", held("kept = [(x + 0, y) for x, y in kept]\nfor epoch in range(4):\n    model.train()\n    for x, y in kept:\n")
    ),
    "losses in half precision": ("sum_rounded_away", summed("total = 0", "total = total + (loss.detach() + 1).half() * 9")),
    "losses in place": ("sum_rounded_away", summed("total = 0", "total += (loss.detach() + 1).bfloat16()")),
    "Python's own sum": (
        "sum_rounded_away",
        sick(SUMS, "optimizer = ", "losses = []\noptimizer = ", STEP, STEP + "    losses.append((1 + loss.detach()).bfloat16())\n    if step == 399:\n        print(sum(losses))\n"),
    ),
    "several at a time": (
        "sum_rounded_away",
        summed("counts = torch.zeros(3, dtype=torch.bfloat16)", "with torch.inference_mode():\n        counts.add_(torch.ones(3))"),
    ),
    "a mean that goes along": (
        "sum_rounded_away",
        summed("mean = torch.zeros((), dtype=torch.bfloat16)", "mean += 1e-3 * (loss.detach().bfloat16() + 1 - mean)"),
    ),
}  # fmt: skip

HEALTHY = {
    "set after the split": sick(PLAIN, SPLIT, SPLIT + "mean = torch.stack([x for x, _ in train]).mean(0)\ntrain.dataset.transform = lambda x: x - mean\n"),
    "two data sets": sick(
        ALWAYS, SPLIT, SPLIT + "import copy\nfrom torch.utils.data import Subset\n"
        "held_out = Subset(copy.copy(full), held_out.indices)\nheld_out.dataset.transform = None\n",
    ),
    "changed before the split": sick(ALWAYS, SPLIT, "full.transform = None\n" + SPLIT),
    "one transform for all": ALWAYS,
    "looked at with another one first": sick(
        ALWAYS, SPLIT, SPLIT + "mean = torch.cat([x for x, _ in DataLoader(train, 64)]).mean(0)\nfull.transform = lambda x: x - mean\n"
    ),
    "harder with time, and no other part": sick(
        ALWAYS, "    for x, y in loader:\n", "    train.dataset.transform = None if epoch < 2 else Noise()\n    for x, y in loader:\n",
        "random_split(full, [256, 64])", "random_split(full, [256, 64])\nheld_out = [held_out[n] for n in range(64)]",
    ),
    "what a data set does with itself": sick(
        ALWAYS, "self.labels, self.transform", "self.ready = self.row = None\n        self.labels, self.transform",
        "        row = self", "        self.ready = True\n        row = self",
    ),
    "kept and shuffled anew": held(
        "for epoch in range(4):\n    model.train()\n    random.shuffle(kept)\n    for x, y in kept:\n"
    ),
    "each a few times in a row": held(
        "for epoch in range(2):\n    model.train()\n    for x, y in (each for each in loader for _ in range(2)):\n"
    ),
    "drawn from what is kept": held(
        "for epoch in range(4):\n    model.train()\n    for x, y in random.choices(kept, k=16):\n"
    ),
    "kept to be evaluated on": sick(
        CLASSIFIER, "for epoch", "kept = list(DataLoader(test, 32, shuffle=True))\nfor epoch", "DataLoader(test, batch_size=64)", "kept"
    ),
    "several passes over each of several": held(
        "for epoch in range(1):\n    model.train()\n    for x, y in list(loader) * 2 + list(loader) * 2:\n"
    ),
    "never shuffled": sick(CLASSIFIER, LOADER, LOADER.replace("True", "False") + "loader = list(loader)\n"),
    "sums in float32": summed("total = 0", "total = total + loss.detach().bfloat16().float()"),
    "a sum for every epoch": summed("total = 0", "total = (total if step % 20 else 0) + loss.detach().bfloat16()"),
    "emptied in place": summed(
        "total = torch.zeros((), dtype=torch.bfloat16)", "total.zero_() if step % 16 == 0 else total.add_(1)"
    ),
    "a moving average": summed("mean = 0", "mean = 0.9 * mean + 0.1 * loss.detach().bfloat16()"),
    "a moving average in place": summed(
        "mean = torch.zeros((), dtype=torch.bfloat16)", "mean.mul_(0.99).add_(0.01 * loss.detach())"
    ),
    "what comes and goes": summed(
        "left = torch.zeros((), dtype=torch.bfloat16)", "left += loss.detach().bfloat16() * (-1) ** step"
    ),
}  # fmt: skip

GUESSED = {
    "two batches are all": ("shuffled_once", sick(CLASSIFIER, LOADER, LOADER.replace("32", "256") + "loader = list(loader)\n")),
    "a few batches of many": ("shuffled_once", held("for epoch in range(16):\n    model.train()\n    for x, y in kept[:4]:\n")),
    "known by their labels": (
        "shuffled_once", sick(CLASSIFIER, LOADER, LOADER + "loader = list(loader)\n", "loss = F.cross_entropy(model(x), y)", "loss = F.cross_entropy(model(x + 0.1 * torch.randn(32, 8)), y)")
    ),
    "another one for all": ("transform_shared", sick(ALWAYS, SPLIT, SPLIT + CROPS + "full.transform = Crop()\n")),
}  # fmt: skip


@pytest.mark.parametrize("case", SICK)
def test_relatives_are_found(clinic, case):
    name, program = SICK[case]
    seen = clinic.examine(program.text)
    assert name in seen.named, seen.told


@pytest.mark.parametrize("case", GUESSED)
def test_what_may_be_meant_is_a_guess(clinic, case):
    name, program = GUESSED[case]
    seen = clinic.examine(program.text)
    assert name in seen.guessed, seen.told
    assert name not in seen.named


@pytest.mark.parametrize("case", HEALTHY)
def test_what_looks_alike_is_healthy(clinic, case):
    program = HEALTHY[case]
    seen = clinic.examine(getattr(program, "text", program))
    ours = {"transform_shared", "shuffled_once", "sum_rounded_away"}
    assert (seen.told, ours & set(seen.guessed)) == ([], set())
    assert not seen.facts[0].answers["program"].facts["broken"]
