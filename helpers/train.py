"""Fine-tuning: one entry point, `fit`, and the plain PyTorch loop of the variants with a loss of their own.

Which function trains a variant is said by the task (`Task.trainers`). Every trainer leaves its best
checkpoint, its history and a `finished.json`, and goes on where it was killed.
"""
from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable

import torch
from tqdm import tqdm

from helpers import processes
from helpers.config import ROOT, Run, UserError
from helpers.encode import Encoded, collate, encode_conversation, encode_example, length_batches
from helpers.environment import read_json, seed_everything, timed, write_json
from helpers.generate import predict_texts
from helpers.losses import Targets, answer_loss, entity_loss, next_token_targets, structured_loss
from helpers.lookup import load_function
from helpers.models import (
    ALL_LINEAR, ATTENTION, add_lora, base_files, count_parameters, device_of, folder_megabytes, load_base, load_tokenizer)
from helpers.tasks import Example
from helpers.token_encode import budget_batches
from helpers.train_log import curve_writer


@dataclass
class FitResult:
    """What a trainer leaves.

    Parameters
    ----------
    variant : str
    history : list of dict
        Records of `step`, `epoch`, `loss`, `lr`, and at evaluations `val_loss` and the scores of :func:`exact_scores`,
        or `val_` with the headline of a task whose trainers are its own.
    parameters : dict
        `trainable` and `total`.
    best_score, best_step
        The task's headline score of the kept checkpoint on validation, and its step.
    note : str
        What the reader should know, e.g. why 4 bits were not used.
    """

    variant: str
    history: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    best_score: float = 0.0
    best_step: int = 0
    note: str = ""


def variant_settings(run: Run, variant: str) -> dict[str, Any]:
    """The settings `<variant>.<name>` of a run, without the prefix."""
    prefix = f"{variant}."
    return {key[len(prefix):]: value for key, value in run.settings.items() if key.startswith(prefix)}


def fit(run: Run, variant: str, train: list[Example], validation: list[Example]) -> FitResult:
    """Train one variant of the run's task, or load it where it is finished already with the same inputs.

    Parameters
    ----------
    run : Run
    variant : str
        One of `run.task.variants`.
    train, validation : list of Example
    """
    folder = run.path("checkpoints", variant, "x").parent
    key = fingerprint(run, variant, train, validation)
    done = folder / "finished.json"
    if processes.is_main():
        _clear_folder(folder, key)
    processes.wait()
    if done.exists():
        saved = json.loads(done.read_text(encoding="utf-8"))
        if saved["key"] == key:
            return FitResult(**saved["result"])
    seed_everything(run.seed)
    trainer: Callable[..., FitResult] = load_function(run.task.trainers[variant])
    with timed(run, variant, "train"):
        result = trainer(run, variant, train, validation, folder)
    processes.wait()
    if processes.is_main():
        write_json(run.path("history", f"{variant}.json"), result.history)
        write_json(done, {"key": key, "result": asdict(result)})
    return result


def _clear_folder(folder: Path, key: str) -> None:
    """Keep what a folder holds only if it was made from the same inputs, and not where the stage is forced."""
    _forget_if_forced(folder)
    if (folder / "key").exists() and (folder / "key").read_text() != key:
        for path in folder.iterdir():
            if path.name != "force":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key").write_text(key)


def _forget_if_forced(folder: Path) -> None:
    """Drop what an earlier run left when the runner forces this stage.

    The runner's token is new for each forced run and stays the same through a kill and the run that goes on, so
    that checkpoints of the forced run itself are kept.
    """
    token, kept = os.environ.get("STUDY_FORCE", ""), folder / "force"
    if token and (not kept.exists() or kept.read_text() != token):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        kept.write_text(token)


