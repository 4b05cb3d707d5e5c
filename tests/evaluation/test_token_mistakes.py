"""Errors of token taggers: outcomes of entities, confusion, seen strings, marked sentences, robustness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_encoder import sentence

from helpers.evaluation.token_mistakes import (
    BOTH,
    BOUNDARY,
    INVENTED,
    MISSED,
    RIGHT,
    TYPE,
    character_spans,
    comparison_html,
    confusion_finding,
    confusion_matrix,
    entity_outcomes,
    match_spans,
    outcome_finding,
    outcome_table,
    rare_label_table,
    robustness_table,
    seen_finding,
    seen_table,
    slice_table,
    wrong_sentences,
)
from helpers.tasks import load_task
from helpers.tasks.bio import spans_of, to_iob2
from helpers.tasks.it_ner.tags import TAGS
from helpers.tasks.token_metrics import row_counts

TASK = load_task("it_ner")
GOLD = [
    sentence("Visual/B-SOFTWARE Studio/I-SOFTWARE 2019/B-VERSION on Windows/B-OS & <Vim>/B-SOFTWARE", 4),
    sentence("a b c", 8),
]
FOUND = [
    {"id": 4, "prediction": ["B-SOFTWARE", "O", "B-SOFTWARE", "O", "B-OS", "O", "O"]},
    {"id": 8, "prediction": ["O", "B-HARDWARE", "I-HARDWARE"]},
]


def test_every_kind_of_outcome():
    gold = [(0, 2, "OS"), (3, 4, "OS"), (5, 7, "ERROR"), (8, 9, "OS"), (10, 11, "VERSION")]
    found = [(0, 2, "OS"), (3, 4, "ERROR"), (6, 7, "ERROR"), (8, 10, "SOFTWARE"), (12, 13, "OS")]
    assert [outcome for *_, outcome in match_spans(gold, found)] == [
        RIGHT,
        TYPE,
        BOUNDARY,
        BOTH,
        MISSED,
        INVENTED,
    ]


def test_a_prediction_is_matched_once_and_to_what_it_overlaps_most():
    gold, found = [(0, 1, "OS"), (1, 4, "OS")], [(0, 4, "OS")]
    assert match_spans(gold, found) == [((0, 1, "OS"), (0, 4, "OS"), BOUNDARY), ((1, 4, "OS"), None, MISSED)]
    pairs = match_spans([(0, 4, "OS")], [(0, 1, "OS"), (1, 4, "OS")])
    assert pairs == [((0, 4, "OS"), (1, 4, "OS"), BOUNDARY), (None, (0, 1, "OS"), INVENTED)] or pairs == [
        (None, (0, 1, "OS"), INVENTED),
        ((0, 4, "OS"), (1, 4, "OS"), BOUNDARY),
    ]


TAGGED = st.integers(1, 9).flatmap(
    lambda n: st.tuples(*[st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)] * 2)
)


@given(TAGGED)
def test_outcomes_count_every_entity_once(pair):
    gold, found = (spans_of(to_iob2(tags)) for tags in pair)
    pairs = match_spans(gold, found)
    assert sorted(one for one, _, _ in pairs if one) == sorted(gold)
    assert sorted(other for _, other, _ in pairs if other) == sorted(found)
    example = sentence(" ".join(f"w/{tag}" for tag in to_iob2(pair[0])))
    right = row_counts([example], [to_iob2(pair[1])], TASK.fields)["right"].iloc[0]
    assert sum(outcome == RIGHT for *_, outcome in pairs) == right


def test_outcome_and_confusion_tables():
    outcomes = entity_outcomes(TASK, GOLD, FOUND)
    table = outcome_table(TASK, outcomes)
    assert table.loc["SOFTWARE"].to_dict() == {
        RIGHT: 0,
        BOUNDARY: 1,
        TYPE: 0,
        BOTH: 0,
        MISSED: 1,
        INVENTED: 0,
    }
    assert (
        table.loc["VERSION", TYPE] == 1
        and table.loc["OS", RIGHT] == 1
        and table.loc["HARDWARE", INVENTED] == 1
    )
    assert outcomes.query("outcome == 'type'")[["text", "predicted_label"]].values.tolist() == [
        ["2019", "SOFTWARE"]
    ]
    matrix = confusion_matrix(TASK, GOLD, FOUND)
    assert matrix.loc["SOFTWARE", "O"] == 2 and matrix.loc["VERSION", "SOFTWARE"] == 1
    assert matrix.loc["O", "HARDWARE"] == 2
    assert matrix.to_numpy().sum() == 10


def test_recall_by_what_train_says():
    train = [sentence("windows/B-OS or vi"), sentence("2019/B-SOFTWARE"), sentence("<Vim> is odd")]
    table = seen_table(TASK, train, GOLD, FOUND)
    assert table["entities"].tolist() == [1, 1, 1, 1] and table["right"].tolist() == [1, 0, 0, 0]
    assert table.loc["seen with this label", "recall"] == 1 and 0 < table.loc["never seen", "high"] < 1


def test_rare_labels_come_first():
    scores = {"fields": {label: {"f1": 0.5, "support": 1} for label in TASK.fields}}
    table = rare_label_table(
        TASK, [*GOLD, sentence("Vim/B-SOFTWARE a/B-ERROR b/B-HARDWARE c/B-HARDWARE d/B-OS")], scores
    )
    assert table["entities in train"].tolist() == [1, 1, 2, 2, 3] and table.index[-1] == "SOFTWARE"


def test_wrong_sentences_show_each_kind_first():
    right = sentence("Haiku/B-OS", 9)
    shown = wrong_sentences(TASK, [*GOLD, right], [*FOUND, {"id": 9, "prediction": ["B-OS"]}])
    assert [row.id for row, _ in shown] == [4, 8]
    assert wrong_sentences(TASK, [right], [{"id": 9, "prediction": ["B-OS"]}]) == []


def test_marked_sentences_are_escaped_and_name_their_labels():
    example = GOLD[0]
    spans = character_spans(example.target.tokens, example.target.tags)
    text = " ".join(example.target.tokens)
    assert [(text[start:end], label) for start, end, label in spans] == [
        (value, label) for label, value in example.target.entities()
    ]
    html = comparison_html(TASK, example, FOUND[0]["prediction"])
    assert "&lt;Vim&gt;" in html and "<Vim>" not in html and "&amp;" in html
    assert html.count("Prediction") == 1 and html.count("VERSION</small>") == 1


def test_robustness_compares_the_same_rows():
    rows = [sentence("Vim/B-SOFTWARE on Debian/B-OS", 1), sentence("no entity here", 2)]
    clean = [{"id": 1, "prediction": ["B-SOFTWARE", "O", "B-OS"]}, {"id": 2, "prediction": ["O"] * 3}]

    def knows_capitals(changed):
        return [
            {
                "id": row.id,
                "prediction": [
                    "B-OS" if token == "Debian" else "B-SOFTWARE" if token == "Vim" else "O"
                    for token in row.target.tokens
                ],
            }
            for row in changed
        ]

    table = robustness_table(TASK, rows, clean, knows_capitals, seed=0)
    assert table.loc["lower case", ["n", "clean", "score", "difference"]].tolist() == [1, 1, 0, -1]
    assert table.loc["lower case", ["difference_low", "difference_high"]].tolist() == [-1, -1]
    assert "glued marks" not in table.index
    with pytest.raises(KeyError):
        robustness_table(TASK, rows, clean[1:], knows_capitals, seed=0)


def test_slices_have_the_f1_of_their_entities():
    table = slice_table(TASK, GOLD, FOUND, seed=0).set_index(["slice", "value"])
    assert set(table.loc["length"].index) <= {"short", "medium", "long"} and table.loc[
        "length", "n"
    ].sum() == len(GOLD)
    assert table.loc[("entities", "several"), "score"] == pytest.approx(2 / 7)
    assert table.loc[("entities", "none"), "score"] == 0
    silent = [FOUND[0], {"id": 8, "prediction": ["O"] * 3}]  # nothing to find and nothing found: no F1
    assert ("entities", "none") not in slice_table(TASK, GOLD, silent, seed=0).set_index(
        ["slice", "value"]
    ).index


def test_sentences_read_their_numbers_from_the_tables():
    text = outcome_finding(outcome_table(TASK, entity_outcomes(TASK, GOLD, FOUND)))
    assert (
        "Of **4** wrong entities 1 are missed, 1 invented, 1 have the right label at wrong borders, 1 wrong labels"
        in text
    )
    assert text.endswith("in *SOFTWARE*.")
    right = [{"id": row.id, "prediction": list(row.target.tags)} for row in GOLD]
    assert (
        outcome_finding(outcome_table(TASK, entity_outcomes(TASK, GOLD, right))) == "Every entity is right."
    )
    text = confusion_finding(confusion_matrix(TASK, GOLD, FOUND))
    assert "**SOFTWARE** is taken for O: 2 tokens, 66.7% of those" in text
    assert "Between two entity labels 1 tokens change, between entity and outside 4." in text
    assert confusion_finding(confusion_matrix(TASK, GOLD, right)) == "No token has a wrong label."
    train = [sentence("windows/B-OS or vi")]
    assert "in 100.0% of the cases (1 entities)" in seen_finding(seen_table(TASK, train, GOLD, FOUND))
    assert "no entities of both kinds" in seen_finding(seen_table(TASK, GOLD, GOLD, FOUND))
