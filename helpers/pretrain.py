"""Make the embedded base language model from synthetic extraction text.

Run as:
    python -m helpers.pretrain --profile cpu --out artifacts/base     # over an hour on two cores
    python -m helpers.pretrain --profile gpu --out artifacts/base     # minutes on one large GPU
    python -m helpers.pretrain --profile smoke --out /tmp/base        # seconds, proves the code

A run that was stopped continues from its last checkpoint in `<out>/checkpoint.pt`.
"""
from __future__ import annotations

import hashlib
import json
import os
import random
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
import typer
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from helpers.base_card import write_card
from helpers.base_tokenizer import train_tokenizer
from helpers.config import ROOT, UserError, one_of
from helpers.corpus import mixture
from helpers.induction import start_with_induction
from helpers.optimisers import Muon
from helpers.packing import LONG, Batch, shard
from helpers.text import normalise

torch.set_flush_denormal(True)  # see helpers.models


@dataclass(frozen=True)
class Recipe:
    """What a pre-training run does.

    Parameters
    ----------
    vocab_size, hidden_size, layers, intermediate_size, heads : int
        Size of the Llama model.
    rope_theta : float
        Base of the rotary frequencies; large, so that part of each head's dimensions are blind to distance.
    tokens : int
        Tokens to read, padding not counted.
    copy_tokens : int
        Tokens at the start that come from the short mixture, :data:`helpers.corpus.mixture.OPENING`.
    tokens_per_batch, documents_per_shard : int
    start : str
        `induction` (:mod:`helpers.induction`) or `random`.
    optimiser : str
        What updates the matrices: `muon` or `adamw`.
    matrix_lr, other_lr : float
        Peak learning rates of the matrices and (always AdamW) of embedding and norms.
    warmup_steps : int
    decay_share : float
        Last share of the run in which the learning rate falls linearly to zero.
    given_weight : float
        Loss weight of text that is given rather than answered.
    packed : bool
        Several documents a row (GPU), or one (CPU); see :func:`helpers.packing.shard`.
    """

    vocab_size: int = 3072
    hidden_size: int = 224
    layers: int = 6
    intermediate_size: int = 608
    heads: int = 4
    rope_theta: float = 1e8
    tokens: int = 18_000_000
    copy_tokens: int = 1_500_000
    tokens_per_batch: int = 3072
    documents_per_shard: int = 3000
    start: str = "induction"
    optimiser: str = "muon"
    matrix_lr: float = 0.015
    other_lr: float = 3e-3
    warmup_steps: int = 100
    decay_share: float = 0.6
    given_weight: float = 0.0
    packed: bool = False
    seed: int = 1


RECIPES = {
    "smoke": Recipe(vocab_size=700, hidden_size=64, layers=2, intermediate_size=128, heads=4, tokens=160_000,
                    copy_tokens=20_000, documents_per_shard=200, warmup_steps=8),
    "cpu": Recipe(),
    "gpu": Recipe(tokens=2_000_000_000, tokens_per_batch=131_072, documents_per_shard=40_000, packed=True),
}


def build_model(recipe: Recipe, tokenizer) -> LlamaForCausalLM:
    """A fresh Llama of the recipe's size with tied embeddings and a context of 2,048 tokens, able to copy."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=recipe.hidden_size, intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads, num_key_value_heads=recipe.heads,
        max_position_embeddings=LONG, tie_word_embeddings=True, rope_theta=recipe.rope_theta,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id)
    model = LlamaForCausalLM(config)
    if recipe.start == "induction":
        start_with_induction(model, recipe.seed)
    return model


MATRIX_LR = {"muon": 0.015, "adamw": 1e-3}  # each one's best of the trials in the model card


def build_optimisers(recipe: Recipe, model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """One optimiser for the matrices of the layers, one for embedding and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    kind = {"muon": Muon, "adamw": torch.optim.AdamW}[recipe.optimiser]
    adam = {"betas": (0.9, 0.95), "weight_decay": 0.0}
    return [kind(matrices, lr=recipe.matrix_lr, **({} if kind is Muon else adam)),
            torch.optim.AdamW(others, lr=recipe.other_lr, **adam)]


