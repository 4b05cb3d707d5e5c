"""What train says to an error: votes on edges, writing and fields, verdicts, and the share they add up to."""
from __future__ import annotations

import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_task import TASK, TinyTask, failed, record, row

from helpers import inconsistency
from helpers.inconsistency import BOTH, EXCEPTION, FEW, FORETOLD, NONE, ONE_WAY
from helpers.label_questions import TrainLabels
from helpers.label_votes import Case, locate
from helpers.tasks import get_task

NOUNS = "review lunch sync demo audit retro briefing rehearsal call party meetup tour".split()


def mixed(train, seed=1):
    """Rows in another order, so that nothing follows from where a row stands."""
    rows = list(train)
    random.Random(seed).shuffle(rows)
    return [one.with_(id=number) for number, one in enumerate(rows)]


def lead_rows(keep, drop):
    """`Schedule a …` rows of which the first keep the verb and the others drop it."""
    nouns = [NOUNS[at % 12] for at in range(keep + drop)]
    return mixed([row(0, f"Schedule a {noun} on monday", name=f"{'Schedule a ' * (at < keep)}{noun}")
                  for at, noun in enumerate(nouns)])


def judged(train, gold, predicted, task=TASK, share=inconsistency.MINORITY):
    return inconsistency.judge(inconsistency.ask_train(task, train, [gold], [predicted]), share)


def only(train, gold, predicted, **more):
    lines = judged(train, gold, predicted, **more)
    assert len(lines) == 1
    return lines.iloc[0]


# -- edges ------------------------------------------------------------------------------------------------------------
def test_edge_that_train_keeps_and_drops():
    line = only(lead_rows(6, 5), row(9, "Schedule a standup on friday", name="standup"),
                record(9, name="Schedule a standup"))
    assert (line.kind, line.about, line.label_way, line.prediction_way) == (
        "edge", "“schedule a” at the start", "drops", "keeps")
    assert (line.as_label, line.as_prediction, line.verdict, line.rarer) == (5, 6, BOTH, True)
    other = only(lead_rows(6, 5), row(9, "Schedule a standup on friday", name="Schedule a standup"),
                 record(9, name="standup"))
    assert (other.label_way, other.as_label, other.as_prediction, other.rarer) == ("keeps", 6, 5, False)


def test_edge_at_the_end_of_a_value_of_a_list():
    train = mixed([row(0, f"{NOUNS[at]} with the {word} team today", people=["Ann", f"{word}{' team' * (at < 4)}"])
                   for at, word in enumerate("red blue green white black pink grey teal".split())])
    train = [one.with_(text=f"Ann {one.text}") for one in train]
    line = only(train, row(9, "Ann sync with the gold team today", people=["Ann", "gold"]),
                record(9, people=["Ann", "gold team"]))
    assert (line.about, line.as_label, line.as_prediction, line.verdict) == ("“team” at the end", 4, 4, BOTH)


def test_one_way_is_the_error_of_whoever_leaves_it():
    train = lead_rows(0, 9)
    gold, predicted = row(9, "Schedule a standup", name="standup"), record(9, name="Schedule a standup")
    assert only(train, gold, predicted).verdict == ONE_WAY
    swapped = only(train, row(9, "Schedule a standup", name="Schedule a standup"), record(9, name="standup"))
    assert (swapped.verdict, swapped.as_label, swapped.as_prediction) == (EXCEPTION, 0, 9)


def test_rare_words_are_widened_to_the_outermost_one():
    pairs = [f"{left} {right}" for left, right in zip(NOUNS[:8], reversed(NOUNS))]
    train = mixed([row(0, f"Plan {pair} soon", name=f"{'Plan ' * (at < 4)}{pair}") for at, pair in enumerate(pairs)])
    line = only(train, row(9, "Plan our big standup soon", name="standup"), record(9, name="Plan our big standup"))
    assert line.about == "“plan” and what goes with it at the start"
    assert (line.as_label, line.as_prediction) == (4, 4)


