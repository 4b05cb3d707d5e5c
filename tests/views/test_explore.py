"""Tables of the first look, against rows counted by hand."""

import pandas as pd
import pytest
from tiny_task import TASK, TinyTask, row

from helpers.views import explore

ROWS = [
    row(0, "Ann on Monday with Bo and Cy", name="Ann", day="monday", people=["Bo", "Cy"]),
    row(1, "ann on tue", name="Ann", day="tuesday"),
    row(2, "Dee, Monday", name="Dee", day="Monday", people=["Eve"]),
    row(3, "nobody"),
]


def letters(text, add_special_tokens=True):
    """Stands in for a tokenizer: a token a character, and one special token if asked for."""
    return {"input_ids": [0] * (len(text) + add_special_tokens)}


class Prompted(TinyTask):
    def prompt(self, text):
        return f"> {text}"

    def completion(self, target, text=""):
        return "abc"


def test_lengths_count_prompt_completion_and_end_of_text_and_limits_cut_or_pad():
    frame = explore.lengths({"train": ROWS[1:3], "validation": ROWS[3:]}, Prompted(), letters)
    wanted = [("train", 1, 10, 12, 16), ("train", 2, 11, 13, 17), ("validation", 3, 6, 8, 12)]
    assert list(frame.itertuples(index=False, name=None)) == wanted
    table = explore.length_limits(pd.DataFrame({"tokens": [10, 20, 40]}), limits=(20, 40))
    assert table.loc[20].tolist() == pytest.approx([1 / 3, 1 - 50 / 60])  # 20 itself is not cut


def test_values_are_counted_without_case_and_found_as_whole_words():
    values = explore.value_frame(ROWS, TASK)
    table = explore.value_summary(values, TASK)
    assert table.loc["day"].tolist() == [3, 2, 2 / 3, "monday", 2]
    assert table.loc["people", ["values", "unique", "commonest"]].tolist() == [3, 3, "bo"]
    how = explore.with_literalness(values).groupby("field")["how"].agg(list)
    assert how["name"] == ["verbatim", "other_case", "verbatim"]  # "ann" for Ann
    assert "not_in_text" in how["day"]  # "tue" is not tuesday


def test_duplicates_and_label_conflicts_are_told_and_siblings_left_alone():
    text = "team lunch with Ann at the big table in the garden"
    texts = {0: text, 1: text.replace(" at ", "  at "), 2: f"{text}.", 3: f"{text} 5pm"}
    rows = [row(at, texts[at], name=name) for at, name in enumerate(("Ann", "lunch", "Ann", "Bo"))]
    near = explore.near_duplicates(rows)
    pairs = near[["kind", "id_one", "id_other"]].values.tolist()
    assert pairs[:3] == [["exact", 0, 1], ["near", 0, 2], ["near", 1, 2]] and pairs[3][0] == "sibling"
    found = explore.label_conflicts(rows, TASK, near)[["kind", "label_one", "label_other"]]
    assert found.values.tolist() == [["exact", "Ann", "lunch"], ["near", "lunch", "Ann"]]


def test_changes_that_loading_made_are_listed_by_key():
    raw = {"text": "Lunch 5\u202fpm", "target": {"name": "", "day": "mon", "people": None}}
    one = row(3, "Lunch 5 pm", day="mon")
    found = explore.canonical_changes([one.with_(extra={"row": raw}), one], TASK)
    assert found.values.tolist() == [
        [3, "text", "Lunch 5⟨U+202F⟩pm", "Lunch 5 pm"],
        [3, "target.name", "", "None"],
    ]
