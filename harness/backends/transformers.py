"""A causal language model of `transformers`, of random weights, with adapters of `peft` where asked."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import harness.drivers
from harness import data
from harness.backends._places import expected_rates
from harness.backends._watched import WatchedProgram, threads_of
from harness.model import ProblemFacts
from harness.programs import Lora, TransformersModel
from harness.spec import Case
from harness.watching.program import Job

DRIVER = Path(harness.drivers.__file__).with_name("transformers_model.py")
ALPHA = 4
"""Times the rank, where the case does not say."""


class Transformers(WatchedProgram):
    """The case's data, optimizer, schedule and clipping, in a plain loop under observation."""

    packages: ClassVar[Mapping[str, str]] = {
        "transformers": "transformers>=5.0",
        "peft": "peft>=0.17",
    }
    models: ClassVar[tuple[type, ...]] = (TransformersModel,)

    def problem(self, case: Case, seen: ProblemFacts) -> ProblemFacts:
        """As of any program; the data are the suite's own, and their entropies are known."""
        return replace(super().problem(case, seen), anchors=data.load(case).anchors)

    def job(self, case: Case, scratch: Path) -> Job:
        """Our loop, with everything that it needs in a folder."""
        path = scratch / "told.json"
        path.write_text(json.dumps(_told(case)))
        batches = data.split(data.load(case).samples, case.config.steps)
        np.savez(
            scratch / "batches.npz",
            inputs=np.stack([batch.inputs for batch in batches]),
            targets=np.stack([batch.targets for batch in batches]),
        )
        environment = {**threads_of(case), "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        return Job(
            script=DRIVER, arguments=(str(path),), steps=case.config.steps, folder=scratch / "watched",
            home=scratch, environment=environment,
        )  # fmt: skip


def _told(case: Case) -> dict[str, Any]:
    config, model = case.config, case.model
    assert isinstance(model, TransformersModel)
    lora = model.transformers.lora
    return {
        "config": dict(model.transformers.config), "lora": _lora(lora) if lora else None,
        "optimizer": asdict(config.optimizer), "rates": expected_rates(case), "clip_norm": config.clip_norm,
        "micro_batches": config.micro_batches, "dtype": config.dtype, "seed": config.seed,
    }  # fmt: skip


def _lora(lora: Lora) -> dict[str, Any]:
    """In the words of `peft`."""
    target = lora.target if isinstance(lora.target, str) else list(lora.target)
    return {
        "r": lora.rank, "lora_alpha": ALPHA * lora.rank if lora.alpha is None else lora.alpha,
        "target_modules": target, "lora_dropout": lora.dropout, "inference_mode": lora.inference_mode,
    }  # fmt: skip
