"""Which tokens are learnt, which field they write, and what the losses are worth."""

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.training.losses import (
    Targets,
    answer_loss,
    confidence_penalty,
    entity_loss,
    field_penalty,
    format_penalty,
    number_answers,
)
from helpers.writing.encode import IGNORE, PROMPT, STRUCTURE, encode_example, json_value_spans

FIELDS = ("who", "where", "when")
json_scalars = st.one_of(st.none(), st.text(max_size=12), st.lists(st.text(max_size=8), max_size=3))


@given(st.dictionaries(st.text(min_size=1, max_size=6), json_scalars, min_size=1, max_size=4))
def test_value_spans_parse_back_to_the_values(value):
    text = json.dumps(value, ensure_ascii=False)
    spans = json_value_spans(text)
    assert {key: json.loads(text[start + 1 : end]) for key, (start, end) in spans.items()} == value
    for broken, closed in (("no json", []), ('{"a"', []), ('{"a": "x', []), ('{"a": "x", "b": [1,', ["a"])):
        assert list(json_value_spans(broken)) == closed


def test_labels_decode_to_the_answer_and_nothing_else(tokenizer):
    completion, prompt = '{"who": ["Ann", "Bo"], "where": null, "when": "10:30 AM"}', "Extract: Ann 10.30 → "
    row = encode_example(tokenizer, prompt, completion, FIELDS)

    def written(*kinds: int) -> str:
        tokens = [token for token, kind in zip(row.input_ids, row.field_ids) if kind in kinds]
        return tokenizer.decode(tokens).removeprefix(tokenizer.bos_token)

    learnt = [token for token in row.labels if token != IGNORE]
    assert tokenizer.decode(learnt) == completion + tokenizer.eos_token == written(STRUCTURE, 0, 1, 2)
    assert written(PROMPT) == prompt and row.field_ids[-1] == STRUCTURE
    assert "Ann" in written(0) and "Bo" in written(0) and "AM" not in written(0)
    assert "null" in written(1) and "10:30 AM" in written(2)


CE = [-math.log(p) for p in (0.5, 0.8, 0.4, 0.6, 0.8)]  # of the tokens below


def targets():
    """Five positions over a vocabulary of three: a prompt token, two of field 0, one of field 1, one structural."""
    rows = [[0.5, 0.25, 0.25], [0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]]
    fields = torch.tensor([PROMPT, 0, 0, 1, STRUCTURE])
    return Targets(torch.tensor(rows).log(), torch.tensor([0, 0, 1, 2, 1]), fields, torch.zeros(5, dtype=int))


def test_entity_loss_by_hand():
    weighted = (2 * CE[1] + 2 * CE[2] + 1 * CE[3] + 1 * CE[4]) / 6
    loss = entity_loss(targets(), torch.tensor([2.0, 1.0]), entity_loss_weight=2.0)
    assert loss.item() == pytest.approx(sum(CE) / 5 + 2 * weighted, rel=1e-5)


def test_answers_weighed_by_their_length_by_hand():
    # two answers in the first row, of one and two tokens, and one of two tokens in the second
    learnt = torch.tensor([[False, True, False, True, True], [True, True, False, False, False]])
    answers = number_answers(learnt)
    assert answers.tolist() == [0, 1, 1, 2, 2]
    root = 2**-0.5
    for power, by_hand in (
        (0.0, sum(CE) / 5),
        (0.5, (CE[0] + root * sum(CE[1:])) / (1 + 4 * root)),
        (1.0, (CE[0] + (CE[1] + CE[2]) / 2 + (CE[3] + CE[4]) / 2) / 3),
    ):
        loss = answer_loss(replace(targets(), answers=answers), length_power=power)
        assert loss.item() == pytest.approx(by_hand, rel=1e-5)


def test_penalties_by_hand():
    t = targets()
    assert format_penalty(t).item() == pytest.approx(-math.log(0.8), rel=1e-5)
    assert field_penalty(t, 2).item() == pytest.approx(1 - (0.8 * 0.4 + 0.6) / 2, rel=1e-5)
    # tops: 0.8 right, 0.5 wrong, 0.6 right
    assert confidence_penalty(t).item() == pytest.approx((0.2**2 + 0.5**2 + 0.4**2) / 3, rel=1e-5)
    # values of different rows are not multiplied together
    two_rows = Targets(t.logits[1:3], t.tokens[1:3], torch.tensor([0, 0]), torch.tensor([0, 1]))
    assert field_penalty(two_rows, 2).item() == pytest.approx(1 - (0.8 + 0.4) / 2, rel=1e-5)
