"""Batched greedy decoding with a KV cache: rows sorted by length, finished rows leave the batch."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Collection, Sequence

import torch
from tqdm import tqdm

from helpers.constrain import GrammarMask
from helpers.kv_cache import roomy_cache
from helpers.llama_forward import for_decoding


GRAMMAR_TOKENS = 4096


@dataclass
class Generation:
    """What the model wrote for one prompt.

    Parameters
    ----------
    text : str
        Decoded output without special tokens.
    tokens : list of int
    pieces : list of str
        The text of each token; they join to `text`.
    log_probs : list of float
        Log-probability the model itself gave to each token: low where a grammar kept it from another one.
    truncated : bool
        Whether `max_new_tokens` came before the end of text.
    """

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    truncated: bool = False


def encode_prompt(tokenizer, prompt: str) -> list[int]:
    """Prompt ids exactly as :func:`helpers.encode.encode_example` makes them."""
    from helpers.encode import encode_example

    encoded = encode_example(tokenizer, prompt, "", ())
    return encoded.input_ids[:-1]


def token_pieces(tokenizer, tokens: Sequence[int]) -> list[str]:
    """The text each token adds; pieces of one character spread over several tokens come with the last."""
    prefixes = [list(tokens[:end]) for end in range(1, len(tokens) + 1)]
    # all at once: one call a prefix costs more than the model does
    texts = tokenizer.backend_tokenizer.decode_batch(prefixes, skip_special_tokens=True) if prefixes else []
    pieces, done = [], 0
    for text in texts:
        end = done if text.endswith("\ufffd") and text != texts[-1] else max(done, min(len(text), len(texts[-1])))
        pieces.append(texts[-1][done:end])
        done = end
    return pieces


def generate(model, tokenizer, prompts: Sequence[str], max_new_tokens: int = 160, batch_size: int = 64,
             grammars: Sequence[str] | None = None, prefix: str = "", progress: str | None = None) -> list[Generation]:
    """Greedy outputs for a list of prompts, in their order.

    Parameters
    ----------
    model, tokenizer
        A causal language model and its tokenizer.
    prompts : sequence of str
    max_new_tokens : int
    batch_size : int
    grammars : sequence of str, optional
        One llguidance grammar a prompt; without them decoding is free.
    prefix : str
        Text common to all prompts (the shots of a few-shot prompt): it is read once and its KV cache shared.
    progress : str, optional
        Label of a progress bar.
    """
    if prefix:
        ids = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
        prefix_ids = encode_prompt(tokenizer, prefix)
    else:
        ids, prefix_ids = [encode_prompt(tokenizer, prompt) for prompt in prompts], []
    order = sorted(range(len(prompts)), key=lambda index: len(ids[index]))
    results: list[Generation] = [Generation() for _ in prompts]
    bar = tqdm(total=len(prompts), desc=progress, disable=progress is None, leave=False)
    for start in range(0, len(order), batch_size):
        rows = order[start:start + batch_size]
        found = decode_batch(model, tokenizer, [ids[row] for row in rows], max_new_tokens,
                             [grammars[row] for row in rows] if grammars else None, prefix_ids)
        for row, generation in zip(rows, found):
            results[row] = generation
        bar.update(len(rows))
    bar.close()
    return results


@torch.inference_mode()
def decode_batch(model, tokenizer, ids: Sequence[Sequence[int]], max_new_tokens: int = 160,
                 grammars: Sequence[str] | None = None, prefix_ids: Sequence[int] = (),
                 stop: Collection[int] = ()) -> list[Generation]:
    """Greedy outputs of one batch of encoded prompts, in their order.

    Parameters
    ----------
    model, tokenizer
    ids : sequence of token lists
        The prompts, each without its prefix.
    max_new_tokens : int
    grammars : sequence of str, optional
        One a prompt.
    prefix_ids : sequence of int
        Tokens that stand before every prompt and are read once.
    stop : collection of int
        Tokens that end an output beside the end-of-text token.
    """
    was_training = model.training
    model.eval()
    forward = for_decoding(model)
    mask = GrammarMask(tokenizer, list(grammars), len(tokenizer)) if grammars else None
    results = [Generation() for _ in ids]
    _decode(forward, tokenizer, ids, prefix_ids, max_new_tokens, mask, {tokenizer.eos_token_id, *stop}, results)
    for result in results:
        result.text = tokenizer.decode(result.tokens, skip_special_tokens=True)
    model.train(was_training)
    return results


def left_padded(rows: Sequence[Sequence[int]], pad: int, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, (rows, longest) each; the last column is everyone's last token."""
    width = max(len(row) for row in rows)
    input_ids = torch.tensor([[*[pad] * (width - len(row)), *row] for row in rows], device=device)
    attention = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return input_ids, attention


