"""Fine-tuning an encoder as a span tagger: BIO tags a field on all-MiniLM-L6-v2 or a BERT of the hub.

With the setting `hints` the tagger also sees what the task's rules propose: an embedding of the rules' tag of each field
is added to that of the word piece. So it learns from gold rows where the rules can be trusted.
"""
from __future__ import annotations

import json
import math
import random
from functools import partial
from pathlib import Path
from typing import Any, Sequence

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from helpers.files import write_json
from helpers.models.adapters import count_parameters
from helpers.models.base import device_of, explain_load_error
from helpers.models.encoder import encoder_path
from helpers.run import Run
from helpers.tagging.tags import (
    IGNORE,
    Tagged,
    collate_tagged,
    spans_of_tags,
    tag_text,
    viterbi_of_fields,
    widen,
    windows,
)
from helpers.tagging.token_encode import budget_batches
from helpers.tasks import Example
from helpers.training.log import curve_writer
from helpers.training.loop import (
    FitResult,
    LoopState,
    check_finite,
    decay_groups,
    exact_scores,
    length_batches,
    resume_loop,
    save_loop,
)
from helpers.training.rows import variant_settings

HINTS = "hints.safetensors"
UNTRUSTED = 0.15
"""Share of training rows whose hints are withheld, so that the tagger learns to do without."""


def add_hints(model, fields: int, weight: torch.Tensor | None = None) -> None:
    """Give a model embeddings of the hints (three tags a field), or those of `weight` (3 · fields, width)."""
    model.hints = torch.nn.Embedding(3 * fields, model.config.hidden_size)
    if weight is None:
        torch.nn.init.normal_(model.hints.weight, std=0.02)
    else:
        model.hints.weight.data.copy_(weight)


