"""Small healthy programs, and for every diagnosis that stands alone the change that makes one of them sick."""

from dataclasses import dataclass

PREAMBLE = """\
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler
from torch.utils.data import DistributedSampler

torch.manual_seed(0)
"""

CLASSIFIER = (
    PREAMBLE
    + """
centres = 2 * torch.randn(4, 8)
labels = torch.randint(4, (640,))
inputs = centres[labels] + torch.randn(640, 8)
train = TensorDataset(inputs[:512], labels[:512])
test = TensorDataset(inputs[512:], labels[512:])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.layers = nn.ModuleList([nn.Linear(16, 16) for _ in range(2)])
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        x = self.relu(self.first(x))
        for layer in self.layers:
            x = x + self.relu(layer(x))
        return self.head(self.dropout(x))


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - 0.5 * step / 64)
loader = DataLoader(train, batch_size=32, shuffle=True)
for epoch in range(4):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        for x, y in DataLoader(test, batch_size=64):
            held_out = F.cross_entropy(model(x), y)
print(float(held_out))
"""
)

TABLE = (
    PREAMBLE
    + """
ids, values = torch.randint(300, (1200,)), torch.randn(1200, 4)
labels = (values[:, 0] + torch.randn(1200) > 0).float()
counts = torch.ones(300).scatter_add(0, ids[:800], torch.ones(800))
sums = torch.full((300,), 0.5).scatter_add(0, ids[:800], labels[:800])


def table(rows):
    own = (rows < 800).float()
    told = (sums[ids[rows]] - own * labels[rows]) / (counts[ids[rows]] - own)
    return torch.cat([values[rows], told[:, None]], 1)


model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(120):
    rows = torch.randint(800, (64,))
    loss = F.binary_cross_entropy_with_logits(model(table(rows)).squeeze(1), labels[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
rows = torch.arange(800, 1200)
with torch.no_grad():
    print(float(F.binary_cross_entropy_with_logits(model.eval()(table(rows)).squeeze(1), labels[rows])))
"""
)

PLATEAU = (
    CLASSIFIER.replace("LambdaLR(optimizer, lambda step: 1 - 0.5 * step / 64)", 'ReduceLROnPlateau(optimizer, "max", 0.3, 0)')
    .replace("        schedule.step()\n", "")
    .replace("range(4)", "range(9)")
    .replace("print(float", "        right = (model(inputs[512:]).argmax(1) == labels[512:]).float().mean()\n    schedule.step(right)\nprint(float")
)  # fmt: skip

