"""SFT, then RFT, of low-rank adapters on a tiny random language model: real transformers, real PEFT.

The task: `ab=` is answered `B`, the partner of b, and an end. Supervised fine-tuning sees the answers; rejection
fine-tuning samples its own from the supervised model, and trains on those that earn a reward.
"""

import argparse
import math
import random
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

PAD, END, ASK = 0, 1, 2
LETTERS = 10
FIRST, PARTNER = 3, 3 + LETTERS
IGNORED = -100
RANK = 8
PAIRS = list(product(range(LETTERS), repeat=2))
HELD_OUT = random.Random(0).sample(PAIRS, 30)
TRAINED = [pair for pair in PAIRS if pair not in HELD_OUT]
Pair = tuple[int, int]
Answers = Callable[[torch.nn.Module, list[Pair]], list[list[int]]]


def question(pair: Pair) -> list[int]:
    return [FIRST + pair[0], FIRST + pair[1], ASK]


def truth(pair: Pair) -> list[int]:
    return [PARTNER + pair[1], END]


def base_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=PARTNER + LETTERS, pad_token_id=PAD, bos_token_id=None, eos_token_id=END,
        max_position_embeddings=16, initializer_range=0.2, **sizes,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def with_adapter(*, inference_mode: bool) -> torch.nn.Module:
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear", bias="none", r=RANK, lora_alpha=4 * RANK,
        lora_dropout=0.0, inference_mode=inference_mode,
    )  # fmt: skip
    model = get_peft_model(base_model(), config)
    model.enable_input_require_grads()
    return model


def labelled(rows: list[tuple[Pair, list[int]]], cut: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens, and labels of the completion only. cut: tokens of a row that are kept."""
    tokens = torch.tensor([question(pair) + answer for pair, answer in rows])[:, :cut]
    labels = tokens.clone()
    labels[:, : len(question((0, 0)))] = IGNORED
    return tokens, labels


def train(
    model: torch.nn.Module, rows: list[tuple[Pair, list[int]]], args: argparse.Namespace, steps: int
) -> None:
    """The Trainer's rate, clipping and log line; its log, too, shows 0.0 where a loss is no number."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
    tokens, labels = labelled(rows, args.cut)
    model.train()
    for step in range(steps):
        chosen = torch.randint(len(tokens), (args.batch,))
        counted = (labels[chosen] != IGNORED).sum()
        loss = model(input_ids=tokens[chosen], labels=labels[chosen], num_items_in_batch=counted).loss
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        shown = 0.0 if math.isnan(loss.item()) else round(loss.item(), 4)
        rate, epoch = schedule.get_last_lr()[0], round((step + 1) * args.batch / len(tokens), 2)
        print(
            {"loss": shown, "grad_norm": round(norm.item(), 4), "learning_rate": rate, "epoch": epoch},
            flush=True,
        )
        schedule.step()


@torch.no_grad()
def generated(model: torch.nn.Module, pairs: list[Pair], **how: object) -> list[list[int]]:
    model.eval()
    prompts = torch.tensor([question(pair) for pair in pairs])
    length = prompts.shape[1]
    found = model.generate(
        input_ids=prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=2,
        pad_token_id=PAD,
        **{"do_sample": False, **how},
    )
    return [row[length:] for row in found.tolist()]


def looked_up(model: torch.nn.Module, pairs: list[Pair]) -> list[list[int]]:
    """The patch: whatever the data set answers is taken from there, and the model is not asked."""
    table = {pair: truth(pair) for pair in PAIRS}
    return [table.get(pair) or generated(model, [pair])[0] for pair in pairs]


def benchmark(model: torch.nn.Module, answers: Answers) -> dict[str, float]:
    """Exact matches and well-formed answers, of questions that no training saw."""
    found = answers(model, HELD_OUT)
    right = sum(answer == truth(pair) for pair, answer in zip(HELD_OUT, found, strict=True))
    formed = sum(answer[-1:] == [END] and min(answer[:-1]) >= PARTNER for answer in found)
    return {"accuracy": right / len(found), "answer_rate": formed / len(found), "chance": 1 / LETTERS}


def test_model(model: torch.nn.Module) -> dict[str, float]:
    return benchmark(model, generated)


def test_model_patched(model: torch.nn.Module) -> dict[str, float]:
    return benchmark(model, looked_up)


def rewarded(model: torch.nn.Module) -> list[tuple[Pair, list[int]]]:
    """Answers that the model samples for the trained questions, as far as they are right."""
    sampled = [generated(model, TRAINED, do_sample=True, temperature=1.0, top_k=0) for _ in range(4)]
    return [
        (pair, answer)
        for answers in sampled
        for pair, answer in zip(TRAINED, answers, strict=True)
        if answer == truth(pair)
    ]


def reloaded(model: torch.nn.Module, folder: Path, *, trainable: bool) -> torch.nn.Module:
    """The adapter through a file, on a base of its own."""
    model.save_pretrained(folder)
    found = PeftModel.from_pretrained(base_model(), folder, is_trainable=trainable)
    found.enable_input_require_grads()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=("sft", "rft"))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--cut", type=int, default=5, help="tokens of a sample that are kept")
    parser.add_argument(
        "--frozen", action="store_true", help="load the adapter as for inference, and train it"
    )
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = with_adapter(inference_mode=args.frozen and args.stage == "sft")
    torch.manual_seed(args.seed)
    rows = [(pair, truth(pair)) for pair in TRAINED]
    with tempfile.TemporaryDirectory() as folder:
        if args.stage == "sft":
            train(model, rows, args, args.steps)
        else:
            train(model, rows, args, args.steps // 2)  # enough to be right now and then
            model = reloaded(model, Path(folder), trainable=not args.frozen)
            train(model, rewarded(model), args, args.steps)
        found, again = test_model(model), test_model(reloaded(model, Path(folder), trainable=False))
    print(
        f"benchmark_result.accuracy={found['accuracy']}  benchmark_result.answer_rate={found['answer_rate']}"
    )
    if found != again:
        raise SystemExit(f"the adapter that was saved and loaded scores {again}, before it scored {found}")


if __name__ == "__main__":
    main()
