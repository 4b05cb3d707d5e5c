"""Likeness, removal, splitting, the leakage audit, and augmentation that keeps clear of the evaluation parts."""

import hashlib
import json
import random

import pytest
from tiny_task import TinyTask, row

from helpers.data.augment import augment_train
from helpers.data.read import load_source
from helpers.data.splits import alike, make_splits, near_groups, open_rows, similarity_bands, write_splits
from helpers.errors import UserError
from helpers.run import Run
from helpers.views.explore import before_after, samples

TEXT = "Gym class with Priyanka at the leisure centre on 3 March 2026, 5pm"
TYPO = TEXT.replace("leisure", "liesure")
OTHER_DAY = TEXT.replace("3 March", "14 March")
WORDS = "alder birch cedar damson elm fir gorse hazel iris juniper kale larch maple nettle oak pine".split()


def different(count: int, seed: int = 0) -> list[str]:
    """Texts that nobody would take for one another."""
    rng = random.Random(seed)
    return [" ".join(rng.sample(WORDS, 9)) for _ in range(count)]


def examples(texts: list[str]):
    return [row(at, text) for at, text in enumerate(texts)]


def texts(rows) -> list[str]:
    return [example.text for example in rows]


class Task(TinyTask):
    """Augments by shouting; settings are given with it."""

    def __init__(self, **changed):
        self.changed = changed
        super().__init__()

    def settings(self, profile):
        return {"augment_per_row": 1, "synthetic": 0, "max_rows": 0, **self.changed}

    def augmenters(self, train):
        return {"shout": lambda one, rng: one.with_(text=one.text.upper()), "never": lambda one, rng: None}

    def surface_formats(self, example):
        return {"case": "upper" if example.text.isupper() else "lower"}


def run_with(tmp_path, task=None, **settings) -> Run:
    return Run(task or Task(**settings), data="sample", out=str(tmp_path))


# -- likeness ---------------------------------------------------------------------------------------------------------
def test_kinds_of_likeness_by_the_normalised_indel_similarity():
    for other, kind in (
        (TEXT.replace(" ", "  "), "exact"),
        (TYPO, "near"),
        (TEXT + ".", "near"),
        (TEXT.replace("5pm", "05pm"), "near"),
        (OTHER_DAY, "sibling"),
        ("Dentist on 3 March 2026, 5pm", None),
    ):
        found = alike([TEXT], [other])
        assert found["kind"].tolist() == ([kind] if kind else [])
    # "abcdefghij" → "abcdefghiX": one deletion, one insertion, 20 characters: 100 · (1 − 2/20) = 90
    assert alike(["abcdefghij"], ["abcdefghiX"])["similarity"].tolist() == [90.0]
    assert alike(["abcdefghij"], ["abcdefghXY"]).empty  # 80


def test_pairs_within_one_list_are_compared_once_across_blocks_and_chains_are_groups():
    rows = different(1200)
    rows[3], rows[700], rows[1199] = TEXT, TYPO, OTHER_DAY
    found = alike(rows)[["left", "right", "kind"]].values.tolist()
    assert found == [[3, 700, "near"], [3, 1199, "sibling"], [700, 1199, "sibling"]]
    groups = near_groups(rows)
    assert groups[3] == groups[700] == groups[1199] and len(set(groups)) == 1198


def test_no_texts_and_empty_texts_do_no_harm():
    assert alike([]).empty and alike([], ["a"]).empty and near_groups([]) == [] and similarity_bands([]).empty
    assert alike(["", "a"]).empty and alike(["", ""])["kind"].tolist() == ["exact"]
    # every text is counted once, by its nearest neighbour
    bands = similarity_bands(["abcdefghij", "abcdefghiX", "same", "same"])
    assert bands.to_dict() == {"90–95": 2, "95–100": 2}


# -- removal ----------------------------------------------------------------------------------------------------------
def left_out(tmp_path, **parts):
    splits = make_splits(run_with(tmp_path), {part: examples(own) for part, own in parts.items()})
    return splits, splits.removed[["part", "id", "because_of", "id_kept", "kind"]].values.tolist()


def test_a_row_goes_only_for_a_row_that_stays(tmp_path):
    one, two, three = ("a" * 40 + "b" * at for at in (0, 6, 12))  # neighbours are alike, the ends are not
    assert len(alike([one, two])) == len(alike([two, three])) == 1 and alike([one, three]).empty
    splits, _ = left_out(tmp_path, train=[one, two, three], validation=different(1))
    assert texts(splits.parts["train"]) == [one, three] and "test" not in splits.parts


