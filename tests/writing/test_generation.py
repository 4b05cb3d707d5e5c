"""Batched, cached decoding of many questions against plain, uncached, one-by-one decoding, free and held to a grammar."""

import json

import pytest
import torch
from crime_rows import HEADED, TOLD
from crime_rows import TASK as CRIME
from tiny_model import varied_model
from transformers import LlamaConfig
from transformers.modeling_outputs import CausalLMOutput

from helpers.tasks import load_task
from helpers.writing.generation import Generation, decode, field_confidence, token_pieces
from helpers.writing.grammar import GrammarMask
from helpers.writing.prompts import encode_prompt, predict_texts

TASK = load_task("calendar")
TEXTS = [
    "Team sync 12/03/2026 9am",
    "Call Bo",
    "Lunch with Ana and Leo at the Café on 3rd May 2026 at noon for 1 hour",
]
QUESTIONS = ["\nWho?", "\nWhere is it, and until when?", "\nWhy"]


@pytest.fixture(scope="module")
def model(tokenizer):
    return varied_model(tokenizer.name_or_path)


@torch.no_grad()
def one_by_one(model, tokenizer, ids, steps, grammar=None):
    """Greedy decoding without cache or batch, the tokens that a grammar forces one by one too; tokens, log-probabilities."""
    ids, tokens, scores = list(ids), [], []
    mask = GrammarMask(tokenizer, [grammar], len(tokenizer)) if grammar else None
    forced, done = mask.forced(0) if mask else ([], False)
    while len(tokens) < steps and not (done and not forced):
        logits = model(torch.tensor([ids + tokens])).logits[:, -1]
        if forced:
            token, score = forced.pop(0), 0.0
        else:
            token = (mask.choose(logits, [0]) if mask else logits.argmax(-1)).item()
            score = logits.log_softmax(-1)[0, token].item()
            if token == tokenizer.eos_token_id:
                break
            if mask and not (done := mask.accept(0, token)):
                forced, done = mask.forced(0)
        tokens.append(token)
        scores.append(score)
    return tokens, scores


def encoded(tokenizer, texts):
    return [encode_prompt(tokenizer, TASK.chat.prompt(text)) for text in texts]


@pytest.mark.parametrize("batch_size", [1, 2, 64])
@pytest.mark.parametrize("constraint", ["free", "source"])
def test_a_batch_writes_what_each_text_gets_alone(model, tokenizer, constraint, batch_size):
    ids = encoded(tokenizer, TEXTS)
    grammars = None if constraint == "free" else [TASK.chat.grammar(text, constraint) for text in TEXTS]
    limit = 600 if grammars else 25
    found = decode(model, tokenizer, ids, ((),), limit, grammars, batch_size=batch_size)
    for number, (result, prompt) in enumerate(zip(found, ids)):
        tokens, scores = one_by_one(model, tokenizer, prompt, limit, grammars and grammars[number])
        assert result.tokens == tokens and result.text == tokenizer.decode(tokens)
        assert result.log_probs == pytest.approx(scores, abs=1e-3)
    assert len({tuple(one.tokens) for one in found}) == len(TEXTS)  # answers that differ: the test can fail


@pytest.mark.parametrize("grammars", [None, [rf'start: "{start}" /[a-c]{{2,30}}/ "."' for start in "pqrstu"]])
def test_questions_about_a_text_are_answered_as_if_each_were_the_only_one(model, tokenizer, grammars):
    ids = encoded(tokenizer, TEXTS[:2])
    questions = [tokenizer(question)["input_ids"] for question in QUESTIONS]
    together = decode(model, tokenizer, ids, questions, 20, grammars)
    for number, result in enumerate(together):
        text, question = divmod(number, len(questions))
        alone, limit = ids[text] + questions[question], 4096 if grammars else 20
        tokens, scores = one_by_one(model, tokenizer, alone, limit, grammars and grammars[number])
        assert result.tokens == tokens
        assert result.log_probs == pytest.approx(scores, abs=1e-3)
    assert len({tuple(one.tokens) for one in together}) > 3


@pytest.mark.parametrize("constraint", ["schema", "source"])
def test_an_answer_at_its_limit_is_closed_at_once_and_stays_valid(model, tokenizer, constraint):
    nothing = json.dumps(dict.fromkeys(TASK.fields))
    least = len(tokenizer(nothing, add_special_tokens=False)["input_ids"])
    records = predict_texts(model, tokenizer, TASK, TEXTS, constraint, max_new_tokens=4)
    for record, text in zip(records, TEXTS):
        assert record["truncated"] and list(json.loads(record["raw"])) == list(TASK.fields)
        assert record["error"] is None and set(record["confidence"]) == set(TASK.fields)
        assert all(0 <= value <= 1 for value in record["confidence"].values())
        tokens = tokenizer(record["raw"], add_special_tokens=False)["input_ids"]
        assert len(tokens) <= least + 4 * len(TASK.fields) + len(tokenizer(text)["input_ids"])


def test_what_a_grammar_does_not_let_close_goes_on_to_its_end(model, tokenizer):
    grammars = ['start: "x" /[ab]{40}/ "y"', 'start: "xy"'] * 2
    found = decode(model, tokenizer, [[5, 6], [7]], [[8], [9]], 5, grammars)
    assert [len(one.text) for one in found] == [42, 2, 42, 2]
    assert [one.truncated for one in found] == [True, False] * 2


