"""Softmax regression with nothing but the standard library: a training that no framework knows.

Reads its settings from the case that HARNESS_CASE names, and prints one JSON object a step.
"""

import json
import math
import os
import random
from pathlib import Path

CLASSES, FEATURES = 4, 6
case = json.loads(Path(os.environ["HARNESS_CASE"]).read_text())
config = case["config"]
rate, batch = config["optimizer"]["sgd"]["lr"], config["batch"]
chance = random.Random(config.get("seed", 0))
centres = [[chance.gauss(0, 1) for _ in range(FEATURES)] for _ in range(CLASSES)]
weights = [[0.0] * FEATURES for _ in range(CLASSES)]

for step in range(config["steps"]):
    gradient, loss = [[0.0] * FEATURES for _ in range(CLASSES)], 0.0
    for _ in range(batch):
        target = chance.randrange(CLASSES)
        inputs = [chance.gauss(centre, 0.5) for centre in centres[target]]
        logits = [sum(w * x for w, x in zip(row, inputs, strict=True)) for row in weights]
        top = max(logits)
        total = sum(math.exp(logit - top) for logit in logits)
        loss += (top + math.log(total) - logits[target]) / batch
        for label, logit in enumerate(logits):
            error = (math.exp(logit - top) / total - (label == target)) / batch
            gradient[label] = [g + error * x for g, x in zip(gradient[label], inputs, strict=True)]
    norm = math.sqrt(sum(g * g for row in gradient for g in row))
    weight_norm = math.sqrt(sum(w * w for row in weights for w in row))
    weights = [
        [w - rate * g for w, g in zip(row, slopes, strict=True)]
        for row, slopes in zip(weights, gradient, strict=True)
    ]
    told = {"gradient_norm": norm, "clipped_norm": norm, "weight_norm": weight_norm}
    print(json.dumps({"step": step, "loss": loss, "lr": rate, "tensors": {"weights": told}}))

checkpoint = Path(case["out"]) / "weights.json"
checkpoint.write_text(json.dumps(weights))
print(json.dumps({"parameters": CLASSES * FEATURES, "checkpoint": str(checkpoint)}))
