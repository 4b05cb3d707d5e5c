"""The sentences say what their tables say: also at zero, one, a tie and where a number is undefined."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from helpers.views.findings import (
    calibration,
    ceiling,
    cheapest,
    choice,
    compression,
    constraint_gain,
    curves,
    decoding_times,
    error_classes,
    errors_by_slice,
    field_extremes,
    forgiven,
    fragility,
    headline,
    invented,
    label_suspicion,
    learnt,
    names,
    p_value,
    paired_test,
    parity,
    patterns,
    percent,
    points,
    published,
    repetition,
    selective,
    served,
    slices,
    thresholds,
    trained,
    truncation,
)

NAN = float("nan")


def frame(columns: str, *rows, index=None, name=None) -> pd.DataFrame:
    return pd.DataFrame(
        list(rows), columns=columns.split(), index=pd.Index(index, name=name) if index else None
    )


SCORES = frame("exact_match low high", (0.8, 0.7, 0.9), (0.3, 0.2, 0.4), index=["my_lora", "rules"])
TEST = {"p_permutation": 0.04, "p_mcnemar": 0.0001, "wins": 9, "losses": 2, "difference": 0.07, "low": 0.01}
TEST |= {"high": 0.13, "cohens_h": -0.2, "effect": "small"}
RATIO = {name: TEST[name] for name in ("p_permutation", "difference", "low", "high")} | {"p_mcnemar": NAN}
FIELDS = frame("f1 support", (0.5, 10), (0.9, 20), (0.0, 0), (NAN, 4), index=["a", "b", "empty", "unknown"])
COSTS = frame(
    "train_seconds megabytes trainable", (9.0, NAN, 100.0), (3.0, NAN, 2e3), index=["small", "quick"]
)
PUBLISHED = frame("exact_match", (0.8,), (0.83,), (NAN,), index=["this run", "study", "other"])
BOTH = frame("free source", (0.5, 0.7), (0.6, 0.6), index=["a", "b"])
LEVEL = BOTH.assign(source=BOTH["free"])
VALID = pd.DataFrame({"free": [0.9, 0.8], "source": [1.0, 1.0]})
COUNTS = frame("missing boundary", (2, 1), (0, 0), index=["a", "b"])
RATES = frame(
    "rows missing boundary", (20, 40.0, 60.0), (30, 10.0, 5.0), index=["told", "headed"], name="layout"
)
SLICES = [("people", "none", 40, 0.9, 0.8, 0.95), ("people", "some", 40, 0.3, 0.18, 0.45)]
SLICES = frame("slice value n score low high", *SLICES, ("length", "long", 4, 0.0, 0.0, 0.5))
DROPS = frame(
    "clean score difference difference_low difference_high",
    (0.8, 0.5, -0.3, -0.4, -0.2),
    (0.8, 0.79, -0.01, -0.05, 0.03),
    index=["typos", "upper case"],
)
PAIRS = frame("field gold predicted count", ("day", "mon", "", 2))
EDGES = frame("field edge change words count", ("name", "start", "kept", "team", 2))
CURVE = frame("coverage risk threshold", (1 / 3, 0.0, 0.9), (2 / 3, 0.0, 0.8), (1.0, 1 / 3, 0.5))
HELD_OUT = frame(
    "accuracy ece_stated ece_calibrated kept precision",
    (0.9, 0.2, 0.01, 0.0, NAN),
    (0.9, 0.2, 0.01, 0.5, 0.97),
    index=["notes", "all fields"],
)
PARITY = {"rows": 8, "same_predictions": 1.0, "largest_logit_gap": 1e-5, "score": 0.625, "score_before": 0.5}
TIMES = frame("variant decoding part rows seconds truncated", ("a", "free", "scored", 10, 1.0, 3))
FIT = SimpleNamespace(
    variant="lora", history=[{"loss": 2.0}, {"loss": 0.5}, {"lr": 1}], best_score=0.75, best_step=4
)
FIT.parameters, FIT.note = {"trainable": 1200, "total": 5000}, ""
LIKELY = frame("loss perplexity token_accuracy", (2.0, 7.4, 0.5), (0.1, 1.1, 0.99), index=["base", "lora"])


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (names([]), "none"),
        (names(["my_lora", "b", "c"]), "`my_lora`, `b` and `c`"),
        (percent(NAN), "unknown"),
        (points(-0.03), "−3.0"),
        (points(-0.0001), "+0.0"),
        (p_value(0.0004), "p < 0.001"),
        # the choice
        (choice(SCORES, "my_lora", False), "80.0 % exact match, 50.0 points before `rules`."),
        (choice(SCORES.assign(exact_match=0.8), "rules", False), "level with `my_lora`, so"),
        (choice(SCORES.head(1), "my_lora", True), "80.0 % exact match. **Mind:**"),
        (headline(SCORES, "my_lora", "rules", 50), "On 50 rows `my_lora` gets **80.0 %** of"),
        (headline(SCORES, "my_lora", "rules", 50), "(95 % interval 70.0 % to 90.0 %)"),
        (headline(SCORES, "my_lora", "rules", 50), "do not overlap"),
        (headline(SCORES.assign(high=0.9), "my_lora", "rules", 50), "two intervals overlap"),
        (paired_test(TEST, "a", "b"), "`a` scores +7.0 points against `b` (95 % interval +1.0 to +13.0)"),
        (
            paired_test(TEST, "a", "b"),
            "chance would give (p = 0.04, paired permutation of the rows; p < 0.001, M",
        ),
        (paired_test(TEST, "a", "b"), "right 9 times where the other is wrong, and wrong twice where"),
        (paired_test(TEST, "a", "b"), "h is −0.20, a small effect"),
        (paired_test({**TEST, "p_permutation": 0.2}, "a", "b"), "could well be chance"),
        (
            paired_test({**TEST, "difference": 0.0, "wins": 0, "losses": 1}, "a", "b"),
            "scores as `b` does (95",
        ),
        (
            paired_test({**TEST, "wins": 0, "losses": 1}, "a", "b"),
            "is right never where the other is wrong, and wrong once",
        ),
        (paired_test(RATIO, "a", "b"), "(p = 0.04, paired permutation of the rows)."),
        # decoding, fields, costs, published results
        (truncation(TIMES, 200), "**3** outputs reached the limit of 200 tokens (a, free"),
        (truncation(TIMES.assign(truncated=0), 200), "No output reached the limit of 200 tokens."),
        (decoding_times(TIMES), "Rows decoded a second: free 10."),
        (decoding_times(TIMES.head(0)), "not measured"),
        (constraint_gain(BOTH, VALID), "from 85.0 % to 100.0 %"),
        (constraint_gain(BOTH, VALID), "`a` changes most, by +20.0"),
        (constraint_gain(LEVEL, VALID), "no variant changes."),
        (constraint_gain(BOTH[["free"]], VALID), "one way of decoding, *free*"),
        (field_extremes(FIELDS), "is **a** (F1 0.500, 10 values), the strongest **b**"),
        (field_extremes(FIELDS.head(1)), "All fields have the same F1, 0.500."),
        (field_extremes(FIELDS.tail(2)), "No field has a value"),
        (cheapest(COSTS), "`quick` (3 s); fewest trained parameters: `small` (100)."),
        (cheapest(COSTS.assign(train_seconds=3)), "`small` and `quick` (3 s)"),
        (cheapest(COSTS * NAN), "No costs were recorded."),
        (published(PUBLISHED), "83.0 % (study); this run is −3.0 points from"),
        (published(PUBLISHED.iloc[[0, 2]]), "None of the published results gives exact match."),
        (published(PUBLISHED.iloc[[2, 1]]), "None of the published"),
        (published(None), "**Not shown:**"),
        (learnt(LIKELY, "lora"), "2.000 to **0.100** (`lora`), perplexity from 7.40 to 1.10"),
        (learnt(LIKELY, "vote"), "(`lora`)"),
        # errors
        (label_suspicion(frame("issue suspect", (True, True), (False, False)), 30), "2 of 30 fields. C"),
        (label_suspicion(frame("issue suspect"), 30), "disagree on 0 of 30 fields."),
        (error_classes(COUNTS), "Of **3** wrong fields most are of the class `missing` (2, 66.7 %)"),
        (error_classes(COUNTS.assign(boundary=[2, 0])), "class `missing` and `boundary` (2, 50.0 %)"),
        (error_classes(COUNTS * 0), "There is no error to class."),
        (errors_by_slice(RATES), "layout is `told`: 100 a hundred rows, most of them `boundary`"),
        (errors_by_slice(RATES.head(1)), "There are 100 errors a hundred rows."),
        (invented(PAIRS, 9), "**1** of 9 predicted values are neither"),
        (invented(PAIRS.head(0), 9), "None of the 9"),
        (invented(PAIRS.head(0), 0), "No value was predicted."),
        (slices(SLICES, 0.6), "for 2 comparisons: *people: some* (30.0 % of 40 rows)."),
        (slices(SLICES.head(1), 0.9), "is harder than all rows (90.0 %)"),
        (slices(SLICES.tail(1), 0.6), "No slice holds the 20 rows"),
        (slices(SLICES.assign(score=0.0, low=0.0, high=0.0), 0.6), "No slice holds"),  # zero by construction
        (slices(SLICES.assign(score=NAN), 0.6), "No slice holds"),
        (patterns(PAIRS, EDGES), "in *day*: “mon” → “nothing” (2×); the edge"),
        (patterns(PAIRS.assign(count=1), EDGES.head(0)), "occurs twice, and no word"),
        (patterns(PAIRS.head(0), EDGES.head(0)), "no pattern, as there is no error"),
        (fragility(DROPS), "80.0 % → 50.0 %, −30.0 points (95 % interval −40.0 to −20.0)"),
        (fragility(DROPS), "below zero: `typos`."),
        (fragility(DROPS.assign(difference=-0.2)), "`typos` and `upper case` cost most"),
        (fragility(DROPS.assign(difference=0.0)), "None of the 2"),
        (fragility(DROPS.head(0)), "No perturbation"),
        (ceiling(pd.Series([1, 1, 1, 0])), "**75.0 %** of the rows right (95 % interval 30.1 %"),
        # confidence and what is served
        (
            calibration(frame("confidence right", (0.9, True), (0.9, False)), 0.4),
            "**surer than it is right**",
        ),
        (
            calibration(frame("confidence right", (0.5, True), (0.5, False)), 0.0),
            "**as sure as it is right**",
        ),
        (calibration(frame("confidence right"), NAN), "no confidence"),
        (selective(CURVE), "at least 0.800 keeps **66.7 %** of them at an error rate of 0.0 %"),
        (selective(CURVE.assign(risk=0.0)), "All rows can be accepted"),
        (selective(CURVE.assign(risk=1.0)), "No threshold"),
        (selective(CURVE.head(0)), "no confidence to rank by"),
        (thresholds(HELD_OUT, 0.95), "0.200 to 0.010. With thresholds for a precision of 95.0 %, 50.0"),
        (thresholds(HELD_OUT, 0.95), "97.0 % of these are right, against 90.0 % of all. Always"),
        (thresholds(HELD_OUT.assign(kept=0.0), 0.95), "0.0 % of all values pass. Always"),
        (parity({"merged": PARITY}), "100.0 % of 8 rows as before; its logits differ by at most 1e-05"),
        (parity({"merged": PARITY, "onnx_int8": PARITY}, "F1"), "the F1 goes from 0.500 to 0.625"),
        (served("tagger", "ab", "F1", 0.5, "full"), "`ab`, F1 0.500 on the scored part. Exports"),
        (served("full", "ab", "F1", NAN, "full"), "Served: `full`, version `ab`."),
        # training
        (trained(FIT, "F1"), "1,200 of 5,000 parameters trained; loss 2.000 → 0.500; best"),
        (curves({"a": FIT, "b": FIT}, "F1"), "`a` and `b` reach the highest validation score"),
    ],
)
def test_sentence(sentence, said):
    assert said in sentence and "nan" not in sentence and "  " not in sentence


def test_forgiven_counts_rows_and_a_missing_oracle_says_nothing():
    line = {"exact_match": 0.5, "equivalent_match": 0.6, "convention_share": 0.1}
    assert "50.0 % to **60.0 %**. The 2 rows" in forgiven(line, 20)
    assert "changes nothing" in forgiven({**line, "convention_share": 0.0}, 2)
    assert ceiling(None) == ceiling(pd.Series(dtype=float)) == ""


def test_what_compression_gains_and_loses_is_told():
    rows = {
        ("full", "PyTorch fp32"): (90, 20.0, 1.0, 0.80, 0.0, 0.0),
        ("full", "ONNX fp32"): (90, 12.0, 1.6, 0.80, 0.0, 2e-6),
        ("full", "ONNX int8"): (23, 5.0, 4.0, 0.79, -0.01, None),
        ("small", "PyTorch fp32"): (60, 10.0, 1.0, 0.78, 0.0, 0.0),
        ("small", "ONNX fp32"): (60, 6.0, 1.6, 0.78, 0.0, 5e-6),
        ("small", "ONNX int8"): (15, 4.0, 2.5, 0.78, 0.0, None),
    }
    columns = ["megabytes", "ms", "speedup", "f1", "f1_change", "largest_difference"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    table.index = pd.MultiIndex.from_tuples(rows, names=["variant", "form"])
    text = compression(table, {"small": "full", "gone": "full"})
    assert "within 5.0e-06" in text and "2.5 to 4.0 times as fast" in text and "15 to 23 MB" in text
    assert "F1 by −1.0 to +0.0 points" in text and "adapter" not in text and "gone" not in text
    assert "`small` is **2.0** times as fast as its teacher `full`, at −2.0 points" in text
    merged = compression(table.rename(index={"small": "lora"}, level="variant"), {})
    assert "`lora` takes 10.0 ms, **0.50** times the 20.0 ms of `full`" in merged


def test_repeated_sentences_and_long_ones_are_counted():
    table = frame("all unseen rows seen difference", (0.667, 0.0, 2, 1, -0.667), index=["one"])
    assert "**1** of 2 scored sentences" in repetition(table, "one")
    assert "0.000 instead of 0.667 (−66.7 points)" in repetition(table, "one")
    assert "None of the 2" in repetition(table.assign(seen=0), "one")
