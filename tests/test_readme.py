"""The README: short, its figures are those of the committed reports, its links lead somewhere."""

import json
import re

import pytest

from helpers.paths import ROOT

HEADLINES = {"calendar": "exact_match", "crime": "exact_f1", "it_ner": "f1"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_is_short():
    assert len(README.split()) <= 600


@pytest.mark.parametrize("task", HEADLINES)
def test_figures_are_those_of_the_committed_reports(task):
    """A line of results names systems and their scores, as in "`rules` 0.274"."""
    (line,) = re.findall(rf"^- \*\*`{task}`\*\*.*(?:\n  .*)*", README, re.MULTILINE)
    stated = re.findall(r"`(\w+)` (\d\.\d{3})", line)
    variants = json.loads((ROOT / "report" / f"{task}.json").read_text(encoding="utf-8"))["metrics"][
        "variants"
    ]
    assert len(stated) >= 3
    assert stated == [(name, f"{variants[name][HEADLINES[task]]:.3f}") for name, _ in stated]


@pytest.mark.parametrize("page", ["README.md", *sorted(p.name for p in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page):
    path = ROOT / page if page == "README.md" else ROOT / "docs" / page
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
