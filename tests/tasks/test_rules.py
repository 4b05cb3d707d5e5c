"""Rules of the calendar and of crime on what strangers write: all that they find, and in what time."""

import math
import time

import pytest
from crime_rows import HEADED, TOLD, TOLD_ANSWERS, headed
from hypothesis import given
from hypothesis import strategies as st

from helpers.tasks import load_task
from helpers.tasks.calendar import rules
from helpers.tasks.crime.rules import extract

CALENDAR, CRIME = load_task("calendar"), load_task("crime")
DAY = "3 May 2027 at 9am"  # what DAY stands for below
COLUMNS = ("action", "attendees", "location", "notes", "date", "time", "duration", "recurrence")
EVENTS = """
Demo 10th, Dec 2026 10:30 am w/ Pam Teams 30 mins | Demo | Pam | Teams | | 10/12/2026 | 10:30 AM | 30 mins
Organize a tour on DAY for 45 minutes with Amy at the Dock, Hall 7. | tour | Amy | Dock, Hall 7 | | | | 45 minutes
2025-01-22 4 PM Tea with Monica at the café, one hour. | Tea | Monica | café | | 22/01/2025 | 4:00 PM | one hour
Weekly sync DAY Maya, Luke, Jen 45mins | Weekly sync | Maya; Luke; Jen | | | | | 45mins | Weekly
!!!
# numbers that are no time
Ruby 2.7 migration on 9 March 2027 at 13:45 in Room 6 | Ruby 2.7 migration | | Room 6 | | 09/03/2027 | 1:45 PM
Return the 8.30 voucher on 4 Feb 2027 at 11am | Return the 8.30 voucher | | | | 04/02/2027 | 11:00 AM
Choir in flat 9 B on 1 June 2027 at 18:15 | Choir | | flat 9 B | | 01/06/2027 | 6:15 PM
Viewing of flat 3, 18 Elm Row, 3 May 2027 | Viewing | | flat 3, 18 Elm Row | | 03/05/2027
# a day apart from its year, or without one; other writings and languages
Backup window Mon Jun 14 22:30:00 CET 2027 | Backup window | | | | 14/06/2027 | 10:30 PM
Picnic on 8 July 30 visitors in the garden | Picnic | | garden
Ferry with Ana May 5-16:30 2027, quay 4 | Ferry | Ana | quay 4 | | 05/05/2027 | 4:30 PM
Ferry with Ana 05/05/2027-16:30, quay 4 | Ferry | Ana | quay 4 | | 05/05/2027 | 4:30 PM
Ferry with Ana on June 5-7:30, quay 4 | Ferry | Ana | quay 4 | | | 7:30 AM
Ping 2027-05-03T09:00Z | Ping | | | | 03/05/2027 | 9:00 AM
Ping on 20270503 at 1530 | Ping | | | | 03/05/2027 | 3:30 PM
Zahnarzt 3.5.2027 14 Uhr | Zahnarzt | | | | 03/05/2027 | 2:00 PM
Treffen 5 juin 2025 | Treffen | | | | 05/06/2025
# hours without a half of the day, noon and midnight, ranges, words
Supper with Ines at 8 on 2 April 2027 | Supper | Ines | | | 02/04/2027 | 8:00 PM
Breakfast with Ole at 8 on 2 April 2027 | Breakfast | Ole | | | 02/04/2027 | 8:00 AM
Fireworks 31/12/2027 12 midnight at the pier | Fireworks | | pier | | 31/12/2027 | 12:00 AM
Rehearsal 6 May 2027 915am Hall 3 | Rehearsal | | Hall 3 | | 06/05/2027 | 9:15 AM
Stocktake 6 May 2027 14h00 - 16h30, Store 2 | Stocktake | | Store 2 | | 06/05/2027 | 2:00 PM
Swim 3 May 2027 9-9:45 | Swim | | | | 03/05/2027 | 9:00 AM
Sailing trip 12-19 August 2027 | Sailing trip | | | | 12/08/2027
Vote on the twenty-first of June 2027 at 5pm | Vote | | | | 21/06/2027 | 5:00 PM
Viva the third of may twenty twenty seven at ten am | Viva | | | | 03/05/2027 | 10:00 AM
# recurrence before places, and what is no duration
Chess Mondays and Fridays 19:00 at the library | Chess | | library | | | 7:00 PM | | Mondays and Fridays
stretch three times a day | stretch | | | | | | | three times a day
# lists of people, divided by commas, slashes, "n", "+"; small letters, kin, titles with a dot
Pottery, DAY, Priya, Okke, Aunt Fenella | Pottery | Priya; Okke; Aunt Fenella
Gym, DAY, Quenby / Anna / daddy | Gym | Quenby; Anna; daddy
Carol + Ivo + Nils: rowing, DAY | rowing | Carol; Ivo; Nils
Crown fitting: Dr. Abel, Dr. Sousa, Irene. DAY | Crown fitting | Dr. Abel; Dr. Sousa; Irene
Flat viewing, Mr. & Mrs. Quist, DAY | Flat viewing | Mr. & Mrs. Quist
Panel is Anna, Ravi, Dr. Ohm. Viva on DAY | Viva | Anna; Ravi; Dr. Ohm
call with nadia and tom on DAY | call | nadia; tom
ale w/ sam, jo and bea 8pm 3 May 2027 | ale | sam; jo; bea | | | 03/05/2027 | 8:00 PM
call doctor patel DAY | call | doctor patel
Chat DAY with Greg from Initech | Chat | Greg from Initech
# whom it is for, or between whom
Hearing test for Carlos and Ida, DAY | Hearing test | Carlos; Ida
Fire drill for the new tenants on DAY | Fire drill | new tenants
Handover between Nurse Bello and the day team on DAY | Handover | Nurse Bello; day team
Budget for the spring fair, DAY | Budget for the spring fair
# requests, and who comes
We need Anna and Marco for stage rigging, DAY | stage rigging | Anna; Marco
Put Hugo and Dr. Ohm down for the sound check, DAY | sound check | Hugo; Dr. Ohm
Could you please block two hours on 3 May 2027 for tax filing | tax filing | | | | 03/05/2027 | | two hours
Could you both attend the safety briefing on DAY | safety briefing
REMINDER: office closed, DAY | office closed
Supper DAY; Anna, Marco and Ida are coming | Supper | Anna; Marco; Ida
Professor Lund joins me for a podcast on DAY | podcast | Professor Lund
# marks and signs are no part of a value
3.5.2027 / 16.30 / crane training / 2 h | crane training | | | | 03/05/2027 | 4:30 PM | 2 h
Send-off 🎈 DAY, with Ida and auntie Bea 🎉 | Send-off | Ida; auntie Bea
# platforms, numbered places, a place within another, venues beside people
Retro, Slack huddle, DAY | Retro | | Slack huddle
Open day, Lisbon, DAY | Open day | | Lisbon
Boiler check, DAY, number 4 Elm Row | Boiler check | | number 4 Elm Row
Futsal, DAY, court 2 | Futsal | | court 2
Brass practice, DAY, chapel in Weir Park | Brass practice | | chapel in Weir Park
Dinner, DAY, Trattoria del Ponte, Anna | Dinner | Anna | Trattoria del Ponte
Contract talk, DAY, Advocate Thorn | Contract talk | Advocate Thorn
Choir, DAY, Year 5 and Year 6, north aisle | Choir | Year 5; Year 6 | north aisle
Supper with mum and aunt Ida 🥗 DAY, Copper Heron | Supper | mum; aunt Ida | Copper Heron
Photos w/ ushers Okke, Ravi and Bo, DAY, Hill Chapel | Photos | Okke; Ravi; Bo | Hill Chapel
Oral test in Italian, DAY, Room 5 | Oral test in Italian | | Room 5
We're having the Olsens over for fondue, DAY | fondue | Olsens
Blood test (fasting), DAY, Mill Clinic | Blood test (fasting) | | Mill Clinic
Mtg w/ Dr. Ohm re: the draft - DAY | draft | Dr. Ohm
Tea - DAY - Guildhall | Tea | | Guildhall
Where: Room 3 When: DAY What: Viva | Viva | | Room 3
# remarks
Film night, DAY, phones off please | Film night | | | phones off please
Allergy test, DAY, no coffee for two days before | Allergy test | | | no coffee for two days before
Stargazing, DAY, wear a hat | Stargazing | | | wear a hat
"""


