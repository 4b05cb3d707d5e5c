"""Rules on reports without headings (logs, blotters, statements), and the file of such reports that is for measuring only."""

from __future__ import annotations

import time
from functools import cache

import pytest
from crime_rows import TASK
from rapidfuzz import fuzz, process

from helpers.data.read import load_source
from helpers.evaluation.transfer import rows_of_file
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.crime.rules import extract
from helpers.tasks.text import places


@cache
def third_layout():
    return rows_of_file(TASK, ROOT / "data" / "crime" / "third_layout.jsonl")


def test_third_layout_is_near_no_report_of_the_sample():
    rows, sample = third_layout(), load_source(Run("crime", "cpu", data="sample"))["all"]
    assert len(rows) == 24
    near = process.cdist([row.text for row in rows], [row.text for row in sample], scorer=fuzz.ratio)
    assert near.max() < 60


def test_values_of_the_third_layout_stand_in_its_reports():
    for row in third_layout():
        for name in ("Location", "Officer_Name", "Crime_Date", "Crime_Summary", "Evidence_Type"):
            assert all(places(value, row.text) for value in row.target[name]), (row.id, name)


LOG = """2210 Control: call from {site}.
2214 Car 3 on scene. Somebody smashed the kiosk and carried off two cash drawers.
2230 Guard Ida Moss saw a thin man in a red anorak running to the quay.
2245 Hammer and a torn sleeve bagged. Criminal damage, occurred 4 May 2025 at 2207.
2300 Report by Sgt Ole Brandt, shoulder number 815. Status: open.""".format(site="Pier Road 14, Eastmoor")
BLOTTER = """WEEK OF MAY 5
300 block of Elm Street: Bicycle theft, May 4, 2:20 p.m. A bike was taken from a porch. Resident Ida Moss, 41, gave chase.
Disposition: referred to detectives"""
STATEMENT = """Statement made on 9 May 2025
My full name is Ida Moss and I am 67 years old. On 4 May 2025 at 11.40am I was in Pelham Square when somebody pulled my bag off my arm.
I gave the police my scarf. The officer was PC Ole Brandt; his number is 815."""
FORM = "CLASS: Theft | LOC: Hall B, level 2\nOccurred: 2025-05-04 at 13:00\nOfficer: Sgt. Ole Brandt / ID 815\nStatus: Open"


@pytest.mark.parametrize(
    ("report", "name", "wanted"),
    [
        (LOG, "Location", "Pier Road 14, Eastmoor"),
        (LOG, "Crime_Time", "2207"),  # rather than the hours of the log's lines
        (LOG, "Crime_Summary", "Somebody smashed the kiosk and carried off two cash drawers."),
        (LOG, "Witness_Name", "Ida Moss"),
        (LOG, "Suspect_Description", "a thin man in a red anorak"),
        (LOG, "Evidence_Type", "Hammer|torn sleeve"),
        (LOG, "Officer_BadgeNumber", "815"),
        (LOG, "Crime_Status", "open"),
        (BLOTTER, "Location", "300 block of Elm Street"),
        (BLOTTER, "Crime_Type", "Bicycle theft"),
        (BLOTTER, "Crime_Date", "May 4"),
        (BLOTTER, "Victim_Age", "41"),
        (BLOTTER, "Crime_Status", "referred to detectives"),
        (STATEMENT, "Victim_Name", "Ida Moss"),
        (STATEMENT, "Victim_Age", "67"),
        (STATEMENT, "Crime_Date", "4 May 2025"),  # rather than that of the statement
        (STATEMENT, "Crime_Time", "11.40am"),
        (STATEMENT, "Evidence_Type", "scarf"),
        (FORM, "Location", "Hall B, level 2"),
        (FORM, "Officer_Name", "Sgt. Ole Brandt"),
    ],
)
def test_rules_read_other_layouts(report, name, wanted):
    assert extract(report)[name] == wanted.split("|")


@pytest.mark.parametrize("report", ["", "\n", ".", "Status:", "12:00 a\n12:01 b\n12:02 c"])
def test_rules_answer_whatever_they_get(report):
    assert set(extract(report)) == set(TASK.kinds)


@pytest.mark.parametrize("piece", ["Aa ", "Aa, ", "He ", "A. ", "Sgt. ", "attempted ", "Aa of ", "a tall, "])
def test_rules_take_time_in_proportion_to_the_text(piece):
    """Ten times the text may not take a hundred times the time: the service reads what strangers send."""

    def seconds(size: int) -> float:
        started = time.process_time()
        extract(piece * (size // len(piece)))
        return time.process_time() - started

    assert seconds(4000) < 50 * max(min(seconds(400) for _ in range(3)), 0.002)
