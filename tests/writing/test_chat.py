"""What models are asked, what is learnt of chats, who sees whom, and templates that do what is not expected."""

import pytest
import torch
from crime_rows import QUESTIONS, TASK, headed, told
from tiny_model import varied_model
from transformers import AutoTokenizer

from helpers.errors import UserError
from helpers.evaluation.scoring import answer_likelihood
from helpers.run import Run
from helpers.tasks import load_task
from helpers.writing import chat, prompts
from helpers.writing.encode import (
    PROMPT,
    STRUCTURE,
    attention_inputs,
    collate,
    encode_conversation,
    encode_example,
)
from helpers.writing.prompts import tuned

CALENDAR = load_task("calendar")
NOTHING = dict.fromkeys(CALENDAR.fields)
OUTPUT = NOTHING | {"action": "Call Bo", "time": "1:00 PM"}
SHOT = CALENDAR.rows.parse({"event_text": "Call Bo at 1pm", "output": OUTPUT}, 0)

# the template that Llama-3 comes with, in substance: header tokens, trimmed contents, no system role of its own
LLAMA = (
    "{% for m in messages %}{% set content = '<|start|>' + m['role'] + '<|end|>\n\n' + m['content'] | trim + '<|eot|>' %}"
    "{% if loop.first %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant<|end|>\n\n' }}{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + LLAMA
)


@pytest.fixture(scope="module")
def model(base):
    return varied_model(base)


@pytest.fixture()
def llama(base):
    found = AutoTokenizer.from_pretrained(base)
    found.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|end|>", "<|eot|>"]})
    found.chat_template = LLAMA
    return found


@pytest.mark.parametrize("which", ["tokenizer", "llama", "no system"])
@pytest.mark.parametrize("row", [headed(), told()], ids=["headed", "told"])
def test_learnt_tokens_are_the_assistant_turns_and_nothing_else(which, row, request):
    tok = request.getfixturevalue("tokenizer" if which == "tokenizer" else "llama")
    if which == "no system":
        tok.chat_template = NO_SYSTEM
    end = chat.end_of_turn(tok)
    encoded = encode_conversation(tok, TASK, row)
    learnt = [token for token, label in zip(encoded.input_ids, encoded.labels) if label != -100]
    answers = [turn["content"] for turn in TASK.chat.conversation(row) if turn["role"] == "assistant"]
    assert tok.decode(learnt) == "".join(text + end for text in answers)
    assert end == ("<|im_end|>" if which == "tokenizer" else "<|eot|>")
    assert row.text in tok.decode(encoded.input_ids)


def test_value_tokens_bear_the_number_of_their_type(tokenizer):
    encoded = encode_conversation(tokenizer, TASK, headed())
    number = TASK.fields.index("Officer_BadgeNumber")
    badge = [token for token, kind in zip(encoded.input_ids, encoded.field_ids) if kind == number]
    assert "7731" in tokenizer.decode(badge) and "Badge" not in tokenizer.decode(badge)
    assert {PROMPT, STRUCTURE} < set(encoded.field_ids)


def test_generation_begins_with_the_tokens_of_training(tokenizer):
    row = headed()
    encoded = encode_conversation(tokenizer, TASK, row)
    prefix, tails, stop = tuned(tokenizer, TASK, row.text)
    assert encoded.input_ids[: len(prefix)] == prefix
    assert encoded.blocks[: len(prefix) + 1] == [0] * len(prefix) + [1]
    for number, tail in enumerate(tails, start=1):
        block = [token for token, at in zip(encoded.input_ids, encoded.blocks) if at == number]
        assert block[: len(tail)] == tail
        assert stop[0] in block[len(tail) :]


def test_templates_that_cannot_be_used_are_refused(base):
    other = AutoTokenizer.from_pretrained(base)
    template = other.chat_template
    other.chat_template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    with pytest.raises(UserError, match="no special token"):
        chat.end_of_turn(other)
    other.chat_template = "{% if add_generation_prompt %}To be answered: {% endif %}" + template
    with pytest.raises(UserError, match="writes earlier turns anew"):
        tuned(other, TASK, "x")
    other.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        chat.render(other, TASK.chat.opening("x"))


@pytest.mark.parametrize("number", [1, 7, 18])
def test_a_question_in_its_block_is_read_as_if_it_stood_alone(model, tokenizer, number):
    rows = [encode_conversation(tokenizer, TASK, row) for row in (headed(), told())]  # one of them is padded
    batch = collate(rows, tokenizer.pad_token_id)
    together = model(input_ids=batch["input_ids"], **attention_inputs(batch)).logits
    for row, encoded in enumerate(rows):
        block = [at for at, kind in enumerate(encoded.blocks) if kind == number]
        shared = encoded.blocks.count(0)
        alone = encoded.input_ids[:shared] + [encoded.input_ids[at] for at in block]
        logits = model(input_ids=torch.tensor([alone])).logits[0, shared:]
        assert torch.allclose(together[row, block], logits, atol=1e-4)


