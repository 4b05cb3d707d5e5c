"""Sentences of running text: how a narrative tells each concept of a report."""

from __future__ import annotations

from helpers.corpus.report_crimes import sentences
from helpers.corpus.report_parts import Writer
from helpers.corpus.report_sections import STEPS_GENERIC, listing, paragraph

ITEMS_TOLD = {
    "Evidence": sentences("""
        {Official_again} [collected|secured|bagged] {items}.
        [Recovered|Found] at the {place}: {items}.
        Officers took away {items}.
        [As evidence|For the laboratory] there [is|was] {items}.
        What was left behind: {items}.
        The evidence [consists of|includes] {items}."""),
    "Damage": sentences("The damage [includes|is]: {items}."),
    "Parts": sentences("""
        The [repair|job] took {items}.
        Used were {items}."""),
    "Symptoms": sentences("""
        The complaints were {items}.
        The record [lists|names] {items}."""),
    "Damaged": sentences("The claim [covers|lists] {items}."),
    "Findings": sentences("The visit [revealed|turned up] {items}."),
    "Offences": sentences("[The notebook lists|On the record are] {items}."),
    "Missing": sentences("[Missing or spoiled were|The complaint is about] {items}."),
    "Materials": sentences("The set-up [used|needed] {items}."),
    "Equipment": sentences("[Lost or found on the way were|The log lists] {items}."),
    "Affected": sentences("[Down were|The outage hit] {items}."),
    "Action": sentences("[The measures were|What followed:] {items}.")}

PLACE = sentences("""
    The {event_low} [took place|happened|was reported] at {location}.
    It [was|happened] at {location}.
    Place: {location}.
    [All this|The {event_low}] concerns {location}.
    {Official_again} [drove|went|was called] to {location}.""")

DATE = sentences("""
    The date was {date}.
    [It|This] happened on {date}.
    The {event_low} is dated {date}.
    On {date} the {event_low} [was reported|took place].
    The file was opened later, but the {event_low} [fell on|happened on] {date}.""")

TIME = sentences("""
    It [began|happened] at {time}.
    The clock showed {time}.
    The {event_low} is timed at {time}.
    The call came at {clock}, the {event_low} itself was at {time}.
    [Around|At about|At] {time} the {event_low} [began|was noticed], and by {clock} it was over.""")

WRITER = sentences("""
    {official} ({number}) [wrote this report|took the notes|was in charge].
    The {official_low} was {official}, {number}.
    {official}, {number}, [handled|took over] the matter.
    [Handled|Recorded|Signed] by {official}.
    I am {official}, {number}.
    The {official_low} in charge, {official}, carries {number}.
    {official} was the first to arrive; {person} [joined|followed] later.""")