def weighted_loss(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Mean next-token cross-entropy, each target token weighted; logits are made only where they count."""
    hidden = model.model(batch.input_ids[:, :-1]).last_hidden_state
    targets, weights = batch.input_ids[:, 1:], batch.weights[:, 1:]
    counted = weights > 0
    losses = F.cross_entropy(model.lm_head(hidden[counted]).float(), targets[counted], reduction="none")
    return (losses * weights[counted]).sum() / weights[counted].sum()


def flops_per_token(model: LlamaForCausalLM, length: int) -> float:
    """Training FLOPs a token: 6 a parameter plus attention over half the row (Kaplan et al., 2020)."""
    config = model.config
    return 6 * sum(p.numel() for p in model.parameters()) + 6 * config.num_hidden_layers * config.hidden_size * length


def peak_flops(device: torch.device, dtype: torch.dtype, size: int = 1024) -> float:
    """FLOP/s of a square matrix product, measured: the ceiling that the MFU is a share of."""
    size = 8192 if device.type == "cuda" else size
    left = torch.randn(size, size, device=device, dtype=dtype)
    seconds = []
    for _ in range(6):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        left @ left
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def evaluation_texts() -> frozenset[str]:
    """Normalised input texts of the shipped samples: no training document may hold one of them."""
    texts = set()
    for path in sorted((ROOT / "data").glob("*/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts.add(normalise(row.get("event_text") or row.get("conversation") or " ".join(row.get("tokens", []))))
    return frozenset(texts)


def learning_rate_factor(step: int, share: float, recipe: Recipe) -> float:
    """Warm-up, plateau, linear decay to 1 % of the peak (share is the share of tokens read)."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    return warm * max(0.01, min(1.0, (1 - share) / recipe.decay_share))


def shard_batches(recipe: Recipe, tokenizer, number: int, banned: frozenset[str], opening: bool = False) -> list[Batch]:
    """The batches of shard `number`; it depends on the seed, the number and the mixture alone."""
    documents = mixture.stream(seed=recipe.seed * 1_000_003 + number, banned=banned, opening=opening)
    rng = random.Random(f"{recipe.seed}:{number}")
    return shard(documents, tokenizer, recipe.documents_per_shard, recipe.tokens_per_batch, rng,
                 recipe.given_weight, recipe.packed)


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, batches: list[Batch], device: torch.device) -> float:
    """Mean answer loss on held-out batches."""
    model.eval()
    losses = [weighted_loss(model, Batch(b.input_ids.to(device), (b.weights == 1).float().to(device))).item()
              for b in batches]
    model.train()
    return sum(losses) / len(losses)


def make_tokenizer(recipe: Recipe):
    """The tokenizer, trained on the first documents of the stream."""
    documents = mixture.stream(seed=recipe.seed * 7919)
    count = 2000 if recipe.vocab_size < 1000 else 25_000
    return train_tokenizer((next(documents).text for _ in range(count)), recipe.vocab_size)