@pytest.mark.parametrize("line", [line for line in EVENTS.split("\n") if line and line[0] != "#"])
def test_rules_of_the_calendar(line):
    text, *cells = (cell.strip() for cell in line.split("|"))
    wanted = dict.fromkeys(CALENDAR.fields) | {name: cell or None for name, cell in zip(COLUMNS, cells)}
    wanted["attendees"] = wanted["attendees"] and wanted["attendees"].split("; ")
    if "DAY" in text:
        wanted |= {"date": "03/05/2027", "time": "9:00 AM"}
    assert CALENDAR.hooks.rules(text.replace("DAY", DAY)) == wanted


@given(st.text(max_size=80))
def test_rules_answer_anything_in_canonical_form(text):
    found = CALENDAR.hooks.rules(text)
    assert tuple(found) == CALENDAR.fields and CALENDAR.canonical(found) == found
    assert extract(text).keys() == CRIME.kinds.keys()


def test_a_guessed_half_of_the_day_is_a_doubt():
    for text, doubt in (("Gym at 8", True), ("Dinner at 8", False), ("Gym at 8am", False)):
        assert ("time" in CALENDAR.doubts(text, CALENDAR.hooks.rules(text))) is doubt


# -- crime reports ----------------------------------------------------------------------------------------------------
def test_rules_read_headings_and_what_is_told():
    assert CRIME.values(extract(HEADED)) == CRIME.values(headed().target)
    found = extract(TOLD.replace("half past ten", "10:30"))
    names = "Officer_Name Officer_BadgeNumber Victim_Name Victim_Age Crime_Date Crime_Status Witness_Name"
    assert all(found[name] == TOLD_ANSWERS[name] for name in names.split())
    assert found["Crime_Time"] == ["10:30"] and found["Crime_Summary"][0].startswith("On 3 May 2023")