def test_pieces_join_to_the_text_and_the_confidence_of_a_field_is_the_product_of_its_tokens(tokenizer):
    for text in ('Café ☕ 日本 "x"', '{"who": "Ann", "where": null}'):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert "".join(token_pieces(tokenizer, ids)) == text, "also inside a character"
    for log_prob in (0.0, -0.1):
        answer = Generation(text, ids, [log_prob] * len(ids))
        confidence = field_confidence(answer, tokenizer, ("who", "where"))
        assert (confidence["who"] < confidence["where"] < 1.0) == (log_prob < 0)
    assert field_confidence(Generation(text, ids, [0.0] * len(ids)), tokenizer, ("who",)) == {"who": 1.0}


class Scripted(torch.nn.Module):
    """Writes the same tokens behind every text of one token."""

    def __init__(self, tokens, vocabulary):
        super().__init__()
        self.next = torch.nn.functional.one_hot(torch.tensor(tokens), vocabulary).float()
        self.config, self.device = LlamaConfig(), torch.device("cpu")

    def forward(self, position_ids, logits_to_keep, **_):
        return CausalLMOutput(logits=self.next[position_ids][:, -logits_to_keep:])


@pytest.mark.parametrize("one_object", [True, False])
def test_a_model_that_talks_on_is_heard_to_the_end_of_its_first_object(tokenizer, one_object):
    written = 'Well }: {"a": {"b": "}"}} and so on'
    tokens = [*tokenizer(written, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    model = Scripted(tokens, len(tokenizer))
    (found,) = decode(model, tokenizer, [[5]], max_new_tokens=len(tokens), one_object=one_object)
    assert found.text.startswith(written[:24]) and ("and so on" in found.text) is not one_object
    assert not found.truncated


# -- questions about reports ------------------------------------------------------------------------------------------
def test_predictions_keep_the_order_of_the_texts_and_count_what_was_cut(model, tokenizer):
    texts = [HEADED, TOLD]
    records = predict_texts(model, tokenizer, CRIME, texts, "free", max_new_tokens=4, batch_size=18)
    again = predict_texts(model, tokenizer, CRIME, texts[::-1], "free", max_new_tokens=4, batch_size=36)
    assert [r["raw"] for r in records] == [r["raw"] for r in again[::-1]]
    assert all(record["truncated"] > 0 and record["raw"].count("\n") == 17 for record in records)


def test_grammar_makes_every_answer_valid_and_part_of_the_report(tokenizer):
    model = varied_model(tokenizer.name_or_path, seed=3)  # one that gives values
    record = predict_texts(model, tokenizer, CRIME, [TOLD], "source", max_new_tokens=12)[0]
    assert record["prediction"] is not None and not CRIME.chat.failed_fields(record)
    values = [value for found in record["prediction"].values() for value in found]
    allowed = TOLD + " Not provided None identified N/A Adult Young Adult"
    assert values and all(value in allowed for value in values)
    assert set(record["confidence"]) <= set(CRIME.fields)


# -- masks of grammars ------------------------------------------------------------------------------------------------
GRAMMAR = 'start: "[" (/[0-9]/ | "null") "]"'


def test_choice_equals_that_of_the_full_mask_at_every_step_of_random_walks(tokenizer):
    torch.manual_seed(0)
    width = len(tokenizer) + 3  # models may have more logits than the tokenizer has tokens
    mask = GrammarMask(tokenizer, [GRAMMAR] * 20, len(tokenizer))
    alive, texts = list(range(20)), [""] * 20
    for _ in range(8):
        logits = torch.randn(len(alive), width)
        chosen = mask.choose(logits, alive)
        whole = logits.masked_fill(~mask.allowed(alive, width), float("-inf"))
        assert torch.equal(chosen, whole.argmax(-1))
        for row, token in zip(list(alive), chosen.tolist()):
            texts[row] += tokenizer.decode([token])
            if mask.accept(row, token):
                alive.remove(row)
        if not alive:
            break
    assert not alive and all(text[0] == "[" and text[-1] == "]" for text in texts)
    assert len(set(texts)) > 3


def test_forced_tokens_are_those_of_the_tokenizer_and_advance_the_row(tokenizer):
    grammar = r'start: "{\"action\": " ("null" | /[0-9]/) ", \"date\": null}"'
    mask = GrammarMask(tokenizer, [grammar], len(tokenizer))
    first, finished = mask.forced(0)
    # the space may belong to the token behind it
    assert tokenizer.decode(first) == '{"action":' and not finished
    null = tokenizer(" null", add_special_tokens=False)["input_ids"]
    assert not mask.accept(0, *null)
    rest, finished = mask.forced(0)
    assert finished and mask.forced(0) == ([], True)
    whole = tokenizer('{"action": null, "date": null}', add_special_tokens=False)["input_ids"]
    assert first + null + rest == whole
    with pytest.raises(ValueError, match="does not compile"):
        GrammarMask(tokenizer, ["start: UNKNOWN_TERMINAL"], len(tokenizer))
