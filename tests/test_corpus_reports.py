from __future__ import annotations

import json
import random
import re
from datetime import datetime

import pytest

from helpers.corpus.document import EOS, IM_END, IM_START
from helpers.corpus.lexicon import Lexicon
from helpers.corpus.report_crimes import CRIMES, DAMAGE, TAKING
from helpers.corpus.report_kinds import OTHERS
from helpers.corpus.report_parts import Writer
from helpers.corpus.report_sections import section
from helpers.corpus.report_telling import ITEMS_TOLD
from helpers.corpus.report_values import age_range, dates
from helpers.corpus.reports import (
    MAX_CHAT,
    MAX_REPORT,
    MIN_REPORT,
    concept_words,
    name_style,
    narrative,
    report,
    report_chat,
    report_questions,
)

MESSAGE = re.compile(re.escape(IM_START) + r"(system|user|assistant)\n(.*?)" + re.escape(IM_END) + "\n", re.S)
PUBLIC_TYPES = set(
    "Location Officer_Name Officer_BadgeNumber Victim_Name Victim_Age Victim_AgeRange Victim_Owner Victim_Manager "
    "Victim_CEO Victim_Email Crime_Type Crime_Date Crime_Time Crime_Status Crime_Summary Evidence_Type Witness_Name "
    "Suspect_Description".split())


@pytest.fixture(scope="module")
def lex():
    return Lexicon(seed=3, size=20)


@pytest.mark.parametrize("make", [report_chat, report_questions, narrative])
def test_a_document_depends_on_its_seed_alone(make, lex):
    first = [make(random.Random(seed), lex) for seed in range(30)]
    assert first == [make(random.Random(seed), lex) for seed in reversed(range(30))][::-1]
    assert len({document.text for document in first}) == 30


def test_chats_alternate_and_every_answer_is_copied_from_the_report(lex):
    for seed in range(300):
        document = report_chat(random.Random(seed), lex)
        messages = MESSAGE.findall(document.text)
        assert "".join(f"{IM_START}{role}\n{text}{IM_END}\n" for role, text in messages) == document.text
        roles = [role for role, _ in messages]
        assert roles == ["system"] + ["user", "assistant"] * (len(roles) // 2)
        assert 3 <= (len(roles) - 3) // 2 <= 18
        assert sum(len(text) for _, text in messages) <= MAX_CHAT
        given, answered = messages[1][1], [text for text, flag in document.parts if flag]
        assert answered == [text + IM_END for role, text in messages if role == "assistant"]
        for (_, question), (_, answer) in zip(messages[3::2], messages[4::2]):
            ((name, values),) = json.loads(answer).items()
            assert name in question
            assert all(str(value) in given for value in values)


def test_reports_have_both_layouts_kinds_of_values_and_the_public_types(lex):
    found = [report(random.Random(seed), lex) for seed in range(600)]
    assert all(MIN_REPORT <= len(one.text) <= MAX_REPORT for one in found)
    assert {"headed", "narrative", "memo"} == {one.layout for one in found}
    headed = [one.text for one in found if one.layout == "headed"]
    assert any(text.startswith("**Crime Type:** ") and "  \n**Date and Time:** " in text for text in headed)
    answers = [(name, values) for one in found for name, values in one.answers.items()]
    assert {name for name, _ in answers} >= PUBLIC_TYPES
    values = [value for _, several in answers for value in several]
    assert "Not provided" in values and "None identified" in values and any(isinstance(value, int) for value in values)
    absent = sum(not several for _, several in answers) / len(answers)
    assert 0.15 < absent < 0.4
    assert max(len(several) for _, several in answers) >= 4
    assert not [one.text for one in found if re.search(r"[{}~]|\[[^\]\n]*\|", one.text)]


def test_one_shot_questions_answer_the_types_they_name(lex):
    for seed in range(100):
        (prompt, given), (answer, produced) = report_questions(random.Random(seed), lex).parts
        assert (given, produced) == (False, True) and answer.endswith(EOS)
        answers = json.loads(answer.removesuffix(EOS))
        assert answers and all(name in prompt for name in answers)
        assert all(str(value) in prompt for values in answers.values() for value in values)


def test_prose_is_one_weighted_part_of_bounded_length(lex):
    for seed in range(50):
        ((text, flag),) = narrative(random.Random(seed), lex).parts
        assert flag and MIN_REPORT <= len(text.removesuffix(EOS)) <= MAX_REPORT and IM_START not in text


def test_writer_records_exactly_what_it_writes(lex):
    w = Writer(random.Random(1), lex, TAKING)
    w.facts.update(date="May 4", time="5 p.m.", email="aki@mill.example")
    assert w.stated == {}
    assert w.say("[on|on] {date} at {time}.") == "On May 4 at 5 p.m."
    assert w.say("{email} is the address.") == "aki@mill.example is the address."
    w.say("{date} again, and {clock}.")
    assert w.stated == {"date": ["May 4"], "time": ["5 p.m."], "email": ["aki@mill.example"]}


def test_missing_words_are_stated_and_absent_sections_are_not(lex):
    seen = set()
    for seed in range(200):
        w = Writer(random.Random(seed), lex, DAMAGE)
        _, content = section(w, "witness", 1)
        assert set(w.stated) == {"witness"}
        seen.add(content)
    assert {"Not provided", "None identified", "N/A"} <= seen


def test_type_names_of_the_crime_kinds_are_the_public_ones():
    rng = random.Random(0)
    style = name_style(rng, public=True)
    named = {style(words) for words in concept_words(TAKING, rng, public=True).values()}
    assert PUBLIC_TYPES <= named


def test_every_kind_can_tell_its_list_and_fill_its_patterns(lex):
    for kind in CRIMES + OTHERS:
        assert kind.items_label[0] in ITEMS_TOLD
        w = Writer(random.Random(0), lex, kind)
        for pattern in kind.summaries + kind.body + kind.steps + kind.endings + kind.items:
            text = w.say(pattern)
            assert "{" not in text and "|" not in text


@pytest.mark.parametrize("age, allowed", [
    (9, {"Child", "Minor"}), (15, {"Teenager", "Minor"}), (70, {"Senior", "Elderly", "Older Adult"})])
def test_age_groups_hold_the_age(age, allowed):
    for seed in range(60):
        text = age_range(random.Random(seed), age)
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        if len(numbers) == 2:
            assert numbers[0] <= age <= numbers[1]
        elif numbers:
            assert numbers[0] <= age <= numbers[0] + 9
        else:
            assert text in allowed


def test_dates_of_a_report_keep_their_order_and_weekday():
    ordered = weekdays = 0
    for seed in range(200):
        write = dates(random.Random(seed))
        before, event, after = write(-1), write(0), write(1)
        assert write(0) == event
        if re.fullmatch(r"\d{4}-\d\d-\d\d", event):
            assert before < event < after
            ordered += 1
        elif re.fullmatch(r"[A-Z]\w+day, [A-Z]\w+ \d+, \d+", event):
            assert datetime.strptime(event, "%A, %B %d, %Y").strftime("%A") == event.split(",")[0]
            weekdays += 1
    assert ordered and weekdays