def test_rules_read_victims():
    for section, wanted in (
        ("Ada Holm, 34 years old, owner of the property.", "Name Ada Holm|Age 34|Owner Ada Holm"),
        ("Bo and Cy Day, ages 29 and 33, homeowners.", "Name Bo Day|Name Cy Day|Age 29|Age 33"),
        ("Dock, Inc., owned by Mr. Al Fox, CEO.", "Name Dock, Inc.|Owner Mr. Al Fox|CEO Mr. Al Fox"),
        ("Pier Books, Owner: Eli Fox, CEO: N/A", "Name Pier Books|Owner Eli Fox|CEO N/A"),
        ("\n- Name: Al Fox\n- Age: 34\n- Owner: N/A\n- Email: a@b.no", "Name Al Fox|Age 34|Email a@b.no"),
        ("Not provided", ""),
    ):
        found = extract(f"**Description of Victim(s):** {section}\n**Current Status:** open")
        given = [f"{name[7:]} {one}" for name, values in found.items() for one in values if "Victim" in name]
        assert sorted(given) == sorted(filter(None, wanted.split("|"))), section


def test_rules_read_owners_told_by_their_surnames():
    for said, wanted in (
        ("The two bicycles belonged to Keller and Ortiz.", ["Keller", "Ortiz"]),
        ("The tools belonging to Keller, Ortiz and Nowak are gone.", ["Keller", "Ortiz", "Nowak"]),
    ):
        text = (
            f"On 3 May 2027 somebody forced the shed behind 14 Mill Lane, Ashford. {said} The case is open."
        )
        assert extract(text)["Victim_Name"] == wanted


