"""Losses of models that write, on logits and the field of every target token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from helpers.machine import process_count
from helpers.writing.encode import PROMPT, STRUCTURE, attention_inputs


@dataclass(frozen=True)
class Targets:
    """Next-token targets, flattened to the positions that count; logits are (positions, vocabulary), the others (positions,)."""

    logits: torch.Tensor
    tokens: torch.Tensor
    fields: torch.Tensor  # `PROMPT`, `STRUCTURE` or the index of a field
    rows: torch.Tensor  # of the batch
    answers: torch.Tensor | None = None  # of the batch: positions of a row without a gap between them


def next_token_targets(model, batch: dict[str, torch.Tensor], with_prompt: bool) -> Targets:
    """Run the model and keep the positions that are learnt; logits are made for these alone.

    Where several processes train one model its own forward pass has to run, and makes logits for every column of the batch
    in which a row learns.
    """
    fields = batch["field_ids"][:, 1:]
    learnt = batch["attention_mask"][:, 1:].bool()
    if not with_prompt:
        learnt = learnt & (fields != PROMPT)
    given = {"input_ids": batch["input_ids"], **attention_inputs(batch), "use_cache": False}
    if process_count() > 1:
        columns = learnt.any(0).nonzero()[:, 0]
        logits = model(**given, logits_to_keep=columns).logits[learnt[:, columns]]
    else:
        core = model.get_base_model() if hasattr(model, "get_base_model") else model
        logits = core.lm_head(core.model(**given).last_hidden_state[:, :-1][learnt])
    rows = torch.arange(len(fields), device=fields.device)[:, None].expand_as(fields)[learnt]
    tokens = batch["input_ids"][:, 1:][learnt]
    return Targets(logits.float(), tokens, fields[learnt], rows, number_answers(learnt))


def number_answers(learnt: torch.Tensor) -> torch.Tensor:
    """Number of the answer each learnt position belongs to, counted through the batch: LongTensor (positions,).

    An answer is what is learnt, BoolTensor (rows, length), without a gap: the turn of an assistant in a chat, the whole
    output of a single prompt.
    """
    begins = learnt.clone()
    begins[:, 1:] &= ~learnt[:, :-1]
    return begins.flatten().cumsum(0)[learnt.flatten()] - 1


def answer_loss(targets: Targets, length_power: float = 0.0) -> torch.Tensor:
    """Mean cross-entropy of the targets, each weighed by the length of its answer to the power of `-length_power`.

    A chat asks for a summary of thirty tokens and for an age of one. With 0 each token counts the same, and so the summary
    thirty times as much; with 1 each answer counts the same; with 0.5 it is between the two.
    """
    if not length_power:
        return F.cross_entropy(targets.logits, targets.tokens)
    losses = F.cross_entropy(targets.logits, targets.tokens, reduction="none")
    weights = targets.answers.bincount()[targets.answers].float() ** -length_power
    return (losses * (weights / weights.mean())).mean()


def entity_loss(
    targets: Targets, field_weights: torch.Tensor, entity_loss_weight: float = 2.0
) -> torch.Tensor:
    """LM loss over the targets + `entity_loss_weight` × field-weighted loss over the output.

    L = mean(ce) + w · Σ_out(v_f · ce) / Σ_out(v_f), where v_f is the weight of the token's field, FloatTensor (fields,),
    and 1 for JSON structure.
    """
    losses = F.cross_entropy(targets.logits, targets.tokens, reduction="none")
    output, weights = targets.fields != PROMPT, field_weights.to(losses.device)
    weights = torch.where(targets.fields >= 0, weights[targets.fields.clamp(min=0)], 1.0)[output]
    return losses.mean() + entity_loss_weight * (losses[output] * weights).sum() / weights.sum()


def format_penalty(targets: Targets) -> torch.Tensor:
    """JSON format: mean cross-entropy of the structural tokens (keys, quotes, brackets, end of text)."""
    structural = targets.fields == STRUCTURE
    if not structural.any():
        return targets.logits.new_zeros(())
    return F.cross_entropy(targets.logits[structural], targets.tokens[structural])


def field_penalty(targets: Targets, fields: int) -> torch.Tensor:
    """Field accuracy: 1 − mean over rows and fields of P(whole value | gold prefix).

    A value is right only if every token of it is, so the penalty is on the product of its token
    probabilities, not on their mean.
    """
    inside = targets.fields >= 0
    log_probs = -F.cross_entropy(targets.logits[inside], targets.tokens[inside], reduction="none")
    groups = targets.rows[inside] * fields + targets.fields[inside]
    present, index = groups.unique(return_inverse=True)
    totals = log_probs.new_zeros(len(present)).index_add(0, index, log_probs)
    return 1 - totals.exp().mean()


def confidence_penalty(targets: Targets) -> torch.Tensor:
    """Confidence: mean (p_max − 1[arg max is right])² over value tokens, a Brier score of the top choice."""
    inside = targets.fields >= 0
    top, choice = targets.logits[inside].softmax(-1).max(-1)
    return (top - (choice == targets.tokens[inside]).float()).square().mean()


def structured_loss(
    targets: Targets, fields: int, beta: float = 0.2, gamma: float = 0.1, delta: float = 0.05
) -> torch.Tensor:
    """Loss of the answer + β · format penalty + γ · field penalty + δ · confidence penalty."""
    return (
        answer_loss(targets)
        + beta * format_penalty(targets)
        + gamma * field_penalty(targets, fields)
        + delta * confidence_penalty(targets)
    )