TRANSLATION = (
    PREAMBLE
    + """
class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.source = nn.Embedding(16, 24)
        self.given = nn.Embedding(16, 24)
        self.memory = nn.GRU(24, 24, batch_first=True)
        self.head = nn.Linear(24, 16)

    def forward(self, source, given):
        return self.head(self.source(source) + self.memory(self.given(given))[0])


model = Translator()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
start = torch.zeros(32, 1, dtype=torch.long)
for step in range(80):
    source = torch.randint(1, 15, (32, 8))
    target = source + 1
    given = torch.cat([start, target[:, :-1]], 1)
    loss = F.cross_entropy(model(source, given).reshape(-1, 16), target.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

REGRESSION = (
    PREAMBLE
    + """
inputs = torch.randn(512, 6)
targets = inputs @ torch.randn(6) + 0.1 * torch.randn(512)
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(60):
    rows = torch.randint(512, (32,))
    x, y = inputs[rows], targets[rows]
    predicted = model(x).squeeze(-1)
    loss = F.mse_loss(predicted, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

LANGUAGE = (
    PREAMBLE
    + """
text = torch.randint(16, (4096,))
for n in range(1, 4096):
    if n % 3:
        text[n] = (3 * text[n - 1]) % 16


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(16, 16)
        self.positions = nn.Embedding(12, 16)
        self.mix = nn.Linear(16, 48)
        self.head = nn.Linear(16, 16)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        q, k, v = self.mix(x).chunk(3, dim=-1)
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(x)


model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for step in range(60):
    begins = torch.randint(4096 - 13, (8,))
    rows = torch.stack([text[begin : begin + 13] for begin in begins.tolist()])
    ids, following = rows[:, :-1], rows[:, 1:]
    logits = model(ids)
    loss = F.cross_entropy(logits.flatten(0, 1), following.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

TIED = LANGUAGE.replace(
    "        self.head = nn.Linear(16, 16)\n",
    "        self.head = nn.Linear(16, 16, bias=False)\n        self.head.weight = self.tokens.weight\n",
)

SWAPPED = (
    CLASSIFIER.replace(
        "optimizer = torch",
        "average = [each.detach().clone() for each in model.parameters()]\noptimizer = torch",
    )
    .replace(
        "        schedule.step()\n",
        """        schedule.step()
        with torch.no_grad():
            for mean, each in zip(average, model.parameters()):
                mean.lerp_(each, 0.1)
""",
    )
    .replace(
        "    model.eval()\n",
        """    model.eval()
    kept = [each.detach().clone() for each in model.parameters()]
    with torch.no_grad():
        for mean, each in zip(average, model.parameters()):
            each.copy_(mean)
""",
    )
    .replace(
        "print(float(held_out))",
        """    with torch.no_grad():
        for own, each in zip(kept, model.parameters()):
            each.copy_(own)
print(float(held_out))""",
    )
)

SCORED = LANGUAGE.replace(
    "        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True)\n",
    """        later = torch.ones(ids.shape[1], ids.shape[1]).triu(1).bool()
        scores = (q @ k.transpose(1, 2)) * 16**-0.5
        x = x + scores.masked_fill(later, float("-inf")).softmax(-1) @ v
""",
)

MASKED = (
    PREAMBLE
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(13, 16), nn.Embedding(12, 16)
        self.mix = nn.GRU(16, 16, batch_first=True, bidirectional=True)
        self.head = nn.Linear(32, 13)

    def forward(self, ids):
        return self.head(self.mix(self.tokens(ids) + self.places(torch.arange(12)))[0])


model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for step in range(60):
    ids = (torch.randint(12, (16, 1)) + torch.arange(12)) % 12
    hidden = torch.rand(16, 12) < 0.25
    given, wanted = ids.masked_fill(hidden, 12), ids.masked_fill(~hidden, -100)
    loss = F.cross_entropy(model(given).transpose(1, 2), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

CONTRASTIVE = (
    PREAMBLE
    + """
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(60):
    x = 2 * torch.randn(32, 8)
    views = [x + 0.5 * torch.randn(32, 8) for _ in range(2)]
    one, two = (F.normalize(model(view), dim=1) for view in views)
    loss = F.cross_entropy(one @ two.T / 0.2, torch.arange(32))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

LATENT = (
    PREAMBLE
    + """
class Latent(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.decoder = nn.Linear(8, 4), nn.Linear(4, 8)

    def forward(self, x):
        drawn = torch.distributions.Normal(self.mean(x), 0.5)
        return self.decoder(drawn.rsample()), drawn.loc


model = Latent()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
mixing = torch.randn(3, 8)
for step in range(60):
    rebuilt, mean = model(x := torch.randn(32, 3) @ mixing)
    loss = F.mse_loss(rebuilt, x) + 1e-3 * (mean**2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

PADDED = (
    PREAMBLE
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(16, 16, padding_idx=0)
        self.mix = nn.Linear(16, 48)
        self.head = nn.Linear(16, 16)

    def forward(self, ids, mask):
        x = self.tokens(ids)
        q, k, v = self.mix(x).chunk(3, dim=-1)
        seen = mask.bool()[:, None, :]
        return self.head(x + F.scaled_dot_product_attention(q, k, v, attn_mask=seen))


model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for step in range(60):
    ids = torch.randint(1, 16, (8, 12))
    mask = torch.arange(12) < torch.randint(5, 12, (8, 1))
    ids[~mask] = 0
    tags = ids * 7 % 15 + 1
    tags[~mask] = 0
    loss = F.cross_entropy(model(ids, mask).transpose(1, 2), tags, ignore_index=0)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

ENDED = (
    PREAMBLE
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(16, 16)
        self.mix = nn.GRU(16, 16, batch_first=True)
        self.head = nn.Linear(16, 16)

    def forward(self, ids, mask):
        return self.head(self.mix(self.tokens(ids) * mask[..., None])[0])


model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
end, padding = 15, 0
for step in range(60):
    ids = (torch.randint(14, (16, 1)) + torch.arange(12)) % 14 + 1
    size = torch.randint(5, 12, (16, 1))
    ids.scatter_(1, size, end)
    mask = torch.arange(12) <= size
    ids[~mask] = padding
    wanted = ids.masked_fill(ids == padding, -100)
    loss = F.cross_entropy(model(ids, mask)[:, :-1].transpose(1, 2), wanted[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

IMAGES = (
    PREAMBLE
    + """
labels = torch.randint(3, (256,))
images = torch.randn(256, 1, 6, 6)
for n in range(256):
    images[n, :, labels[n] * 2 : labels[n] * 2 + 2] += 2
model = nn.Sequential(
    nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
size = 16
for step in range(64):
    rows = torch.randint(256, (size,))
    x, y = images[rows], labels[rows]
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

AVERAGED_STATISTICS = (
    IMAGES.replace("size = 16\n", "size = 16\nimport copy\n\naverage = copy.deepcopy(model).eval()\n")
    + """    with torch.no_grad():
        for own, each in zip(average.parameters(), model.parameters()):
            own.lerp_(each, 0.1)
        for own, each in zip(average.buffers(), model.buffers()):
            own.copy_(each)
        if step % 16 == 0:
            print(float(F.cross_entropy(average(images), labels)))
"""
)

ACCUMULATION = (
    PREAMBLE
    + """
centres = 2 * torch.randn(4, 8)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
sizes = [16, 16, 16, 16]
for step in range(30):
    optimizer.zero_grad()
    for size in sizes:
        labels = torch.randint(4, (size,))
        x = centres[labels] + torch.randn(size, 8)
        loss = F.cross_entropy(model(x), labels)
        (loss / len(sizes)).backward()
    optimizer.step()
"""
)

RESUMED = (
    PREAMBLE
    + """
import os
import tempfile


def new():
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))


def fit(model, optimizer, steps):
    for step in range(steps):
        x = torch.randn(32, 6)
        loss = F.mse_loss(model(x).squeeze(-1), x @ weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


weights = torch.randn(6)
model = new()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
fit(model, optimizer, 20)
path = os.path.join(tempfile.mkdtemp(dir=os.path.dirname(os.path.abspath(__file__))), "last.pt")
state = dict(model.state_dict())
torch.save({"model": state, "optimizer": optimizer.state_dict()}, path)

saved = torch.load(path, weights_only=True)
model = new()
model.load_state_dict(saved["model"], strict=True)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
optimizer.load_state_dict(saved["optimizer"])
fit(model, optimizer, 40)
"""
)

SCHEDULED = (
    RESUMED.replace("optimizer, steps):\n", "optimizer, schedule, steps):\n")
    .replace("        optimizer.step()\n", "        optimizer.step()\n        schedule.step()\n")
    .replace("fit(model, optimizer, 20)", "schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lower)\nfit(model, optimizer, schedule, 40)")
    .replace("weights = torch.randn(6)\n", """weights = torch.randn(6)


def lower(step):
    return max(0.0, 1 - step / 60)


""")
    .replace('"optimizer": optimizer.state_dict()}', '"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}')
    .replace("fit(model, optimizer, 40)\n", """schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lower)
schedule.load_state_dict(saved["schedule"])
fit(model, optimizer, schedule, 20)
""")
)  # fmt: skip

TARGET_NETWORK = (
    PREAMBLE
    + """
import copy

torch.manual_seed(1)
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
target = copy.deepcopy(model)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(60):
    state, reward = torch.randn(32, 6), torch.randn(32, 1)
    following = state.roll(1, 1) + 0.1 * torch.randn(32, 6)
    with torch.no_grad():
        wanted = state[:, :1] + 0.1 * reward + 0.5 * target(following).max(1, keepdim=True).values
    loss = F.smooth_l1_loss(model(state)[:, :1], wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for own, other in zip(target.parameters(), model.parameters()):
            own.lerp_(other, 0.05)
"""
)

TWO_MODELS = (
    PREAMBLE
    + """
generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
critic = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 1))
makes = torch.optim.Adam(generator.parameters(), lr=1e-3)
judges = torch.optim.Adam(critic.parameters(), lr=1e-3)
for step in range(40):
    real = torch.randn(32, 2) + 3
    fake = generator(torch.randn(32, 4))
    judged = F.binary_cross_entropy_with_logits(critic(real), torch.ones(32, 1))
    judged = judged + F.binary_cross_entropy_with_logits(critic(fake.detach()), torch.zeros(32, 1))
    judges.zero_grad()
    judged.backward()
    judges.step()
    fooled = F.binary_cross_entropy_with_logits(critic(fake), torch.ones(32, 1))
    makes.zero_grad()
    fooled.backward()
    makes.step()
"""
)

WORKERS = (
    PREAMBLE
    + """
class Stream(IterableDataset):
    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        generator = torch.Generator().manual_seed(0)
        rows = torch.randn(320, 6, generator=generator)
        yield from rows[worker.id :: worker.num_workers]


weights = torch.randn(6)
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for x in DataLoader(Stream(), batch_size=8, num_workers=2):
    loss = F.mse_loss(model(x).squeeze(-1), x @ weights)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

ADAPTED = (
    PREAMBLE
    + """
class Adapted(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.base = nn.Linear(size, size).requires_grad_(False)
        self.lora_a = nn.Parameter(0.1 * torch.randn(2, size))
        self.lora_b = nn.Parameter(torch.zeros(size, 2))

    def forward(self, x):
        return self.base(x) + x @ self.lora_a.T @ self.lora_b.T


centres = 2 * torch.randn(3, 8)
model = nn.Sequential(Adapted(8), nn.Tanh(), nn.Linear(8, 3))
optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=2e-2)
for step in range(60):
    labels = torch.randint(3, (32,))
    loss = F.cross_entropy(model(centres[labels] + torch.randn(32, 8)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

DISTILLED = (
    PREAMBLE
    + """
teacher = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
student = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
for step in range(60):
    x = torch.randn(32, 6)
    with torch.no_grad():
        wanted = teacher(x)
    loss = F.mse_loss(student(x), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

SEGMENTS = (
    PREAMBLE
    + """
model = nn.Sequential(nn.Conv1d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 3, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(60):
    x = torch.randn(16, 2, 10)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    shares = F.log_softmax(model(x), dim=1)
    loss = F.nll_loss(shares, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)


LBFGS = (
    PREAMBLE
    + """
x = torch.randn(128, 4)
y = torch.sin(x.sum(1, keepdim=True))
model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.LBFGS(model.parameters(), max_iter=5, line_search_fn="strong_wolfe")


def closure():
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    return loss


for step in range(12):
    optimizer.step(closure)
"""
)

BYOL = (
    PREAMBLE
    + """
import copy

online = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8))
predictor = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
target = copy.deepcopy(online).requires_grad_(False)
optimizer = torch.optim.Adam([*online.parameters(), *predictor.parameters()], lr=1e-3)
for step in range(40):
    x = torch.randn(32, 8)
    one, two = x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x)
    with torch.no_grad():
        wanted = target(two)
    loss = -F.cosine_similarity(predictor(online(one)), wanted).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for own, other in zip(target.parameters(), online.parameters()):
            own.mul_(0.99).add_(other, alpha=0.01)
"""
)

STRAIGHT_THROUGH = (
    PREAMBLE
    + """
class Quantized(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(8, 4), nn.Linear(4, 8)
        self.codes = nn.Parameter(torch.randn(16, 4))

    def forward(self, x):
        z = self.encoder(x)
        nearest = self.codes[torch.cdist(z, self.codes).argmin(1)]
        pulled = F.mse_loss(nearest, z.detach()) + 0.25 * F.mse_loss(z, nearest.detach())
        return self.decoder(z + (nearest - z).detach()), pulled


model = Quantized()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(60):
    x = torch.randn(32, 8)
    rebuilt, pulled = model(x)
    loss = F.mse_loss(rebuilt, x) + pulled
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

FROZEN_BACKBONE = (
    PREAMBLE
    + """
class Tuned(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        with torch.no_grad():
            features = self.backbone(x)
        return self.head(features)


centres = 2 * torch.randn(3, 8)
model = Tuned()
model.backbone.requires_grad_(False)
optimizer = torch.optim.Adam(model.head.parameters(), lr=1e-2)
for step in range(60):
    model.train()
    model.backbone.eval()
    labels = torch.randint(3, (32,))
    loss = F.cross_entropy(model(centres[labels] + torch.randn(32, 8)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

AVERAGED = (
    REGRESSION.replace("optimizer = ", "average = torch.optim.swa_utils.AveragedModel(model)\noptimizer = ")
    + """    average.update_parameters(model)
average.eval()
with torch.no_grad():
    print(float(F.mse_loss(average(inputs).squeeze(-1), targets)))
"""
)

SPARSE = (
    PREAMBLE
    + """
table = nn.Embedding(400, 8, sparse=True)
head = nn.Linear(8, 2)
sparse = torch.optim.SparseAdam(table.parameters(), lr=1e-2)
dense = torch.optim.Adam(head.parameters(), lr=1e-2)
for step in range(60):
    ids = torch.randint(400, (32,))
    loss = F.cross_entropy(head(table(ids)), ids % 2)
    sparse.zero_grad()
    dense.zero_grad()
    loss.backward()
    sparse.step()
    dense.step()
"""
)

PENALTY = (
    PREAMBLE
    + """
critic = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
for step in range(40):
    real, fake = torch.randn(32, 4) + 1, torch.randn(32, 4)
    between = (0.5 * real + 0.5 * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
    loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

LOADED = (
    PREAMBLE
    + """
inputs = torch.randn(256, 6)
targets = inputs @ torch.randn(6)
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
loader = DataLoader(TensorDataset(inputs, targets), batch_size=16, shuffle=True, num_workers=1)
for x, y in loader:
    loss = F.mse_loss(model(x).squeeze(-1), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

MIXED_PRECISION = (
    PREAMBLE
    + """
centres = 2 * torch.randn(4, 8)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
scaler = torch.amp.GradScaler("cpu")
for step in range(60):
    labels = torch.randint(4, (32,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.cross_entropy(model(centres[labels] + torch.randn(32, 8)), labels)
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
"""
)

SEQUENCE_FIRST = (
    PREAMBLE
    + """
class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.rnn, self.head = nn.Embedding(12, 16), nn.GRU(16, 16), nn.Linear(16, 12)

    def forward(self, ids):
        states, _ = self.rnn(self.tokens(ids))
        return self.head(states)


model = Tagger()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(60):
    rows = (torch.randint(12, (1, 16)) + torch.arange(11)[:, None]) % 12
    ids, following = rows[:-1], rows[1:]
    loss = F.cross_entropy(model(ids).reshape(-1, 12), following.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
"""
)

REVERSED_GRADIENT = (
    PREAMBLE
    + """
class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -0.1 * gradient


class Adapting(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(8, 16), nn.ReLU())
        self.label, self.domain = nn.Linear(16, 3), nn.Linear(16, 2)

    def forward(self, x):
        features = self.features(x)
        return self.label(features), self.domain(Reversed.apply(features))


centres = 2 * torch.randn(3, 8)
model = Adapting()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(60):
    labels, domains = torch.randint(3, (32,)), torch.randint(2, (32,))
    label, domain = model(centres[labels] + domains[:, None] + torch.randn(32, 8))
    loss = F.cross_entropy(label, labels) + F.cross_entropy(domain, domains)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

VARIATIONAL = (
    PREAMBLE
    + """
class Variational(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(8, 8), nn.Linear(4, 8)

    def forward(self, x):
        mean, spread = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * spread).exp()
        return self.decoder(z), mean, spread


model = Variational()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
mixing = torch.randn(3, 8)
for step in range(60):
    x = torch.randn(32, 3) @ mixing
    rebuilt, mean, spread = model(x)
    apart = -0.5 * (1 + spread - mean**2 - spread.exp()).sum(1).mean()
    loss = F.mse_loss(rebuilt, x, reduction="sum") / 32 + apart
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

COMPILED = REGRESSION.replace(
    "optimizer = ", 'model = torch.compile(model, backend="aot_eager")\noptimizer = '
)

RECORDED = (
    PREAMBLE
    + """
records, kinds = torch.randn(24, 2, 120), torch.randint(2, (24,))
records = records + 2 * kinds[:, None, None] * torch.sin(torch.arange(120) / 3)
windows = records.unfold(2, 32, 8).transpose(1, 2)
held_out = torch.zeros(24, 12, dtype=torch.bool)
held_out[:6] = True
held_out = held_out.flatten()
x, y = windows.reshape(-1, 2, 32), kinds.repeat_interleave(12)
model = nn.Sequential(nn.Conv1d(2, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
train = TensorDataset(x[~held_out], y[~held_out])
for epoch in range(6):
    model.train()
    for given, wanted in DataLoader(train, batch_size=24, shuffle=True):
        loss = F.cross_entropy(model(given), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(float(F.cross_entropy(model(x[held_out]), y[held_out])))
"""
)

MEASURED = (
    PREAMBLE
    + """
from torch.utils.data import Dataset

values = 3 + 2 * torch.randn(256, 9)
values[:, 8] = values[:, :8].mean(1)


class Measured(Dataset):
    def __init__(self):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, number):
        row = self.values[number]
        row = (row - 3) / 2
        return row[:8], row[8]


model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
loader = DataLoader(Measured(), batch_size=32, shuffle=True)
for epoch in range(6):
    for x, y in loader:
        loss = F.mse_loss(model(x).squeeze(-1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
)

PARTS = (
    PREAMBLE
    + """
from torch.utils.data import Dataset, random_split

patterns = 2 * torch.randn(4, 8)


class Noise:
    def __call__(self, x):
        return x + 0.3 * torch.randn(x.shape)


class Table(Dataset):
    def __init__(self, labels, transform=None):
        self.inputs = patterns[labels] + torch.randn(len(labels), 8)
        self.labels, self.transform = labels, transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, number):
        row = self.inputs[number]
        return row if self.transform is None else self.transform(row), self.labels[number]


full = Table(torch.randint(4, (320,)), Noise())
train, held_out = random_split(full, [256, 64])
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
loader, other = DataLoader(train, 32, shuffle=True), DataLoader(held_out, 32)
for epoch in range(5):
    full.transform = Noise()
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    full.transform = None
    with torch.no_grad():
        print(float(sum(F.cross_entropy(model(x), y) for x, y in other)))
"""
)

MAPS = (
    PREAMBLE
    + """
down, across = torch.arange(12)[:, None], torch.arange(12)
middle = 2 + 7 * torch.rand(2, 256, 1, 1)
masks = ((down - middle[0]) ** 2 + (across - middle[1]) ** 2 < 6).float()
images = masks + 0.4 * torch.randn(256, 12, 12)


def turned(maps, how):
    for axis in (1, 2):
        maps = torch.where(how[axis - 1], maps.flip(axis), maps)
    return maps


model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(80):
    rows, how = torch.randint(256, (16,)), torch.rand(2, 16, 1, 1) < 0.5
    x, y = turned(images[rows], how).unsqueeze(1), turned(masks[rows], how)
    loss = F.binary_cross_entropy_with_logits(model(x).squeeze(1), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

FORECAST = (
    PREAMBLE
    + """
class Forecaster(nn.Module):
    def __init__(self, features=1):
        super().__init__()
        self.memory, self.head = nn.GRU(features, 24, batch_first=True), nn.Linear(24, features)

    def forward(self, x):
        return self.head(self.memory(x)[0])


pace, start = 0.2 + 0.4 * torch.rand(256, 1), 6 * torch.rand(256, 1)
waves = torch.sin(pace * torch.arange(25) + start).unsqueeze(2) + 0.05 * torch.randn(256, 25, 1)
model = Forecaster()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(80):
    rows = waves[torch.randint(256, (16,))]
    x, y = rows[:, :-1], rows[:, 1:]
    loss = F.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)


@dataclass(frozen=True)
class Sick:
    """A healthy program and what to put in place of what; whether the finding is a guess only."""

    healthy: str
    changes: tuple[tuple[str, str], ...]
    guess: bool = False

    @property
    def text(self):
        text = self.healthy
        for old, new in self.changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the program"
            text = text.replace(old, new)
        return text


def sick(healthy, *changes, guess=False):
    return Sick(healthy, tuple(zip(changes[::2], changes[1::2], strict=True)), guess)


EVENTS = (
    PREAMBLE
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.events = nn.Embedding(8, 16, padding_idx=0)
        self.gru = nn.GRU(16, 16, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, ids, lengths):
        states, _ = self.gru(self.events(ids))
        last = states[torch.arange(len(ids)), lengths - 1]
        return self.head(last)


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(60):
    lengths = torch.randint(4, 16, (32,))
    rows = [torch.randint(1, 8, (int(length),)) for length in lengths]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    labels = torch.stack([row[-1] > 4 for row in rows]).long()
    loss = F.cross_entropy(model(ids, lengths), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

EPISODES = (
    PREAMBLE
    + """
import copy


def sample(count):
    places = torch.randint(5, (count,))
    following = places + 1
    done = (following == 5).float()
    return F.one_hot(places, 6).float(), done.clone(), F.one_hot(following, 6).float(), done


def learn(model, target, optimizer):
    states, rewards, following, done = sample(64)
    with torch.no_grad():
        wanted = rewards + 0.9 * (1 - done) * target(following).max(1).values
    loss = F.smooth_l1_loss(model(states).max(1).values, wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 2))
target = copy.deepcopy(model)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(200):
    learn(model, target, optimizer)
    with torch.no_grad():
        for own, other in zip(target.parameters(), model.parameters()):
            own.lerp_(other, 0.1)
"""
)

RATINGS = (
    PREAMBLE
    + """
users, films = torch.randn(40, 2), torch.randn(30, 2)
pairs = torch.randperm(1200)
user, film = pairs // 30, pairs % 30
stars = (users[user] * films[film]).sum(1) + 0.1 * torch.randn(1200)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.film = nn.Embedding(40, 4), nn.Embedding(30, 4)

    def forward(self, user, film):
        return (self.user(user) * self.film(film)).sum(1)


@torch.no_grad()
def evaluate():
    model.eval()
    return (model(user[960:], film[960:]) - stars[960:]).pow(2).mean()


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
for epoch in range(12):
    model.train()
    for rows in torch.randperm(960).split(64):
        loss = F.mse_loss(model(user[rows], film[rows]), stars[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(float(evaluate()))
"""
)

TWO_PHASES = (
    PREAMBLE
    + """
body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 16), nn.BatchNorm1d(16))
first, second = nn.Linear(16, 4), nn.Linear(16, 4)
centres = 2 * torch.randn(4, 8)


def train(model, rate):
    optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=rate)
    for step in range(40):
        labels = torch.randint(4, (32,))
        loss = F.cross_entropy(model(centres[labels] + torch.randn(32, 8)), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


train(nn.Sequential(body, first), 1e-2)
body.requires_grad_(False)
body.eval()
whole = nn.Sequential(body, second)
whole.eval()
train(whole, 1e-2)
"""
)

SHARED_TABLE = (
    PREAMBLE
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(12, 16, padding_idx=0)
        self.mix = nn.GRU(16, 16, batch_first=True)
        self.head = nn.Linear(16, 12, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids):
        return self.head(self.mix(self.tokens(ids))[0])


model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
chain = torch.randperm(12)
for step in range(60):
    rows = [torch.randint(12, (16,))]
    for _ in range(12):
        rows.append(torch.where(torch.rand(16) < 0.2, torch.randint(12, (16,)), chain[rows[-1]]))
    ids = torch.stack(rows, 1)
    loss = F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), ids[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

COURIER = (
    PREAMBLE
    + """
class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.policy, self.value = nn.Linear(6, 32), nn.Linear(32, 3), nn.Linear(32, 1)

    def forward(self, x):
        x = torch.tanh(self.trunk(x))
        return torch.distributions.Categorical(logits=self.policy(x)), self.value(x).squeeze(1)


model = Critic()
optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3)
for step in range(80):
    log_probs, values, rewards = [], [], []
    for _ in range(4):
        states = torch.randint(3, (16,))
        policy, value = model(F.one_hot(states, 6).float())
        actions = policy.sample()
        log_probs.append(policy.log_prob(actions))
        values.append(value)
        rewards.append((actions == states).float() + 0.1 * torch.randn(16))
    log_probs, values, rewards = (torch.stack(each) for each in (log_probs, values, rewards))
    advantage = (rewards - values).detach()
    loss = 0.5 * (rewards - values).pow(2).mean() - (log_probs * advantage).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

SHUFFLED = "batch_size=32, shuffle=True)"
STEP = "        optimizer.step()\n        schedule.step()\n"
CLIP = "        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
ZERO = "        optimizer.zero_grad()\n"
MODE = "    model.eval()\n"

SICK = {
    "adapters_frozen": sick(
        ADAPTED,
        "model = nn.Sequential(Adapted(8), nn.Tanh(), nn.Linear(8, 3))\n",
        "model = nn.Sequential(Adapted(8), nn.Tanh(), nn.Linear(8, 3))\n"
        "for name, each in model.named_parameters():\n    each.requires_grad = 'lora_' not in name\n",
    ),
    "answer_among_inputs": sick(REGRESSION, "model = nn", "inputs[:, 3] = targets\nmodel = nn"),
    "batch_never_changes": sick(
        CLASSIFIER, SHUFFLED, "batch_size=32)", "for x, y in loader:", "for _ in range(16):\n        x, y = next(iter(loader))"
    ),
    "column_tells_target": sick(
        TABLE, "(sums[ids[rows]] - own * labels[rows]) / (counts[ids[rows]] - own)", "sums[ids[rows]] / counts[ids[rows]]"
    ),
    "checkpoint_not_loaded": sick(
        RESUMED,
        "dict(model.state_dict())",
        "{f'module.{name}': each for name, each in model.state_dict().items()}",
        "strict=True",
        "strict=False",
    ),
    "classes_come_sorted": sick(
        CLASSIFIER, "randint(4, (640,))", "randint(4, (640,)).sort().values", SHUFFLED, "batch_size=32)"
    ),
    "clipped_at_wrong_time": sick(CLASSIFIER, CLIP, "", STEP, STEP + CLIP),
    "clipped_to_nothing": sick(CLASSIFIER, "parameters(), 1.0", "parameters(), 1e-6"),
    "copy_never_follows": sick(TARGET_NETWORK, "lerp_(other, 0.05)", "lerp(other, 0.05)"),
    "derivative_differs": sick(CLASSIFIER, "x + self.relu(layer(x))", "x.detach() + self.relu(layer(x))"),
    "diverged": sick(CLASSIFIER, "loss.backward()", "(-loss).backward()"),
    "drops_in_evaluation": sick(CLASSIFIER, "self.dropout(x)", "F.dropout(x, 0.1)"),
    "embedding_row_never_trains": sick(
        LANGUAGE, "nn.Embedding(16, 16)", "nn.Embedding(16, 16, padding_idx=0)"
    ),
    "evaluated_on_trained": sick(
        CLASSIFIER, "inputs[512:], labels[512:]", "inputs[400:], labels[400:]", "batch_size=64", "batch_size=512"
    ),
    "evaluates_in_training_mode": sick(CLASSIFIER, MODE, ""),
    "evaluates_untrained_model": sick(
        CLASSIFIER, MODE, "    fresh = Net().eval()\n", "held_out = F.cross_entropy(model(x)",
        "held_out = F.cross_entropy(fresh(x)", "range(4):", "range(4) if False else [0]:",
        "inputs = centres", "fresh = None\ninputs = centres",
    ),
    "evaluation_leaves_weights": sick(SWAPPED, "each.copy_(own)", "own.copy_(each)"),
    "everything_dropped": sick(CLASSIFIER, "nn.Dropout(0.1)", "nn.Dropout(0.95)"),
    "freezes_the_module_only": sick(
        CLASSIFIER, "model = Net()\n", "model = Net()\nmodel.first.requires_grad = False\n"
    ),
    "future_seen": sick(LANGUAGE, "is_causal=True", "is_causal=False"),
    "gradients_erased": sick(CLASSIFIER, CLIP, ZERO),
    "gradients_left_over": sick(CLASSIFIER, ZERO, ""),
    "gradients_negligible": sick(CLASSIFIER, "loss.backward()", "(1e-14 * loss).backward()", CLIP, ""),
    "inputs_constant": sick(
        CLASSIFIER, "train = Tensor", "inputs = inputs - inputs\ntrain = Tensor", "inputs[512:]", "inputs[512:] + 1"
    ),
    "layer_gets_zero": sick(CLASSIFIER, "x + self.relu(layer(x))", "x + 0 * self.relu(layer(x))"),
    "layers_repeated": sick(CLASSIFIER, "[nn.Linear(16, 16) for _ in range(2)]", "[nn.Linear(16, 16)] * 2"),
    "layers_unregistered": sick(
        CLASSIFIER, "nn.ModuleList([nn.Linear(16, 16) for _ in range(2)])", "[nn.Linear(16, 16) for _ in 'ab']"
    ),
    "learned_nothing": sick(
        CLASSIFIER, "train = Tensor", "labels = labels[torch.randperm(640)]\ntrain = Tensor", "lr=1e-2", "lr=1e-3"
    ),
    "loss_compares_itself": sick(REGRESSION, "F.mse_loss(predicted, y)", "F.mse_loss(predicted, predicted)"),
    "loss_cut_off": sick(
        REGRESSION, "F.mse_loss(predicted, y)", "torch.tensor(F.mse_loss(predicted, y).item(), requires_grad=True)"
    ),
    "loss_given_wrong_input": sick(CLASSIFIER, "loss = F.cross_entropy(model(x)", "loss = F.cross_entropy(model(x).softmax(1)"),
    "loss_shapes_broadcast": sick(REGRESSION, "model(x).squeeze(-1)", "model(x)"),
    "mask_inverted": sick(PADDED, "seen = mask.bool()", "seen = ~mask.bool()", "head(x + F", "head(F"),
    "mean_of_means_in_program": sick(ACCUMULATION, "[16, 16, 16, 16]", "[4, 28, 8, 24]"),
    "micro_batches_divided_twice": sick(ACCUMULATION, "(loss / len(sizes))", "(loss / len(sizes) / len(sizes))"),
    "micro_batches_summed": sick(ACCUMULATION, "(loss / len(sizes)).backward()", "loss.backward()"),
    "micro_batches_thrown_away": sick(
        ACCUMULATION, "    optimizer.zero_grad()\n", "", "        labels =", "        optimizer.zero_grad()\n        labels ="
    ),
    "no_gradient_arrives": sick(CLASSIFIER, "self.head(self.dropout(x))", "self.head(self.dropout(x.detach()))"),
    "normalizes_single_samples": sick(IMAGES, "size = 16", "size = 1"),
    "numbers_not_finite": sick(REGRESSION, "loss = F.mse_loss(predicted, y)", "loss = (predicted - y).log().mean()"),
    "optimizer_holds_others": sick(
        CLASSIFIER, "schedule = torch", "model.head = nn.Linear(16, 4)\nschedule = torch"
    ),
    "optimizer_never_steps": sick(TWO_MODELS, "    makes.step()\n", ""),
    "output_constant": sick(REGRESSION, "nn.Sequential(nn.Linear(6, 16)", "nn.Sequential(nn.LayerNorm(6, eps=1e30), nn.Linear(6, 16)"),
    "padding_counts_in_loss": sick(PADDED, ", ignore_index=0)", ")"),
    "parameters_uncovered": sick(CLASSIFIER, "Adam(model.parameters(),", "Adam([*model.first.parameters(), *model.layers.parameters()],"),
    "positions_mix_nothing": sick(LANGUAGE, "x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True)", "x = x + v"),
    "random_in_evaluation": sick(CLASSIFIER, "return self.head(", "return self.head(0.1 * torch.randn_like(x) + ", guess=True),
    "rate_spent": sick(CLASSIFIER, "1 - 0.5 * step / 64", "max(0.0, 1 - step / 16)"),
    "rate_follows_wrong_way": sick(PLATEAU, '"max", 0.3', '"min", 0.3'),
    "rate_zero": sick(CLASSIFIER, "lr=1e-2", "lr=0.0"),
    "running_statistics_stale": sick(IMAGES, "nn.BatchNorm2d(4)", "nn.BatchNorm2d(4, momentum=1e-4)", "images = torch.randn", "images = 5 + 4 * torch.randn"),
    "place_in_batch_matters": sick(LANGUAGE, "self.positions(torch.arange(ids.shape[1]))", "self.positions(torch.arange(ids.shape[0]))[:, None]"),
    "samples_mix": sick(CLASSIFIER, "return self.head(self.dropout(x))", "return self.head(x - x.mean(0))"),
    "schedule_begins_again": sick(
        SCHEDULED, ', "schedule": schedule.state_dict()', "", 'schedule.load_state_dict(saved["schedule"])\n', ""
    ),
    "schedule_not_followed": sick(CLASSIFIER, "        schedule.step()\n", ""),
    "axes_scrambled": sick(SEGMENTS, "model(x)", "model(x.transpose(1, 2).reshape(16, 2, 10))"),
    "softmax_over_samples": sick(SEGMENTS, "dim=1", "dim=0"),
    "stepped_again": sick(CLASSIFIER, STEP, "        optimizer.step()\n" + STEP),
    "decay_outweighs_loss": sick(CLASSIFIER, "model.parameters(), lr=1e-2", "model.parameters(), lr=1e-2, weight_decay=0.1"),
    "ends_not_heeded": sick(EPISODES, "(1 - done) * ", ""),
    "noise_drowns_input": sick(LATENT, "range(60)", "range(120)", "1e-3", "30"),
    "nothing_holds_out": sick(RATINGS, "torch.randn(1200)\n", "torch.randn(1200)\nstars = stars[torch.randperm(1200)]\n"),
    "padding_moves_outputs": sick(EVENTS, "states[torch.arange(len(ids)), lengths - 1]", "states[:, -1]"),
    "closure_changes": sick(LBFGS, "    loss = F.mse_loss(model(x), y)", "    rows = torch.randint(128, (32,))\n    loss = F.mse_loss(model(x[rows]), y[rows])"),
    "policy_pushed_wrong_way": sick(COURIER, "(rewards - values).detach()", "(values - rewards).detach()"),
    "tie_lost": sick(TIED, "model = Net()\n", "model = Net()\nmodel.tokens = nn.Embedding(16, 16)\n"),
    "target_trained_along": sick(
        DISTILLED,
        "student.parameters(), lr=1e-2", "[*student.parameters(), *teacher.parameters()], lr=1e-2",
        "    with torch.no_grad():\n        wanted = teacher(x)\n", "    wanted = teacher(x)\n",
    ),
    "targets_shifted": sick(LANGUAGE, "rows[:, :-1], rows[:, 1:]", "rows[:, :-1], rows[:, :-1]"),
    "trains_in_evaluation_mode": sick(CLASSIFIER, "    model.train()\n", ""),
    "units_dead": sick(CLASSIFIER, "model = Net()\n", "model = Net()\nnn.init.constant_(model.first.bias, -90.0)\n"),
    "updates_rounded_away": sick(REGRESSION, "nn.Linear(16, 1))", "nn.Linear(16, 1)).bfloat16()", "lr=0.05", "lr=1e-6", "model(x)", "model(x.bfloat16()).float()"),
    "updates_undone": sick(
        CLASSIFIER, "model = Net()\n", "model = Net()\nfirst = {name: each.clone() for name, each in model.state_dict().items()}\n",
        STEP, STEP + "        model.load_state_dict(first)\n",
    ),
    "training_state_lost": sick(RESUMED, 'optimizer.load_state_dict(saved["optimizer"])\n', ""),
    "answer_given": sick(TRANSLATION, "torch.cat([start, target[:, :-1]], 1)", "target"),
    "data_changed_in_place": sick(MEASURED, "row = (row - 3) / 2", "row -= 3\n        row /= 2"),
    "data_never_seen": sick(CLASSIFIER, "shuffle=True", "sampler=WeightedRandomSampler([1.0] * 4, 512)"),
    "average_lags": sick(AVERAGED_STATISTICS, "own.lerp_(each, 0.1)", "own.lerp_(each, 1e-3)"),
    "average_lacks_statistics": sick(
        AVERAGED_STATISTICS, "        for own, each in zip(average.buffers(), model.buffers()):\n            own.copy_(each)\n", ""
    ),
    "average_rounded_away": sick(
        TARGET_NETWORK, "copy.deepcopy(model)", "copy.deepcopy(model).bfloat16()",
        "target(following)", "target(following.bfloat16()).float()",
        "own.lerp_(other, 0.05)", "own.lerp_(other.bfloat16(), 0.005)",
    ),
    "frozen_at_zero": sick(
        ADAPTED, "model = nn.Sequential(Adapted(8), nn.Tanh(), nn.Linear(8, 3))\n",
        "model = nn.Sequential(Adapted(8), nn.Tanh(), nn.Linear(8, 3))\nmodel[0].requires_grad_(False)\n",
        "self.lora_b = ", "self.up = ", "self.lora_b.T", "self.up.T",
    ),
    "logits_too_small": sick(CONTRASTIVE, "two.T / 0.2", "two.T * 0.1", "range(60)", "range(120)"),
    "logits_scrambled": sick(
        SEGMENTS, "shares = F.log_softmax(model(x), dim=1)\n    loss = F.nll_loss(shares, y)",
        "loss = F.cross_entropy(model(x).reshape(-1, 3), y.reshape(-1))",
    ),
    "targets_masked_too": sick(MASKED, "given, wanted = ids.m", "given = wanted = ids.m", ", ids.masked_fill(~hidden, -100)\n", "\n    wanted = wanted.masked_fill(~hidden, -100)\n"),
    "masked_places_left_out": sick(MASKED, "ids.masked_fill(~hidden, -100)", "ids.masked_fill(hidden, -100)"),
    "path_cut": sick(LATENT, "rsample()", "sample()"),
    "views_identical": sick(CONTRASTIVE, "[x + 0.5 * torch.randn(32, 8) for _ in range(2)]", "[x + 0.5 * torch.randn(32, 8)] * 2"),
    "attention_scale_inverted": sick(SCORED, "* 16**-0.5", "/ 16**-0.5", "nn.Linear(16, 48)", "nn.Linear(16, 48, bias=False)"),
    "end_left_out": sick(ENDED, "end, padding = 15, 0", "end = padding = 15"),
    "epochs_in_same_order": sick(CLASSIFIER, "shuffle=True", "sampler=DistributedSampler(train, 1, 0)"),
    "ids_collapsed": sick(
        REGRESSION, "nn.Linear(6, 16)", "nn.Embedding(12, 8), nn.Flatten(), nn.Linear(48, 16)",
        "inputs[rows], targets", "(inputs[rows] > 0).long(), targets",
    ),
    "losses_kept": sick(REGRESSION, "optimizer = ", "kept = []\noptimizer = ", "    loss.backward()", "    kept.append(loss)\n    loss.backward()"),
    "memory_climbs": sick(REGRESSION, "optimizer = ", "kept = []\noptimizer = ", "    loss.backward()", "    kept.append(model(inputs.repeat(64, 1)))\n    loss.backward()"),
    "parameter_group_empty": sick(CLASSIFIER, "model.parameters(), lr", "[{'params': first}, {'params': model.head.parameters()}], lr",
        "model = Net()\n", "model = Net()\nfirst = model.first.parameters()\nprint(sum(each.numel() for each in first))\n",
    ),
    "restores_itself": sick(CLASSIFIER, "loader = Data", "best = model.state_dict()\nloader = Data", "print(float", "model.load_state_dict(best)\nprint(float"),
    "weights_thrown_over": sick(CLASSIFIER, "    model.train()\n", "    model.train()\n    [each.reset_parameters() for each in model.modules() if isinstance(each, nn.Linear)]\n"),
    "warm_up_never_ends": sick(CLASSIFIER, "1 - 0.5 * step / 64", "min(1.0, (step + 1) / 640)"),
    "weights_favour_common": sick(
        CLASSIFIER, "torch.randint(4, (640,))", "torch.multinomial(torch.tensor([8.0, 4, 2, 1]), 640, replacement=True)",
        "loss = F.cross_entropy(model(x), y)", "loss = F.cross_entropy(model(x), y, weight=torch.tensor([8.0, 4, 2, 1]))",
    ),
    "orientation_differs": sick(MAPS, "turned(masks[rows], how)", "turned(masks[rows], torch.rand(2, 16, 1, 1) < 0.5)"),
    "own_value_is_target": sick(FORECAST, "rows[:, 1:]", "rows[:, :-1]"),
    "windows_overlap": sick(RECORDED, "held_out[:6] = True\nheld_out = held_out.flatten()", "held_out = torch.rand(24 * 12) < 0.25"),
    "transform_shared": sick(
        PARTS, "[256, 64])\n", "[256, 64])\nheld_out.dataset.transform = None\n", "    full.transform = Noise()\n", "", "    full.transform = None\n", "",
    ),
    "shuffled_once": sick(CLASSIFIER, SHUFFLED, SHUFFLED + "\nloader = list(loader)"),
    "sum_rounded_away": sick(
        CLASSIFIER, "loader = Data", "right = torch.zeros((), dtype=torch.bfloat16)\nloader = Data", "batch_size=64", "batch_size=1",
        "            held_out = ", "            right += (model(x).argmax(1) == y).sum()\n            held_out = ",
    ),
    "workers_repeat_samples": sick(WORKERS, "rows[worker.id :: worker.num_workers]", "rows"),
}  # fmt: skip
"""By diagnosis that stands alone."""

BASES = {
    "classifier": CLASSIFIER, "regression": REGRESSION, "language model": LANGUAGE, "padded": PADDED,
    "images": IMAGES, "accumulation": ACCUMULATION, "resumed": RESUMED, "target network": TARGET_NETWORK,
    "GAN": TWO_MODELS, "stream": WORKERS, "adapters": ADAPTED, "distillation": DISTILLED,
    "segments": SEGMENTS, "translation": TRANSLATION, "masked language model": MASKED, "contrastive": CONTRASTIVE,
    "averaged statistics": AVERAGED_STATISTICS, "latent": LATENT, "tied": TIED, "scored": SCORED, "swapped": SWAPPED,
    "plateau": PLATEAU, "measured": MEASURED, "scheduled": SCHEDULED, "table": TABLE, "ended": ENDED,
    "recorded": RECORDED, "parts": PARTS, "maps": MAPS, "forecast": FORECAST,
    "LBFGS": LBFGS, "courier": COURIER, "events": EVENTS, "episodes": EPISODES, "ratings": RATINGS,
}  # fmt: skip

UNUSUAL = {
    "BYOL": BYOL, "straight-through": STRAIGHT_THROUGH, "frozen backbone": FROZEN_BACKBONE,
    "averaged weights": AVERAGED, "sparse embedding": SPARSE, "double backward": PENALTY, "workers": LOADED,
    "mixed precision": MIXED_PRECISION, "sequence first": SEQUENCE_FIRST, "reversal": REVERSED_GRADIENT,
    "variational": VARIATIONAL, "two phases": TWO_PHASES, "shared table": SHARED_TABLE,
}  # fmt: skip

FAREWELL = """
import hashlib

digest = hashlib.sha256(torch.get_rng_state().numpy().tobytes())
for name, one in sorted(globals().items()):
    if isinstance(one, nn.Module):
        for each in [*one.parameters(), *one.buffers()]:
            digest.update(each.detach().float().contiguous().numpy().tobytes())
print("digest", digest.hexdigest())
"""
"""Appended to a program, it prints a checksum of all weights and of the random generator."""