def _decode(model, tokenizer, ids: Sequence[Sequence[int]], prefix_ids: Sequence[int], max_new_tokens: int,
            mask: GrammarMask | None, stop: set[int], results: list[Generation]) -> None:
    device = model.device
    input_ids, attention = left_padded(ids, tokenizer.pad_token_id, device)
    width = input_ids.shape[1]
    cache = roomy_cache()
    if prefix_ids:
        model(input_ids=torch.tensor([list(prefix_ids)], device=device), past_key_values=cache, use_cache=True,
              logits_to_keep=1)
        cache.batch_repeat_interleave(len(ids))
        attention = torch.cat([attention.new_ones(len(ids), len(prefix_ids)), attention], 1)
    positions = (attention.cumsum(1) - 1).clamp(min=0)
    output = model(input_ids=input_ids, attention_mask=attention, position_ids=positions[:, -width:],
                   past_key_values=cache, use_cache=True, logits_to_keep=1)
    position = positions[:, -1:]
    alive = list(range(len(ids)))
    for step in range(max_new_tokens):
        logits = output.logits[:, -1].float()
        chosen = mask.choose(logits, alive) if mask else logits.argmax(-1)
        log_probs = logits.log_softmax(-1).gather(1, chosen[:, None])
        chosen_list, probs_list = chosen.tolist(), log_probs[:, 0].tolist()
        keep = []
        for slot, row in enumerate(alive):
            token = chosen_list[slot]
            stopped = token in stop
            if not stopped:
                results[row].tokens.append(token)
                results[row].log_probs.append(probs_list[slot])
                stopped = mask.accept(row, token) if mask else False
            if not stopped:
                keep.append(slot)
                results[row].truncated = step == max_new_tokens - 1
        if not keep or step == max_new_tokens - 1:
            return
        if len(keep) < len(alive):
            kept = torch.tensor(keep, device=device)
            cache.batch_select_indices(kept)
            alive = [alive[slot] for slot in keep]
            chosen, attention, position = chosen[kept], attention[kept], position[kept]
        attention = torch.cat([attention, attention.new_ones(len(alive), 1)], 1)
        position = position + 1
        output = model(input_ids=chosen[:, None], attention_mask=attention, position_ids=position,
                       past_key_values=cache, use_cache=True)


def field_confidence(generation: Generation, tokenizer, fields: Sequence[str]) -> dict[str, float]:
    """Probability the model gave to each field's value: the product of its tokens' probabilities."""
    import math

    from helpers.encode import field_of_tokens

    offsets, position = [], 0
    for piece in token_pieces(tokenizer, generation.tokens):
        offsets.append((position, position + len(piece)))
        position += len(piece)
    totals = dict.fromkeys(fields, 0.0)
    seen = set()
    for kind, log_prob in zip(field_of_tokens(generation.text, offsets, fields), generation.log_probs):
        if kind >= 0:
            totals[fields[kind]] += log_prob
            seen.add(fields[kind])
    return {name: round(math.exp(total), 6) for name, total in totals.items() if name in seen}


def predict_texts(model, tokenizer, task, texts: Sequence[str], constraint: str = "free", max_new_tokens: int = 160,
                  batch_size: int = 64, prompt: Callable[[str], str] | None = None, prefix: str = "",
                  progress: str | None = None, dialogue: str = "independent") -> list[dict]:
    """Predictions for input texts: dicts of `prediction`, `raw`, `confidence`, `error`, `truncated`.

    Tasks that ask one question a field are answered by :func:`helpers.dialogue.predict_dialogues`.

    Parameters
    ----------
    constraint : str
        `free`, `schema` (valid JSON of the task) or `source` (verbatim fields are spans of the text as well).
    prompt : callable, optional
        Text → prompt; the task's own by default.
    dialogue : str
        Whether the questions of a dialogue see each other, `sequential`, or not, `independent`.
    """
    if task.questions():
        from helpers.dialogue import predict_dialogues

        return predict_dialogues(model, tokenizer, task, texts, constraint, max_new_tokens, batch_size, progress,
                                 sequential=dialogue == "sequential")
    grammars = None if constraint == "free" else [task.grammar(text, constraint) for text in texts]
    generations = generate(model, tokenizer, [(prompt or task.prompt)(text) for text in texts], max_new_tokens,
                           batch_size, grammars, prefix, progress)
    cut = [row for row, generation in enumerate(generations) if generation.truncated]
    if cut and grammars:  # a grammar promises valid output: unfinished rows get the room that its longest sentence needs
        longer = generate(model, tokenizer, [(prompt or task.prompt)(texts[row]) for row in cut], GRAMMAR_TOKENS,
                          batch_size, [grammars[row] for row in cut], prefix)
        for row, generation in zip(cut, longer):
            generations[row] = generation
    records = []
    for row, generation in enumerate(generations):
        prediction, error = task.parse_output(generation.text)
        records.append({"prediction": prediction, "raw": generation.text, "error": error,
                        "truncated": row in cut,
                        "confidence": field_confidence(generation, tokenizer, task.fields) if prediction else None})
    return records
