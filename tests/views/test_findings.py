"""The sentences say what their tables say: also at zero, one, a tie and where a number is undefined."""

from types import SimpleNamespace

import pandas as pd
import pytest

from helpers.views.findings import names, p_value, tell

NAN = float("nan")


def frame(columns: str, *rows, index=None, name=None) -> pd.DataFrame:
    return pd.DataFrame(
        list(rows), columns=columns.split(), index=pd.Index(index, name=name) if index else None
    )


SCORES = frame("exact_match low high", (0.8, 0.7, 0.9), (0.3, 0.2, 0.4), index=["my_lora", "rules"])
TEST = {"p_permutation": 0.04, "p_mcnemar": 0.0001, "wins": 9, "losses": 2, "difference": 0.07, "low": 0.01}
TEST |= {"high": 0.13, "cohens_h": -0.2, "effect": "small"}
LEVEL_TEST = {**TEST, "difference": 0.0, "wins": 0, "losses": 1}
RATIO = {name: TEST[name] for name in ("p_permutation", "difference", "low", "high")} | {"p_mcnemar": NAN}
FIELDS = frame("f1 support", (0.5, 10), (0.9, 20), (0.0, 0), (NAN, 4), index=["a", "b", "empty", "unknown"])
TIED = pd.concat([FIELDS.head(2), FIELDS.head(1).rename(index={"a": "d"})])
COSTS = [(9.0, NAN, 100.0), (3.0, NAN, 2e3)]
COSTS = frame("train_seconds megabytes trainable", *COSTS, index=["small", "quick"])
PUBLISHED = frame("exact_match", (0.8,), (0.83,), (NAN,), index=["this run", "study", "other"])
BOTH = frame("free source", (0.5, 0.7), (0.6, 0.6), index=["a", "b"])
LEVEL = BOTH.assign(source=BOTH["free"])
VALID = pd.DataFrame({"free": [0.9, 0.8], "source": [1.0, 1.0]})
COUNTS = frame("missing boundary", (2, 1), (0, 0), index=["a", "b"])
BEST = pd.Series({"a": 0.5, "b": 0.5, "c": 0.6}), pd.Series({"a": 99, "b": 99, "c": 32})
SLICES = [("people", "none", 40, 0.9, 0.8, 0.95), ("people", "some", 40, 0.3, 0.18, 0.45)]
SLICES = frame("slice value n score low high", *SLICES, ("length", "long", 4, 0.0, 0.0, 0.5))
BY_CONSTRUCTION = SLICES.assign(score=0.0, low=0.0, high=0.0)
SUSPECTS = frame("issue suspect", (True, True), (False, False))
SURE = frame("confidence right", (0.9, True), (0.9, False))
DROPS = frame(
    "clean score difference difference_low difference_high p",
    (0.8, 0.5, -0.3, -0.4, -0.2, 0.001),
    (0.8, 0.79, -0.01, -0.05, 0.03, 0.5),
    index=["typos", "upper case"],
)
RAISED = DROPS.assign(difference=0.1, difference_low=[0.05, -0.1], difference_high=0.2)
PAIRS = frame("field gold predicted count", ("day", "mon", "", 2))
SEEN = frame("entities recall", (10, 0.8), (4, 0.5), index=["seen", "never"])
CURVE = frame("coverage risk threshold", (1 / 3, 0.0, 0.9), (2 / 3, 0.0, 0.8), (1.0, 1 / 3, 0.5))
HELD_OUT = frame(
    "accuracy ece_stated ece_calibrated kept precision",
    (0.9, 0.2, 0.01, 0.0, NAN),
    (0.9, 0.2, 0.01, 0.5, 0.97),
    index=["notes", "all fields"],
)
PARITY = {"rows": 8, "same_predictions": 1.0, "largest_logit_gap": 1e-5, "score": 0.625, "score_before": 0.5}
TIMES = frame("variant decoding part rows seconds truncated", ("a", "free", "scored", 10, 1.0, 3))
FIT = SimpleNamespace(variant="lora", history=[{"loss": 2.0}, {"loss": 0.5}, {"lr": 1}], note="")
FIT.best_score, FIT.best_step = 0.75, 4
FIT.parameters = {"trainable": 1200, "total": 5000}
FORGIVEN = {"exact_match": 0.5, "equivalent_match": 0.6, "convention_share": 0.1}
LIKELY = frame("loss perplexity token_accuracy", (2.0, 7.4, 0.5), (0.1, 1.1, 0.99), index=["base", "lora"])


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (names([]), "none"),
        (p_value(0.0004), "p < 0.001"),
        # the choice
        (tell("choice", SCORES, "my_lora", False), "80.0 % exact match, 50.0 points before `rules`."),
        (tell("choice", SCORES.assign(exact_match=0.8), "rules", False), "level with `my_lora`, so"),
        (tell("choice", SCORES.head(1), "my_lora", True), "80.0 % exact match. **Mind:**"),
        (tell("headline", SCORES, "my_lora", "rules", 50), "On 50 rows `my_lora` gets **80.0 %** of"),
        (tell("paired_test", TEST, "a", "b"), "`a` scores +7.0 points against `b` (95 % interval +1.0 to"),
        (tell("paired_test", {**TEST, "p_permutation": 0.2}, "a", "b"), "could well be chance"),
        (tell("paired_test", LEVEL_TEST, "a", "b"), "scores as `b` does … is wrong, and wrong once"),
        (tell("paired_test", RATIO, "a", "b"), "(p = 0.04, paired permutation of the rows)."),
        # decoding, fields, costs, published results
        (tell("truncation", TIMES, 200), "**3** outputs reached the limit of 200 tokens (a, free"),
        (tell("truncation", TIMES.assign(truncated=0), 200), "No output reached the limit of 200 tokens."),
        (tell("decoding_times", TIMES), "every way: free 10."),
        (tell("decoding_times", TIMES.head(0)), "not measured"),
        (tell("constraint_gain", BOTH, VALID), "`a` changes most, by +20.0"),
        (tell("constraint_gain", LEVEL, VALID), "no variant changes."),
        (tell("constraint_gain", BOTH[["free"]], VALID), "one way of decoding, *free*"),
        (tell("field_extremes", FIELDS), "is **a** (F1 0.500, 10 values), the strongest **b**"),
        (tell("field_extremes", TIED, "vote"), "fields of `vote` are **a, d** (F1 0.500 … strongest **b**"),
        (tell("field_extremes", FIELDS.head(1), "vote"), "All fields of `vote` have the same F1, 0.500."),
        (tell("field_extremes", FIELDS.tail(2)), "No field has a value"),
        (tell("cheapest", COSTS), "`quick` (3 s); fewest trained parameters: `small` (100)."),
        (tell("cheapest", COSTS.assign(train_seconds=3)), "`small` and `quick` (3 s)"),
        (tell("cheapest", COSTS * NAN), "No costs were recorded."),
        (tell("published", PUBLISHED), "83.0 % (study); this run is −3.0 points from"),
        (tell("published", PUBLISHED.iloc[[0, 2]]), "None of the published results gives exact match."),
        (tell("learnt", LIKELY, "lora"), "2.000 to **0.100** (`lora`), perplexity from 7.40 to 1.10"),
        (tell("learnt", LIKELY, "vote"), "(`lora`)"),
        # errors
        (tell("label_suspicion", SUSPECTS, 30), "2 of 30 fields. C"),
        (tell("label_suspicion", SUSPECTS.head(0), 30), "disagree on 0 of 30 fields."),
        (
            tell("error_classes", COUNTS),
            "Of **3** wrong … `missing` (2, 66.7 %); `a` has the most errors (3).",
        ),
        (tell("error_classes", COUNTS.assign(boundary=[2, 0])), "`missing` and `boundary` (2 each, 50.0 %)"),
        (tell("error_classes", COUNTS * 0), "There is no error to class."),
        (tell("invented", PAIRS, 9), "**1** of 9 predicted values are neither"),
        (tell("invented", PAIRS.head(0), 9), "None of the 9"),
        (tell("invented", PAIRS.head(0), 0), "No value was predicted."),
        (tell("slices", SLICES, 0.6), "for 2 comparisons: *people: some* (30.0 % on 40 rows)."),
        (tell("slices", SLICES.head(1), 0.9), "is harder than all rows (90.0 %)"),
        (tell("slices", SLICES.tail(1), 0.6), "No slice holds the 20 rows"),
        (tell("slices", BY_CONSTRUCTION, 0.6), "No slice holds"),
        (tell("slices", SLICES.assign(score=NAN), 0.6), "No slice holds"),
        (tell("patterns", PAIRS), "in *day*: “mon” → “nothing” (2×)."),
        (tell("patterns", PAIRS.assign(count=1)), "occurs twice."),
        (tell("patterns", PAIRS.head(0)), "no pattern, as there is no error"),
        (tell("cause", True, 3, 1), "and 1 of the other systems is right: it can be read"),
        (tell("cause", True, 0, 0), "nobody had seen it"),
        (tell("cause", True, 0, 1, []), "the label has no value there"),
        (tell("fragility", DROPS), "50.0 %, −30.0 points (95 % interval −40.0 to … `typos` costs more than"),
        (tell("fragility", DROPS.assign(p=0.03)), "2 changes, none costs more"),
        (tell("fragility", RAISED), "none costs more than chance would; `typos` raises the score, so"),
        (tell("fragility", DROPS.assign(difference=-0.2)), "`typos` and `upper case` cost most"),
        (tell("fragility", DROPS.assign(difference=0.0)), "None of the 2"),
        (tell("fragility", DROPS.head(0)), "No perturbation"),
        (tell("ceiling", pd.Series([1, 1, 1, 0])), "**75.0 %** of the rows right (95 % interval 30.1 %"),
        (f"({tell('ceiling', None)}{tell('ceiling', pd.Series(dtype=float))})", "()"),
        (tell("forgiven", FORGIVEN, 20), "50.0 % to **60.0 %**. The 2 rows"),
        (tell("forgiven", {**FORGIVEN, "convention_share": 0.0}, 2), "changes nothing"),
        # confidence and what is served
        (tell("calibration", SURE, 0.4), "**surer than it is right**"),
        (tell("calibration", SURE.assign(confidence=0.5), 0.0), "**as sure as it is right**"),
        (tell("calibration", SURE.head(0), NAN), "no confidence"),
        (tell("selective", CURVE), "at least 0.800 keeps **66.7 %** of them at an error rate of 0.0 %"),
        (tell("selective", CURVE.assign(risk=0.0)), "All rows can be accepted"),
        (tell("selective", CURVE.assign(risk=1.0)), "No threshold"),
        (tell("selective", CURVE.head(0)), "no confidence to rank by"),
        (tell("thresholds", HELD_OUT, 0.95), "97.0 % of these are right, against 90.0 % of all. Always"),
        (tell("thresholds", HELD_OUT.assign(kept=0.0), 0.95), "0.0 % of all values pass. Always"),
        (tell("parity", {"merged": PARITY}), "of 8 rows as before; its logits differ by at most 1e-05"),
        (tell("parity", {"merged": PARITY, "onnx_int8": PARITY}, "F1"), "the F1 goes from 0.500 to 0.625"),
        (tell("served", "full", "ab", "F1", NAN, "full"), "Served: `full`, version `ab`."),
        # the data
        (tell("loaded", {"train": 1200, "test": 1}, 0), "**1,201** rows (train: 1,200 … rejected none."),
        (tell("loaded", {"all": 5}, 1), "rejected **1**."),
        (tell("checked", 0), "found nothing."),
        (tell("checked", 1), "found 1 thing to look at."),
        (tell("canonical", 0, 0, 9), "No value of the 9 rows"),
        (tell("canonical", 3, 2, 9), "**3** values in **2** of 9 rows"),
        (tell("lengths", 90, 128, 0.5), "of 128 cuts nothing; padding every row to it would spend 50.0 %"),
        (tell("lengths", 300, 256, 0.1), "cuts some rows"),
        (tell("rare_field", "day", 1.0), "Every field is in every row."),
        (tell("rare_field", "day", 0.0), "is **day**, in 0.0 %"),
        (tell("fullness", [3], 0.4, 8), "Most often 3 of 8 fields are present (40.0 %"),
        (tell("fullness", [3, 4], 0.4, 8), "Most often 3 or 4 of 8 fields are present each"),
        (tell("copied", [], 0), "in: no field. Every value that should be a piece"),
        (tell("copied", ["a", "b"], 1), "in: a, b. 1 value that should be a piece … does not stand"),
        (tell("conflicts", 0), "No two rows"),
        (tell("conflicts", 1), "**1** label conflict among"),
        (tell("removed", {}), "No row is left out"),
        (tell("removed", {"train → test": 2, "train → train": 1}), "**3** rows left out"),
        (tell("parts_differ", "day", 0.0), "alike in every field"),
        (tell("augmented", 10, 10, 0, 0, 0), "became **10**: none were made."),
        (tell("augmented", 10, 25, 20, 10, 5), "10 of 20 made rows passed the checks, and 5 are copies"),
        (tell("presence_moved", "day", 0.0), "Nothing moved."),
        (tell("variety", pd.Series({"a": 2.0, "b": 2.0})), "alike in all fields (×2.0)."),
        (tell("variety", pd.Series({"a": 2.0, "b": 1.0, "c": 1.0})), "least for b, c (×1.0)."),
        (tell("variety", pd.Series(dtype=float)), "No field has a value."),
        # without training
        (tell("fields_right", 0, 8), "None of the 8 fields of this row are right."),
        (tell("fields_right", 1, 8), "**1** of the 8 fields of this row is right."),
        (tell("fields_right", 8, 8), "All of the 8"),
        (tell("read_and_unread", 0.6, 0.5, "F1"), "read, 60.0 %: 10.0 points more."),
        (tell("read_and_unread", 0.5, 0.5, "F1"), "read, 50.0 %: no more."),
        (tell("shots", 1, 0.1, 0.2, 0.9, "F1"), "With 1 solved example before the question it is 20.0 %."),
        (tell("shots", 0, 0.0, None, 0.0, "F1"), "are valid, and its F1 is 0.0 %. Solved"),
        (tell("bar", ["a", "b"], NAN, "F1"), "**unknown** F1, set by `a` and `b`."),
        (tell("systems_differ", "day", 0.0), "No field tells"),
        (tell("grammar", [1, 5, 1], 100), "first 3 tokens … 2 leave no choice; elsewhere … up to 5"),
        (tell("grammar", [], 100), "is empty"),
        # training
        (tell("trained", FIT, "F1"), "1,200 of 5,000 parameters trained; loss 1.250 → 1.250 (means"),
        (tell("best_trained", pd.Series({"a": NAN}), pd.Series({"a": 9}), "F1"), "is **unknown** by none."),
        (tell("best_trained", *BEST, "F1"), "**50.0 %** by `a` and `b` on all 99 rows, and **60.0 %** by"),
        (tell("rows_learnt", [50, 50], 0), "All variants learn from 50 rows, none of them made."),
        (tell("rows_learnt", [50, 70], 20), "learn from 50 to 70 rows, of which at most 20 are made"),
        (tell("masked", 1, 4), "**1** of 4 are learnt (25.0 %); the rest"),
        (tell("masked", 4, 4), "nothing is masked"),
        (tell("masked", 0, 0), "Nothing is read."),
        (tell("one_step", 2.0, 1.5, 0.25), "from 2.000 to **1.500** (length of the gradient: 0.25)"),
        (tell("one_step", 1.0, 1.2, 3), "**1.200**: it rose, so the step"),
        (tell("one_step", 1.0, 1.0, 0.0), "**1.000**: nothing moved"),
        (tell("rounding", {"int8": 0.007, "NF4": 0.09}, None), "int8 is off by 0.7 % of the length"),
        (tell("rounding", {"int8": 0.007}, "no kernel"), "do not work on this machine (no kernel)"),
        (tell("loss_parts", {"answer": 2.0, "JSON": 0.5}), "the part *JSON* pulls 0.25 times as hard"),
        (tell("loss_parts", {"answer": 0.0, "JSON": 0.5}), "learnt already"),
        (tell("quickest_trained", ["a"], 3.2), "is `a` (3 s)."),
        (tell("quickest_trained", ["a", "b"], 3.2), "are `a` and `b` (3 s)."),
    ],
)
def test_sentence(sentence, said):
    assert all(piece in sentence for piece in said.split(" … "))
    assert "nan" not in sentence and "  " not in sentence


