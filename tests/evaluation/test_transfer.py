"""Away from home: what is held out, what a killed measurement goes on with, and which system is deployed then."""

import json

import pytest

from helpers.command import status
from helpers.data.read import load_source
from helpers.data.splits import make_splits
from helpers.errors import UserError
from helpers.evaluation import measured, systems, transfer
from helpers.files import read_json, write_json
from helpers.run import Run
from helpers.tasks import load_task


def small(folder, task="calendar"):
    return Run(task, "smoke", out=str(folder), settings={"max_rows": 80})


@pytest.mark.parametrize(
    ("task", "names"),
    [("calendar", "plain wild"), ("crime", "headed narrative"), ("it_ner", "ticket forum bug")],
)
def test_batches_and_layouts_are_held_out_and_no_test_row_is_looked_at(tmp_path, task, names):
    run = small(tmp_path, task)
    own = make_splits(run, load_source(run)).parts
    pool = {row.id for row in own["train"] + own["validation"]}
    planned = {case.name: case for case in transfer.plan(run)}
    assert next(iter(planned)) == "home" and {f"without {name}" for name in names.split()} <= set(planned)
    for name, case in planned.items():
        ids = {part: {row.id for row in case.parts[part]} for part in ("train", "validation")}
        held_out = {row.id for rows in case.away.values() for row in rows}
        assert not ids["train"] & ids["validation"] and ids["train"] | ids["validation"] <= pool
        assert name == "home" or held_out and not (ids["train"] | ids["validation"]) & held_out
        assert name == "home" or held_out <= pool


def test_a_stopped_measurement_goes_on_and_more_systems_join(fits, tmp_path):
    def measure(folder, *variants, **more):
        results = folder / "calendar.json"
        transfer.measure(
            transfer.plan(small(folder / "home")), variants, results, folder / "work", {}, **more
        )
        return read_json(results)

    whole = measure(tmp_path / "one", "tagger")
    names = list(dict.fromkeys(line["case"] for line in whole["lines"]))
    assert len(fits.done) == len(names) and whole["headline"] == "exact_match"
    assert [line["variant"] for line in whole["lines"][:2]] == ["rules", "tagger"]
    assert set(whole["lines"][1]["sets"]["home"]) >= {"rows", "exact_match", "soft_exact_match", "confidence"}

    fits.done.clear()
    fits.dies_at = 2
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path / "two", "tagger")
    fits.dies_at = None
    measure(tmp_path / "two", "tagger", max_seconds=0)
    assert measure(tmp_path / "two", "tagger") == whole
    assert len(fits.done) == len(names), "what is finished is not fitted again"
    joined = measure(tmp_path / "two", "tagger", "lora", only=["home"])
    assert len(fits.done) == len(names) + 1
    assert len(joined["lines"]) == len(whole["lines"]) + 2, "lora, and the vote of all three"
    table = measured.transfer_table(joined)
    assert table.loc[("home", "home", "exact_match"), "vote"] >= 0
    everywhere = ["rules", "tagger", "tagger_and_rules"]
    assert list(measured.home_and_away(joined).index) == everywhere, "lora is not"


def lines(**scores):
    """Results of systems: name → score at home, and in each of some cases."""
    return [
        {"case": place, "group": "batch", "variant": name, "sets": {place: {"soft_exact_match": score}}}
        for name, found in scores.items()
        for place, score in zip(("home", "barn", "quay"), found)
    ]


def test_the_best_over_home_and_away_is_deployed_and_says_why(tmp_path, monkeypatch):
    run = Run("calendar", "smoke", out=str(tmp_path))
    monkeypatch.setattr(measured, "TRANSFER", tmp_path)
    for name in ("lora", "tagger"):
        write_json(run.path("checkpoints", name, "finished.json"), {})
    write_json(run.path("metrics.json"), {"best": "lora"})
    assert systems.deployed(run, ["lora", "tagger"])[1].startswith("`lora` is the best on validation; away")
    scores = {"lora": (0.9, 0.2, 0.4), "tagger": (0.8, 0.6, 0.8), "rules": (0.9, 0.9, 0.9), "qlora": (1, 1)}
    content = {"profile": "smoke", "models": {}, "soft": "soft_exact_match", "lines": lines(**scores)}
    write_json(measured.transfer_path(run, tmp_path), content)
    table = measured.home_and_away(content)
    assert (
        table.loc["lora"].tolist() == pytest.approx([0.9, 0.3, 0.2, 0.4, 0.6]) and "qlora" not in table.index
    )
    assert systems.choose(run) == "tagger" and systems.choose(run, "lora") == "lora"
    assert systems.deployed(run, ["lora", "tagger"]) == (
        "tagger",
        "`tagger` is to be used: of the 2 trained systems measured away it has the higher mean soft exact match (home 0.80, "
        "away 0.70). `lora`, the best on validation, has 0.90 and 0.30. Rules alone have 0.90 and 0.90, but were written "
        "with all batches in view.",
    )
    write_json(measured.transfer_path(run, tmp_path), {**content, "profile": "cpu"})
    assert systems.choose(run) == "lora", "measured with another profile"


