"""Likeness, removal, splitting, the leakage audit, and augmentation that keeps clear of the evaluation parts."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz
from tiny_task import TinyTask, row

from helpers.data.augment import augment_train, one_of_each, unsupported
from helpers.data.read import load_source
from helpers.data.splits import (
    alike,
    grouped_split,
    leakage_audit,
    like_rows,
    make_splits,
    masked,
    near_groups,
    numbers,
    open_rows,
    similarity_bands,
    write_splits,
)
from helpers.errors import UserError
from helpers.run import Run
from helpers.views.explore import before_after, samples

TEXT = "Gym class with Priyanka at the leisure centre on 3 March 2026, 5pm"
TYPO = TEXT.replace("leisure", "liesure")
OTHER_DAY = TEXT.replace("3 March", "14 March")
WORDS = (
    "alder birch cedar damson elm fir gorse hazel iris juniper kale larch maple nettle oak pine rowan".split()
)


def different(count: int, seed: int = 0) -> list[str]:
    """Texts that nobody would take for one another."""
    rng = random.Random(seed)
    return [" ".join(rng.sample(WORDS, 9)) for _ in range(count)]


def examples(texts: list[str]):
    return [row(at, text) for at, text in enumerate(texts)]


def texts(rows) -> list[str]:
    return [example.text for example in rows]


# -- likeness ---------------------------------------------------------------------------------------------------------
def test_masking_and_numbers():
    assert masked("Call  ANN 12:30") == "call ann 00:00"
    assert numbers("09:05 on 2026-01-30, 007 and 0") == ("9", "5", "2026", "1", "30", "7", "0")


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (TEXT.replace(" ", "  "), "exact"),
        (TYPO, "near"),
        (TEXT.upper(), "near"),
        (TEXT + ".", "near"),
        (OTHER_DAY, "sibling"),
        (TEXT.replace("5pm", "6pm"), "sibling"),
        ("Dentist on 3 March 2026, 5pm", None),
    ],
)
def test_kinds_of_likeness(other, kind):
    found = alike([TEXT], [other])
    assert found["kind"].tolist() == ([kind] if kind else [])


def test_likeness_is_the_normalised_indel_similarity():
    # "abcdefghij" → "abcdefghiX": one deletion, one insertion, 20 characters: 100 · (1 − 2/20) = 90
    assert alike(["abcdefghij"], ["abcdefghiX"])["similarity"].tolist() == [90.0]
    assert alike(["abcdefghij"], ["abcdefghXY"]).empty  # 80


def test_pairs_within_one_list_are_compared_once_across_blocks():
    rows = different(1200)
    rows[3], rows[700], rows[1199] = TEXT, TYPO, OTHER_DAY
    found = alike(rows)[["left", "right", "kind"]].values.tolist()
    assert found == [[3, 700, "near"], [3, 1199, "sibling"], [700, 1199, "sibling"]]


def test_no_texts_and_empty_texts_do_no_harm():
    assert alike([]).empty and alike([], ["a"]).empty and near_groups([]) == []
    assert alike(["", "a"]).empty and alike(["", ""])["kind"].tolist() == ["exact"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet="ab1 ", max_size=12), max_size=12))
def test_groups_are_the_connected_parts_of_the_likeness_graph(rows):
    groups = near_groups(rows)
    linked = {
        (i, j)
        for i in range(len(rows))
        for j in range(i)
        if fuzz.ratio(masked(rows[i]), masked(rows[j])) >= 90
    }
    reach = [{at} for at in range(len(rows))]
    for _ in rows:
        for i, j in linked:
            reach[i] = reach[j] = reach[i] | reach[j]
        for at in range(len(rows)):
            reach[at] = set().union(*(reach[other] for other in reach[at]))
    assert all(
        (groups[i] == groups[j]) == (j in reach[i]) for i in range(len(rows)) for j in range(len(rows))
    )


def test_bands_count_every_text_once_by_its_nearest_neighbour():
    bands = similarity_bands(["abcdefghij", "abcdefghiX", "same", "same"], width=10)
    assert bands.to_dict() == {"90–100": 4} and similarity_bands([]).empty
    assert similarity_bands(["a"], width=50).to_dict() == {"0–50": 1, "50–100": 0}, "not its own neighbour"
    assert similarity_bands(["abcd", "abXY", "same", "same"], width=25).to_dict() == {"50–75": 2, "75–100": 2}


# -- removal ----------------------------------------------------------------------------------------------------------
def left_out(tmp_path, **parts):
    splits = make_splits(run_with(tmp_path), {part: examples(own) for part, own in parts.items()})
    return splits, splits.removed[["part", "id", "because_of", "id_kept", "kind"]].values.tolist()


def test_repeats_go_and_siblings_stay(tmp_path):
    plain = different(3)
    splits, gone = left_out(tmp_path, train=[TEXT, OTHER_DAY, TYPO, TEXT, *plain], validation=different(1, 4))
    assert texts(splits.parts["train"]) == [TEXT, OTHER_DAY, *plain]
    assert gone == [["train", 2, "train", 0, "near"], ["train", 3, "train", 0, "exact"]]


def test_a_row_goes_only_for_a_row_that_stays(tmp_path):
    one, two, three = ("a" * 40 + "b" * at for at in (0, 6, 12))  # neighbours are alike, the ends are not
    assert len(alike([one, two])) == len(alike([two, three])) == 1 and alike([one, three]).empty
    splits, _ = left_out(tmp_path, train=[one, two, three], validation=different(1))
    assert texts(splits.parts["train"]) == [one, three]


def test_train_loses_repeats_of_evaluation_rows_and_evaluation_stays_whole(tmp_path):
    plain = different(6)
    splits, gone = left_out(
        tmp_path,
        train=[plain[0], TYPO, OTHER_DAY, plain[1]],
        validation=[TEXT, TEXT, plain[2]],
        test=[plain[1], plain[2]],
    )
    assert texts(splits.parts["train"]) == [plain[0], OTHER_DAY]
    assert texts(splits.parts["validation"]) == [TEXT, TEXT, plain[2]]
    assert texts(splits.parts["test"]) == [plain[1], plain[2]]
    assert gone == [["train", 1, "validation", 0, "near"], ["train", 3, "test", 0, "exact"]]
    assert splits.siblings[["id", "id_kept"]].values.tolist() == [[0, 2], [1, 2]]


def test_like_rows_with_other_labels_are_other_events_and_stay(tmp_path):
    ann, bob = (
        row(at, TEXT.replace("Priyanka", name), people=[name]) for at, name in enumerate(("Ann", "Bob"))
    )
    again = row(2, ann.text, people=["Eve"])
    source = {
        "train": [ann, bob, again],
        "validation": [row(0, TEXT.replace("Priyanka", "Cy"), people=["Cy"])],
    }
    splits = make_splits(run_with(tmp_path), source)
    assert [example.id for example in splits.parts["train"]] == [
        0,
        1,
    ]  # the same text with two labels is kept once
    assert splits.conflicts[["id", "id_kept", "kind"]].values.tolist()[:2] == [
        [1, 0, "sibling"],
        [2, 0, "exact"],
    ]
    assert splits.audit.loc["after"].values.tolist() == [[0, 0, 1]]


def test_audit_counts_rows_of_the_later_part_once_by_closest_kind(tmp_path):
    splits, _ = left_out(
        tmp_path,
        train=[TEXT, OTHER_DAY, *different(1, 5)],
        validation=[TEXT, TYPO + "!", *different(2)],
        test=[TEXT.replace("5pm", "7pm")],
    )
    before = splits.audit.loc["before"]
    assert before.loc["train – validation"].tolist() == [1, 1, 0]
    assert before.loc["train – test"].tolist() == [0, 0, 1] == before.loc["validation – test"].tolist()


# -- splitting --------------------------------------------------------------------------------------------------------
def family_rows():
    """200 different texts, then 10 texts in 4 writings that differ in numbers only."""
    return examples(
        different(200) + [f"{text} at {hour}pm" for text in different(10, seed=9) for hour in (1, 2, 3, 4)]
    )


@pytest.mark.parametrize("seed", range(3))
def test_split_is_70_15_15_whole_seeded_and_parts_no_family(seed):
    rows = family_rows()
    parts = grouped_split(rows, random.Random(seed))
    assert {part: len(members) for part, members in parts.items()} == {
        "train": 168,
        "validation": 36,
        "test": 36,
    }
    assert sorted(example.id for members in parts.values() for example in members) == list(range(240))
    assert parts == grouped_split(rows, random.Random(seed)) != grouped_split(rows, random.Random(9))
    dealt = [next(part for part, members in parts.items() if example in members) for example in rows]
    assert leakage_audit(like_rows(rows, Task()), dealt).to_numpy().sum() == 0


def test_the_split_of_the_sample_stays_the_one_that_results_were_measured_on(tmp_path):
    run = Run("calendar", out=str(tmp_path))
    parts = make_splits(run, load_source(run)).parts
    ids = {part: [example.id for example in rows] for part, rows in parts.items()}
    digests = {part: hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12] for part, rows in ids.items()}
    assert digests == {"train": "6c31aa1d5da9", "validation": "11ad3525cdf6", "test": "98f6cfc5055d"}


def test_too_few_wordings_to_split_is_a_clear_error():
    with pytest.raises(UserError, match="40 rows in 1 different wordings are too few"):
        grouped_split(examples([f"Gym with Ann at {hour}" for hour in range(40)]), random.Random(0))


class Task(TinyTask):
    """Augments by shouting or by adding a word, and makes rows of which some are useless."""

    def __init__(self, **changed):
        super().__init__()
        self.changed = changed
        super().__init__()

    def settings(self, profile):
        return {"augment_per_row": 1, "synthetic": 0, "max_rows": 0, **self.changed}

    def augmenters(self, train):
        return {
            "shout": lambda example, rng: example.with_(text=example.text.upper()),
            "never": lambda example, rng: None,
        }

    def surface_formats(self, example):
        return {"case": "upper" if example.text.isupper() else "lower"}


def run_with(tmp_path, **settings) -> Run:
    return Run(Task(**settings), data="sample", out=str(tmp_path))


def test_an_unsplit_source_is_cleared_and_split(tmp_path):
    rows = family_rows()
    rows += [row(240 + at, example.text) for at, example in enumerate(rows[:12])]
    splits = make_splits(run_with(tmp_path), {"all": rows})
    assert splits.removed["id"].tolist() == list(range(240, 252)) and set(splits.removed["kind"]) == {"exact"}
    assert sum(map(len, splits.parts.values())) == 240
    assert splits.audit.loc["before"].to_numpy().sum() > 0 == splits.audit.loc["after"].to_numpy().sum()


def test_given_parts_stay_as_given_but_for_train_repeats(tmp_path):
    plain = different(4)
    source = {
        "train": examples([plain[0], plain[0], TYPO, OTHER_DAY]),
        "validation": examples([TEXT, plain[1], plain[1]]),
    }
    splits = make_splits(run_with(tmp_path), source)
    assert texts(splits.parts["train"]) == [plain[0], OTHER_DAY] and "test" not in splits.parts
    assert splits.parts["validation"] == source["validation"]
    assert splits.removed[["part", "id", "because_of"]].values.tolist() == [
        ["train", 1, "train"],
        ["train", 2, "validation"],
    ]
    assert splits.audit.loc["before", "near"].tolist() == [1] and splits.audit.loc[
        "after", "near"
    ].tolist() == [0]
    assert splits.audit.loc["after", "sibling"].tolist() == [1]  # the other day stays, and is shown


def test_train_that_only_repeats_evaluation_is_refused(tmp_path):
    with pytest.raises(UserError, match="every train row repeats an evaluation row"):
        make_splits(run_with(tmp_path), {"train": examples([TEXT]), "validation": examples([TEXT])})


def test_max_rows_cuts_the_sample_and_only_train_of_given_parts(tmp_path):
    rows = family_rows()
    run = run_with(tmp_path, max_rows=40)
    assert sum(map(len, make_splits(run, {"all": rows}).parts.values())) == 40
    parts = make_splits(run, {"train": rows[:100], "validation": rows[100:180]}).parts
    assert (len(parts["train"]), len(parts["validation"])) == (40, 80)


def test_only_rows_that_no_evaluation_part_got_are_open(tmp_path):
    rows = family_rows()
    source = {"all": rows + [row(240, rows[0].text)]}
    parts = make_splits(run_with(tmp_path), source).parts
    seen = {example.id for example in open_rows(source, parts)}
    assert seen == {example.id for example in parts["train"]} | {240}
    given = {"train": rows[:5], "validation": rows[:9]}
    assert open_rows(given, given) == rows[:5]


def test_written_parts_load_again_and_a_stale_test_part_goes(tmp_path):
    run = run_with(tmp_path)
    parts = {part: examples(different(3, seed)) for seed, part in enumerate(("train", "validation", "test"))}
    write_splits(run, parts)
    assert {part: run.load(part) for part in parts} == parts and run.load("scored") == parts["test"]
    del parts["test"]
    write_splits(run, parts)
    assert not run.path("splits", "test.jsonl").exists() and run.load("scored") == parts["validation"]


# -- augmentation -----------------------------------------------------------------------------------------------------
def prepared(
    tmp_path, train: list[str], validation: list[str], test: list[str] | None = None, task=None, **settings
):
    run = Run(task or Task(**settings), data="sample", out=str(tmp_path))
    write_splits(
        run,
        {
            "train": examples(train),
            "validation": examples(validation),
            **({"test": examples(test)} if test else {}),
        },
    )
    return run, run.load("train")


def test_one_variant_an_original_is_added_and_written(tmp_path):
    run, train = prepared(tmp_path, different(5), different(3, 7))
    rows, report = augment_train(run, train)
    assert rows[:5] == train and texts(rows[5:]) == [text.upper() for text in texts(train)]
    assert [(example.id, example.origin) for example in rows[5:]] == [(at, "shout") for at in range(5)]
    assert report.loc["shout"].tolist() == [5, 5, 0, 0, 0]
    assert run.load("train_augmented") == rows


@pytest.mark.parametrize(
    "train, validation, test, near",
    [([TEXT], [OTHER_DAY], [], 1), ([TYPO], [TEXT], [], 1), ([TEXT], [], [OTHER_DAY], 0)],
)
def test_no_made_row_resembles_a_validation_row_and_the_test_part_has_no_say(
    tmp_path, train, validation, test, near
):
    parts = [*train, *different(3)], [*validation, *different(2, 3)], [*test, *different(2, 4)]
    run, rows = prepared(tmp_path, *parts)
    rows, report = augment_train(run, rows)
    assert (train[0].upper() in texts(rows)) == (not near) and len(rows) == 4 + 4 - near
    assert report.loc["shout", ["made", "kept", "near evaluation"]].tolist() == [4, 4 - near, near]


def test_repeats_and_rows_without_their_values_are_left_out(tmp_path):
    class Maker(Task):
        def synthesise(self, train, count, rng):
            made = [
                row(0, "call Ann", name="Ann"),
                row(0, "call Ann", name="Ann"),
                row(0, "call Bob", name="Eve"),
                row(0, train[0].text),
                row(0, "Strategy mtg", name="Strategy meeting"),
            ]
            return [example.with_(origin="synthetic") for example in made[:count]]

    run, train = prepared(tmp_path, different(4), different(3, 7), task=Maker(synthetic=5, augment_per_row=0))
    rows, report = augment_train(run, train)
    assert [(example.id, example.text) for example in rows[4:]] == [(4, "call Ann"), (5, "Strategy mtg")]
    assert report.loc["synthetic"].to_dict() == {
        "made": 5,
        "kept": 2,
        "duplicate": 2,
        "near evaluation": 0,
        "broken": 1,
    }


def test_a_value_counts_as_supported_by_one_of_its_words():
    task = Task()
    assert (
        unsupported(row(0, "Strategy mtg w/ ann", name="Strategy meeting", people=["Ann", "Bo"]), task) == 1
    )


def test_augmentation_is_a_function_of_the_seed(tmp_path):
    class Chance(Task):
        def augmenters(self, train):
            return {
                name: lambda example, rng: example.with_(text=f"{example.text} {rng.randrange(10**9)}")
                for name in ("one", "two", "three")
            }

    def made(folder, seed):
        run = Run(Chance(augment_per_row=2), data="sample", out=str(tmp_path / folder), seed=seed)
        write_splits(run, {"train": examples(different(6)), "validation": examples(different(2, 5))})
        return augment_train(run, run.load("train"))[0]

    first = made("a", 1)
    assert len(first) == 18 and first == made("b", 1) != made("c", 2)
    assert len(Counter(example.origin for example in first)) == 4  # gold and all three


def test_one_of_each_takes_the_first_row_that_most_methods_can_vary(tmp_path):
    class Picky(Task):
        def augmenters(self, train):
            return {
                "any": lambda example, rng: example.with_(text=example.text + "!"),
                "only b": lambda example, rng: example.with_(text="B") if example.text == "b" else None,
            }

    example, variants = one_of_each(Run(Picky(), data="sample", out=str(tmp_path)), examples(["a", "b", "c"]))
    assert example.text == "b" and {name: made.text for name, made in variants.items()} == {
        "any": "b!",
        "only b": "B",
    }


def test_before_after_and_samples_tell_what_changed(tmp_path):
    run, train = prepared(tmp_path, [*different(3), "shouted nonsense here".upper()], different(2, 7))
    rows, _ = augment_train(run, train)
    table = before_after(train, rows, run.task)
    assert table.loc[("case", "upper")].tolist() == [
        0.25,
        pytest.approx(4 / 7),
    ]  # 3 made: the fourth was upper already
    assert table.loc[("field", "name")].tolist() == [0, 0] and list(table.columns) == ["before", "after"]
    shown = samples(train, rows, each=2)
    assert shown["origin"].tolist() == ["shout", "shout"]
    assert (shown["made"] == shown["original"].str.upper()).all()


def test_split_files_are_json_lines_of_the_task(tmp_path):
    run, _ = prepared(tmp_path, [TEXT], different(2))
    record = json.loads(run.path("splits", "train.jsonl").read_text(encoding="utf-8"))
    target = {"name": None, "day": None, "people": None}
    assert record == {"id": 0, "origin": "gold", "row": {"text": TEXT, "target": target}}