def build_tagger(run: Run, hints: bool = False):
    """(model, tokenizer): the run's encoder with a fresh linear head of three logits a field.

    On the CPU attention has no dropout: with it PyTorch leaves its fast path.
    """
    from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

    name, chosen = encoder_path(run), device_of(run.profile)
    torch.manual_seed(run.seed)
    try:
        config = AutoConfig.from_pretrained(name, num_labels=3 * len(run.task.fields))
        for setting in ("attention_probs_dropout_prob", "attention_dropout"):  # as BERT and as DistilBERT name it
            if chosen.device == "cpu" and hasattr(config, setting):
                setattr(config, setting, 0.0)
        model = AutoModelForTokenClassification.from_pretrained(name, config=config, dtype=torch.float32, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise explain_load_error(name, error, "encoder_model") from None
    if hints:
        add_hints(model, len(run.task.fields))
    return model.to(chosen.device), tokenizer


def field_logits(model, batch: dict[str, torch.Tensor], fields: int) -> torch.Tensor:
    """Tag logits (rows, pieces, fields, 3)."""
    own = getattr(model, "tag_logits", None)  # a graph adds the embeddings of its hints itself
    logits = (own or partial(tag_logits, model))(batch).float()
    return logits.view(*logits.shape[:2], fields, 3)


def tag_logits(model, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Logits (rows, pieces, labels) of `input_ids`, `attention_mask` and, where the model takes them, `hints`."""
    given = {"input_ids": batch["input_ids"]}
    if "hints" in batch:
        # the sum of one embedding a field, as a product with ones: quicker than to look up and to add them
        ones = (batch["hints"][..., None] == torch.arange(3, device=batch["hints"].device)).flatten(-2)
        hints = ones.to(model.hints.weight.dtype) @ model.hints.weight
        given = {"inputs_embeds": model.get_input_embeddings()(batch["input_ids"]) + hints}
    return model(**given, attention_mask=batch["attention_mask"]).logits


def tagging_loss(model, batch: dict[str, torch.Tensor], fields: int, inside_weight: float = 1.0) -> torch.Tensor:
    """Cross-entropy summed over fields and averaged over word pieces.

    Words of a value count `inside_weight` times: in a long text with many fields they are so few that a model does well
    for a long time by finding nothing.
    """
    logits, labels = field_logits(model, batch, fields), batch["labels"]
    words = batch["attention_mask"].sum()
    return F.cross_entropy(logits.flatten(0, 2), labels.flatten(), ignore_index=IGNORE, reduction="sum",
                           weight=logits.new_tensor([1.0, inside_weight, inside_weight])) / words


@torch.inference_mode()
def tag_texts(run: Run, model, tokenizer, texts: Sequence[str], knowledge: Any, batch_pieces: int = 4096,
              progress: str | None = None) -> list[dict[str, Any]]:
    """Predictions of a tagger for texts: best tags by Viterbi, spans to values by the task.

    `raw` holds the found spans as JSON (None for a task that asks questions), `confidence` the probability of each field's whole tag sequence.
    """
    model.eval()
    task = run.task
    items = read_texts(task, model, tokenizer, texts)
    limit, pieces, rows_of_piece = longest_window(model, tokenizer), [], []
    for row, item in enumerate(items):
        cut = windows(item, limit)
        pieces += cut
        rows_of_piece += [row] * len(cut)
    scores: list[torch.Tensor] = [torch.empty(0)] * len(pieces)
    bar = tqdm(total=len(pieces), desc=progress, disable=progress is None, leave=False)
    for chosen in budget_batches([len(piece) for piece in pieces], batch_pieces):
        batch = collate_tagged([pieces[at] for at in chosen], tokenizer.pad_token_id or 0)
        log_probs = field_logits(model, {k: v.to(model.device) for k, v in batch.items()}, len(task.fields))
        log_probs = log_probs.log_softmax(-1).cpu()
        for slot, at in enumerate(chosen):
            scores[at] = log_probs[slot, pieces[at].heads]
        bar.update(len(chosen))
    of_row: list[list[torch.Tensor]] = [[] for _ in texts]
    for row, found in zip(rows_of_piece, scores):
        of_row[row].append(found)
    none = torch.empty(0, len(task.fields), 3)  # a text without words
    records = [_read_tags(task, text, item, torch.cat([none, *found]), knowledge)
               for text, item, found in zip(texts, items, of_row)]
    bar.close()
    return records


def read_texts(task, model, tokenizer, texts: Sequence[str]) -> list[Tagged]:
    """Texts as the model takes them: with the rules' proposals where it was trained to see them."""
    hinted = hasattr(model, "hints")
    return [tag_text(tokenizer, text, hints=proposed(task, text) if hinted else None) for text in texts]


def proposed(task, text: str) -> list[list[tuple[int, int]] | None]:
    """Spans of the values that the task's rules find in a text, in the order of the fields."""
    spans = task.spans(Example(0, text, task.rules(text)))
    return [spans[name] for name in task.fields]


def withheld(batch: dict[str, torch.Tensor], rng: random.Random) -> dict[str, torch.Tensor]:
    """The batch with the hints of some rows taken out."""
    if "hints" in batch:
        kept = torch.tensor([rng.random() >= UNTRUSTED for _ in batch["hints"]])
        batch["hints"] *= kept[:, None, None]  # OUTSIDE is 0
    return batch


def _read_tags(task, text: str, item: Tagged, log_probs: torch.Tensor, knowledge: Any) -> dict[str, Any]:
    spans, confidence = {}, {}
    for index, (name, (tags, total)) in enumerate(zip(task.fields, viterbi_of_fields(log_probs))):
        found = spans_of_tags(tags, item.units, log_probs[:, index])
        if name not in task.list_fields:
            found = sorted(found, key=lambda pair: -pair[1])[:1]
        spans[name] = [widen(span, text) for span, _ in found]
        confidence[name] = round(math.exp(total), 6)
    raw = None if task.questions() else json.dumps(  # where questions are asked `raw` holds what was answered
        {name: [text[s:e] for s, e in places] for name, places in spans.items()}, ensure_ascii=False)
    return {"prediction": task.from_spans(text, spans, knowledge), "raw": raw, "error": None, "truncated": False,
            "confidence": confidence}


def longest_window(model, tokenizer) -> int:
    """Word pieces that the encoder takes at once, the special ones counted."""
    return min(getattr(model.config, "max_position_embeddings", 512), tokenizer.model_max_length)


def rated_groups(model, own: dict[str, Any]) -> list[dict[str, Any]]:
    """AdamW groups: new layers (head and hints) at `head_rate`, the encoder at `learning_rate`; matrices decay."""
    new = {id(p) for name, p in model.named_parameters() if name.split(".")[0] in ("classifier", "hints")}
    groups = []
    for group in decay_groups(model, own["weight_decay"]):
        for rate, parameters in ((own["learning_rate"], [p for p in group["params"] if id(p) not in new]),
                                 (own["head_rate"], [p for p in group["params"] if id(p) in new])):
            groups.append({**group, "params": parameters, "lr": rate, "peak": rate})
    return [group for group in groups if group["params"]]


def fit_tagger(run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path) -> FitResult:
    """Train in two phases: one pass over the made rows, then `epochs` passes over the gold rows.

    Made rows teach what a date or a list of people looks like; the conventions of labelling are in the gold rows,
    which therefore come last. The schedule falls linearly within each phase.
    """
    own, task = variant_settings(run, variant), run.task
    model, tokenizer = build_tagger(run, own["hints"])
    gold = list({row.id: row for row in train if row.origin == "gold"}.values())
    made = [row for row in train if row.origin != "gold"]
    knowledge = task.learn_conventions(gold)

    def prepared(rows: Sequence[Example]) -> list[Tagged]:
        spans = [task.spans(row) for row in rows]
        hints = [proposed(task, row.text) if own["hints"] else None for row in rows]
        tagged = [tag_text(tokenizer, row.text, [s[name] for name in task.fields], hint)
                  for row, s, hint in zip(rows, spans, hints)]
        limit = longest_window(model, tokenizer)
        return [window for item in tagged for window in windows(item, limit)]

    phases = [prepared(made)] * (own["made_epochs"] if made else 0) + [prepared(gold)] * own["epochs"]
    first_gold = len(phases) - own["epochs"]
    model.get_input_embeddings().weight.requires_grad_(not own["freeze_embeddings"])
    optimizer = torch.optim.AdamW(rated_groups(model, own), fused=True)
    counts = [math.ceil(len(rows) / own["batch_size"]) for rows in phases]
    state = LoopState()
    if (folder / "resume.pt").exists():
        state, _ = resume_loop(folder / "resume.pt", model, optimizer)
    writer = curve_writer(run, variant, folder, state.step)
    bar = tqdm(total=sum(counts), initial=state.step, desc=variant)
    while state.epoch < len(phases) and state.bad < own["patience"]:
        rows, rng = phases[state.epoch], random.Random(f"{run.seed}:{variant}:{state.epoch}")
        torch.manual_seed(rng.randrange(2**31))
        low, high = (0, first_gold) if state.epoch < first_gold else (first_gold, len(phases))
        before, length = sum(counts[:low]), sum(counts[low:high])
        batches = length_batches([len(row) for row in rows], own["batch_size"], rng)
        model.train()
        for number, indices in enumerate(batches, 1):
            share = (state.step - before) / length
            factor = min(1.0, (state.step - before + 1) / max(1, own["warmup_steps"])) * (1 - share)
            for group in optimizer.param_groups:
                group["lr"] = factor * group["peak"]
            batch = withheld(collate_tagged([rows[index] for index in indices], tokenizer.pad_token_id or 0), rng)
            loss = tagging_loss(model, {k: v.to(model.device) for k, v in batch.items()}, len(task.fields),
                                own["inside_weight"])
            check_finite(loss.item(), "loss", run, variant, state.step)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), own["clip_norm"])
            check_finite(float(norm), "gradient", run, variant, state.step)
            optimizer.step()
            optimizer.zero_grad()
            state.step += 1
            state.history.append({"step": state.step, "epoch": state.epoch + number / len(batches),
                                  "loss": loss.item(), "lr": factor * own["learning_rate"]})
            writer.add_scalar("train/loss", loss.item(), state.step)
            bar.update()
        state.epoch += 1
        records = tag_texts(run, model, tokenizer, [row.text for row in validation], knowledge)
        score = exact_scores(task, validation, records)
        state.history[-1].update(score)
        headline = score[f"val_{task.headline}"]
        writer.add_scalar(f"validation/{task.headline}", headline, state.step)
        quality = headline + 1e-3 * score["val_field_accuracy"]
        better = quality > state.best_score
        state.bad = 0 if better or state.epoch <= first_gold else state.bad + 1
        if better:
            state.best_score, state.best_step = quality, state.step
            save_weights(model, folder / "best")
            tokenizer.save_pretrained(folder / "best")
            write_json(folder / "best" / "conventions.json", task.conventions_to_json(knowledge))
        bar.set_postfix({task.headline: f"{headline:.3f}"})
        if state.epoch < len(phases):  # nothing resumes after the last epoch
            save_loop(folder / "resume.pt", model, optimizer, state)
    bar.close()
    writer.close()
    (folder / "resume.pt").unlink(missing_ok=True)
    best = next(r[f"val_{task.headline}"] for r in state.history if r["step"] == state.best_step)
    return FitResult(variant, state.history, count_parameters(model), best, state.best_step)


def save_weights(model, folder: Path) -> None:
    """Encoder and head as `from_pretrained` reads them; the embeddings of the hints in a file beside them."""
    weights = model.state_dict()
    hints = weights.pop("hints.weight", None)
    model.save_pretrained(folder, state_dict=weights, safe_serialization=True)
    if hints is not None:
        save_file({"weight": hints.cpu()}, folder / HINTS)


def load_tagger(run: Run, folder: Path):
    """(model, tokenizer, knowledge) of a trained tagger."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    chosen = device_of(run.profile)
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=chosen.dtype, use_safetensors=True)
    if (folder / HINTS).exists():  # beside the model, as from_pretrained has no place for them
        add_hints(model, len(run.task.fields), load_file(folder / HINTS)["weight"])
    knowledge = run.task.conventions_from_json(json.loads((folder / "conventions.json").read_text(encoding="utf-8")))
    return model.to(chosen.device, chosen.dtype).eval(), AutoTokenizer.from_pretrained(folder), knowledge