def test_words_that_the_task_holds_for_meaningless_vote_for_each_other():
    calendar = get_task("calendar")
    empty = dict.fromkeys(calendar.fields)
    verbs = ["Book a", "Arrange a", "Set up a", "Organize a", "Plan a", "Add a", "Create a", "Hold a"]
    train = mixed([row(0).with_(text=f"{verb} {noun} at noon",
                                target={**empty, "action": f"{verb} {noun}" if at % 2 else noun})
                   for at, (verb, noun) in enumerate(zip(verbs, NOUNS))])
    gold = row(9).with_(text="Reserve a standup at noon", target={**empty, "action": "standup"})
    line = only(train, gold, {"id": 9, "prediction": {**empty, "action": "Reserve a standup"}}, task=calendar)
    assert line.about == "words without a meaning of their own at the start"
    assert (line.as_label, line.as_prediction) == (4, 4)


def test_two_edges_are_excused_only_together():
    train = lead_rows(6, 6) + mixed([row(0, f"{noun} now", name=noun) for noun in NOUNS])
    gold = row(9, "Schedule a standup now", name="standup")
    assert only(train, gold, record(9, name="Schedule a standup")).verdict == BOTH
    both_edges = only(train, gold, record(9, name="Schedule a standup now"))
    assert (both_edges.verdict, both_edges.about) == (ONE_WAY, "“now” at the end")


# -- writing ----------------------------------------------------------------------------------------------------------
class Durations(TinyTask):
    """The day field holds durations, found in the text by their span however the value is written."""

    def spans(self, example):
        found = {name: [] for name in self.fields}
        for name, values in self.values(example.target).items():
            for value in values:
                surface = value if value in example.text else example.text.split(" for ")[-1]
                start = example.text.find(surface)
                found[name].append((start, start + len(surface)))
        return found

    def learn_conventions(self, train):
        """The most frequent unit."""
        units = [value.split()[-1] for one in train for value in self.values(one.target)["day"]]
        return max(sorted(set(units)), key=units.count) if units else "hr"

    def from_spans(self, text, spans, conventions):
        pieces = {name: [text[low:high] for low, high in places] for name, places in spans.items()}
        return {"name": next(iter(pieces["name"]), None), "people": pieces["people"] or None,
                "day": next((piece.replace("hr", f" {conventions}") for piece in pieces["day"]), None)}


DURATIONS = Durations()


def duration_rows(spelt, kept, seed=1):
    return mixed([row(0, f"{NOUNS[at % 12]} for {at + 2}hr", name=NOUNS[at % 12],
                      day=f"{at + 2} hours" if at < spelt else f"{at + 2}hr") for at in range(spelt + kept)], seed)


def test_writing_is_asked_with_the_number_taken_out():
    line = only(duration_rows(5, 7), row(9, "standup for 44hr", name="standup", day="44 hours"),
                record(9, name="standup", day="44hr"), task=DURATIONS)
    assert (line.kind, line.about, line.label_way, line.prediction_way) == (
        "writing", "the writing of “#hr”", "# hours", "#hr")
    assert (line.as_label, line.as_prediction, line.verdict) == (5, 7, BOTH)


def test_another_number_is_no_question_of_writing():
    line = only(duration_rows(5, 7), row(9, "standup for 44hr", name="standup", day="44 hours"),
                record(9, name="standup", day="45 hours"), task=DURATIONS)
    assert line.verdict == NONE and line.kind == ""


def test_a_word_spelt_out_is_asked_apart_from_the_words_around_it():
    calendar = get_task("calendar")
    empty = dict.fromkeys(calendar.fields)
    train = mixed([row(0).with_(text=f"{noun} mtg with Ann", target={
        **empty, "action": f"{noun} {'meeting' if at % 3 else 'mtg'}", "attendees": ["Ann"]})
        for at, noun in enumerate(NOUNS)])
    gold = row(9).with_(text="Strategy mtg with Ann", target={**empty, "action": "Strategy mtg", "attendees": ["Ann"]})
    predicted = {**gold.target, "action": "Strategy meeting"}
    line = only(train, gold, {"id": 9, "prediction": predicted}, task=calendar)
    assert (line.about, line.as_label, line.as_prediction) == ("the writing of “mtg”", 4, 8)