def pretrain(recipe: Recipe, out: Path, profile: str = "cpu", save_every: int = 300, max_seconds: float = 0,
             start_from: Path | None = None) -> dict:
    """Train the model and write model, tokenizer, history and checksum to `out`.

    Parameters
    ----------
    recipe : Recipe
    out : Path
    profile : str
        `gpu` uses CUDA and, from compute capability 8.0, bfloat16; the others fp32 on the CPU.
    save_every : int
        Steps between checkpoints.
    max_seconds : float
        Let the learning rate fall, and finish, within so many seconds; 0 for no limit.
    start_from : Path, optional
        Finished model whose training goes on with documents it has not seen, with a new warm-up.

    Returns
    -------
    dict
        Tokens, steps, seconds, MFU and the loss history.
    """
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if profile == "gpu" and torch.cuda.is_available() else "cpu")
    if profile == "gpu" and device.type == "cpu":
        raise UserError("profile gpu needs a CUDA device: none was found; use --profile cpu")
    half = device.type == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
    checkpoint_path = out / "checkpoint.pt"
    resumed = out if checkpoint_path.exists() else start_from
    if resumed:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(resumed)
    else:
        tokenizer = make_tokenizer(recipe)
    tokenizer.save_pretrained(out)
    model = build_model(recipe, tokenizer)
    if start_from:
        model.load_state_dict(LlamaForCausalLM.from_pretrained(start_from, dtype=torch.float32).state_dict())
    model = model.to(device).train()
    optimisers = build_optimisers(recipe, model)
    peaks = [group["lr"] for optimiser in optimisers for group in optimiser.param_groups]
    state = {"shard": 0, "batch": 0, "opening": True, "step": 0, "tokens": 0, "flops": 0.0, "seconds": 0.0,
             "history": [], "before": {}}
    if start_from:
        before = json.loads((start_from / "pretraining.json").read_text(encoding="utf-8"))
        state |= {"shard": 1000 * (1 + len(before.get("sittings", []))), "opening": False, "before": before}
    if checkpoint_path.exists():
        saved = torch.load(checkpoint_path, weights_only=True, map_location=device)
        model.load_state_dict(saved["model"])
        for optimiser, content in zip(optimisers, saved["optimisers"]):
            optimiser.load_state_dict(content)
        state = saved["state"]
    banned = evaluation_texts()
    held_out = shard_batches(Recipe(**{**asdict(recipe), "seed": recipe.seed + 999, "documents_per_shard": 200}),
                             tokenizer, 0, banned)
    ceiling = peak_flops(device, torch.bfloat16 if half else torch.float32)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters / 1e6:.2f} M parameters on {device} in {'bf16' if half else 'fp32'}; "
          f"matrix products reach {ceiling / 1e9:.0f} GFLOP/s", flush=True)
    bar = tqdm(total=recipe.tokens, initial=state["tokens"], unit="tok", unit_scale=True, mininterval=5)
    started, losses = time.perf_counter(), []

    def save() -> None:
        timed = {**state, "seconds": state["seconds"] + time.perf_counter() - started}
        saved = {"model": model.state_dict(), "optimisers": [o.state_dict() for o in optimisers], "state": timed}
        torch.save(saved, checkpoint_path.with_suffix(".tmp"))
        os.replace(checkpoint_path.with_suffix(".tmp"), checkpoint_path)

    def log() -> None:
        seconds = state["seconds"] + time.perf_counter() - started
        record = {"step": state["step"], "tokens": state["tokens"], "train_loss": sum(losses) / max(1, len(losses)),
                  "held_out_loss": evaluate(model, held_out, device), "seconds": round(seconds, 1)}
        state["history"].append(record)
        losses.clear()
        tqdm.write(json.dumps(record))

    while state["tokens"] < recipe.tokens and not (max_seconds and time.perf_counter() - started > max_seconds):
        batches = shard_batches(recipe, tokenizer, state["shard"], banned, state["opening"])
        for batch in batches[state["batch"]:]:
            share = state["tokens"] / recipe.tokens
            if max_seconds:
                share = max(share, (time.perf_counter() - started) / max_seconds)
            factor = learning_rate_factor(state["step"], share, recipe)
            groups = [group for optimiser in optimisers for group in optimiser.param_groups]
            for group, peak in zip(groups, peaks):
                group["lr"] = peak * factor
            batch = Batch(batch.input_ids.to(device), batch.weights.to(device))
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=half):
                loss = weighted_loss(model, batch)
            if not torch.isfinite(loss):
                raise UserError(f"pre-training stopped at step {state['step']}: the loss is {loss.item()}; "
                                "lower the learning rates of the recipe")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimiser in optimisers:
                optimiser.step()
                optimiser.zero_grad()
            read = int((batch.input_ids != tokenizer.pad_token_id).sum())
            state["tokens"] += read
            state["flops"] += read * flops_per_token(model, batch.input_ids.shape[1])
            state["step"] += 1
            state["batch"] += 1
            losses.append(loss.item())
            bar.update(read)
            if state["step"] % save_every == 0:
                log()
                save()
            if share >= 1 or state["tokens"] >= recipe.tokens:
                break
        else:
            state |= {"shard": state["shard"] + 1, "batch": 0, "opening": state["tokens"] < recipe.copy_tokens}
            continue
        break
    log()
    bar.close()
    state["seconds"] += time.perf_counter() - started
    model.to("cpu", torch.float16).save_pretrained(out)  # half the size; loaded in fp32, the rounding is harmless
    checkpoint_path.unlink(missing_ok=True)
    # once more, since another process may have been at work during the first measurement
    ceiling = max(ceiling, peak_flops(device, torch.bfloat16 if half else torch.float32))
    return describe(recipe, state, out, ceiling, device)