TOLD = {
    "opening": sentences("""
        On {date} at [about |around |]{time}, {official}, {number}, [attended|came to|was sent to|went \
            to] {location}.
        {official} ({number}) [reports|writes] from {location}: the {event_low} [took place|happened|was \
            noted] on {date} at {time}.
        The {event_low} at {location} was [recorded|noted] by {official} [at {time} on {date}|on {date}, \
            at {time}|on {date} around {time}].
        My name is {official}, {number}, and I was [on duty|at work] at {location} on {date} when, at \
            {time}, the {event_low} [began|was reported].
        [It was|It happened] on {date}, at {time}, at {location}. {official} [took|wrote down] the details.
        {date}, {time}, {location}. Written by {official}, {number}.
        {official} [was working|had a shift] near {location} on {date}. The {event_low} [started|is \
            timed] at {time}, although {official} was only told at {clock}.
        At {time} on {date} [a call|word] about the {event_low} came from {location}, and {official} \
            ({number}) [answered|replied].
        [The following|What follows] was [noted|written down] by {official}, {number}. Place: \
            {location}. The {event_low} dates from {date}, {time}."""),
    "type": sentences("""
        This is a [report|note] about {type_low}.
        [The matter|The {event_low}] was reported as {type_low}.
        {Official_again} [ruled|judged] it {type_low}.
        It was [classed|filed|entered|recorded] as {type_low}.
        The [office|log] treats this as {type_low}.
        Type of {event_low}: {type}.
        The {event_low} was [put down as|listed under] {type}."""),
    "person": sentences("""
        {subject} is the {subject_low}.
        {subject} ({age}), {subject_word}, [told the story|was asked about it].
        The {subject_low}'s name is {subject}; age {age}.
        [A talk|An interview] with {subject}, {age} years old, followed.
        {subject}, {range}, is the {subject_low}.
        [Affected is|We met] {subject}, {age}, {subject_word}.
        The {subject_low} is {subject}, {age}, {subject_word}.
        {subject}, aged {age}, [was there|gave an account|was affected].
        The {subject_low} was named as {subject} ({age}).
        {subject} and {subject2}, aged {age} and {age2}, were concerned.
        [We spoke|The talk was] with {subject}, the {subject_low}, who gave [no age|only a name].
        The {subject_low}, {subject}, is {age} years old and works as {subject_word}.
        {subject}, the {subject_low}, belongs to the age group {range}.
        {subject}, {subject_low}, [turned {age} this year|is now {age}] (age group: {range})."""),
    "business": sentences("""
        [The loss|The matter] concerns {subject}, a [family|small] business of {owner}.
        The manager, {manager}, spoke for {subject}.
        {subject} was named as {subject_low}; [its manager is {manager}|{owner} owns it|the CEO is {ceo}].
        [Speaking|Writing] for {subject}, {owner} (owner) [confirmed|repeated] the account.
        The {subject_low} is {subject}, [owned by {owner}|whose owner is {owner}|managed by \
            {manager}|run by manager {manager}|with {ceo} as CEO].
        {owner}, the owner of {subject}, [rang|called] at {clock}.
        {manager}, who manages {subject}, [gave|added] the details.
        The {subject_low} was {subject}.
        {subject} was [affected|concerned]; its owner, {owner}, and its manager, {manager}, were both told.
        {ceo}, CEO of {subject}, [asked for|demanded] a full report."""),
    "email": sentences("""
        The {subject_low} can be reached at {email}.
        [Questions|Replies] go to {email}.
        E-mail: {email}."""),
    "look_person": sentences("""
        [Seen nearby|Noticed at the {place}] was {a_look}.
        The description is of {a_look}.
        [Somebody|One {witness_low}] [saw|noticed] {a_look}.
        The {described_low} was described as {a_look}.
        [We are looking for|Reports speak of|The search is for] {a_look}.
        According to those present, the {described_low} was {a_look}."""),
    "look_object": sentences("""
        The {described_low} is {a_look}.
        Concerned is {a_look}.
        The {described_low} was [recorded|described] as {a_look}."""),
    "witness": sentences("""
        {witness} was [there|nearby] and [told us so|agreed].
        {witness_low}: {witness}.
        [Statements|Accounts] came from {witness} and {witness}.
        {witness}, who [was passing|works next door], [noticed|remembered] it.
        The {witness_low}, {witness}, [left a number|will be heard again].
        {witness} [saw|watched] [it all|part of it] at the {place}.
        {witness} and {witness} [confirmed|supported] this.
        This was [confirmed|seen] by {witness}, [a neighbour|a colleague|who stood nearby].
        As {witness_low} we [heard|noted] {witness}.
        [Nobody else|No {witness_low}] [came forward|was present].
        {witness}, {witness} and {witness} were [named|listed] as present."""),
    "status": sentences("""
        The [file|matter] is {status_low}.
        Its present status: {status}.
        In the register it [appears|is kept] as {status}.
        The status is {status_low}.
        [At present|Currently] the file is marked {status}.
        Status: {status}.
        [So far|For now] it stands as {status_low}."""),
    "report_date": sentences("""
        This report was [written|typed] on {report_date}.
        Filed on {report_date}."""),
    "followup_date": sentences("""
        The next [check|meeting] is set for {followup_date}.
        We meet again on {followup_date}."""),
    "supervisor": sentences("""
        {supervisor} [approved|signed off] the report.
        The text was checked by the supervisor, {supervisor}."""),
    "cost": sentences("""
        The cost is put at {cost}.
        [Estimates|First figures] speak of {cost}."""),
    "reference": sentences("[The file number is|Reference:] {reference}."),
    "phone": sentences("[Phone|Telephone]: {phone}."),
    "owner": sentences("The owner is {owner}."),
    "manager": sentences("The manager is {manager}."),
    "ceo": sentences("The CEO is {ceo}.")}


def tell(w: Writer, name: str, fill: int) -> str:
    """Sentences of running text for one section's concept; empty where a narrative has none."""
    kind, rng = w.kind, w.rng
    if name == "opening" and rng.random() < 0.45:
        parts = [rng.choice(patterns) for patterns in (PLACE, DATE, TIME, WRITER) if rng.random() < 0.85]
        rng.shuffle(parts)
        return " ".join(w.say(part) for part in parts)
    if name == "summary":
        return w.say("{summary}")
    if name in ("when", "location", "official", "signature"):
        return ""
    if name == "circumstances":
        return paragraph(w, kind.body, fill)
    if name in ("initial", "steps"):
        return paragraph(w, STEPS_GENERIC[:6] if name == "initial" else w.steps() + STEPS_GENERIC[6:], 1 + fill // 3)
    if name == "conclusion":
        return paragraph(w, kind.endings, 1)
    if name == "items":
        pattern = rng.choice(ITEMS_TOLD[kind.items_label[0]])
        before, after = pattern.split("{items}")
        return w.say(before) + listing(rng, w.items("")) + after
    key = {
        "subject": "business" if w.is_business else "person",
        "description": "look_person" if kind.person_described else "look_object",
    }.get(name, name)
    return w.say(rng.choice(TOLD[key]))
