"""The demo page: a text is marked, two systems stand side by side, files can be taken, bad texts are refused."""

from __future__ import annotations

import pytest
from tiny_run import make_run

from helpers.paths import ROOT


def test_a_visitor_compares_two_systems_and_is_offered_the_files(tmp_path, monkeypatch):
    testing = pytest.importorskip("streamlit.testing.v1")
    monkeypatch.setenv("STUDY_RUN", str(make_run(tmp_path)))
    page = testing.AppTest.from_file(str(ROOT / "demo" / "app.py"), default_timeout=300).run()
    page.selectbox(key="model calendar").set_value("rules").run()
    page.selectbox(key="other calendar").set_value("full_entity_loss").run()
    page.text_area[0].set_value("Lunch with Ann on 3 May 2027 at 1pm for 30 minutes").run()
    page.button[0].click().run()
    assert not page.exception
    assert [head.value for head in page.subheader] == ["rules", "full entity loss"]
    assert ">3 May 2027" in page.get("html")[0].proto.body.split('title="date"')[1]
    table = page.dataframe[0].value.set_index("field")
    assert table.loc["date", "value"] == "03/05/2027" and table.loc["notes", "review"] == "yes"
    offered = [one.proto.label for one in page.get("download_button")]
    assert offered[:2] == ["Download JSON", "Download event.ics"] and "Download JSON" in offered[2:]
    page.text_area[0].set_value("\x07").run()
    page.button[0].click().run()
    assert [one.value for one in page.error] == ["text holds the control character U+0007"] * 2


def test_without_a_run_the_page_says_what_to_do(tmp_path, monkeypatch):
    testing = pytest.importorskip("streamlit.testing.v1")
    monkeypatch.setenv("STUDY_RUN", str(tmp_path / "none"))
    page = testing.AppTest.from_file(str(ROOT / "demo" / "app.py"), default_timeout=300).run()
    assert "run ./run_all.sh first" in page.error[0].value
