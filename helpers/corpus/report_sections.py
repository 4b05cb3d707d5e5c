"""Sections under headings: what they are called and what they hold."""

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


FORM = {
    "subject": "Name",
    "age": "Age",
    "range": "Age Range",
    "owner": "Owner",
    "manager": "Manager",
    "ceo": "CEO",
    "email": "Email",
}
LIKELY_PERSON = {"subject": 0.9, "age": 0.6, "range": 0.4, "email": 0.5}
LIKELY_BUSINESS = {"subject": 0.9, "owner": 0.7, "manager": 0.5, "email": 0.5}
BUSINESS = ("owner", "manager", "ceo")


def subject_section(w: Writer) -> str:
    """Who was concerned: a person, two people, a business, a form of bullets or nobody known."""
    rng, chance = w.rng, w.rng.random()
    if chance < 0.06:
        return w.missing("subject")
    if chance < 0.16:
        prefix = rng.choice((f"{w.kind.subject}_", "", f"{w.kind.subject} "))
        likely = LIKELY_BUSINESS if w.is_business else LIKELY_PERSON
        lines = ""
        for name, word in FORM.items():
            if rng.random() < 0.85 and (w.kind.business or name not in BUSINESS):
                value = w.say("{%s}" % name) if rng.random() < likely.get(name, 0.05) else w.missing(name)
                lines += f"\n- {prefix}{word.replace(' ', '') if '_' in prefix else word}: {value}"
        return lines
    if w.is_business:
        role, title = rng.choice((("owner", "Owner"), ("owner", "Owner"), ("manager", "Manager"), ("ceo", "CEO")))
        first = "{subject}" + rng.choice(
            (
                ", %s: {%s}" % (title, role),
                " (%s: {%s})" % (title, role),
                ", %s {%s}" % (title, role),
                "",
                "; %s {%s}" % (title.lower(), role) if role != "ceo" else "; CEO {ceo}",
                {"owner": ", owned by {owner}", "manager": ", managed by {manager}", "ceo": ", led by CEO {ceo}"}[role],
            )
        )
        text = w.say(first)
        for other, label in (("manager", "Manager"), ("ceo", "CEO"), ("owner", "Owner")):
            if other not in w.stated and rng.random() < 0.15:
                text += f", {label}: " + (w.missing(other) if rng.random() < 0.5 else w.say("{%s}" % other))
        return text + (
            w.say(rng.choice((", Email: {email}", ", contact: {email}", " ({email})"))) if rng.random() < 0.3 else ""
        )
    text = w.say(
        rng.choice(
            (
                "{subject}, {age} years old, {subject_word}.",
                "{subject}, {age}, {subject_word}",
                "{subject} ({age})",
                "{subject}",
                "{subject}, aged {age}, {subject_word}.",
                "{subject}, {range}, {subject_word}",
                "{subject}, {age}-year-old {subject_word}",
                "{subject}, Age: {age}",
                "{subject}, {subject_word}.",
                "{subject}, {age}, {range}",
                "{subject}, age {age} ({range})",
                "{subject}, {age} years old, and {subject2}, {age2} years old.",
                "{subject} ({age}) and {subject2} ({age2})",
            )
        )
    )
    if rng.random() < 0.2:
        text = text.rstrip(".") + w.say(rng.choice((", Email: {email}", ", reachable at {email}", ", {email}")))
    return text


def witness_section(w: Writer) -> str:
    if w.rng.random() < 0.42:
        return w.missing("witness")
    role = w.rng.choice(
        (
            ", [a neighbour|nearby resident|passer-by|a colleague|security guard]",
            "",
            "",
            " ([co-worker|neighbour|visitor])",
            ", who [was at the {place}|heard the noise|called for help].",
        )
    )
    names = [
        "{witness}" + (role if w.rng.random() < 0.8 else "") for _ in range(w.rng.choices((1, 2, 3), (6, 3, 1))[0])
    ]
    if len(names) > 1:
        names = [name.rstrip(".") for name in names] if "who" not in role else ["{witness}"] * len(names)
    return w.say(listing(w.rng, names)) if len(names) > 1 else w.say(names[0])


def paragraph(w: Writer, patterns: tuple[str, ...], count: int) -> str:
    return " ".join(w.say(pattern) for pattern in w.rng.sample(patterns, min(count, len(patterns))))


