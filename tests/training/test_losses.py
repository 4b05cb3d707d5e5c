"""Which tokens are learnt, which field they write, and what the losses are worth."""

from __future__ import annotations

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


@pytest.mark.parametrize("broken", ["", "no json", "{", '{"a"', '{"a": ', '{"a": "x', '{"a": "x", "b": [1,'])
def test_value_spans_of_broken_text_hold_only_what_was_closed(broken):
    assert set(json_value_spans(broken)) <= {"a"}
    assert ("a" in json_value_spans(broken)) == ('"x",' in broken)


def test_labels_decode_to_the_answer_and_nothing_else(tokenizer):
    completion = '{"who": ["Ann", "Bo"], "where": null, "when": "10:30 AM"}'
    row = encode_example(tokenizer, "Extract: Ann and Bo 10.30 → ", completion, FIELDS)
    learnt = [token for token in row.labels if token != IGNORE]
    assert tokenizer.decode(learnt) == completion + tokenizer.eos_token
    kinds = {kind: [] for kind in (PROMPT, STRUCTURE, 0, 1, 2)}
    for token, kind in zip(row.input_ids, row.field_ids):
        kinds[kind].append(token)
    given = tokenizer.decode(kinds[PROMPT], skip_special_tokens=True)
    assert given == "Extract: Ann and Bo 10.30 → "
    written = [tokenizer.decode(kinds[index]) for index in range(3)]
    assert "Ann" in written[0] and "Bo" in written[0] and "AM" not in written[0]
    assert "null" in written[1]
    assert "10:30 AM" in written[2] and row.field_ids[-1] == STRUCTURE


def targets():
    """Five positions over a vocabulary of three: a prompt token, two of field 0, one of field 1, one structural."""
    logits = torch.log(
        torch.tensor([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])
    )
    return Targets(
        logits,
        torch.tensor([0, 0, 1, 2, 1]),
        torch.tensor([PROMPT, 0, 0, 1, STRUCTURE]),
        torch.tensor([0, 0, 0, 0, 0]),
    )


def test_entity_loss_by_hand():
    ce = [-math.log(p) for p in (0.5, 0.8, 0.4, 0.6, 0.8)]
    weighted = (2 * ce[1] + 2 * ce[2] + 1 * ce[3] + 1 * ce[4]) / 6
    loss = entity_loss(targets(), torch.tensor([2.0, 1.0]), entity_loss_weight=2.0)
    assert loss.item() == pytest.approx(sum(ce) / 5 + 2 * weighted, rel=1e-5)


def test_answers_weighed_by_their_length_by_hand():
    # two answers in the first row, of one and two tokens, and one of two tokens in the second
    learnt = torch.tensor([[False, True, False, True, True], [True, True, False, False, False]])
    answers = number_answers(learnt)
    assert answers.tolist() == [0, 1, 1, 2, 2]
    ce = [-math.log(p) for p in (0.5, 0.8, 0.4, 0.6, 0.8)]
    t = replace(targets(), answers=answers)
    assert answer_loss(t).item() == pytest.approx(sum(ce) / 5, rel=1e-5)
    by_answer = (ce[0] + (ce[1] + ce[2]) / 2 + (ce[3] + ce[4]) / 2) / 3
    assert answer_loss(t, length_power=1.0).item() == pytest.approx(by_answer, rel=1e-5)
    root = 2**-0.5
    between = (ce[0] + root * sum(ce[1:])) / (1 + 4 * root)
    assert answer_loss(t, length_power=0.5).item() == pytest.approx(between, rel=1e-5)


def test_penalties_by_hand():
    t = targets()
    assert format_penalty(t).item() == pytest.approx(-math.log(0.8), rel=1e-5)
    assert field_penalty(t, 2).item() == pytest.approx(1 - (0.8 * 0.4 + 0.6) / 2, rel=1e-5)
    # tops: 0.8 right, 0.5 wrong, 0.6 right
    assert confidence_penalty(t).item() == pytest.approx((0.2**2 + 0.5**2 + 0.4**2) / 3, rel=1e-5)


def test_values_of_different_rows_are_not_multiplied_together():
    t = targets()
    two_rows = Targets(t.logits[1:3], t.tokens[1:3], torch.tensor([0, 0]), torch.tensor([0, 1]))
    assert field_penalty(two_rows, 2).item() == pytest.approx(1 - (0.8 + 0.4) / 2, rel=1e-5)