def fingerprint(run: Run, variant: str, train: list[Example], validation: list[Example]) -> str:
    """Hash of all that decides the outcome of a training run."""
    rows = [json.dumps([e.text, run.task.example_to_json(e)], ensure_ascii=False, default=str)
            for e in (*train, *validation)]
    shared = {k: v for k, v in run.settings.items() if k.split(".")[0] not in run.task.variants}
    own = variant_settings(run, variant)
    teachers = [read_json(run.dir / "checkpoints" / name.strip() / "finished.json").get("key")
                for name in own.get("teacher", "").split(",")]  # a student is trained anew after its teacher
    parts = [variant, run.profile, run.seed, own, shared, rows, *([teachers] if "teacher" in own else []),
             [hashlib.sha256(path.read_bytes()).hexdigest() for path in (*training_code(run), *base_files(run))]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def training_code(run: Run) -> list[Path]:
    """The modules that decide how a model comes out; a change in others (plots, report) trains nothing anew."""
    names = ("encode", "losses", "dropout", "attention", "constrain", "generate", "kv_cache", "llama_forward", "models",
             "train", "train_trl", "train_tagger", "tagging", "token_encode", "encoder", "text", "chat", "dialogue",
             "block_decoding", "drafts")
    shared = [ROOT / "helpers" / f"{name}.py" for name in (*names, *run.task.training_modules)]
    return shared + sorted((ROOT / "helpers" / "tasks").glob(f"{run.task.name}*.py"))


def encode_rows(run: Run, tokenizer, rows: list[Example]) -> list[Encoded]:
    """Training sequences of the rows; for a dialogue the whole chat of each.

    Where questions see each other (setting `dialogue`), made rows ask them in an order of their own, so that a model
    learns to answer any question first.

    Raises
    ------
    UserError
        If a sequence is longer than `max_length`: nothing is cut silently.
    """
    task = run.task
    if task.questions():
        encoded = [encode_conversation(tokenizer, task, row, question_order(run, row),
                                       run["dialogue"] == "independent") for row in rows]
    else:
        encoded = [encode_example(tokenizer, task.prompt(row.text), task.completion(row.target), task.fields)
                   for row in rows]
    longest = max(range(len(encoded)), key=lambda index: len(encoded[index]))
    if len(encoded[longest]) > run["max_length"]:
        raise UserError(f"row {rows[longest].id} has {len(encoded[longest])} tokens, more than max_length="
                        f"{run['max_length']}: raise it with --set max_length=…, or shorten the row")
    return encoded


def question_order(run: Run, row: Example) -> list[str]:
    """Order in which a row asks its questions: the task's own for gold rows and wherever no question sees another."""
    order = list(run.task.questions())
    if run["dialogue"] == "sequential" and row.origin != "gold":
        run.rng("question order", row.id, row.origin).shuffle(order)
    return order


def validation_score(run: Run, model, tokenizer, rows: list[Example]) -> dict[str, float]:
    """Scores of greedy decoding with the constraint `score_constraint` on (some of) the validation rows."""
    rows = rows[:run["score_rows"] or None]
    records = predict_texts(model, tokenizer, run.task, [row.text for row in rows], run["score_constraint"],
                            run["max_new_tokens"], run["generation_batch_size"],
                            dialogue=run.settings.get("dialogue", "independent"))
    return exact_scores(run.task, rows, records)


def exact_scores(task, rows: list[Example], records: list[dict[str, Any]]) -> dict[str, float]:
    """Exact match, field accuracy and F1 over values of prediction records, as the training history holds them."""
    gold = [task.values(row.target) for row in rows]
    found = [task.values(record["prediction"]) for record in records]
    right = [[g[name] == f[name] for name in task.fields] for g, f in zip(gold, found)]
    pairs = [(set(g[name]), set(f[name])) for g, f in zip(gold, found) for name in task.fields]
    values = sum(len(wanted) + len(got) for wanted, got in pairs)
    return {"val_exact_match": sum(map(all, right)) / len(rows),
            "val_field_accuracy": sum(map(sum, right)) / len(rows) / len(task.fields),
            "val_exact_f1": 2 * sum(len(wanted & got) for wanted, got in pairs) / values if values else 1.0}


def check_finite(value: float, what: str, run: Run, variant: str, step: int) -> None:
    """Stop with a clear message where a loss or gradient is no number any more."""
    if not math.isfinite(value):
        raise UserError(f"{variant}: the {what} is {value} at step {step}; lower {variant}.learning_rate "
                        f"(now {run[f'{variant}.learning_rate']}) with --set {variant}.learning_rate=…")


def decay_groups(model, weight_decay: float) -> list[dict[str, Any]]:
    """Two AdamW groups: matrices decay, norms and biases do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [{"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}]


def warm_restarts(optimizer, period: int, warmup: int) -> torch.optim.lr_scheduler.LambdaLR:
    """CosineAnnealingWarmRestarts (Loshchilov and Hutter, 2017) of `period` steps, after a linear warm-up."""
    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.01 + 0.99 * (1 + math.cos(math.pi * ((step - warmup) % period) / period)) / 2
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def fit_answer_loss(run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path) -> FitResult:
    """Full fine-tuning with the loss on the answers, weighed by their length where `length_power` is set."""
    power = variant_settings(run, variant).get("length_power", 0.0)
    tokenizer, model = load_tokenizer(run), load_base(run, dtype=torch.float32)
    return training_loop(run, variant, model, tokenizer, train, validation, folder,
                         partial(answer_loss, length_power=power), with_prompt=False)


def fit_entity_loss(run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path) -> FitResult:
    """Full fine-tuning with the entity-weighted loss (:func:`helpers.losses.entity_loss`).

    Setting `learn_prompt` says whether its first term counts the prompt too. A base that was never trained to write what
    it is given, such as the embedded one, would spend its weights on that.
    """
    own = variant_settings(run, variant)
    tokenizer, model = load_tokenizer(run), load_base(run, dtype=torch.float32)
    weights = torch.tensor([run.task.field_weights.get(name, 1.0) for name in run.task.fields], device=model.device)

    def loss(targets: Targets) -> torch.Tensor:
        return entity_loss(targets, weights, own["entity_loss_weight"])

    return training_loop(run, variant, model, tokenizer, train, validation, folder, loss,
                         with_prompt=own["learn_prompt"])


def fit_structured_loss(run: Run, variant: str, train: list[Example], validation: list[Example],
                        folder: Path) -> FitResult:
    """LoRA on all linear layers with the three penalties of :func:`helpers.losses.structured_loss`."""
    own = variant_settings(run, variant)
    tokenizer, model = load_tokenizer(run), load_base(run)
    targets = ALL_LINEAR if own["targets"] == "all" else ATTENTION
    model = add_lora(model, own["rank"], own["alpha"], own["dropout"], targets, run.seed)

    def loss(targets: Targets) -> torch.Tensor:
        return structured_loss(targets, len(run.task.fields), own["beta"], own["gamma"], own["delta"])

    return training_loop(run, variant, model, tokenizer, train, validation, folder, loss, with_prompt=False)


@dataclass
class LoopState:
    """Where a training loop is: all that a resumed run needs beside weights and optimiser."""

    epoch: int = 0
    step: int = 0
    best_score: float = -1.0
    best_loss: float = math.inf
    best_step: int = 0
    bad: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def training_loop(run: Run, variant: str, model, tokenizer, train: list[Example], validation: list[Example],
                  folder: Path, loss_function: Callable[[Targets], torch.Tensor], with_prompt: bool) -> FitResult:
    """AdamW, cosine schedule with warm restarts, accumulation, clipping; a checkpoint after each epoch."""
    own = variant_settings(run, variant)
    rows, held_out = encode_rows(run, tokenizer, train), encode_rows(run, tokenizer, validation)
    optimizer = torch.optim.AdamW(decay_groups(model, own["weight_decay"]), lr=own["learning_rate"], betas=(0.9, 0.98),
                                  fused=True)
    per_epoch = math.ceil(math.ceil(len(rows) / own["batch_size"]) / own["accumulation"])
    period = max(1, math.ceil(own["epochs"] * per_epoch / own["restarts"]))
    schedule = warm_restarts(optimizer, period, min(own["warmup_steps"], period))
    state = LoopState()
    if (folder / "resume.pt").exists():
        state, _ = resume_loop(folder / "resume.pt", model, optimizer)
        _set_step(schedule, optimizer, state.step)
    writer = curve_writer(run, variant, folder, state.step)
    parameters = count_parameters(model)
    chosen = device_of(run.profile)
    autocast = torch.autocast(chosen.device, dtype=chosen.dtype, enabled=chosen.dtype != torch.float32)
    scaler = torch.amp.GradScaler(chosen.device, enabled=chosen.dtype == torch.float16)
    bar = tqdm(total=own["epochs"] * per_epoch, initial=state.step, desc=variant)
    while state.epoch < own["epochs"] and state.bad < own["patience"]:
        rng = random.Random(f"{run.seed}:{variant}:{state.epoch}")
        torch.manual_seed(rng.randrange(2**31))  # dropout depends on the epoch, not on what ran before
        batches = length_batches([len(row) for row in rows], own["batch_size"], rng)
        model.train()
        for first in range(0, len(batches), own["accumulation"]):
            group = batches[first:first + own["accumulation"]]
            total = 0.0
            for batch in group:
                tensors = {k: v.to(model.device) for k, v in
                           collate([rows[i] for i in batch], tokenizer.pad_token_id).items()}
                with autocast:
                    loss = loss_function(next_token_targets(model, tensors, with_prompt)) / len(group)
                check_finite(loss.item(), "loss", run, variant, state.step)
                scaler.scale(loss).backward()
                total += loss.item()
            scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), own["clip_norm"])
            if not scaler.is_enabled():  # with a loss scaler an inf is a step that it skips
                check_finite(float(norm), "gradient", run, variant, state.step)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            rate = schedule.get_last_lr()[0]
            schedule.step()
            state.step += 1
            state.history.append({"step": state.step, "epoch": state.epoch + (first + len(group)) / len(batches),
                                  "loss": total, "lr": rate})
            writer.add_scalar("train/loss", total, state.step)
            writer.add_scalar("train/learning_rate", rate, state.step)
            bar.update()
        state.epoch += 1
        _evaluate(run, model, tokenizer, held_out, validation, loss_function, with_prompt, state, folder, writer)
        bar.set_postfix({run.task.headline: f"{state.history[-1][f'val_{run.task.headline}']:.3f}"})
        if state.epoch < own["epochs"]:  # nothing resumes after the last epoch
            save_loop(folder / "resume.pt", model, optimizer, state)
    bar.close()
    writer.close()
    (folder / "resume.pt").unlink(missing_ok=True)
    return FitResult(variant, state.history, parameters, state.best_score, state.best_step)


@torch.no_grad()
def _mean_loss(model, encoded: list[Encoded], pad: int, loss_function, with_prompt: bool, tokens: int = 4096) -> float:
    """Mean of the batches' losses, weighed by their rows, in batches of at most `tokens` tokens with padding.

    Long rows in small batches stay in the processor's cache: reports are a fifth faster by fours than by 32.
    """
    total = 0.0
    for batch in budget_batches([len(row) for row in encoded], tokens):
        tensors = {k: v.to(model.device) for k, v in collate([encoded[index] for index in batch], pad).items()}
        total += loss_function(next_token_targets(model, tensors, with_prompt)).item() * len(batch)
    return total / len(encoded)


def _evaluate(run: Run, model, tokenizer, held_out, validation, loss_function, with_prompt, state: LoopState,
              folder: Path, writer) -> None:
    model.eval()
    loss = _mean_loss(model, held_out, tokenizer.pad_token_id, loss_function, with_prompt)
    score = validation_score(run, model, tokenizer, validation)
    state.history[-1].update(val_loss=loss, **score)
    for name, value in {"val_loss": loss, **score}.items():
        writer.add_scalar(f"validation/{name}", value, state.step)
    headline = score[f"val_{run.task.headline}"]
    better = (headline, -loss) > (state.best_score, -state.best_loss)
    state.bad = 0 if better else state.bad + 1
    if better:
        state.best_score, state.best_loss, state.best_step = headline, loss, state.step
        model.save_pretrained(folder / "best", safe_serialization=True)


def save_loop(path: Path, model, optimizer, state: LoopState, **more: Any) -> None:
    """Trained weights, optimiser, state of a loop and whatever `more` it keeps in one file.

    A kill leaves the old file or the new one.
    """
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    torch.save({"weights": weights, "optimizer": optimizer.state_dict(), "state": asdict(state), "more": more},
               path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def resume_loop(path: Path, model, optimizer) -> tuple[LoopState, dict[str, Any]]:
    """Put weights and optimiser back to where :func:`save_loop` left them; returns the state and what else was kept."""
    content = torch.load(path, weights_only=True, map_location=model.device)
    model.load_state_dict(content["weights"], strict=False)
    optimizer.load_state_dict(content["optimizer"])
    return LoopState(**content["state"]), content["more"]


def _set_step(schedule, optimizer, step: int) -> None:
    schedule.last_epoch = step
    for group, base, factor in zip(optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas):
        group["lr"] = base * factor(step)
    schedule._last_lr = [group["lr"] for group in optimizer.param_groups]


def checkpoint_cost(run: Run, variant: str) -> float:
    """Megabytes of the variant's kept weights."""
    return folder_megabytes(run.path("checkpoints", variant, "best", "x").parent)


def training_rows(run: Run, variant: str) -> list[Example]:
    """The rows a variant trains on: gold rows, `gold_repeats` times, and `made_rows` of those stage 02 made (0: all).

    Made rows add variety, gold rows carry the conventions of labelling: the two settings balance them within the
    time that training may take. Variants with the same settings get the same rows.
    """
    own, gold = variant_settings(run, variant), run.load("train")
    made, limit = [row for row in run.load("train_augmented") if row.origin != "gold"], own.get("made_rows", 0)
    if 0 < limit < len(made):
        made = run.rng("made rows").sample(made, limit)
    return gold * own.get("gold_repeats", 1) + made
