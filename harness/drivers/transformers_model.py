"""Trains a causal language model of `transformers` from random weights, with adapters of `peft` where asked.

FILE is JSON: config, lora, optimizer, rates (one a step), clip_norm, micro_batches, dtype, seed; batches lie
beside it, in `batches.npz`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.model import IGNORE, HarnessError


def main(path: str) -> None:
    """Build, and train on each batch once."""
    told = json.loads(Path(path).read_text())
    torch.manual_seed(told["seed"])
    model = _model(told).to(getattr(torch, told["dtype"]))
    parameters = list(model.parameters())
    # With nothing that trains, the optimizer holds what there is, as trainers do that do not look.
    trained = [each for each in parameters if each.requires_grad] or parameters
    optimizer = _optimizer(told["optimizer"], trained)
    batches = np.load(Path(path).with_name("batches.npz"))
    model.train()
    for step, rate in enumerate(told["rates"]):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        _backward(model, batches["inputs"][step], batches["targets"][step], told["micro_batches"])
        if told["clip_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(trained, told["clip_norm"])
        optimizer.step()


def _model(told: Mapping[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415 - takes seconds

    given = dict(told["config"])
    try:
        config = AutoConfig.for_model(given.pop("model_type"), **given)
        kind: Any = AutoModelForCausalLM
        model = kind.from_config(config)
    except (ValueError, TypeError, KeyError) as error:
        text = " ".join(str(error).split())[:200]
        raise HarnessError(f"model.transformers.config: {type(error).__name__}: {text}") from error
    return _with_adapters(model, told["lora"]) if told["lora"] else model


def _with_adapters(model: Any, lora: Mapping[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 - takes seconds

    try:
        adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", bias="none", **lora))
    except ValueError as error:
        raise HarnessError(f"model.transformers.lora: {' '.join(str(error).split())[:200]}") from error
    # Without it nothing that leads to the adapters asks for a gradient when the rest is frozen.
    adapted.enable_input_require_grads()
    return adapted


def _optimizer(told: Mapping[str, Any], tensors: list[torch.Tensor]) -> torch.optim.Optimizer:
    """As the suite's own backends make it: weight decay acts on tensors with two or more axes only."""
    ((name, options),) = told.items()
    given = dict(options)
    decay = given.pop("weight_decay")
    groups = [
        {"params": [each for each in tensors if each.ndim >= 2], "weight_decay": decay},
        {"params": [each for each in tensors if each.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return (torch.optim.AdamW if name == "adamw" else torch.optim.SGD)(groups, **given)


def _backward(model: Any, inputs: Any, targets: Any, parts: int) -> None:
    """Gradients of the mean over all counted targets of the batch, part by part."""
    total = int((targets != IGNORE).sum())
    for some, wanted in zip(np.split(inputs, parts), np.split(targets, parts), strict=True):
        logits = model(input_ids=torch.from_numpy(some)).logits
        flat = torch.from_numpy(wanted).flatten()
        mean = torch.nn.functional.cross_entropy(logits.flatten(0, 1), flat, ignore_index=IGNORE)
        share = int((flat != IGNORE).sum()) / total
        (mean if parts == 1 else mean * share).backward()


if __name__ == "__main__":
    main(sys.argv[1])