@pytest.mark.parametrize(
    ("scores", "chosen", "words"),
    [
        ({"tagger": (0.9, 0.9, 0.9)}, "lora", "Of the trained systems only `tagger` was measured away, so this compares"),
        ({"lora": (0.9, 0.9, 0.9)}, "lora", "`lora` is the best on validation. Of the trained systems only `lora` was"),
        ({"tagger": (0.5, 0.5, 0.5), "lora": (0.5, 0.5, 0.5)}, "lora", "none has a higher mean soft exact match (home 0.50"),
        ({"tagger": (0.5, 0.5, 0.5), "lora": (0.6, 0.5, 0.5)}, "lora", "away 0.50). It is the best on validation too."),
        ({"qlora": (0, 0, 0), "tagger": (0.5, 0.5, 0.5)}, "tagger", "`lora`, the best on validation, was not measured away."),
        (
            {"tagger": (0, 0, 0), "tagger_and_rules": (0.5, 0.5, 0.5), "rules": (0.5, 0.5, 0.5)},
            "tagger_and_rules",
            "Rules alone have 0.50 and 0.50, but were written with all batches in view; so was the rules' part of `tagger_",
        ),
        (
            {"tagger": (0, 0, 0), "tagger_and_rules": (0.5, 0.5, 0.5), "rules": (0.1, 0.1, 0.1)},
            "tagger_and_rules",
            "not measured away. The rules' part of `tagger_and_rules` was written with all batches in view.",
        ),
    ],
)  # fmt: skip
def test_one_alone_compares_nothing_and_rules_are_spoken_of(tmp_path, monkeypatch, scores, chosen, words):
    run = Run("calendar", "smoke", out=str(tmp_path))
    monkeypatch.setattr(measured, "TRANSFER", tmp_path)
    write_json(run.path("metrics.json"), {"best": "lora"})
    content = {"profile": "smoke", "models": {}, "soft": "soft_exact_match", "lines": lines(**scores)}
    write_json(measured.transfer_path(run, tmp_path), content)
    name, why = systems.deployed(run, ["lora", "qlora", "tagger", "tagger_and_rules"])
    assert name == chosen and words in why


def test_each_test_away_from_home_is_a_line_with_home_in_that_training():
    def sets(**found):
        return {name: {"rows": 9, "f1": one, "soft_f1": one + 0.1} for name, one in found.items()}

    cases = [("home", "source", sets(home=0.5, public=0.2)), ("public", "source", sets(home=0.5, sample=0.3))]
    cases += [("without a", "batch", sets(home=0.7, a=0.4))]
    told = [dict(zip(("case", "group", "sets", "variant"), (*case, "tagger"))) for case in cases]
    found = measured.away_lines({"headline": "f1", "soft": "soft_f1", "lines": told})
    kept = [(one["group"], one["set"], one["score"], one["soft"], one["home"]) for one in found]
    assert kept == [
        ("source", "public", 0.2, pytest.approx(0.3), 0.5),
        ("batch", "a", 0.4, pytest.approx(0.5), 0.7),
    ]
    assert measured.away_lines({}) == []


def test_a_file_of_texts_with_answers_is_scored(fits, tmp_path, capsys):
    task, file = load_task("calendar"), tmp_path / "mine.jsonl"
    expected = dict.fromkeys(task.fields) | {"action": "Choir", "date": "24/09/2026", "time": "7:00 PM"}
    rows = [{"id": "a", "text": "Choir  24/09/2026 19:00", "expected": expected}]
    rows += [{"event_text": "Choir 24/09/2026 19:00", "output": expected}]
    file.write_text("\n".join(map(json.dumps, rows)))
    one, other = transfer.rows_of_file(task, file)
    assert one.text == other.text and one.target == other.target == expected
    arguments = f"calendar --profile smoke --set max_rows=60 --cases home --out {tmp_path}".split()
    assert status(transfer.main, [*arguments, "--variants", "tagger", "--file", str(file)]) == 0
    assert "soft_exact_match" in capsys.readouterr().out
    file.write_text('{"expected": {}}')
    with pytest.raises(UserError, match="mine.jsonl, row 1"):
        transfer.rows_of_file(task, file)
    assert status(transfer.main, [*arguments, "--variants", "taggr"]) == 2
