"""Made crime reports: labels move along with the text, layouts change without the answers, conventions follow train."""

import random
import re

import pytest
from crime_rows import HEADED, TASK, example, headed, told

from helpers.tasks.crime.made import keeps_articles, synthesise
from helpers.tasks.crime.report import is_headed, means_nothing, sections
from helpers.tasks.crime.variation import AUGMENTERS, PERTURBATIONS, relay, retell, swap
from helpers.tasks.text import places

SEEDS = range(12)
COUPLE = example(
    "**Description of Victim(s):** John and Mary Holm, ages 45 and 43.\n**Reporting Officer:** Officer Ana Reyes, "
    "Badge #4511\n**Circumstances Surrounding the Incident:** Mr. Holm called Officer Reyes.",
    {
        "Victim_Name": ["John Holm", "Mary Holm"],
        "Victim_Age": ["45", "43"],
        "Victim_AgeRange": ["Adult", "Adult"],
    }
    | {"Officer_Name": ["Officer Ana Reyes"], "Officer_BadgeNumber": ["4511"]},
)


def stated(row) -> list[str]:
    return [value for values in row.target.values() for value in values if places(value, row.text)]


def all_stand_in(row) -> bool:
    return len(stated(row)) == sum(map(len, row.target.values()))


# -- others -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("row", [headed(), told()], ids=["headed", "told"])
def test_swap_changes_people_and_keeps_every_value_in_the_text(row, seed):
    made = swap(row, random.Random(seed))
    for name in ("Officer_Name", "Crime_Date"):
        assert made.target[name] != row.target[name]
    assert list(map(len, made.target.values())) == list(map(len, row.target.values()))
    assert all_stand_in(made)
    if row.target["Witness_Name"] == ["None identified"]:
        assert made.target["Witness_Name"] == ["None identified"]


@pytest.mark.parametrize("seed", SEEDS)
def test_swap_gives_a_couple_one_surname_and_follows_it(seed):
    made = swap(COUPLE, random.Random(seed))
    surname = re.search(r"Mr\. (.+) called Officer", made.text)[1]
    assert all(value.endswith(f" {surname}") for value in made.target["Victim_Name"])
    assert made.target["Officer_Name"][0].startswith("Officer ")
    assert "Reyes" not in made.text and "Holm" not in made.text
    ages = list(map(int, made.target["Victim_Age"]))
    assert all(30 < age < 80 for age in ages) and made.target["Victim_AgeRange"] == ["Adult", "Adult"]


@pytest.mark.parametrize("seed", SEEDS)
def test_swap_moves_a_date_with_a_weekday_and_a_time_that_ends_a_sentence(seed):
    answers = {"Crime_Date": ["9 November 2023"], "Crime_Time": ["8:20 PM"]}
    row = example("It began on Thursday 9 November 2023. It ended at 8:20 PM.", answers)
    made = swap(row, random.Random(seed))
    assert made.target["Crime_Date"][0] in made.text and made.target["Crime_Date"] != ["9 November 2023"]
    assert made.text.endswith(f" {made.target['Crime_Time'][0]}.")


# -- layouts ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", SEEDS)
def test_relay_keeps_sections_and_values(seed):
    made = relay(headed(), random.Random(seed))
    names = [[section.name for section in sections(text)] for text in (made.text, HEADED)]
    assert sorted(names[0]) == sorted(names[1]) and names[0] != names[1]
    assert stated(made) == stated(headed()) and TASK.rows.parse(TASK.rows.write(made), 0).text == made.text


@pytest.mark.parametrize("seed", SEEDS)
def test_retell_has_no_headings_and_no_words_for_nothing(seed):
    made = retell(headed(), random.Random(seed))
    assert not is_headed(made.text) and made.target["Witness_Name"] == [] and all_stand_in(made)
    assert retell(told(), random.Random(seed)) is relay(told(), random.Random(seed)) is None
    kept = {name for name in TASK.fields if made.target[name]}
    assert kept == {name for name in TASK.fields if headed().target[name]} - {"Witness_Name"}


# -- made reports -------------------------------------------------------------------------------------------------------
def test_synthetic_rows_follow_the_labels_of_train():
    group = {"Victim_Age": ["34"], "Victim_AgeRange": ["in her thirties"]}
    bare = example("A pry bar was kept.", {"Evidence_Type": ["pry bar"]})
    train = [bare, example("A woman of 34 in her thirties.", group)]
    assert keeps_articles([headed()]) and not keeps_articles([bare])
    rows = synthesise(train, 8, random.Random(5))
    assert [row.id for row in rows] == list(range(1, 9)) and rows == synthesise(train, 8, random.Random(5))
    for row in rows:
        values = [value for values in row.target.values() for value in values]
        assert all_stand_in(row) and (is_headed(row.text) or not any(map(means_nothing, values)))
        assert not re.search(r"^(?:a|an|the) ", "\n".join(row.target["Evidence_Type"]), re.I | re.M)
    made = synthesise([COUPLE], 150, random.Random(5))
    forties = [row for row in made if "".join(row.target["Victim_Age"])[:1] == "4"]
    assert forties and all(set(row.target["Victim_AgeRange"]) == {"Adult"} for row in forties)


@pytest.mark.parametrize("seed", SEEDS)
def test_made_reports_have_both_layouts_and_no_slot_left(seed):
    rows = synthesise([headed()], 6, random.Random(seed))
    assert [is_headed(row.text) for row in rows] == [True, False] * 3
    for row in rows:
        assert not re.search(r"[{}<>|]|\.\.", row.text) and len(row.text) < TASK.rows.longest_text
        filled = "Location Officer_Name Victim_Name Crime_Type Crime_Date Crime_Summary Evidence_Type"
        assert all(row.target[name] for name in filled.split())
        assert TASK.rows.parse(TASK.rows.write(row), row.id).target == row.target


@pytest.mark.parametrize("name", [*PERTURBATIONS, *AUGMENTERS])
def test_changes_depend_on_the_seed_alone_and_perturbations_keep_the_answers(name):
    change = (PERTURBATIONS | AUGMENTERS)[name]
    made, again = ([change(headed(), random.Random(seed)) for seed in SEEDS] for _ in range(2))
    assert made == again and any(made)
    for row in filter(None, made):
        assert row.text != HEADED
        if name in PERTURBATIONS:
            assert row.target == headed().target and set(stated(row)) == set(stated(headed()))