def test_capitals_are_asked_over_all_values_of_the_field():
    train = mixed([row(0, f"about {noun} today", name=noun.capitalize() if at % 2 else noun)
                   for at, noun in enumerate(NOUNS)])
    line = only(train, row(9, "about plans today", name="Plans"), record(9, name="plans"))
    assert line.about == "capitals where the text has a small letter"
    assert (line.label_way, line.prediction_way, line.as_label, line.as_prediction) == (
        "capital", "as in the text", 6, 6)


# -- field ------------------------------------------------------------------------------------------------------------
def test_phrase_in_a_field_or_in_none():
    train = mixed([row(0, f"{noun} with team at noon", name=noun, people=["team"] if at < 3 else None)
                   for at, noun in enumerate(NOUNS)])
    line = only(train, row(9, "standup with team at noon", name="standup", people=["team"]), record(9, name="standup"))
    assert (line.kind, line.about, line.label_way, line.prediction_way) == ("field", "“team”", "people", "no field")
    assert (line.as_label, line.as_prediction, line.verdict) == (3, 9, BOTH)
    invented = only(train, row(9, "standup with team at noon", name="standup"),
                    record(9, name="standup", people=["team"]))
    assert (invented.label_way, invented.as_label, invented.as_prediction) == ("no field", 9, 3)


def test_unknown_phrase_is_asked_by_its_last_word_and_then_by_its_cue():
    train = mixed([row(0, f"{noun} for the {other} plan", name=noun, people=[f"{other} plan"] if at % 2 else None)
                   for at, (noun, other) in enumerate(zip(NOUNS, reversed(NOUNS)))])
    gold = row(9, "standup for the budget plan", name="standup", people=["budget plan"])
    assert only(train, gold, record(9, name="standup")).about == "what ends in “plan”"
    cue = only(train, row(9, "standup for the budget", name="standup", people=["budget"]), record(9, name="standup"))
    assert (cue.about, cue.as_label, cue.as_prediction) == ("what follows “for”", 6, 6)


def test_value_in_another_field_asks_about_that_field():
    train = mixed([row(0, f"{noun} Zoom", name=f"{noun} Zoom" if at < 5 else noun, people=None if at < 5 else ["Zoom"])
                   for at, noun in enumerate(NOUNS)])
    lines = judged(train, row(9, "standup Zoom", name="standup Zoom"), record(9, name="standup", people=["Zoom"]))
    assert lines[["field", "about", "as_label", "as_prediction"]].values.tolist() == [
        ["name", "“zoom” at the end", 5, 7], ["people", "“zoom”", 5, 7]]
    assert set(lines["verdict"]) == {BOTH}


# -- verdicts ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("votes", "share", "expected"), [
    (("", 0, 0, 0.0, None), 0.1, NONE),
    (("edge", 2, 2, 4.0, None), 0.1, FEW),
    (("edge", 4, 1, 1.0, True), 0.1, BOTH),
    (("edge", 1, 9, 1.0, False), 0.1, BOTH),
    (("edge", 1, 10, 1.0, False), 0.1, EXCEPTION),
    (("edge", 10, 1, 1.0, True), 0.1, ONE_WAY),
    (("edge", 10, 1, 1.0, True), 0.05, BOTH),
    (("edge", 5, 5, 0.0, True), 0.1, FORETOLD),
    (("edge", 5, 5, 0.0, False), 0.1, EXCEPTION),
    (("edge", 8, 2, 2.0, True), 0.2, BOTH),
    (("edge", 9, 2, 2.0, True), 0.2, ONE_WAY),
])
def test_thresholds(votes, share, expected):
    assert inconsistency.verdict(*votes, share=share) == expected


def test_two_styles_that_the_text_tells_apart_are_foretold():
    letter = "Dear all, please join the meeting: Schedule a {}, kind regards"
    formal = [row(0, letter.format(noun), name=noun) for noun in NOUNS]
    terse = [row(0, f"Schedule a {noun} 12:30", name=f"Schedule a {noun}") for noun in NOUNS]
    train = mixed(formal + terse)
    text = letter.format("standup")
    foretold = only(train, row(99, text, name="standup"), record(99, name="Schedule a standup"))
    assert (foretold.as_label, foretold.as_prediction, foretold.unforeseen, foretold.verdict) == (12, 12, 0, FORETOLD)
    against = only(train, row(99, text, name="Schedule a standup"), record(99, name="standup"))
    assert against.verdict == EXCEPTION


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.01, 0.5, allow_subnormal=False))
def test_verdict_calls_two_ways_by_the_share_alone(ours, theirs, share):
    said = inconsistency.verdict("edge", ours, theirs, float("inf"), None, share)
    both = ours + theirs >= 5 and min(ours, theirs) >= share * (ours + theirs)
    assert (said == BOTH) == both


