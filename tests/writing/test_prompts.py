"""What models are asked: trained ones what they were trained on, others in their own chat template."""

from __future__ import annotations

import pytest
from crime_rows import TASK as CRIME
from crime_rows import headed, told
from transformers import AutoTokenizer

from helpers.models.packaged import CUT, packaged_folder
from helpers.tasks import load_task
from helpers.writing import prompts
from helpers.writing.encode import encode_example

CALENDAR = load_task("calendar")
EMPTY = dict.fromkeys(CALENDAR.fields)
SHOT = CALENDAR.rows.parse(
    {"event_text": "Call Bo at 1pm", "output": EMPTY | {"action": "Call Bo", "time": "1:00 PM"}}, 0
)


@pytest.fixture()
def tokenizer():
    return AutoTokenizer.from_pretrained(packaged_folder(CUT))


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


def test_a_model_without_template_goes_on_with_solved_examples(tokenizer):
    tokenizer.chat_template = None
    assert prompts.shown(tokenizer, CALENDAR, "Lunch", [SHOT]) == (
        f"{CALENDAR.chat.prompt(SHOT.text)}{CALENDAR.chat.completion(SHOT.target)}\n\n{CALENDAR.chat.prompt('Lunch')}"
    )


@pytest.mark.parametrize("shots", [0, 1])
def test_questions_say_what_form_their_answers_have(tokenizer, shots):
    prompt = prompts.untuned(tokenizer, CRIME, told().text, [headed()][:shots])
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