def test_train_loses_repeats_siblings_stay_and_evaluation_stays_whole(tmp_path):
    plain = different(6)
    train, validation = [plain[0], TYPO, OTHER_DAY, plain[1], plain[0]], [TEXT, TEXT, plain[2]]
    splits, gone = left_out(tmp_path, train=train, validation=validation, test=plain[1:3])
    assert texts(splits.parts["train"]) == [plain[0], OTHER_DAY]
    assert texts(splits.parts["validation"]) == validation and texts(splits.parts["test"]) == plain[1:3]
    assert gone == [
        ["train", 4, "train", 0, "exact"],
        ["train", 1, "validation", 0, "near"],
        ["train", 3, "test", 0, "exact"],
    ]
    assert splits.siblings[["id", "id_kept"]].values.tolist() == [[0, 2], [1, 2]]


def test_like_rows_with_other_labels_are_other_events_and_stay(tmp_path):
    named = {name: TEXT.replace("Priyanka", name) for name in ("Ann", "Bob", "Cy")}
    rows = [row(at, named[name], people=[name]) for at, name in enumerate(("Ann", "Bob"))]
    source = {
        "train": [*rows, row(2, named["Ann"], people=["Eve"])],  # the same text with two labels is kept once
        "validation": [row(0, named["Cy"], people=["Cy"])],
    }
    splits = make_splits(run_with(tmp_path), source)
    assert [example.id for example in splits.parts["train"]] == [0, 1]
    noticed = splits.conflicts[["id", "id_kept", "kind"]].values.tolist()
    assert noticed[:2] == [[1, 0, "sibling"], [2, 0, "exact"]]
    assert splits.audit.loc["after"].values.tolist() == [[0, 0, 1]]


# -- splitting --------------------------------------------------------------------------------------------------------
def family_rows():
    """200 different texts, then 10 texts in 4 writings that differ in numbers only."""
    families = [f"{text} at {hour}pm" for text in different(10, seed=9) for hour in (1, 2, 3, 4)]
    return examples(different(200) + families)


@pytest.mark.parametrize("seed", range(3))
def test_a_sample_is_cleared_and_split_70_15_15_and_parts_no_family(tmp_path, seed):
    rows = family_rows()
    again = [row(240 + at, example.text) for at, example in enumerate(rows[:12])]
    run = Run(Task(), data="sample", out=str(tmp_path), seed=seed)
    splits = make_splits(run, {"all": rows + again})
    assert splits.removed["id"].tolist() == list(range(240, 252)) and set(splits.removed["kind"]) == {"exact"}
    sizes = {part: len(members) for part, members in splits.parts.items()}
    assert sizes == {"train": 168, "validation": 36, "test": 36}
    assert sorted(one.id for members in splits.parts.values() for one in members) == list(range(240))
    assert splits.audit.loc["before"].to_numpy().sum() > 0 == splits.audit.loc["after"].to_numpy().sum()
    assert splits.parts == make_splits(run, {"all": rows + again}).parts
    opened = {example.id for example in open_rows({"all": rows + again}, splits.parts)}
    assert opened == {example.id for example in splits.parts["train"]} | set(range(240, 252))


def test_the_split_of_the_sample_stays_the_one_that_results_were_measured_on(tmp_path):
    run = Run("calendar", out=str(tmp_path))
    parts = make_splits(run, load_source(run)).parts
    ids = {part: [example.id for example in rows] for part, rows in parts.items()}
    digests = {part: hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12] for part, rows in ids.items()}
    assert digests == {"train": "6c31aa1d5da9", "validation": "11ad3525cdf6", "test": "98f6cfc5055d"}


def test_what_cannot_be_split_is_a_clear_error(tmp_path):
    rows = examples([f"Gym with Ann at {hour}" for hour in range(40)])
    with pytest.raises(UserError, match="40 rows in 1 different wordings are too few"):
        make_splits(run_with(tmp_path), {"all": rows})
    with pytest.raises(UserError, match="every train row repeats an evaluation row"):
        make_splits(run_with(tmp_path), {"train": rows[:1], "validation": rows[:1]})