def test_what_compression_gains_and_loses_is_told():
    rows = {
        ("full", "PyTorch fp32"): (90, 20.0, 1.0, 0.80, 0.0, 0.0),
        ("full", "ONNX fp32"): (90, 12.0, 1.6, 0.80, 0.0, 2e-6),
        ("full", "ONNX int8"): (23, 5.0, 4.0, 0.79, -0.01, None),
        ("small", "PyTorch fp32"): (60, 10.0, 1.0, 0.78, 0.0, 0.0),
        ("small", "ONNX fp32"): (60, 6.0, 1.6, 0.78, 0.0, 5e-6),
        ("small", "ONNX int8"): (15, 4.0, 2.5, 0.78, 0.0, None),
    }
    columns = "megabytes ms speedup f1 f1_change largest_difference".split()
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    table.index = pd.MultiIndex.from_tuples(rows, names=["variant", "form"])
    text = tell("compression", table, {"small": "full", "gone": "full"})
    for said in ("within 5.0e-06", "2.5 to 4.0 times as fast", "15 to 23 MB", "F1 by −1.0 to +0.0 points"):
        assert said in text
    assert "adapter" not in text and "gone" not in text
    assert "`small` is **2.0** times as fast as its teacher `full`, at −2.0 points" in text
    merged = tell("compression", table.rename(index={"small": "lora"}, level="variant"), {})
    assert "measured were 10.0 ms for `lora` and 20.0 ms for `full`" in merged
