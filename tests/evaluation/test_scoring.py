"""Stage 05 with systems that answer from a table: what is decoded, chosen, scored and kept."""

import json

import pytest
from tiny_task import TASK, failed, record, row

from helpers.data.read import write_jsonl
from helpers.evaluation import comparisons, scoring, systems
from helpers.files import write_json
from helpers.report.evidence import paired_tests
from helpers.run import Run
from helpers.tasks import metrics

NAMES = ("budget talk", "lunch", "swim", "call")
GOLD = [row(number, name, name=name, day="monday") for number, name in enumerate(NAMES)]


def answers(wrong: int):
    """Records that are right but for one row."""
    return [record(number, "no" if number == wrong else name, "monday") for number, name in enumerate(NAMES)]


class VotingTask(type(TASK)):
    """The tiny task with a tagger and votes, whose rules know every row but the third."""

    variants = {"large": {"kind": "writer", "adapter": False}, "small": {"kind": "tagger"}}
    votes = {"vote": ("large", "small", "rules"), "never": ("large", "untrained")}

    def settings(self, profile):
        return {"few_shot": 0}

    def rules(self, text):
        return self.canonical({"name": "no" if text == NAMES[2] else text, "day": "monday"})


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with two trained members, each wrong on another row; what is decoded how is written down."""
    run, broken = Run(VotingTask(), out=str(tmp_path)), [failed(at, "x") for at in range(4)]
    run.answers = {"large": answers(0), "small": answers(1), "base_zero_shot": broken}
    run.decoded, run.in_memory = [], []

    class Stand(systems.System):
        def _answers(self, examples, decoding, progress):
            run.decoded.append((self.name, decoding))
            by_text = {one.text: record for one, record in zip(GOLD, run.answers[self.name])}
            return [{**by_text[one.text], "id": one.id} for one in examples]

        def release(self):
            run.in_memory.remove(self.name)

    def load(run, name):
        run.in_memory.append(name)
        assert len(run.in_memory) == 1 or name in run.task.variants.votes["vote"]
        return Stand(run, name, None)

    monkeypatch.setattr(systems, "load_trained", load)
    monkeypatch.setattr(systems, "_load_base", load)
    monkeypatch.delenv("LLM_BASE_URL", raising=False)
    for part in ("train", "validation", "test"):
        write_jsonl(run.path("splits", f"{part}.jsonl"), map(run.task.rows.to_json, GOLD))
    for name, total in (("large", 7), ("small", 5)):
        result = {"parameters": {"total": total, "trainable": 1}}
        write_json(run.path("checkpoints", name, "finished.json"), {"result": result})
    for name in ("rules", "base_zero_shot"):
        scoring.run_baseline(run, name, GOLD)
    run.decoded.clear()
    return run


@pytest.mark.parametrize("parts", [2, 1])
def test_each_part_is_decoded_once_and_no_two_models_are_in_memory(run, parts):
    if parts == 1:  # the validation part is what is scored
        run.path("splits", "test.jsonl").unlink()
    table = scoring.decode_all(run)
    # the test part in every way, validation in the default one; a tagger has one way; no decoding for the vote
    large, small = [("large", "free"), *[("large", "source")] * parts], [("small", "source")] * parts
    assert run.decoded == [("base_zero_shot", "")] * (parts - 1) + large + small and not run.in_memory
    sizes = {"scored": 3, "validation": 2} if parts == 2 else {"scored": 3}
    assert table.groupby("part").size().to_dict() == sizes and set(table["variant"]) == {"large", "small"}
    for name in ("rules", "large@free", "large", "vote") * (parts == 1):
        assert systems.read_predictions(run, name) == systems.read_predictions(run, name, "validation")
    costs = json.loads(run.path("costs.json").read_text())
    assert costs["large@free"]["predict_seconds"] >= 0 and costs["large"]["size_mb"] == 0


def test_a_vote_can_be_the_best_and_is_in_every_result(run):
    scoring.decode_all(run)
    table = scoring.validation_table(run)
    assert table["exact_match"].to_dict() == {"large": 0.75, "small": 0.75, "vote": 1.0}
    assert systems.best_of(run.task, table.to_dict("index")) == "vote"
    predictions = scoring.load_predictions(run)
    assert list(predictions) == ["base_zero_shot", "rules", "large@free", "large", "small", "vote"]
    assert set(predictions["vote"][0]) == {"id", "prediction", "raw", "confidence"}
    scores = scoring.score_all(run, GOLD, predictions)
    assert systems.best_writer(run.task, scores, "vote") == "large"
    content = scoring.write_metrics(run, scores, "vote")
    assert content["best"] == "vote" == systems.choose(run)
    vote = content["variants"]["vote"]
    assert vote["exact_match"] == 1.0 and set(vote["ci95"]) == set(metrics.WRITTEN)
    assert vote["parameters"] == {"total": 12, "trainable": 2}
    assert list(comparisons.cost_table(run, scores).index) == ["large", "small", "vote"]
    table = comparisons.comparison_table(run.task, scores, ["rules", "large"])
    assert table.loc["rules", "exact_match"] == 0.75 and (table["low"] <= table["exact_match"]).all()
    pair = comparisons.compare_variants(run, GOLD, predictions, [("vote", "large")]).iloc[0]
    assert (pair["wins"], pair["losses"], pair["difference"]) == (1, 0, 0.25)
    asked = [("vote", "large"), ("vote", "vote"), ("vote", None), ("vote", "absent"), ("vote", "large")]
    tested = paired_tests(run, asked)
    assert list(tested) == ["vote vs large"] and tested["vote vs large"]["difference"] == 0.25
    assert tested["vote vs large"]["p"] == pytest.approx(pair["p_permutation"], abs=1e-6)
    assert comparisons.field_matrix(scores).loc["name", "large"] == 0.75
    assert scores["base_zero_shot"]["parse_errors"] == {"not json": 4}


def test_a_vote_asks_its_members_about_changed_rows_and_says_what_is_in_its_file(run):
    scoring.decode_all(run)
    system = systems.load(run, "vote")
    assert system.predict(GOLD) == systems.read_predictions(run, "vote")
    changed = [(one["id"], one["prediction"]["name"]) for one in system.predict([GOLD[2], GOLD[0]])]
    assert changed == [(2, "swim"), (0, NAMES[0])]
    system.release()
    assert not run.in_memory


def test_costs_of_a_vote_are_sums_and_peaks_over_its_members_where_all_are_known(run):
    scoring.decode_all(run)
    names = "train_seconds predict_seconds size_mb train_peak_memory_mb predict_peak_memory_mb run_mb".split()
    costs = {"rules": {"predict_seconds": 0.1, "predict_peak_memory_mb": 600.0}}
    costs["large"] = dict(zip(names, (9.0, 2.0, 16.0, 900.0, 500.0, 516.0)))
    costs["small"] = dict(zip(names[1:], (0.5, 0.25, 950.0, 400.0, 0.25)))
    for seconds, total in ({}, None), ({"train_seconds": 1.0}, 10.0):
        write_json(run.path("costs.json"), costs | {"small": costs["small"] | seconds})
        scoring.count_votes(run, "vote")
        found = json.loads(run.path("costs.json").read_text())["vote"]
        assert found == dict(zip(names, (total, 2.6, 16.25, 950.0, 600.0, 516.25)))


def test_best_is_chosen_with_ties_by_field_accuracy_then_name(run):
    scores = {"large": {"exact_match": 0.5, "field_accuracy": 0.6}, "small": {"exact_match": 0.5}}
    assert systems.best_of(run.task, scores) == "large"
    assert systems.best_of(run.task, scores | {"a": scores["large"]}) == "a"
    assert systems.best_of(run.task, scores | {"vote": {"exact_match": 0.6}}) == "vote"


def test_metrics_file_is_complete_and_the_same_every_time(run):
    scoring.decode_all(run)
    for stale in ("old@free", "small@nonsense"):
        systems.write_predictions(run, stale, answers(0))
    predictions = scoring.load_predictions(run)
    assert "small@nonsense" not in predictions and "old@free" in predictions
    scores = scoring.score_all(run, GOLD, predictions)
    content = scoring.write_metrics(run, scores, "large")
    first = run.path("metrics.json").read_bytes()
    run.path("costs.json").write_text('{"large": {"predict_seconds": 99}}')
    scoring.write_metrics(run, scores, "large")
    assert run.path("metrics.json").read_bytes() == first
    assert content == json.loads(first, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert set(content) == {"task", "profile", "data", "best", "variants"}
    assert set(content["data"]) == {"source", "fingerprint", "rows"} and content["data"]["rows"] == 4
    found = {name: content["variants"][name]["parameters"]["total"] for name in ("large@free", "rules")}
    assert found == {"large@free": 7, "rules": None}