def test_max_rows_cuts_the_sample_and_only_train_of_given_parts(tmp_path):
    rows = family_rows()
    run = run_with(tmp_path, max_rows=40)
    assert sum(map(len, make_splits(run, {"all": rows}).parts.values())) == 40
    source = {"train": rows[:100], "validation": rows[100:180]}
    parts = make_splits(run, source).parts
    assert (len(parts["train"]), len(parts["validation"])) == (40, 80)
    assert open_rows(source, parts) == rows[:100]


def test_written_parts_load_again_and_a_stale_test_part_goes(tmp_path):
    run = run_with(tmp_path)
    parts = {part: examples(different(3, seed)) for seed, part in enumerate(("train", "validation", "test"))}
    write_splits(run, parts)
    assert {part: run.load(part) for part in parts} == parts and run.load("scored") == parts["test"]
    del parts["test"]
    write_splits(run, parts)
    assert not run.path("splits", "test.jsonl").exists() and run.load("scored") == parts["validation"]


# -- augmentation -----------------------------------------------------------------------------------------------------
def prepared(tmp_path, train, validation, test=(), task=None, **settings):
    run = run_with(tmp_path, task, **settings)
    parts = {"train": train, "validation": validation} | ({"test": test} if test else {})
    write_splits(run, {part: examples(own) for part, own in parts.items()})
    return run, run.load("train")


@pytest.mark.parametrize(
    "train, validation, test, near",
    [([TEXT], [OTHER_DAY], [], 1), ([TYPO], [TEXT], [], 1), ([TEXT], [], [OTHER_DAY], 0)],
)
def test_variants_join_train_unless_they_resemble_a_validation_row_and_the_test_part_has_no_say(
    tmp_path, train, validation, test, near
):
    parts = [*train, *different(3)], [*validation, *different(2, 3)], [*test, *different(2, 4)]
    run, rows = prepared(tmp_path, *parts)
    rows, report = augment_train(run, rows)
    assert texts(rows[:4]) == parts[0] and {row.origin for row in rows[4:]} == {"shout"}
    assert run.load("train_augmented") == rows
    assert (train[0].upper() in texts(rows)) == (not near) and len(rows) == 4 + 4 - near
    assert report.loc["shout", ["made", "kept", "near evaluation"]].tolist() == [4, 4 - near, near]


def test_made_rows_that_repeat_lack_their_values_or_resemble_a_validation_row_are_left_out(tmp_path):
    class Maker(Task):
        def synthesise(self, train, count, rng):
            ann = row(0, "call Ann", name="Ann")
            odd = [row(0, "call Bob", name="Eve"), row(0, train[0].text)]
            made = [ann, ann, *odd, row(0, "Strategy mtg", name="Strategy meeting"), row(0, f"{seen}!")]
            return [example.with_(origin="synthetic") for example in made[:count]]

    seen, *more = different(3, 7)
    task = Maker(synthetic=6, augment_per_row=0)
    run, train = prepared(tmp_path, different(4), [seen, *more], task=task)
    rows, report = augment_train(run, train)
    assert [(example.id, example.text) for example in rows[4:]] == [(4, "call Ann"), (5, "Strategy mtg")]
    made = {"made": 6, "kept": 2, "duplicate": 2, "near evaluation": 1, "broken": 1}
    assert report.loc["synthetic"].to_dict() == made


def test_augmentation_is_a_function_of_the_seed(tmp_path):
    class Chance(Task):
        def augmenters(self, train):
            change = lambda one, rng: one.with_(text=f"{one.text} {rng.random()}")  # noqa: E731
            return dict.fromkeys(("one", "two", "three"), change)

    def made(folder, seed):
        task = Chance(augment_per_row=2)
        run, train = prepared(tmp_path / folder, different(6), different(2, 5), task=task)
        run.seed = seed
        return augment_train(run, train)[0]

    first = made("a", 1)
    assert len(first) == 18 and first == made("b", 1) != made("c", 2)


def test_before_and_after_tell_what_augmentation_changed(tmp_path):
    run, train = prepared(tmp_path, [*different(3), "SHOUTED NONSENSE"], different(2, 7))
    rows, _ = augment_train(run, train)
    # 3 made: the fourth was upper already
    shares = before_after(train, rows, run.task).loc[("case", "upper")].tolist()
    assert shares == [0.25, pytest.approx(4 / 7)]
    shown = samples(train, rows, each=2)
    assert (shown["made"] == shown["original"].str.upper()).all() and len(shown) == 2
