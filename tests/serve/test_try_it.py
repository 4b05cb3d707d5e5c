"""Typing a text: what the rules and a trained variant find in it is coloured in the text."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.files import write_json
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


def shown(page):
    """Field → text of each mark, and the lines of the table."""
    marks = [(mark["title"], mark.find(string=True, recursive=False)) for mark in page.select("mark[title]")]
    return marks, [(row.th.text, row.td.text) for row in page("tr")]


def test_values_are_coloured_in_the_text_and_listed(run):
    text = run.task.rows.reading(TEXT)
    found = {**dict.fromkeys(run.task.fields), "action": "Lunch", "attendees": ["Ana", "Bo"]}
    page = BeautifulSoup(try_it.found_html(run, text, "lora", found, None), "html.parser")
    marks, lines = shown(page)
    assert marks == [("action", "Lunch"), ("attendees", "Ana")], "Bo does not stand in the text"
    assert lines == [("action", "Lunch"), ("attendees", "Ana; Bo")]
    assert page.b.text == "LoRA" and "<b>" in page.get_text()
    broken = try_it.found_html(run, text, "lora", None, '{"a": <')
    assert "Nothing valid" in broken and "{&quot;a&quot;: &lt;" in broken


def test_a_tagger_reads_the_tokens_of_what_was_typed(tmp_path, monkeypatch):
    run = Run("it_ner", profile="smoke", out=str(tmp_path))
    asked = "Docker fails on Debian , Debian 12 !"
    tags = ["B-SOFTWARE", "O", "O", "B-OS", "O", "B-OS", "B-VERSION", "O"]
    monkeypatch.setattr(systems, "load_trained", lambda run, name: Stand(run, name, (asked, tags)))
    write_json(run.path("checkpoints", "full", "finished.json"), {})
    text = run.task.rows.reading("Docker fails  on Debian, Debian 12!")
    html = try_it.found_html(run, text, *try_it.extract(run, text, "full"))
    marks, lines = shown(BeautifulSoup(html, "html.parser"))
    assert [name for name, _ in marks] == ["SOFTWARE", "OS", "OS", "VERSION"]
    assert lines == [("OS", "Debian; Debian"), ("SOFTWARE", "Docker"), ("VERSION", "12")]
    assert run.task.values(try_it.extract(run, text, "rules")[1])["OS"] == ("Debian", "Debian")