STEPS_GENERIC = (
    "{Official_again} [arrived|was there] {n} minutes later and [spoke with|questioned] those present.",
    "Photographs [were taken|are on file].",
    "{Official_again} [looked around|asked questions] at the {place} and made notes.",
    "A copy of this [report|form] [goes|was sent] to the {place}.",
    "[Statements|Notes] were taken at the {place}.",
    "{person} from {company2} [will be|was] informed.",
    "The next [update|entry] is [expected|due] within {n} days.",
    "[Contact|Ring] {company2} about the {thing2}.",
    "[A call to|A meeting with] {person} is planned for {day_after}.",
)


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
        return head(("Date and Time",) * 3 + ("When", "Date/Time", f"{event} Date and Time")), w.say(
            pick(
                (
                    "{date}, at {time}",
                    "{date}, at {time}",
                    "{date} at {time}",
                    "{date}, {time}",
                    "{time} on {date}",
                    "{date}, approximately {time}",
                    "{date}",
                )
            )
        )
    if name in ("date", "time"):
        return head((f"{event} {name.title()}", name.title(), f"{name.title()} of {event}")), w.say("{%s}" % name)
    if name == "location":
        return head(("Location",) * 3 + ("Place", "Where", "Address", "Site")), w.missing(
            "location"
        ) if rare else w.say("{location}")
    if name == "official":
        return head(
            (f"Reporting {official}",) * 2 + (official, f"{official} in Charge", "Reported by", "Prepared by")
        ), w.say(
            pick(
                ("{official}, {number}",) * 5
                + ("{official}", "{official} - {number}", "{official} ({company2}), {number}", "{official}; {number}")
            )
        )
    if name == "summary":
        return head(("Summary",) * 3 + (f"Summary of {event}", "Brief Summary", "Abstract", "In Brief")), w.say(
            "{summary}"
        )
    if name == "subject":
        return head(
            (
                f"Description of {subject}(s)",
                f"{subject}",
                f"{subject}(s)",
                f"{subject} Information",
                f"{subject} Details",
            )
        ), subject_section(w)
    if name == "description":
        heading = head(
            (
                f"Description of {kind.described}(s) (if applicable)",
                f"Description of {kind.described}",
                f"{kind.described} Description",
                kind.described,
            )
        )
        return heading, w.missing("description") if rng.random() < 0.3 else w.say("{look}" + pick((".", "")))
    if name == "witness":
        plural = kind.witness + ("es" if kind.witness.endswith("s") else "s")
        return head((f"{plural} (if any)", plural, kind.witness, f"Statements of {plural}")), witness_section(w)
    if name == "items":
        heading = head(kind.items_headings)
        if rng.random() < 0.06:
            return heading, w.missing("items")
        bullets = rng.random() < 0.12
        capital = "all" if bullets or rng.random() < 0.2 else "first" if rng.random() < 0.8 else ""
        return heading, listing(rng, w.items(capital), bullets) + ("" if bullets else pick(("", ".")))
    if name == "circumstances":
        return head(
            (
                f"Circumstances Surrounding the {event}",
                "Circumstances",
                "Details",
                "Background",
                "What Happened",
                "Narrative",
            )
        ), paragraph(w, kind.body, fill)
    if name == "initial":
        return head(
            ("Initial Investigation", "Initial Findings", "First Response", "Actions So Far", "Assessment")
        ), paragraph(w, STEPS_GENERIC[:6], 1 + fill // 3)
    if name == "steps":
        return head(("Further Steps", "Next Steps", "Follow-up", "Recommendations", "Planned Actions")), paragraph(
            w, w.steps() + STEPS_GENERIC[6:], 1 + fill // 3
        )
    if name == "status":
        return head(("Current Status",) * 3 + ("Status", f"{event} Status", "State")), w.say("{status}")
    if name == "conclusion":
        return head(("Conclusion",) * 3 + ("Outcome", "Closing Remarks", "Remarks")), paragraph(w, kind.endings, 1)
    if name == "signature":
        return head(("Signature", "Signed", "Signed by")), w.say("{official}")
    label = {
        "reference": ("Case Number", "Reference", "File No."),
        "report_date": ("Date of Report", "Filed on", "Report Date"),
        "followup_date": ("Follow-up Date", "Next Date", "Review Due"),
        "supervisor": ("Supervisor", "Approved by", "Reviewed by"),
        "cost": ("Estimated Cost", "Amount", "Estimated Loss"),
        "email": ("Email", "Contact", "E-mail"),
        "phone": ("Phone", "Tel.", "Telephone"),
        "owner": ("Owner", "Business Owner"),
        "manager": ("Manager", "Manager on Duty"),
        "ceo": ("CEO", "Chief Executive"),
    }[name]
    return head(label), w.missing(name) if rng.random() < 0.15 else w.say("{%s}" % name)


STANDARD = (
    "type",
    "when",
    "location",
    "official",
    "summary",
    "subject",
    "description",
    "witness",
    "items",
    "circumstances",
    "initial",
    "steps",
    "status",
    "conclusion",
    "signature",
)
EXTRAS = (
    "reference",
    "report_date",
    "followup_date",
    "supervisor",
    "cost",
    "email",
    "phone",
    "owner",
    "manager",
    "ceo",
)
