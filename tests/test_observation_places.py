"""Maps and series whose targets belong to other places than their inputs, and healthy ones that look alike."""

import pytest
import torch
from programs import FORECAST, MAPS, PREAMBLE, sick

from harness.diagnoses.orientation_differs import OrientationDiffers
from harness.model import Answer, Facts, Outcome
from harness.observers._orientations import as_map, fits

LOSS = "F.binary_cross_entropy_with_logits(model(x).squeeze(1), y)"
BOTH = "turned(images[rows], how).unsqueeze(1), turned(masks[rows], how)"
ALL_AT_ONCE = "images[rows].unsqueeze(1).rot90(int(torch.randint(4, ())), (2, 3)), masks[rows]"
KINDS = sick(
    MAPS,
    "masks = ((", "masks = 2 * ((",
    "nn.Conv2d(8, 1", "nn.Conv2d(8, 3",
    LOSS, "F.cross_entropy(model(x), y.long())",
).text  # fmt: skip
SHADES = sick(
    MAPS,
    "images = masks", "masks = masks + across / 24\nimages = masks",
    LOSS, "(model(x).squeeze(1) - y).abs().mean()",
).text  # fmt: skip
APART = "turned(masks[rows], torch.rand(2, 16, 1, 1) < 0.5)"

PIXELS = (
    PREAMBLE
    + """
class Masked(nn.Conv2d):
    def __init__(self, seen, *sizes):
        super().__init__(*sizes, 3, padding=1)
        mask = torch.ones(3, 3)
        mask[1, 1 + seen :], mask[2:] = 0, 0
        self.register_buffer("mask", mask)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=1)


stripes = (torch.arange(8) + torch.randint(4, (256, 1))) // 2 % 2
images = (stripes[:, None, None] ^ (torch.rand(256, 1, 8, 8) < 0.05)).float()
model = nn.Sequential(Masked(0, 1, 16), nn.ReLU(), Masked(1, 16, 16), nn.ReLU(), nn.Conv2d(16, 1, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(80):
    x = images[torch.randint(256, (16,))]
    loss = F.binary_cross_entropy_with_logits(model(x), x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)
GRADED = sick(
    PIXELS, "images = (", "images = torch.rand(256, 1, 8, 8).mul(20).floor() / 19 + 0 * (",
    "nn.Conv2d(16, 1, 1)", "nn.Conv2d(16, 20, 1)",
    "F.binary_cross_entropy_with_logits(model(x), x)", "F.cross_entropy(model(x), (19 * x[:, 0]).round().long())",
).text  # fmt: skip

SEVERAL = sick(
    FORECAST,
    "model = Forecaster()",
    "waves = torch.cat([waves, waves.roll(7, 0), waves.flip(0)], 2)\nmodel = Forecaster(3)",
).text
FILTER = """
class Filter(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 16, 4), nn.Conv1d(16, 1, 1)

    def forward(self, x):
        return self.second(self.first(F.pad(x, (3, 0))).relu())


pace, start"""
CONVOLVED = sick(
    FORECAST,
    "pace, start",
    FILTER,
    "rows[:, :-1], rows[:, 1:]",
    "rows[:, :-1].mT, rows[:, 1:].mT",
    "= Forecaster()",
    "= Filter()",
).text
SQUEEZED = sick(
    SEVERAL, "self.head(self.memory(x)[0])", "self.head(self.memory(self.narrow(x))[0])",
    "nn.GRU(features, 24", "nn.GRU(2, 24", "super().__init__()", "super().__init__()\n        self.narrow = nn.Linear(features, 2)",
    "rows[:, 1:]", "rows[:, :-1]",
).text  # fmt: skip
ONE_BY_ONE = sick(
    SEVERAL, "self.head(self.memory(x)[0])",
    "self.head(F.pad(self.memory(x)[0][:, :-1], (0, 0, 1, 0))) + F.linear(x, self.beside.tril(-1))",
    "super().__init__()", "super().__init__()\n        self.beside = nn.Parameter(torch.zeros(3, 3))",
    "rows[:, 1:]", "rows[:, :-1]",
).text  # fmt: skip

SICK = {
    "classes and their images": ("orientation_differs", sick(KINDS, "turned(masks[rows], how)", APART)),
    "whole batches, rotated": ("orientation_differs", sick(MAPS, BOTH, ALL_AT_ONCE)),
    "images only": ("orientation_differs", sick(MAPS, "turned(masks[rows], how)", "masks[rows]")),
    "shades, by hand": ("orientation_differs", sick(SHADES, "turned(masks[rows], how)", APART)),
    "rows of targets": (
        "orientation_differs",
        sick(KINDS, "turned(masks[rows], how)", APART, "model(x), y.long()", "model(x).movedim(1, -1).reshape(-1, 3), y.long().flatten()"),
    ),
    "pixels that see themselves": ("own_value_is_target", sick(PIXELS, "Masked(0,", "Masked(1,")),
    "shades of pixels": ("own_value_is_target", sick(GRADED, "Masked(0,", "Masked(1,")),
    "scaled for the model": ("own_value_is_target", sick(PIXELS, "Masked(0,", "Masked(1,", "model(x), x", "model(2 * x - 1), x")),
    "several values": ("own_value_is_target", sick(SEVERAL, "rows[:, 1:]", "rows[:, :-1]")),
    "time first": (
        "own_value_is_target",
        sick(FORECAST, "rows[:, :-1], rows[:, 1:]", "rows[:, :-1].mT[:, 0].T[..., None], rows[:, :-1].transpose(0, 1)", ", batch_first=True", ""),
    ),
    "channels first": ("own_value_is_target", sick(CONVOLVED, "rows[:, 1:].mT", "rows[:, :-1].mT")),
    "without the last place": (
        "own_value_is_target",
        sick(FORECAST, "rows[:, :-1], rows[:, 1:]", "rows, rows[:, :-1]", "model(x), y", "model(x)[:, :-1], y"),
    ),
}  # fmt: skip

HEALTHY = {
    "always turned over": sick(MAPS, "turned(masks[rows], how)", "turned(masks[rows], how).flip(2)"),
    "kinds": KINDS,
    "shades": SHADES,
    "noise to remove": sick(SHADES, "model(x).squeeze(1) - y", "model(x).squeeze(1) - (x.squeeze(1) - y)"),
    "the same from all sides": sick(
        MAPS, "2 + 7 * torch.rand(2, 256, 1, 1)", "5.5 + torch.zeros(2, 256, 1, 1)", "turned(masks[rows], how)", APART
    ),
    "lit from anywhere": sick(
        MAPS, "0.4 * torch.randn(256, 12, 12)", "torch.randn(256, 1, 1) * (across - 5.5) + torch.randn(256, 1, 1) * (down - 5.5)"
    ),
    "loss of what is turned back": sick(
        MAPS, BOTH, "images[rows].unsqueeze(1), masks[rows]", LOSS,
        "F.binary_cross_entropy_with_logits(turned(model(turned(x[:, 0], how)[:, None])[:, 0], how), y)",
    ),
    "a mark tells how it is turned": sick(
        MAPS,
        "model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))",
        """class Upright(nn.Module):
    def __init__(self):
        super().__init__()
        self.found, self.share = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(1, 1)

    def forward(self, x):
        turns = self.share(x[:, :, 0, 0])[..., None, None].sigmoid()
        return self.found(turns * x.flip(3) + (1 - turns) * x)


model = Upright()""",
        BOTH, "torch.where(how[0][:, None], masks[rows][:, None].flip(3), masks[rows][:, None]), masks[rows]\n    x[:, 0, 0, 0] = 6 * how[0, :, 0, 0].float() - 3",
    ),
    "pixels": PIXELS,
    "shades of pixels": GRADED,
    "several values": SEVERAL,
    "channels first": CONVOLVED,
    "a series without its noise": sick(FORECAST, "rows[:, :-1], rows[:, 1:]", "rows + 0.1 * torch.randn(16, 25, 1), rows"),
    "an image from itself": sick(PIXELS, "mask[1, 1 + seen :], mask[2:] = 0, 0", "mask[seen:, :0] = 0"),
    "a value from itself": sick(FORECAST, "self.head(self.memory(x)[0])", "self.head(self.code(x).tanh())", "rows[:, 1:]", "rows[:, :-1]",
        "self.memory, self.head = nn.GRU(features, 24, batch_first=True)", "self.code, self.head = nn.Linear(features, 24)"),
    "through fewer units": SQUEEZED,
    "one channel after the other": ONE_BY_ONE,
    "without the first place": sick(FORECAST, "rows[:, :-1], rows[:, 1:]", "rows, rows[:, 1:]", "model(x), y", "model(x)[:, :-1], y"),
    "what came before": sick(FORECAST, "rows[:, :-1], rows[:, 1:]", "rows, rows[:, :-1]", "model(x), y", "model(x)[:, 1:], y"),
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
    assert not {"orientation_differs", "own_value_is_target"} & {*seen.named, *seen.guessed}, seen.told
    assert not seen.facts[0].answers["program"].facts["broken"]


@pytest.mark.parametrize(
    ("decisive", "own", "elsewhere", "ahead", "followed", "told"),
    [
        (128, 40, 80, 80, 2, True),
        (30, 10, 20, 20, 0, False),  # few
        (128, 110, 18, 18, 0, False),  # hardly any
        (128, 2, 122, 122, 0, False),  # all of them
        (128, 40, 80, 44, 0, False),  # as any other target
        (128, 40, 80, 80, 20, False),  # the model learns how they are turned
    ],
)
def test_when_orientations_differ(decisive, own, elsewhere, ahead, followed, told):  # noqa: PLR0913, PLR0917 - counts
    seen = {"decisive": decisive, "own": own, "elsewhere": elsewhere, "ahead": ahead}
    seen |= {"late_elsewhere": 30, "late_followed": followed}
    facts = Facts(outcome=Outcome.COMPLETED, answers={"orientations": Answer(facts=seen)})
    assert (OrientationDiffers().weigh(facts) is not None) == told


@pytest.mark.parametrize(("height", "width"), [(12, 12), (100, 100), (9, 131)])
def test_each_orientation_is_found(height, width):
    image = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(0))
    sides = [image, image.flip(3), image.flip(2), image.flip(2, 3)]
    sides += [each.mT for each in sides] if height == width else []
    for turn, side in enumerate(sides):
        numbers, classes = side[:, 1:], (side[:, 1] > 0).long()
        # Whether the image or its target is turned, these are the same but for two rotations.
        assert int(fits(image, numbers)[:, 0].argmax()) in {turn, {5: 6, 6: 5}.get(turn)}
        assert int(fits(image, classes)[:, 0].argmax()) in {turn, {5: 6, 6: 5}.get(turn)}


def test_what_is_alike_everywhere_fits_nothing():
    image = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    classes = (image[:, 0] > 0).long()
    classes[0] = 1
    classes[1, 0] = 255
    for target in (classes, torch.where(classes == 255, 0, classes)[:, None].float()):
        told = fits(image, target, 255)
        assert told[:, 0].isnan().all()
        assert float(told[0, 2]) > 0.5
    assert fits(0 * image, classes, 255).isnan().all()
    assert float(fits(image, classes, 255)[0, 1]) > 0.5


def test_which_targets_are_maps():
    assert as_map(torch.zeros(2, 8, 8).long(), 2, 8, 8).shape == (2, 8, 8)
    assert as_map(torch.zeros(128).long(), 2, 8, 8).shape == (2, 8, 8)
    assert as_map(torch.zeros(2, 1, 8, 8), 2, 8, 8).shape == (2, 1, 8, 8)
    assert as_map(torch.zeros(2, 5, 8, 8), 2, 8, 8).shape == (2, 5, 8, 8)
    assert as_map(torch.zeros(2, 5), 2, 8, 8) is None
    assert as_map(torch.zeros(2, 5, 8, 4), 2, 8, 8) is None
