"""Sections under headings and sentences of running text: how each concept of a report is told."""
from __future__ import annotations

import random

from helpers.corpus.report_parts import Writer

def listing(rng: random.Random, texts: list[str], bullets: bool = False) -> str:
    """Items in a row, joined as people do, or one a line."""
    if bullets:
        mark = rng.choice("-*•")
        return "".join(f"\n{mark} {text}" for text in texts)
    style = rng.random()
    if len(texts) == 1 or style < 0.5:
        return ("; " if style < 0.08 else ", ").join(texts)
    return ", ".join(texts[:-1]) + (", and " if style < 0.75 and len(texts) > 2 else " and ") + texts[-1]


BUSINESS = ("owner", "manager", "ceo")


def subject_section(w: Writer) -> str:
    """Who was concerned: a person, two people, a business, a form of bullets or nobody known."""
    rng, chance = w.rng, w.rng.random()
    if chance < 0.06:
        return w.missing("subject")
    if chance < 0.16:
        words = {"subject": "Name", "age": "Age", "range": "Age Range", "owner": "Owner", "manager": "Manager", "ceo": "CEO", "email": "Email"}
        prefix = rng.choice((f"{w.kind.subject}_", "", f"{w.kind.subject} "))
        likely = {"subject": 0.9, "age": 0.6, "range": 0.4, "email": 0.5} if not w.is_business else {"subject": 0.9, "owner": 0.7, "manager": 0.5, "email": 0.5}
        return "".join(f"\n- {prefix}{word.replace(' ', '' if '_' in prefix else ' ')}: "
                       + (w.say("{%s}" % name) if rng.random() < likely.get(name, 0.05) else w.missing(name))
                       for name, word in words.items() if rng.random() < 0.85 and (w.kind.business or name not in BUSINESS))
    if w.is_business:
        role, title = rng.choice((("owner", "Owner"), ("owner", "Owner"), ("manager", "Manager"), ("ceo", "CEO")))
        first = "{subject}" + rng.choice((", %s: {%s}" % (title, role), " (%s: {%s})" % (title, role), ", %s {%s}" % (title, role), "",
                                          "; %s {%s}" % (title.lower(), role) if role != "ceo" else "; CEO {ceo}",
                                          {"owner": ", owned by {owner}", "manager": ", managed by {manager}", "ceo": ", led by CEO {ceo}"}[role]))
        text = w.say(first)
        for other, label in (("manager", "Manager"), ("ceo", "CEO"), ("owner", "Owner")):
            if other not in w.stated and rng.random() < 0.15:
                text += f", {label}: " + (w.missing(other) if rng.random() < 0.5 else w.say("{%s}" % other))
        return text + (w.say(rng.choice((", Email: {email}", ", contact: {email}", " ({email})"))) if rng.random() < 0.3 else "")
    text = w.say(rng.choice(("{subject}, {age} years old, {subject_word}.", "{subject}, {age}, {subject_word}", "{subject} ({age})", "{subject}",
                             "{subject}, aged {age}, {subject_word}.", "{subject}, {range}, {subject_word}", "{subject}, {age}-year-old {subject_word}",
                             "{subject}, Age: {age}", "{subject}, {subject_word}.", "{subject}, {age}, {range}", "{subject}, age {age} ({range})",
                             "{subject}, {age} years old, and {subject2}, {age2} years old.", "{subject} ({age}) and {subject2} ({age2})")))
    if rng.random() < 0.2:
        text = text.rstrip(".") + w.say(rng.choice((", Email: {email}", ", reachable at {email}", ", {email}")))
    return text


def witness_section(w: Writer) -> str:
    if w.rng.random() < 0.42:
        return w.missing("witness")
    role = w.rng.choice((", [a neighbour|nearby resident|passer-by|a colleague|security guard]", "", "", " ([co-worker|neighbour|visitor])",
                         ", who [was at the {place}|heard the noise|called for help]."))
    names = ["{witness}" + (role if w.rng.random() < 0.8 else "") for _ in range(w.rng.choices((1, 2, 3), (6, 3, 1))[0])]
    if len(names) > 1:
        names = [name.rstrip(".") for name in names] if "who" not in role else ["{witness}"] * len(names)
    return w.say(listing(w.rng, names)) if len(names) > 1 else w.say(names[0])


def paragraph(w: Writer, patterns: tuple[str, ...], count: int) -> str:
    return " ".join(w.say(pattern) for pattern in w.rng.sample(patterns, min(count, len(patterns))))


