"""Typing a text, in a notebook or on the demo page: what is found is coloured in the text, bad texts are refused."""

import pytest
from bs4 import BeautifulSoup

from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.files import write_json
from helpers.paths import ROOT
from helpers.run import Run
from helpers.serve import try_it

TEXT = "Lunch with Ana  at “Café Roma” tomorrow <b>"


@pytest.fixture
def run(tmp_path) -> Run:
    return Run("calendar", profile="smoke", out=str(tmp_path))


class Stand(systems.System):
    """Answers with what it was made with, if it is asked what was typed."""

    def _answers(self, examples, decoding, progress):
        text, prediction = self.loaded
        assert [one.text for one in examples] == [text]
        return [{"prediction": prediction, "raw": "{"}]


def test_rules_answer_before_anything_is_trained_then_the_best_system(run, monkeypatch):
    system, prediction, raw = try_it.extract(run, "Lunch with Ana on 12/03/2026 at 1:00 PM")
    assert system == "rules" and raw is None
    assert (prediction["date"], prediction["time"]) == ("12/03/2026", "1:00 PM")
    with pytest.raises(UserError, match="type a sentence"):
        try_it.extract(run, " \n ")
    found = {**dict.fromkeys(run.task.fields), "action": "Lunch", "attendees": ["Ana"]}
    asked = 'Lunch with Ana at "Café Roma" tomorrow <b>'
    monkeypatch.setattr(systems, "load_trained", lambda run, name: Stand(run, name, (asked, found)))
    for variant in ("lora", "full_entity_loss"):
        write_json(run.path("checkpoints", variant, "finished.json"), {})
    write_json(run.path("metrics.json"), {"best": "lora"})
    assert try_it.extract(run, TEXT) == ("lora", found, "{")


def test_values_are_coloured_in_the_text_and_listed(run):
    text = run.task.rows.reading(TEXT)
    found = {**dict.fromkeys(run.task.fields), "action": "Lunch", "attendees": ["Ana", "Bo"]}
    page = BeautifulSoup(try_it.found_html(run, text, "lora", found, None), "html.parser")
    marks = [(mark["title"], mark.find(string=True, recursive=False)) for mark in page.select("mark[title]")]
    assert marks == [("action", "Lunch"), ("attendees", "Ana")], "Bo does not stand in the text"
    assert [row.td.text for row in page("tr")] == ["Lunch", "Ana; Bo"]
    assert page.b.text == "LoRA" and "<b>" in page.get_text()
    broken = try_it.found_html(run, text, "lora", None, '{"a": <')
    assert "Nothing valid" in broken and "{&quot;a&quot;: &lt;" in broken


def test_a_visitor_compares_two_systems_and_is_offered_the_files(calendar_run, tmp_path, monkeypatch):
    testing = pytest.importorskip("streamlit.testing.v1")
    monkeypatch.setenv("STUDY_RUN", str(calendar_run.dir))
    page = testing.AppTest.from_file(str(ROOT / "demo" / "app.py"), default_timeout=300).run()
    page.selectbox(key="model calendar").set_value("rules").run()
    page.selectbox(key="other calendar").set_value("full_entity_loss").run()
    page.text_area[0].set_value("Lunch with Ann on 3 May 2027 at 1pm for 30 minutes").run()
    page.button[0].click().run()
    assert not page.exception
    assert [head.value for head in page.subheader] == ["rules", "full entity loss"]
    assert ">3 May 2027" in page.get("html")[0].proto.body.split('title="date"')[1]
    table = page.dataframe[0].value.set_index("field")
    assert table.loc["date", ["value", "characters"]].tolist() == ["03/05/2027", "18–28"]
    assert table.loc["notes", "review"] == "yes"
    offered = [one.proto.label for one in page.get("download_button")]
    assert offered[:2] == ["Download JSON", "Download event.ics"] and "Download JSON" in offered[2:]
    page.text_area[0].set_value("\x07").run()
    page.button[0].click().run()
    assert [one.value for one in page.error] == ["text holds the control character U+0007"] * 2
    monkeypatch.setenv("STUDY_RUN", str(tmp_path / "none"))
    page = testing.AppTest.from_file(str(ROOT / "demo" / "app.py"), default_timeout=300).run()
    assert "run ./run_all.sh first" in page.error[0].value
