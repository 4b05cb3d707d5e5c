"""Chats: what is learnt of them, who sees whom, and answers that share one reading of a text."""
from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from crime_rows import HEADED, TASK, TOLD, conversation, headed, told
from helpers import block_decoding, chat, dialogue, predict
from helpers.config import Run, UserError
from helpers.data import write_jsonl
from helpers.drafts import PromptLookup
from helpers.encode import PROMPT, STRUCTURE, attention_inputs, collate, encode_conversation
from helpers.generate import decode_batch
from helpers.likelihood import answer_likelihood
from helpers.losses import answer_loss, next_token_targets
from helpers.models import load_base, load_tokenizer
from helpers.tasks.crime_text import QUESTIONS, READ
from helpers.train import encode_rows, fit, question_order
from tiny_model import save_tiny_base

# the template that Llama-3 comes with, in substance: header tokens, trimmed contents, no system role of its own
LLAMA = ("{% for m in messages %}{% set content = '<|start|>' + m['role'] + '<|end|>\n\n' + m['content'] | trim + '<|eot|>' %}"
         "{% if loop.first %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|start|>assistant<|end|>\n\n' }}{% endif %}")
NO_SYSTEM = ("{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + LLAMA)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tokenizer(base):
    return AutoTokenizer.from_pretrained(base)


@pytest.fixture(scope="module")
def model(base):
    """A random model that writes varied text: its head is not tied to what it reads."""
    torch.manual_seed(0)
    found = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return found


@pytest.fixture()
def llama(base):
    found = AutoTokenizer.from_pretrained(base)
    found.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|end|>", "<|eot|>"]})
    found.chat_template = LLAMA
    return found


# -- encoding ---------------------------------------------------------------------------------------------------------
def assistant_texts(row) -> list[str]:
    return [turn["content"] for turn in TASK.conversation(row) if turn["role"] == "assistant"]


@pytest.mark.parametrize("which", ["tokenizer", "llama", "no system"])
@pytest.mark.parametrize("row", [headed(), told()], ids=["headed", "told"])
def test_learnt_tokens_are_the_assistant_turns_and_nothing_else(which, row, request):
    tok = request.getfixturevalue("tokenizer" if which == "tokenizer" else "llama")
    if which == "no system":
        tok.chat_template = NO_SYSTEM
    end = chat.end_of_turn(tok)
    encoded = encode_conversation(tok, TASK, row)
    learnt = [token for token, label in zip(encoded.input_ids, encoded.labels) if label != -100]
    assert tok.decode(learnt) == "".join(text + end for text in assistant_texts(row))
    assert end == ("<|im_end|>" if which == "tokenizer" else "<|eot|>")
    assert row.text in tok.decode(encoded.input_ids)


def test_value_tokens_bear_the_number_of_their_type(tokenizer):
    encoded = encode_conversation(tokenizer, TASK, headed())
    badge = [token for token, kind in zip(encoded.input_ids, encoded.field_ids)
             if kind == TASK.fields.index("Officer_BadgeNumber")]
    assert "7731" in tokenizer.decode(badge) and "Badge" not in tokenizer.decode(badge)
    assert {PROMPT, STRUCTURE} < set(encoded.field_ids)


def test_generation_begins_with_the_tokens_of_training(tokenizer):
    row = headed()
    encoded = encode_conversation(tokenizer, TASK, row)
    prefix, tails = dialogue.encode_questions(tokenizer, TASK, row.text)
    assert encoded.input_ids[:len(prefix)] == prefix and encoded.blocks[:len(prefix) + 1] == [0] * len(prefix) + [1]
    for number, tail in enumerate(tails, start=1):
        block = [token for token, at in zip(encoded.input_ids, encoded.blocks) if at == number]
        assert block[:len(tail)] == tail


def test_template_without_an_end_token_is_refused(tokenizer, base):
    other = AutoTokenizer.from_pretrained(base)
    other.chat_template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    with pytest.raises(UserError, match="no special token"):
        chat.end_of_turn(other)
    other.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        chat.render(other, TASK.opening("x"))


@pytest.mark.parametrize("number", [1, 7, 18])
def test_a_question_in_its_block_is_read_as_if_it_stood_alone(model, tokenizer, number):
    rows = [encode_conversation(tokenizer, TASK, row) for row in (headed(), told())]  # the first is padded or pads
    batch = collate(rows, tokenizer.pad_token_id)
    together = model(input_ids=batch["input_ids"], **attention_inputs(batch)).logits
    for row, encoded in enumerate(rows):
        block = [at for at, kind in enumerate(encoded.blocks) if kind == number]
        shared = encoded.blocks.count(0)
        alone = encoded.input_ids[:shared] + [encoded.input_ids[at] for at in block]
        logits = model(input_ids=torch.tensor([alone])).logits[0, shared:]
        assert torch.allclose(together[row, block], logits, atol=1e-4)


def test_sequences_without_blocks_see_all_before_them(tokenizer):
    batch = collate([encode_conversation(tokenizer, TASK, headed(), independent=False)], tokenizer.pad_token_id)
    assert set(attention_inputs(batch)) == {"attention_mask"} and batch["attention_mask"].shape == batch["input_ids"].shape


def test_order_of_questions_changes_nothing_where_they_do_not_see_each_other(model, tokenizer):
    def loss(order, independent):
        row = encode_conversation(tokenizer, TASK, headed(), order, independent)
        return answer_loss(next_token_targets(model, collate([row], tokenizer.pad_token_id), False)).item()

    backwards = list(reversed(QUESTIONS))
    assert loss((), True) == pytest.approx(loss(backwards, True), abs=1e-5)
    assert abs(loss((), False) - loss(backwards, False)) > 1e-4


# -- answers ----------------------------------------------------------------------------------------------------------
def plain_answers(model, tokenizer, text, constraint, limit) -> dict[str, list[int]]:
    """Each answer from a sequence of its own, one token a step."""
    prefix, tails = dialogue.encode_questions(tokenizer, TASK, text)
    grammars = {name: None if constraint == "free" else [TASK.answer_grammar(text, name, constraint)] for name in QUESTIONS}
    end = [tokenizer.convert_tokens_to_ids(chat.end_of_turn(tokenizer))]
    return {name: decode_batch(model, tokenizer, [prefix + tail], limit, grammars[name], stop=end)[0].tokens
            for name, tail in zip(QUESTIONS, tails)}


@pytest.mark.parametrize("constraint", ["free", "source"])
def test_shared_reading_writes_the_tokens_of_separate_generations(model, tokenizer, constraint):
    texts = [HEADED, TOLD, HEADED[:400]]
    together = dialogue.answer_together(model, tokenizer, TASK, texts, constraint, max_new_tokens=25)
    for text, answers in zip(texts, together):
        alone = dialogue.answer_separately(model, tokenizer, TASK, text, constraint, max_new_tokens=25)
        found = {name: one.tokens for name, one in answers.items()}
        assert list(answers) == list(QUESTIONS) and found == {name: one.tokens for name, one in alone.items()}
        assert found == plain_answers(model, tokenizer, text, constraint, 25)
    assert len({tuple(one.tokens) for one in together[0].values()}) > 1  # answers that differ: the test can fail


@pytest.mark.parametrize("constraint", ["free", "source"])
@pytest.mark.parametrize("right", [0, 1, 3, 99])
def test_right_and_wrong_drafts_change_no_answer(model, tokenizer, constraint, right, monkeypatch):
    texts, limit = [HEADED, TOLD], 24
    expected = [plain_answers(model, tokenizer, text, constraint, limit) for text in texts]
    known = [tokens for answers in expected for tokens in answers.values()]

    def guess(self, written, most):
        """So many tokens of an answer that begins like this, then another token than the one that comes next."""
        if not most or not written:
            return []
        answer = next((one for one in known if one[:len(written)] == written), written)
        rest = answer[len(written):][:most]
        return rest[:right] + [token + 1 if token < 250 else token - 1 for token in rest[right:right + 1]]

    reads, read = [], block_decoding._Sequence.read
    monkeypatch.setattr(block_decoding.PromptLookup, "guess", guess)
    monkeypatch.setattr(block_decoding, "STEP_TOKENS", 10**6)  # drafts however many answers go on
    monkeypatch.setattr(block_decoding._Sequence, "read", lambda self, pieces: reads.append(1) or read(self, pieces))
    found = dialogue.answer_together(model, tokenizer, TASK, texts, constraint, max_new_tokens=limit)
    assert [{name: one.tokens for name, one in answers.items()} for answers in found] == expected
    assert all(len(one.log_probs) == len(one.tokens) for answers in found for one in answers.values())
    longest = max(map(len, known))
    assert len(reads) <= {0: longest, 1: longest / 2 + 2}.get(right, longest / 2)


@pytest.mark.parametrize("constraint", ["free", "source"])
def test_the_usual_beginning_of_an_answer_is_read_with_the_question(model, tokenizer, constraint, monkeypatch):
    pieces, read = [], block_decoding._Sequence.read
    monkeypatch.setattr(block_decoding._Sequence, "read", lambda self, new: pieces.append(new) or read(self, new))
    dialogue.answer_together(model, tokenizer, TASK, [TOLD], constraint, max_new_tokens=12)
    drafted = ["".join(tokenizer.decode(piece.draft).split()) for piece in pieces[0]]
    assert all(f'{{"{name}":'.startswith(text[:len(name) + 4]) and len(text) > len(name) for name, text in zip(QUESTIONS, drafted))
    accepted = [after.offset - len(piece.known) for piece, after in zip(*pieces[:2])]
    assert max(accepted) >= 1 if constraint == "source" else accepted == [0] * 18  # a random model writes no JSON


def test_lookup_continues_where_the_last_tokens_stand_in_the_text():
    lookup = PromptLookup([1, 2, 3, 4, 9, 2, 3, 5, 6])
    assert lookup.guess([8, 2, 3], 2) == [4, 9]  # the first place where the longest known end stands
    assert lookup.guess([9, 2, 3], 9) == [5, 6]  # three tokens tell the second place
    assert lookup.guess([7, 9], 3) == [2, 3, 5]
    assert lookup.guess([6], 3) == lookup.guess([7], 3) == lookup.guess([], 3) == lookup.guess([1], 0) == []


def test_predictions_keep_the_order_of_the_texts_and_count_what_was_cut(model, tokenizer):
    texts = [HEADED, TOLD]
    records = dialogue.predict_dialogues(model, tokenizer, TASK, texts, "free", max_new_tokens=4, batch_size=18)
    again = dialogue.predict_dialogues(model, tokenizer, TASK, texts[::-1], "free", max_new_tokens=4, batch_size=36)
    assert [r["raw"] for r in records] == [r["raw"] for r in again[::-1]]
    assert all(record["truncated"] > 0 and record["raw"].count("\n") == 17 for record in records)


def test_grammar_makes_every_answer_valid_and_part_of_the_report(model, tokenizer):
    record = dialogue.predict_dialogues(model, tokenizer, TASK, [TOLD], "source", max_new_tokens=12)[0]
    assert record["prediction"] is not None and not TASK.failed_fields(record)
    values = [value for found in record["prediction"].values() for value in found]
    allowed = TOLD + " Not provided None identified N/A Adult Young Adult"
    assert values and all(value in allowed for value in values)
    assert set(record["confidence"]) <= set(TASK.fields) and all(0 <= p <= 1 for p in record["confidence"].values())


def test_questions_in_turn_see_the_answers_before_them(model, tokenizer, monkeypatch):
    seen = []
    decode = dialogue.decode_batch
    monkeypatch.setattr(dialogue, "decode_batch", lambda *a, **k: seen.append(tokenizer.decode(a[2][0])) or decode(*a, **k))
    answers = dialogue.answer_in_turn(model, tokenizer, TASK, [HEADED], "source", 10)[0]
    assert list(answers) == list(QUESTIONS) and len(seen) == 18
    assert answers["Location"].text in seen[1] and seen[17].count("What describes") == 18


# -- training ---------------------------------------------------------------------------------------------------------
@pytest.fixture()
def run(tmp_path, base):
    settings = {"base_model": str(base), "max_new_tokens": 4, "score_rows": 1, "score_constraint": "free"}
    settings |= {f"{variant}.{name}": value for variant in ("full", "lora") for name, value in (
        ("epochs", 1), ("batch_size", 2), ("length_power", 0.0), ("warmup_steps", 1), ("learning_rate", 1e-2))}
    made = Run(task="crime", profile="smoke", out=str(tmp_path), settings=settings)
    for part in ("train", "validation"):
        write_jsonl(made.path("splits", f"{part}.jsonl"), map(TASK.example_to_json, [headed(), told()]))
    return made


@pytest.mark.parametrize("variant", ["full", "lora"])
def test_a_variant_learns_the_answers_and_is_chosen_by_f1(run, variant, monkeypatch):
    rows = run.load("train")
    result = fit(run, variant, rows * 4, rows)
    losses = [line["loss"] for line in result.history if "loss" in line]
    assert losses[-1] < losses[0]
    scored = [line for line in result.history if "val_exact_f1" in line]
    assert len(scored) == 1 and result.best_score == scored[0]["val_exact_f1"]
    records = predict.predict_variant(run, variant, rows, "free", progress=False)
    assert [record["id"] for record in records] == [0, 1] and records[0]["raw"].count("\n") == 17
    model, tokenizer, _ = predict.load_variant(run, variant)
    found = answer_likelihood(run, model, tokenizer, rows)
    assert 0 <= found["token_accuracy"] < 1 < found["perplexity"]  # a random base leaves an adapter little to learn
    assert found["loss"] == pytest.approx(scored[0]["val_loss"], rel=0.2)


def test_a_conversation_that_does_not_fit_stops_the_run(run, tokenizer):
    run.settings["max_length"] = 300
    with pytest.raises(UserError, match="more than max_length=300"):
        encode_rows(run, tokenizer, run.load("train"))


def test_made_rows_ask_in_an_order_of_their_own_where_questions_see_each_other(run):
    made = headed().with_(origin="swap")
    assert question_order(run, made) == list(QUESTIONS)
    run.settings["dialogue"] = "sequential"
    assert question_order(run, headed()) == list(QUESTIONS)
    shuffled = question_order(run, made)
    assert shuffled != list(QUESTIONS) and sorted(shuffled) == sorted(QUESTIONS)
    assert question_order(run, made) == shuffled  # the same in every run


def test_the_acknowledgement_stands_before_the_first_question():
    assert TASK.conversation(headed())[2]["content"] == READ
    assert json.loads(TASK.conversation(headed())[4]["content"]) == {"Location": ["12 Quay Lane, Port Arden"]}
    assert conversation().count("Assistant: ") == 19


@pytest.mark.parametrize("power", [0.0, 0.7])
def test_both_trainers_weigh_answers_alike(base, tmp_path, power):
    settings = {"base_model": str(base), "max_length": 9000, "score_rows": 1, "max_new_tokens": 5, "lora.dropout": 0.0,
                "lora.length_power": power, "lora.batch_size": 2, "lora.accumulation": 1, "lora.epochs": 1}
    run, rows = Run(task="crime", profile="smoke", out=str(tmp_path), settings=settings), [headed(), told()]
    learnt = collate(encode_rows(run, load_tokenizer(run), rows), load_tokenizer(run).pad_token_id)
    by_hand = answer_loss(next_token_targets(load_base(run), learnt, with_prompt=False), power).item()
    result = fit(run, "lora", rows, rows[:1])  # an adapter starts out as no change at all
    assert result.history[0]["loss"] == pytest.approx(by_hand, rel=1e-4)
