"""Surface forms with their canonical values: dates, times, durations, recurrences, lists of people, notes.

Every function draws one phrase and returns what a text would say together with what an answer has to hold.
Slashed and dotted numeric dates put the day first; the month comes first only where the day exceeds 12.
"""
from __future__ import annotations

import datetime
import random
from typing import Sequence

from helpers.corpus.lexicon import Lexicon

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")
SHORT_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
FIRST_DAY, LAST_DAY = datetime.date(2019, 1, 1).toordinal(), datetime.date(2034, 12, 31).toordinal()
FIRST_OLD_DAY = datetime.date(1948, 1, 1).toordinal()


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `13th`."""
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def an(text: str) -> str:
    """The indefinite article a text asks for."""
    return "an" if text[:1].lower() in "aeiou" else "a"


# Names in the templates: d, dd day; o ordinal; m, mm month number; b, B month name short and long;
# y year; yy its last two digits; a, A weekday short and long.
DATE_TEMPLATES = (
    "{y}-{mm}-{dd}", "{y}-{mm}-{dd}", "{y}-{mm}-{dd}", "{dd}/{mm}/{y}", "{dd}/{mm}/{y}", "{dd}/{mm}/{y}",
    "{d}/{m}/{y}", "{dd}/{mm}/{yy}", "{dd}.{mm}.{y}", "{d}.{m}.{y}", "{dd}-{mm}-{y}", "{y}/{mm}/{dd}", "{y}.{mm}.{dd}",
    "{dd} - {b} - {y}", "{dd} - {B} - {y}", "{dd} - {mm} - {y}", "{dd}-{b}-{y}", "{d}-{b}-{yy}", "{dd}/{b}/{y}",
    "{B} {d}, {y}", "{B} {d}, {y}", "{B} {d}, {y}", "{b} {d}, {y}", "{b} {d}, {y}", "{b}. {d}, {y}", "{B} {d} {y}",
    "{b} {d} {y}", "{B} {o}, {y}", "{b} {o}, {y}", "{B} {o} {y}", "{b} {o} {y}", "{d} {B} {y}", "{d} {b} {y}",
    "{dd} {b} {y}",
    "{d} {B}, {y}", "{o} {B}, {y}", "{o} {b}, {y}", "{o}, {b} {y}", "{o}, {B} {y}", "{o}, {b} {y}", "{o} {b} {y}",
    "{o} {B} {y}", "{o} of {B} {y}", "the {o} of {B}, {y}", "{o} of {b}, {y}", "{A}, {B} {d}, {y}", "{A} {d} {B} {y}",
    "{a}, {d} {b} {y}", "{a} {b} {d}, {y}", "{A}, {o} {B} {y}", "{A} {dd}/{mm}/{y}", "{a} {dd}.{mm}.{y}", "{y} {b} {d}",
    "{y}{mm}{dd}", "{d} {b}. {y}", "{b}/{d}/{y}", "{b}-{dd}-{y}")


def canonical_date(day: datetime.date) -> str:
    """`DD/MM/YYYY`."""
    return f"{day.day:02d}/{day.month:02d}/{day.year}"


def any_day(rng: random.Random, old: bool = False) -> datetime.date:
    """A day from 2019 to 2034, or from 1948 on where `old`."""
    return datetime.date.fromordinal(rng.randint(FIRST_OLD_DAY if old else FIRST_DAY, LAST_DAY))


def write_date(rng: random.Random, day: datetime.date) -> str:
    """The day in a style drawn at random."""
    if day.day > 12 and rng.random() < 0.03:
        return f"{day.month}/{day.day}/{day.year}"
    template = rng.choice(DATE_TEMPLATES)
    if "{yy}" in template and day.year < 2000:
        template = template.replace("{yy}", "{y}")
    weekday = WEEKDAYS[day.weekday()]
    short = SHORT_MONTHS[day.month - 1]
    if day.month == 9 and rng.random() < 0.3 and "{b}." not in template:
        short = "Sept"
    return template.format(d=day.day, dd=f"{day.day:02d}", o=ordinal(day.day), m=day.month, mm=f"{day.month:02d}",
                           b=short, B=MONTHS[day.month - 1], y=day.year, yy=f"{day.year % 100:02d}",
                           a=weekday[:3], A=weekday)


def date(rng: random.Random, old: bool = False) -> tuple[str, str]:
    """A date as written and as `DD/MM/YYYY`."""
    day = any_day(rng, old)
    return write_date(rng, day), canonical_date(day)


def canonical_time(hour: int, minute: int) -> str:
    """`H:MM AM/PM` of a 24-hour time."""
    return f"{hour % 12 or 12}:{minute:02d} {'AM' if hour < 12 else 'PM'}"


def _part_of_day(hour: int) -> str:
    if hour < 12:
        return "in the morning"
    return "in the afternoon" if hour < 18 else "in the evening" if hour < 21 else "at night"


TIME_TEMPLATES = (
    "{h}:{mm} {p}", "{h}:{mm} {p}", "{h}:{mm} {p}", "{h}:{mm} {p}", "{h}:{mm}{p}", "{h}:{mm}{p}", "{h}:{mm} {P}",
    "{h}:{mm} {P}", "{h}:{mm}{P}", "{h}.{mm} {p}", "{h}.{mm}{p}", "{h}:{mm} {q}", "{hh}:{mm} {P}", "{hh}:{mm}{p}",
    "{HH}:{mm}", "{HH}:{mm}", "{HH}:{mm}", "{HH}:{mm}", "{HH}:{mm}", "{HH}.{mm}", "{HH}h{mm}", "{HH}:{mm}h",
    "{HH}:{mm} hrs",
    "{HH}{mm} hours", "{h}:{mm} {part}")
HOUR_TEMPLATES = ("{h}{p}", "{h}{p}", "{h}{p}", "{h}{p}", "{h} {p}", "{h} {P}", "{h} {P}", "{h}{P}", "{h} {q}",
                  "{h} {part}",
                  "{h} o'clock {part}", "{HH}h", "{w} {part}", "{h} o'clock {p}")
HALF_TEMPLATES = ("half past {h} {p}", "half past {w} {part}", "{h}:30{p}", "{h}.30 {p}")
QUARTER_TEMPLATES = ("quarter past {h} {p}", "a quarter past {w} {part}", "{h}:15{p}")


def write_time(rng: random.Random, hour: int, minute: int) -> str:
    """The time in a style drawn at random."""
    meridiem = "am" if hour < 12 else "pm"
    if minute == 0:
        if hour == 12 and rng.random() < 0.2:
            return rng.choice(("noon", "12 noon", "midday", "noon"))
        if hour == 0 and rng.random() < 0.5:
            return "midnight"
        templates: Sequence[str] = HOUR_TEMPLATES if rng.random() < 0.5 else TIME_TEMPLATES
    elif minute == 30 and rng.random() < 0.1:
        templates = HALF_TEMPLATES
    elif minute == 15 and rng.random() < 0.1:
        templates = QUARTER_TEMPLATES
    elif minute == 45 and rng.random() < 0.06 and hour not in (11, 23):
        return f"{rng.choice(('quarter to', 'a quarter to'))} {(hour + 1) % 12 or 12} {meridiem}"
    else:
        templates = TIME_TEMPLATES
    template = rng.choice(templates)
    if hour in (0, 12) and "{part}" in template:
        template = "{h}:{mm} {p}"
    short = hour % 12 or 12
    return template.format(h=short, hh=f"{short:02d}", mm=f"{minute:02d}", p=meridiem, P=meridiem.upper(),
                           q=f"{meridiem[0]}.m.", HH=f"{hour:02d}", w=NUMBERS[short], part=_part_of_day(hour))


MINUTES = (0,) * 14 + (30,) * 8 + (15,) * 5 + (45,) * 5 + (5, 10, 20, 25, 35, 40, 50, 55)
HOURS = tuple(range(24)) + tuple(range(7, 21)) * 5


def any_time(rng: random.Random) -> tuple[int, int]:
    """Hour and minute, mostly in the day and on the quarter."""
    return rng.choice(HOURS), rng.randint(0, 59) if rng.random() < 0.08 else rng.choice(MINUTES)


def time(rng: random.Random) -> tuple[str, str]:
    """A time as written and as `H:MM AM/PM`."""
    hour, minute = any_time(rng)
    return write_time(rng, hour, minute), canonical_time(hour, minute)


# Durations said in words; everything else is copied as it stands.
WORDED_DURATIONS = {
    "an hour": "1 hour", "one hour": "1 hour", "one-hour": "1 hour", "half an hour": "30 minutes",
    "a half hour": "30 minutes", "half-hour": "30 minutes", "an hour and a half": "1.5 hours",
    "one and a half hours": "1.5 hours", "two hours": "2 hours", "two-hour": "2 hours", "three hours": "3 hours",
    "three-hour": "3 hours", "four hours": "4 hours", "five hours": "5 hours", "a couple of hours": "2 hours",
    "two and a half hours": "2.5 hours", "thirty minutes": "30 minutes", "fifteen minutes": "15 minutes",
    "twenty minutes": "20 minutes", "ten minutes": "10 minutes", "forty-five minutes": "45 minutes",
    "ninety minutes": "90 minutes", "sixty minutes": "60 minutes", "a quarter of an hour": "15 minutes",
    "two days": "2 days", "three days": "3 days", "one day": "1 day", "a day": "1 day", "a week": "1 week",
    "15-minute": "15 minutes", "30-minute": "30 minutes", "45-minute": "45 minutes", "60-minute": "60 minutes",
    "90-minute": "90 minutes", "2-hour": "2 hours", "3-hour": "3 hours", "1-hour": "1 hour", "25-minute": "25 minutes"}
ADJECTIVAL = tuple(words for words in WORDED_DURATIONS if words.endswith(("-hour", "-minute")))
PLAIN_WORDED = tuple(words for words in WORDED_DURATIONS if words not in ADJECTIVAL)
MINUTE_UNITS = (" minutes", " minutes", " minutes", " mins", " mins", "min", "mins", " min", "m", "min.")
HOUR_UNITS = (" hours", " hours", " hours", " hrs", "hrs", "h", " h", "hr", " hr")


def duration(rng: random.Random, worded: float = 0.14) -> tuple[str, str]:
    """A length of time as written and as answered; both are the same unless it is said in words."""
    draw = rng.random()
    if draw < worded:
        words = rng.choice(PLAIN_WORDED)
        return words, WORDED_DURATIONS[words]
    if draw < 0.55:
        count = rng.choice((5, 10, 15, 15, 20, 25, 30, 30, 30, 30, 35, 40, 45, 45, 45, 50, 60, 60, 75, 80, 90, 90,
                            100, 105, 120))
        text = f"{rng.randint(3, 180) if rng.random() < 0.1 else count}{rng.choice(MINUTE_UNITS)}"
    elif draw < 0.93:
        count = rng.choice(("1", "1", "1", "1", "1", "1.5", "1.5", "2", "2", "2", "2.5", "3", "3", "4", "5", "6", "8",
                            "0.5", "1,5", "10"))
        unit = rng.choice(HOUR_UNITS)
        text = f"{count}{unit.rstrip('s') if count == '1' else unit}"
    elif draw < 0.97:
        hours, minutes = rng.randint(1, 4), rng.choice((10, 15, 20, 30, 30, 40, 45))
        template = rng.choice(("{}h {}m", "{}h{}", "{} hr {} min", "{}h {}min", "{} hour{} and {} minutes",
                               "{}hr {}mins"))
        text = (template.format(hours, "s" if hours > 1 else "", minutes) if "hour{}" in template
                else template.format(hours, minutes))
    else:
        text = rng.choice(("all day", "all-day", "half a day", "half day", f"{rng.randint(2, 9)} days",
                           f"{rng.randint(2, 6)} weeks", "2 nights", "1 day", "1 week", "all morning", "all afternoon",
                               "whole day"))
    return text, text


RECURRENCE_ADJECTIVES = ("weekly", "weekly", "weekly", "daily", "monthly", "monthly", "quarterly", "annual", "yearly",
                         "biweekly", "bi-weekly", "fortnightly", "bi-monthly", "semi-annual", "hourly", "nightly")


def recurrence(rng: random.Random) -> str:
    """A phrase that says how often, copied as it stands."""
    draw = rng.random()
    if draw < 0.35:
        return rng.choice(RECURRENCE_ADJECTIVES[:13]).replace("annual", "annually")
    weekday = rng.choice(WEEKDAYS)
    if draw < 0.6:
        return rng.choice((f"every {weekday}", f"every {weekday[:3]}", f"each {weekday}", f"{weekday}s",
                           f"every other {weekday}", f"every second {weekday}",
                               f"every {weekday} and {rng.choice(WEEKDAYS)}"))
    if draw < 0.85:
        return rng.choice(("every day", "every week", "every month", "every year", "every quarter", "each week",
                           "each month", "every two weeks", "every 2 weeks", "every other week", "every weekday",
                           "once a week", "once a month", "twice a week", "every morning", "weekdays",
                           "every weekend", "every other day", "twice a month"))
    if draw < 0.95:
        nth = rng.choice(("first", "second", "third", "last", "1st", "2nd", "3rd"))
        return rng.choice((f"every {nth} {weekday}", f"the {nth} {weekday} of every month",
                           f"{nth} {weekday} of the month"))
    return f"every {rng.randint(2, 12)} {rng.choice(('days', 'weeks', 'months', 'hours', 'years'))}"


GROUPS = ("team|the team|HR|Legal|Finance|UX|PM|QA|IT|VP|CEO|CTO|Ops|DevOps|PR|R&D|Sales|Marketing|design team|"
          "the sales team|marketing team|platform team|events team|night shift|Team Blue|catering crew|all staff|"
          "everyone|the board|interns|clients|the client|vendors|stakeholders|investors|parents|mum|Mom|Dad|Grandma|"
          "the kids|neighbors|new hires|dev team|data team|support team|management|leadership|the landlord|"
          "the plumber|my brother|my sister|the committee|volunteers|the auditors|accounting|ops crew|band|squad|"
          "partners|the band|tech leads").split("|")
TITLES = ("Dr.", "Dr", "Mr.", "Mrs.", "Ms.", "Ms", "Prof.", "Professor", "Coach", "Uncle", "Aunt", "Judge", "Chef",
          "Sister", "Captain")


def person(rng: random.Random, lex: Lexicon, groups: float = 0.08) -> str:
    """A first name, a full name, a titled name, initials or a group."""
    draw = rng.random()
    if draw < groups:
        return lex.pooled(rng, "people") if rng.random() < 0.6 else rng.choice(GROUPS)
    if draw < groups + 0.66:
        return lex.first_name(rng)
    if draw < groups + 0.8:
        return lex.full_name(rng)
    if draw < groups + 0.86:
        return f"{rng.choice(TITLES)} {lex.last_name(rng)}"
    if draw < groups + 0.89:
        return f"{lex.first_name(rng)} {lex.last_name(rng)[0]}."
    return lex.last_name(rng) if draw < groups + 0.9 else lex.first_name(rng)


def people(rng: random.Random, lex: Lexicon, low: int = 1, high: int = 5, groups: float = 0.08) -> tuple[str,
                                                                                                         list[str]]:
    """A list of different people as written and one by one."""
    count = min(rng.choice((1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 5, 6)), high)
    names = list(dict.fromkeys(person(rng, lex, groups) for _ in range(max(low, count))))
    return join_list(rng, names), names


def join_list(rng: random.Random, items: Sequence[str]) -> str:
    """Items in one of the ways lists are written: commas, `and`, `&`, `+`, slashes."""
    if len(items) == 1:
        return items[0]
    head, last = list(items[:-1]), items[-1]
    draw = rng.random()
    if draw < 0.3:
        return ", ".join(head) + (", and " if len(head) > 1 else " and ") + last
    if draw < 0.5:
        return ", ".join(head) + " and " + last
    if draw < 0.7:
        return ", ".join(items)
    if draw < 0.82:
        return ", ".join(head) + " & " + last
    if draw < 0.9:
        return rng.choice((" + ", " + ", "+")).join(items)
    if draw < 0.94:
        return rng.choice((" / ", "/", "; ", ",")).join(items)
    return rng.choice((" and ", " & ", " plus ")).join(items)


NOTE_THINGS = ("laptop|slides|passport|snacks|ID|signed forms|charger|printouts|quarterly numbers|samples|receipts|"
               "notebook|water bottle|sunscreen|prototype|contract|cake|umbrella|agenda|headset|badge|blueprints|"
               "spare keys|gym shoes|x-rays|invoice|camera|list of questions|draft|portfolio|cash|insurance card|"
               "whiteboard markers|lunch|homework|blood results").split("|")
NOTE_ACTS = ("bring|bring the|bring your|don't forget the|prepare the|print the|send the|check the|share the|"
             "remember the|review the|pick up the|order the|read the|update the|pack the|finish the|book the|test "
                 "the").split("|")
NOTE_EXTRAS = ("parking is free|dress code is casual|doors open early|wear comfortable shoes|arrive 10 minutes early|"
               "ring the bell twice|vegetarian options please|use the back entrance|camera on|snacks provided|"
               "bring your own lunch|please be on time|cash only|no shoes inside|quiet zone|"
               "dial-in details to follow|first-time visitors sign in|cancel if it rains|ask for the manager|"
               "black tie|optional for remote staff|high priority|confidential|tentative|hybrid|to be "
                   "recorded").split("|")


def note(rng: random.Random, lex: Lexicon) -> str:
    """A remark such as `bring the slides`, copied as it stands."""
    draw = rng.random()
    if rng.random() < 0.5:
        return lex.pooled(rng, "notes")
    if draw < 0.5:
        thing = rng.choice(NOTE_THINGS) if rng.random() < 0.7 else lex.phrase(rng, 1, 2)
        return f"{rng.choice(NOTE_ACTS)} {thing}"
    if draw < 0.75:
        return rng.choice(NOTE_EXTRAS)
    if draw < 0.9:
        verb = rng.choice(("discuss", "talk about", "go over", "finalize", "cover", "topic is", "ask about",
            "to review"))
        return f"{verb} {lex.phrase(rng, 1, 3)}"
    return lex.phrase(rng, 2, 5)