# -- nothing but train votes ------------------------------------------------------------------------------------------
def test_scored_rows_have_no_vote_even_if_their_text_is_in_train():
    train, gold = lead_rows(5, 5), row(99, "Schedule a standup on monday", name="standup")
    predicted = record(99, name="Schedule a standup")
    expected = only(train, gold, predicted)
    copies = [gold.with_(id=number) for number in range(20, 40)]
    leaked = only(train + copies, gold, predicted)
    assert (leaked.as_label, leaked.as_prediction) == (expected.as_label, expected.as_prediction) == (5, 5)
    assert TrainLabels(TASK, copies, [gold]).rows == []


@given(st.permutations(range(8)), st.integers(1, 7))
@settings(max_examples=8)
def test_verdicts_do_not_depend_on_how_many_scored_rows_share_the_question(order, count):
    train = lead_rows(4, 6)
    gold = [row(100 + at, f"Schedule a {NOUNS[at]} next week", name=NOUNS[at]) for at in range(8)]
    records = [record(one.id, name=f"Schedule a {one.target['name']}") for one in gold]
    whole = inconsistency.judge(inconsistency.ask_train(TASK, train, gold, records)).set_index("id")
    chosen = [order[at] for at in range(count)]
    part = inconsistency.judge(inconsistency.ask_train(TASK, train, [gold[at] for at in chosen],
                                                       [records[at] for at in chosen])).set_index("id")
    columns = ["as_label", "as_prediction", "unforeseen", "verdict"]
    assert part[columns].equals(whole.loc[part.index, columns])


def test_augmented_rows_have_no_vote():
    train = [one.with_(origin="swap") for one in lead_rows(5, 5)]
    gold = row(99, "Schedule a standup", name="standup")
    assert only(train, gold, record(99, name="Schedule a standup")).verdict == FEW


def test_a_row_votes_once():
    labels = TrainLabels(TASK, lead_rows(1, 1))
    cases = [Case(0, 0, True), Case(0, 3, True), Case(1, 0, False)]
    assert labels.tally(("twice",), lambda: cases)[:2] == (1, 1)


# -- nothing to ask ---------------------------------------------------------------------------------------------------
def test_no_errors():
    gold, records = [row(9, "call", name="call")], [record(9, name="call")]
    asked = inconsistency.ask_train(TASK, lead_rows(3, 3), gold, records)
    lines = inconsistency.judge(asked)
    assert asked.empty and lines.empty and inconsistency.excused_rows(lines) == set()
    assert all(table.empty for table in (inconsistency.verdict_table(lines), inconsistency.examples(lines),
                                         inconsistency.threshold_table(asked)))
    assert inconsistency.finding(lines, 1) == "There are no errors, so none that the labels could excuse."


@pytest.mark.parametrize("train", [[], [row(0, "call", name="call")]])
def test_tiny_train_has_too_few_cases(train):
    lines = judged(train, row(9, "Schedule a call", name="call"), record(9, name="Schedule a call"))
    assert lines["verdict"].tolist() == [FEW]
    assert inconsistency.threshold_table(lines)["share"].tolist() == [0.0] * 3


def test_invalid_output_and_values_from_nowhere_are_no_questions():
    train, gold = lead_rows(6, 6), row(9, "Schedule a call", name="Schedule a call")
    lines = judged(train, gold, failed(9, "x"))
    assert lines["field"].tolist() == list(TASK.fields) and set(lines["verdict"]) == {NONE}
    assert only(train, gold, record(9, name="dinner")).verdict == NONE
    assert only(train, row(9, "Ann Bo", people=["Ann", "Bo"]), record(9, people=["Bo", "Ann"])).verdict == NONE