LOG = """2210 Control: call from Pier Road 14, Eastmoor.
2214 Car 3 on scene. Somebody smashed the kiosk and carried off two cash drawers.
2230 Guard Ida Moss saw a thin man in a red anorak running to the quay.
2245 Hammer and a torn sleeve bagged. Criminal damage, occurred 4 May 2025 at 2207.
2300 Report by Sgt Ole Brandt, shoulder number 815. Status: open."""
BLOTTER = """WEEK OF MAY 5
300 block of Elm Street: Bicycle theft, May 4, 2:20 p.m. A bike was taken from a porch. Resident Ida Moss, 41, gave chase.
Disposition: referred to detectives"""
STATEMENT = """Statement made on 9 May 2025
My full name is Ida Moss and I am 67 years old. On 4 May 2025 at 11.40am I was in Pelham Square when somebody pulled my bag off my arm.
I gave the police my scarf. The officer was PC Ole Brandt; his number is 815."""
FORM = "CLASS: Theft | LOC: Hall B, level 2\nOccurred: 2025-05-04 at 13:00\nOfficer: Sgt. Ole Brandt / ID 815\nStatus: Open"
LOG_ANSWERS = {
    "Location": "Pier Road 14, Eastmoor",
    "Crime_Time": "2207",  # rather than the hours of the log's lines
    "Crime_Summary": "Somebody smashed the kiosk and carried off two cash drawers.",
    "Witness_Name": "Ida Moss",
    "Suspect_Description": "a thin man in a red anorak",
    "Evidence_Type": "Hammer|torn sleeve",
    "Officer_BadgeNumber": "815",
    "Crime_Status": "open",
}
BLOTTER_ANSWERS = {
    "Location": "300 block of Elm Street",
    "Crime_Type": "Bicycle theft",
    "Crime_Date": "May 4",
    "Victim_Age": "41",
    "Crime_Status": "referred to detectives",
}
STATEMENT_ANSWERS = {
    "Victim_Name": "Ida Moss",
    "Victim_Age": "67",
    "Crime_Date": "4 May 2025",  # rather than that of the statement
    "Crime_Time": "11.40am",
    "Evidence_Type": "scarf",
}


@pytest.mark.parametrize(
    ("report", "wanted"),
    [
        (LOG, LOG_ANSWERS),
        (BLOTTER, BLOTTER_ANSWERS),
        (STATEMENT, STATEMENT_ANSWERS),
        (FORM, {"Location": "Hall B, level 2", "Officer_Name": "Sgt. Ole Brandt"}),
        ("12:00 a\n12:01 b\n12:02 c", {"Crime_Time": ""}),
    ],
)
def test_rules_read_other_layouts(report, wanted):
    found = extract(report)
    assert {name: "|".join(found[name]) for name in wanted} == wanted


PIECES = ["@", "in a ", "on y ", "to ", ", at the y ", "Dr. and ", "Aa ", "Aa, ", "He ", "A. ", "Sgt. "]


@pytest.mark.parametrize("read", [rules.find, extract])
@pytest.mark.parametrize("piece", [*PIECES, "attempted ", "Aa of ", "a tall, "])
def test_reading_takes_time_in_proportion_to_the_text(read, piece):
    """Ten times the text may not take a hundred times the time: the service reads what strangers send."""

    def seconds(size: int) -> float:
        text, best = piece * (size // len(piece)) + "street", math.inf
        for _ in range(3):
            started = time.process_time()
            read(text)
            best = min(best, time.process_time() - started)
        return best

    read("Lunch with Ann")  # loads the names
    assert seconds(1500) < 50 * max(seconds(150), 0.0005)


def test_what_leads_up_to_a_place_is_looked_for_near_it(monkeypatch):
    """Not in all that comes before: the time would grow with the square of the places in a stranger's text."""
    looked = []

    class Head:
        def search(self, text, start, end):
            looked.append(end - start)

    monkeypatch.setattr(rules, "_HEAD", Head())
    rules.find("Where: " * 200 + "x")
    assert len(looked) == 200 and sum(looked) <= 100 * len(looked)