@torch.no_grad()
def test_the_likelihood_of_answers_is_that_of_each_row_alone(model, tokenizer, base, tmp_path):
    run = Run("crime", profile="smoke", out=str(tmp_path), settings={"base_model": str(base)})
    found = answer_likelihood(run, model, tokenizer, [headed(), told()])
    losses, hits = [], []
    for row in (headed(), told()):
        encoded = encode_conversation(tokenizer, TASK, row)
        batch, labels = collate([encoded], tokenizer.pad_token_id), torch.tensor(encoded.labels[1:])
        logits = model(input_ids=batch["input_ids"], **attention_inputs(batch)).logits[0, :-1][labels != -100]
        losses.append(torch.nn.functional.cross_entropy(logits, labels[labels != -100], reduction="none"))
        hits.append(logits.argmax(-1) == labels[labels != -100])
    assert found["loss"] == pytest.approx(torch.cat(losses).mean().item(), rel=1e-4)
    assert found["token_accuracy"] == pytest.approx(torch.cat(hits).float().mean().item())


# the template that Qwen3 comes with, in substance: the last answer, and the one to be written, begin with (empty) thoughts
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if loop.last and m['role'] == 'assistant' %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% if enable_thinking is defined and not "
    "enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)


def test_what_a_template_writes_into_the_last_answer_alone_is_not_learnt(base):
    tok = AutoTokenizer.from_pretrained(base)
    tok.chat_template = THINKING
    row = headed()
    encoded = encode_conversation(tok, TASK, row)
    assert "<think>" in chat.render(tok, TASK.chat.conversation(row))
    assert "<think>" not in tok.decode(encoded.input_ids)
    prompt = tuned(tok, TASK, row.text)
    last = [token for token, block in zip(encoded.input_ids, encoded.blocks) if block == len(QUESTIONS)]
    assert last[: len(prompt.questions[-1])] == prompt.questions[-1]


# -- prompts ------------------------------------------------------------------------------------------
def test_a_trained_model_is_asked_what_it_was_trained_on(tokenizer):
    completion = CALENDAR.chat.completion(SHOT.target)
    row = encode_example(tokenizer, CALENDAR.chat.prompt(SHOT.text), completion, CALENDAR.fields)
    prompt = prompts.tuned(tokenizer, CALENDAR, SHOT.text)
    assert row.input_ids[: len(prompt.text)] == prompt.text and prompt.questions == [[]]
    assert row.labels[len(prompt.text) - 1] == -100 != row.labels[len(prompt.text)]


def test_others_are_told_what_to_do_in_their_own_template(tokenizer):
    prompt = prompts.untuned(tokenizer, CALENDAR, "Lunch with Ann", [SHOT])
    text = tokenizer.decode(prompt.text)
    assert text == prompts.shown(tokenizer, CALENDAR, "Lunch with Ann", [SHOT])
    assert text.count(CALENDAR.words.instruction) == 1
    assert text.index(CALENDAR.words.instruction) < text.index("Call Bo at 1pm")
    assert f"<|im_start|>assistant\n{CALENDAR.chat.completion(SHOT.target)}<|im_end|>" in text
    assert text.endswith("<|im_start|>user\nText: Lunch with Ann<|im_end|>\n<|im_start|>assistant\n")
    assert prompt.stop == (tokenizer.convert_tokens_to_ids("<|im_end|>"),)


def test_a_model_without_template_goes_on_with_solved_examples(base):
    bare = AutoTokenizer.from_pretrained(base)
    bare.chat_template = None
    solved = CALENDAR.chat.prompt(SHOT.text) + CALENDAR.chat.completion(SHOT.target)
    shown = prompts.shown(bare, CALENDAR, "Lunch", [SHOT])
    assert shown == f"{solved}\n\n{CALENDAR.chat.prompt('Lunch')}"


@pytest.mark.parametrize("shots", [0, 1])
def test_questions_say_what_form_their_answers_have(tokenizer, shots):
    prompt = prompts.untuned(tokenizer, TASK, told().text, [headed()][:shots])
    text = tokenizer.decode(prompt.text)
    assert len(prompt.questions) == 18 and text.count("<|im_start|>system") == 1
    assert text.count("Fill in this JSON") == 18 * shots and text.endswith("I’ve read this text.<|im_end|>")
    assert '{"Location": []}' in tokenizer.decode(prompt.questions[0])
    assert (headed().text in text) == bool(shots)


def test_the_first_object_of_an_answer_is_the_answer():
    for raw, found in (
        ('```json\n{"a":\n {"b": "}"}}\n```', '{"a":  {"b": "}"}}'),
        ('Here it is: {"a": []} I hope this helps. {"b": 2}', '{"a": []}'),
        ('{"a": "cut', '{"a": "cut'),
        ("  no object\nat all ", "no object at all"),
        ("", ""),
    ):
        assert prompts.first_object(raw) == found