def test_located_values_of_none_and_of_lists():
    example = row(0, "Ann and Bo and Ann", people=["Ann", "Bo", "Ann"])
    assert not any(locate(TASK, example, None).places.values())
    assert [(place.first, place.last) for place in locate(TASK, example, example.target).places["people"]] == [
        (0, 1), (2, 3), (4, 5)]


# -- sums -------------------------------------------------------------------------------------------------------------
TRAIN = lead_rows(6, 6) + mixed([row(0, f"{noun} now", name=noun) for noun in NOUNS])
GOLD = [row(0, "Schedule a standup", name="standup"), row(1, "Schedule a standup now", name="Schedule a standup"),
        row(2, "Schedule a gig", name="gig", day="friday"), row(3, "swim", name="swim")]
RECORDS = [record(0, name="Schedule a standup"), record(1, name="Schedule a standup now"),
           record(2, name="Schedule a gig"), record(3, name="swim")]


def test_shares_of_errors_and_rows():
    asked = inconsistency.ask_train(TASK, TRAIN, GOLD, RECORDS)
    lines = inconsistency.judge(asked)
    assert lines[["id", "verdict"]].values.tolist() == [[0, BOTH], [1, ONE_WAY], [2, BOTH], [2, NONE]]
    assert inconsistency.excused_rows(lines) == {0}
    table = inconsistency.verdict_table(lines)
    assert table["errors"].to_dict() == {BOTH: 2, FORETOLD: 0, EXCEPTION: 0, ONE_WAY: 1, FEW: 0, NONE: 1}
    # Wilson for 2 of 4: (0.5 + z²/8 ± z·sqrt(1/16 + z²/64)) / (1 + z²/4) with z = 1.96
    assert table.loc[BOTH, ["share", "low", "high"]].tolist() == pytest.approx([0.5, 0.1500, 0.8500], abs=1e-4)
    by_share = inconsistency.threshold_table(asked)
    assert list(by_share.index) == ["5 %", "10 %", "20 %"]
    assert by_share.loc["10 %", ["errors", "share", "votes_alone", "with_against", "rows"]].tolist() == pytest.approx(
        [2, 0.5, 0.5, 0.5, 1 / 3])
    text = inconsistency.finding(lines, len(GOLD))
    assert "Of 4 errors, **2** (50.0 %, 95 % interval 15.0 % to 85.0 %)" in text
    assert "1 of 3; counted as right, they would lift exact match from 25.0 % to 50.0 %." in text


def test_examples_show_each_question_once_before_any_twice():
    lines = inconsistency.judge(inconsistency.ask_train(TASK, TRAIN, GOLD, RECORDS))
    shown = inconsistency.examples(lines)
    assert shown["train"].tolist() == ["drops: 6, keeps: 6"] * 2 and shown["label"].tolist() == ["standup", "gig"]
    assert len(inconsistency.examples(lines, count=1)) == 1
    more = pd.concat([lines, lines[:1].assign(about="another", id=7)], ignore_index=True)
    assert inconsistency.examples(more, count=2)["question"].nunique() == 2


# -- ceiling ----------------------------------------------------------------------------------------------------------
def test_ceiling_is_what_the_majority_of_train_would_write():
    gold = [row(99, "standup for 44hr", name="standup", day="44 hours"),
            row(98, "gig for 45hr", name="gig", day="45hr")]
    assert inconsistency.consistency_ceiling(DURATIONS, duration_rows(0, 9), gold[:1])["exact_match"].tolist() == [0.0]
    line = inconsistency.consistency_ceiling(DURATIONS, [
        row(at, f"{noun} for {at}hr", name=noun, day=f"{at} hours") for at, noun in enumerate(NOUNS)], gold).iloc[0]
    assert (line["rows"], line["exact_match"], line["unplaced"]) == (2, 0.5, 0)
    assert "**50.0 %**" in inconsistency.ceiling_finding(line.to_frame().T)


def test_task_without_spans_has_no_ceiling():
    ceiling = inconsistency.consistency_ceiling(TASK, TRAIN, GOLD)
    assert ceiling.empty and inconsistency.ceiling_finding(ceiling) == ""
    assert inconsistency.consistency_ceiling(DURATIONS, [], []).empty
