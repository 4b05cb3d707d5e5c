"""Slices, strings that train had not seen, and robustness on rows small enough to check by eye."""

import pytest
from tiny_encoder import sentence
from tiny_task import GOLD, RECORDS, TASK, record, row

from helpers.evaluation import slices
from helpers.tasks import load_task

TAGS = load_task("it_ner")
SENTENCES = [
    sentence("Visual/B-SOFTWARE Studio/I-SOFTWARE 2019/B-VERSION on Windows/B-OS & <Vim>/B-SOFTWARE", 4),
    sentence("a b c", 8),
]
FOUND = [
    {"id": 4, "prediction": ["B-SOFTWARE", "O", "B-SOFTWARE", "O", "B-OS", "O", "O"]},
    {"id": 8, "prediction": ["O", "B-HARDWARE", "I-HARDWARE"]},
]


def test_slices_count_every_row_once_a_kind_and_those_of_sentences_have_the_f1_of_their_entities():
    table = slices.slice_table(TASK, GOLD, RECORDS, seed=1).set_index(["slice", "value"])
    assert table["n"].to_dict() == {("people", "none"): 2, ("people", "some"): 2, ("length", "any"): 4}
    assert table["score"].tolist() == [0.5, 0.0, 0.25]
    assert ((table["low"] <= table["score"]) & (table["score"] <= table["high"])).all()
    assert (table["high"] > table["low"]).all()
    table = slices.slice_table(TAGS, SENTENCES, FOUND, seed=0).set_index(["slice", "value"])
    assert table.loc[("values", "many"), ["n", "score"]].tolist() == [1, pytest.approx(2 / 7)]
    assert ("values", "few") not in table.index, "nothing to find: F1 is 0 or undefined, whatever was found"


def test_recall_by_what_train_says():
    train = [sentence("windows/B-OS or vi"), sentence("2019/B-SOFTWARE"), sentence("<Vim> is odd")]
    table = slices.seen_table(TAGS, train, SENTENCES, FOUND)
    assert table["entities"].tolist() == [1, 1, 1, 1] and table["right"].tolist() == [1, 0, 0, 0]
    assert table.loc["seen with this label", "recall"] == 1 and 0 < table.loc["never seen", "high"] < 1


def test_a_value_that_stands_inside_a_word_of_train_was_not_seen():
    train = [row(0, "Lunch with Annabel.", name="Lunch"), row(1, "see Bo, please", name="see")]
    table = slices.seen_table(TASK, train, GOLD[:2], RECORDS[:2])
    # lunch, whatever its case; none with another label; Bo, unlabelled; never call, and Ann but for Annabel
    assert table["entities"].tolist() == [1, 0, 1, 2]


# -- robustness -------------------------------------------------------------------------------------------
def test_perturbed_rows_are_the_same_for_one_seed_and_independent_of_each_other():
    rows = [row(number, text=f"text {number}", people=["A"] if number % 2 else None) for number in range(6)]
    first = slices.perturb(TASK, rows, seed=1)
    assert first == slices.perturb(TASK, rows, seed=1) != slices.perturb(TASK, rows, seed=2)
    assert [one.id for one in first["second person"]] == [1, 3, 5] and first["nothing"] == []
    assert slices.perturb(TASK, rows[3:], seed=1)["second person"] == first["second person"][1:]


def test_robustness_compares_the_same_rows():
    rows = [row(at, text=f"text {at}", name="text", people=["A"] if at < 4 else None) for at in range(8)]
    clean = [record(one.id, name="text" if one.id else "wrong", people=one.target["people"]) for one in rows]

    def predict(examples):
        names = ["text" if one.text.islower() else one.text for one in examples]
        return [record(one.id, name, people=one.target["people"]) for one, name in zip(examples, names)]

    table = slices.robustness_table(TASK, rows, clean, predict, seed=1)
    assert list(table.index) == ["upper", "second person"]
    assert table.loc["upper", ["n", "clean", "score", "difference"]].tolist() == [8, 7 / 8, 0.0, -7 / 8]
    assert -1 <= table.loc["upper", "difference_low"] < -7 / 8 < table.loc["upper", "difference_high"] < 0
    assert table.loc["second person", ["n", "clean", "score"]].tolist() == [4, 3 / 4, 1.0]
    assert table.loc["upper", "p"] == pytest.approx(2 / 2**7)


def test_robustness_of_sentences_is_that_of_their_f1():
    rows = [sentence("Vim/B-SOFTWARE on Debian/B-OS", 1), sentence("no entity here", 2)]
    clean = [{"id": 1, "prediction": ["B-SOFTWARE", "O", "B-OS"]}, {"id": 2, "prediction": ["O"] * 3}]
    known = {"Debian": "B-OS", "Vim": "B-SOFTWARE"}

    def knows_capitals(changed):
        tags = [[known.get(token, "O") for token in row.target.tokens] for row in changed]
        return [{"id": row.id, "prediction": one} for row, one in zip(changed, tags)]

    table = slices.robustness_table(TAGS, rows, clean, knows_capitals, seed=0)
    columns = ["n", "clean", "score", "difference", "difference_low", "difference_high"]
    assert table.loc["lower case", columns].tolist() == [1, 1, 0, -1, -1, -1]
    assert "glued marks" not in table.index