STEPS_GENERIC = ("{Official_again} [arrived|was there] {n} minutes later and [spoke with|questioned] those present.",
                 "Photographs [were taken|are on file].", "{Official_again} [looked around|asked questions] at the {place} and made notes.",
                 "A copy of this [report|form] [goes|was sent] to the {place}.", "[Statements|Notes] were taken at the {place}.",
                 "{person} from {company2} [will be|was] informed.", "The next [update|entry] is [expected|due] within {n} days.",
                 "[Contact|Ring] {company2} about the {thing2}.", "[A call to|A meeting with] {person} is planned for {day}.")


def section(w: Writer, name: str, fill: int) -> tuple[str, str]:
    """Heading and content of one section; what it states is recorded by the writer."""
    rng, kind, pick = w.rng, w.kind, w.rng.choice
    official, subject = kind.official, kind.subject
    event = "Incident" if kind.event == "Crime" and w.canonical and name == "circumstances" else kind.event
    head = (lambda options: options[0]) if w.canonical else pick
    rare = rng.random() < 0.03
    if name == "type":
        return head((f"{event} Type",) * 3 + ("Type", f"Nature of {event}", "Category")), w.say("{type}")
    if name == "when":
        return head(("Date and Time",) * 3 + ("When", "Date/Time", f"{event} Date and Time")), w.say(pick((
            "{date}, at {time}", "{date}, at {time}", "{date} at {time}", "{date}, {time}", "{time} on {date}", "{date}, approximately {time}", "{date}")))
    if name in ("date", "time"):
        return head((f"{event} {name.title()}", name.title(), f"{name.title()} of {event}")), w.say("{%s}" % name)
    if name == "location":
        return head(("Location",) * 3 + ("Place", "Where", "Address", "Site")), w.missing("location") if rare else w.say("{location}")
    if name == "official":
        return head((f"Reporting {official}",) * 2 + (official, f"{official} in Charge", "Reported by", "Prepared by")), w.say(pick((
            "{official}, {number}",) * 5 + ("{official}", "{official} - {number}", "{official} ({company2}), {number}", "{official}; {number}")))
    if name == "summary":
        return head(("Summary",) * 3 + (f"Summary of {event}", "Brief Summary", "Abstract", "In Brief")), w.say("{summary}")
    if name == "subject":
        return head((f"Description of {subject}(s)", f"{subject}", f"{subject}(s)", f"{subject} Information", f"{subject} Details")), subject_section(w)
    if name == "description":
        heading = head((f"Description of {kind.described}(s) (if applicable)", f"Description of {kind.described}", f"{kind.described} Description", kind.described))
        return heading, w.missing("description") if rng.random() < 0.3 else w.say("{look}" + pick((".", "")))
    if name == "witness":
        plural = kind.witness + ("es" if kind.witness.endswith("s") else "s")
        return head((f"{plural} (if any)", plural, kind.witness, f"Statements of {plural}")), witness_section(w)
    if name == "items":
        heading = head(kind.items_headings)
        if rng.random() < 0.06:
            return heading, w.missing("items")
        bullets = rng.random() < 0.12
        return heading, listing(rng, w.items("all" if bullets or rng.random() < 0.2 else "first" if rng.random() < 0.8 else ""), bullets) + (
            "" if bullets else pick(("", ".")))
    if name == "circumstances":
        return head((f"Circumstances Surrounding the {event}", "Circumstances", "Details", "Background", "What Happened", "Narrative")), \
            paragraph(w, kind.body, fill)
    if name == "initial":
        return head(("Initial Investigation", "Initial Findings", "First Response", "Actions So Far", "Assessment")), paragraph(w, STEPS_GENERIC[:6], 1 + fill // 3)
    if name == "steps":
        return head(("Further Steps", "Next Steps", "Follow-up", "Recommendations", "Planned Actions")), paragraph(w, kind.steps + STEPS_GENERIC[6:], 1 + fill // 3)
    if name == "status":
        return head(("Current Status",) * 3 + ("Status", f"{event} Status", "State")), w.say("{status}")
    if name == "conclusion":
        return head(("Conclusion",) * 3 + ("Outcome", "Closing Remarks", "Remarks")), paragraph(w, kind.endings, 1)
    if name == "signature":
        return head(("Signature", "Signed", "Signed by")), w.say("{official}")
    label = {"reference": ("Case Number", "Reference", "File No."), "report_date": ("Date of Report", "Filed on", "Report Date"),
             "followup_date": ("Follow-up Date", "Next Date", "Review Due"), "supervisor": ("Supervisor", "Approved by", "Reviewed by"),
             "cost": ("Estimated Cost", "Amount", "Estimated Loss"), "email": ("Email", "Contact", "E-mail"), "phone": ("Phone", "Tel.", "Telephone"),
             "owner": ("Owner", "Business Owner"), "manager": ("Manager", "Manager on Duty"), "ceo": ("CEO", "Chief Executive")}[name]
    return head(label), w.missing(name) if rng.random() < 0.15 else w.say("{%s}" % name)


STANDARD = ("type", "when", "location", "official", "summary", "subject", "description", "witness", "items", "circumstances",
            "initial", "steps", "status", "conclusion", "signature")
EXTRAS = ("reference", "report_date", "followup_date", "supervisor", "cost", "email", "phone", "owner", "manager", "ceo")

ITEMS_TOLD = {
    "Evidence": ("{Official_again} [collected|secured|bagged] {items}.", "[Recovered|Found] at the {place}: {items}.", "Officers took away {items}.",
                 "[As evidence|For the laboratory] there [is|was] {items}.", "What was left behind: {items}.", "The evidence [consists of|includes] {items}."),
    "Damage": ("The damage [includes|is]: {items}.",), "Parts": ("The [repair|job] took {items}.", "Used were {items}."),
    "Symptoms": ("The complaints were {items}.", "The record [lists|names] {items}."),
    "Damaged": ("The claim [covers|lists] {items}.",), "Findings": ("The visit [revealed|turned up] {items}.",),
    "Offences": ("[The notebook lists|On the record are] {items}.",), "Missing": ("[Missing or spoiled were|The complaint is about] {items}.",),
    "Materials": ("The set-up [used|needed] {items}.",), "Equipment": ("[Lost or found on the way were|The log lists] {items}.",),
    "Affected": ("[Down were|The outage hit] {items}.",), "Action": ("[The measures were|What followed:] {items}.",)}

PLACE = ("The {event_low} [took place|happened|was reported] at {location}.", "It [was|happened] at {location}.", "Place: {location}.",
         "[All this|The {event_low}] concerns {location}.", "{Official_again} [drove|went|was called] to {location}.")
DATE = ("The date was {date}.", "[It|This] happened on {date}.", "The {event_low} is dated {date}.", "On {date} the {event_low} [was reported|took place].",
        "The file was opened later, but the {event_low} [fell on|happened on] {date}.")
TIME = ("It [began|happened] at {time}.", "The clock showed {time}.", "The {event_low} is timed at {time}.", "The call came at {clock}, the {event_low} itself was at {time}.",
        "[Around|At about|At] {time} the {event_low} [began|was noticed], and by {clock} it was over.")
WRITER = ("{official} ({number}) [wrote this report|took the notes|was in charge].", "The {official_low} was {official}, {number}.", "{official}, {number}, [handled|took over] the matter.",
          "[Handled|Recorded|Signed] by {official}.", "I am {official}, {number}.", "The {official_low} in charge, {official}, carries {number}.",
          "{official} was the first to arrive; {person} [joined|followed] later.")

TOLD = {
    "opening": ("On {date} at [about |around |]{time}, {official}, {number}, [attended|came to|was sent to|went to] {location}.",
                "{official} ({number}) [reports|writes] from {location}: the {event_low} [took place|happened|was noted] on {date} at {time}.",
                "The {event_low} at {location} was [recorded|noted] by {official} [at {time} on {date}|on {date}, at {time}|on {date} around {time}].",
                "My name is {official}, {number}, and I was [on duty|at work] at {location} on {date} when, at {time}, the {event_low} [began|was reported].",
                "[It was|It happened] on {date}, at {time}, at {location}. {official} [took|wrote down] the details.",
                "{date}, {time}, {location}. Written by {official}, {number}.",
                "{official} [was working|had a shift] near {location} on {date}. The {event_low} [started|is timed] at {time}, although {official} was only told at {clock}.",
                "At {time} on {date} [a call|word] about the {event_low} came from {location}, and {official} ({number}) [answered|replied].",
                "[The following|What follows] was [noted|written down] by {official}, {number}. Place: {location}. The {event_low} dates from {date}, {time}."),
    "type": ("This is a [report|note] about {type_low}.", "[The matter|The {event_low}] was reported as {type_low}.", "{Official_again} [ruled|judged] it {type_low}.",
             "It was [classed|filed|entered|recorded] as {type_low}.", "The [office|log] treats this as {type_low}.", "Type of {event_low}: {type}.",
             "The {event_low} was [put down as|listed under] {type}."),
    "person": ("{subject} is the {subject_low}.", "{subject} ({age}), {subject_word}, [told the story|was asked about it].", "The {subject_low}'s name is {subject}; age {age}.",
               "[Questions|Talks] with {subject}, {age} years old, followed.", "{subject}, {range}, is the {subject_low}.",
               "[Affected is|We met] {subject}, a {subject_word} of {age}.","The {subject_low} is {subject}, {age}, {subject_word}.", "{subject}, aged {age}, [was there|gave an account|was affected].",
               "The {subject_low} was named as {subject} ({age}).", "{subject} and {subject2}, aged {age} and {age2}, were concerned.",
               "[We spoke|The talk was] with {subject}, the {subject_low}, who gave [no age|only a name].",
               "The {subject_low}, {subject}, is {age} years old and works as {subject_word}.", "{subject}, the {subject_low}, belongs to the age group {range}.",
               "{subject}, {subject_low}, [turned {age} this year|is now {age}] (age group: {range})."),
    "business": ("[The loss|The matter] concerns {subject}, a [family|small] business of {owner}.", "The manager, {manager}, spoke for {subject}.",
                 "{subject} was named as {subject_low}; [its manager is {manager}|{owner} owns it|the CEO is {ceo}].",
                 "[Speaking|Writing] for {subject}, {owner} (owner) [confirmed|repeated] the account.","The {subject_low} is {subject}, [owned by {owner}|whose owner is {owner}|managed by {manager}|run by manager {manager}|with {ceo} as CEO].",
                 "{owner}, the owner of {subject}, [rang|called] at {clock}.", "{manager}, who manages {subject}, [gave|added] the details.",
                 "The {subject_low} was {subject}.", "{subject} was [affected|concerned]; its owner, {owner}, and its manager, {manager}, were both told.",
                 "{ceo}, CEO of {subject}, [asked for|demanded] a full report."),
    "email": ("The {subject_low} can be reached at {email}.", "[Questions|Replies] go to {email}.", "E-mail: {email}."),
    "look_person": ("[Seen nearby|Noticed at the {place}] was {a_look}.", "The description is of {a_look}.", "[Somebody|One {witness_low}] [saw|noticed] {a_look}.","The {described_low} was described as {a_look}.", "[We are looking for|Reports speak of|The search is for] {a_look}.",
                    "According to those present, the {described_low} was {a_look}."),
    "look_object": ("The {described_low} is {a_look}.", "Concerned is {a_look}.", "The {described_low} was [recorded|described] as {a_look}."),
    "witness": ("{witness} was [there|nearby] and [told us so|agreed].", "{witness_low}: {witness}.", "[Statements|Accounts] came from {witness} and {witness}.",
                "{witness}, who [was passing|works next door], [noticed|remembered] it.", "The {witness_low}, {witness}, [left a number|will be heard again].","{witness} [saw|watched] [it all|part of it] at the {place}.", "{witness} and {witness} [confirmed|supported] this.",
                "This was [confirmed|seen] by {witness}, [a neighbour|a colleague|who stood nearby].",
                "As {witness_low} we [heard|noted] {witness}.", "[Nobody else|No {witness_low}] [came forward|was present].",
                "{witness}, {witness} and {witness} were [named|listed] as present."),
    "status": ("The [file|matter] is {status_low}.", "Its present status: {status}.", "In the register it [appears|is kept] as {status}.","The status is {status_low}.", "[At present|Currently] the file is marked {status}.", "Status: {status}.", "[So far|For now] it stands as {status_low}."),
    "report_date": ("This report was [written|typed] on {report_date}.", "Filed on {report_date}."),
    "followup_date": ("The next [check|meeting] is set for {followup_date}.", "We meet again on {followup_date}."),
    "supervisor": ("{supervisor} [approved|signed off] the report.", "The text was checked by the supervisor, {supervisor}."),
    "cost": ("The cost is put at {cost}.", "[Estimates|First figures] speak of {cost}."),
    "reference": ("[The file number is|Reference:] {reference}.",), "phone": ("[Phone|Telephone]: {phone}.",),
    "owner": ("The owner is {owner}.",), "manager": ("The manager is {manager}.",), "ceo": ("The CEO is {ceo}.",)}


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
        return paragraph(w, STEPS_GENERIC[:6] if name == "initial" else kind.steps + STEPS_GENERIC[6:], 1 + fill // 3)
    if name == "conclusion":
        return paragraph(w, kind.endings, 1)
    if name == "items":
        pattern = rng.choice(ITEMS_TOLD[kind.items_label[0]])
        before, after = pattern.split("{items}")
        return w.say(before) + listing(rng, w.items("")) + after
    key = {"subject": "business" if w.is_business else "person",
           "description": "look_person" if kind.person_described else "look_object"}.get(name, name)
    return w.say(rng.choice(TOLD[key]))