def describe(recipe: Recipe, state: dict, out: Path, ceiling: float, device: torch.device) -> dict:
    """Write `pretraining.json` beside the weights: recipe, tokens, loss curve, checksum, hardware.

    Totals are over all sittings of a model that was trained on; `sittings` has each of them.
    """
    weights, before = out / "model.safetensors", state["before"]
    shares = {name: weight for name, (weight, _) in mixture.MIXTURE.items()}
    sitting = {"recipe": asdict(recipe), "mixture": shares, "tokens": state["tokens"], "steps": state["step"],
               "seconds": state["seconds"], "mfu": state["flops"] / state["seconds"] / ceiling}
    sittings = before.get("sittings", []) + [sitting]
    tokens, steps, seconds = (sum(one[key] for one in sittings) for key in ("tokens", "steps", "seconds"))
    earlier = before.get("history", [])
    offset = {key: earlier[-1][key] if earlier else 0 for key in ("tokens", "step", "seconds")}
    summary = {
        **{key: sitting[key] for key in ("recipe", "mixture")}, "tokens": tokens, "steps": steps, "seconds": seconds,
        "tokens_per_second": tokens / seconds, "mfu": sum(one["mfu"] * one["seconds"] for one in sittings) / seconds,
        "device": str(device), "threads": torch.get_num_threads(), "peak_gflops": ceiling / 1e9,
        "weights_bytes": weights.stat().st_size, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "history": earlier + [{**one, **{key: one[key] + offset[key] for key in offset}} for one in state["history"]],
        "sittings": sittings}
    (out / "pretraining.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    write_card(out)
    print(f"{state['tokens'] / 1e6:.1f} M tokens in {state['seconds']:.0f} s: "
          f"{state['tokens'] / state['seconds']:.0f} tokens/s, MFU {sitting['mfu']:.2f}", flush=True)
    return summary


def main(profile: str = typer.Option("cpu", help="smoke, cpu or gpu"), out: Path = typer.Option(ROOT / "artifacts/base"),
         tokens: int = typer.Option(0, help="tokens to read; 0 keeps the recipe's"),
         max_seconds: float = typer.Option(0, help="finish within so many seconds"),
         start_from: Path = typer.Option(None, help="folder of a finished model to train on"),
         optimiser: str = typer.Option("", help="for the matrices: muon or adamw; the recipe's if not given"),
         peak: float = typer.Option(1.0, help="multiple of the learning rates")) -> None:
    """Pre-train the embedded base model on synthetic extraction text."""
    try:
        recipe = RECIPES[one_of(profile, tuple(RECIPES), "profile")]
        kind = one_of(optimiser or recipe.optimiser, tuple(MATRIX_LR), "optimiser")
        matrix_lr = recipe.matrix_lr if kind == recipe.optimiser else MATRIX_LR[kind]
        changes = {"optimiser": kind, "matrix_lr": peak * matrix_lr, "other_lr": peak * recipe.other_lr}
        if tokens:
            changes["tokens"] = tokens
        if start_from:
            changes |= {"decay_share": 1.0, "copy_tokens": 0}
        pretrain(replace(recipe, **changes), out, profile, max_seconds=max_seconds, start_from=start_from)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    typer.run(main)
