"""Reports with answered questions: chats, one-shot questions and plain prose for pre-training."""

from __future__ import annotations

import random
from dataclasses import dataclass

from helpers.corpus.document import Document, chat, completion, prose, to_json
from helpers.corpus.lexicon import Lexicon
from helpers.corpus.report_crimes import CRIMES, Kind
from helpers.corpus.report_kinds import OTHERS
from helpers.corpus.report_parts import Writer
from helpers.corpus.report_sections import EXTRAS, STANDARD, section
from helpers.corpus.report_telling import tell
from helpers.corpus.report_values import sentence_case

MIN_REPORT, MAX_REPORT, MAX_CHAT = 250, 2600, 3600

# Concepts whose absence would be arguable in a text full of places, times and events: asked only when stated.
ONLY_IF_STATED = {"summary", "type", "date", "time", "report_date"}
PUBLIC_ORDER = (
    "location",
    "id",
    "official",
    "subject",
    "age",
    "range",
    "owner",
    "manager",
    "ceo",
    "email",
    "time",
    "type",
    "summary",
    "date",
    "status",
    "items",
    "witness",
    "description",
)
ALIEN = (
    ("Invoice", "Number"),
    ("Blood", "Type"),
    ("Plate", "Number"),
    ("Flight", "Number"),
    ("Passport", "Number"),
    ("Weather",),
    ("Final", "Score"),
    ("Temperature",),
    ("Nationality",),
    ("Sponsor",),
    ("Insurance", "Company"),
    ("Room", "Temperature"),
    ("Victim", "Occupation"),
    ("Serial", "Number"),
    ("Next", "Of", "Kin"),
    ("Website",),
)


@dataclass(frozen=True)
class Report:
    """A report's text, its layout (`headed`, `memo` or `narrative`) and type → values in the order of asking."""

    text: str
    layout: str
    answers: dict[str, list]


def concept_words(kind: Kind, rng: random.Random, public: bool) -> dict[str, tuple[str, ...]]:
    """The words of each concept's type name for a kind of report; `public`: the first choice for each."""
    event, official, subject = kind.event, kind.official, kind.subject
    pick = (lambda *options: options[0]) if public else (lambda *options: rng.choice(options))
    return {
        "location": pick(("Location",), (event, "Location"), ("Place",), ("Address",)),
        "official": pick((official, "Name"), ("Reporting", official), (official,)),
        "id": pick((official, *kind.number), kind.number),
        "subject": pick((subject, "Name"), (subject,), ("Name", "of", subject)),
        "age": pick((subject, "Age"), ("Age", "of", subject)),
        "range": pick((subject, "Age", "Range"), ("Age", "Group")),
        "owner": pick((subject, "Owner"), ("Business", "Owner"), ("Owner",)),
        "manager": pick((subject, "Manager"), ("Manager", "Name"), ("Manager",)),
        "ceo": pick((subject, "CEO"), ("CEO",)),
        "email": pick((subject, "Email"), ("Contact", "Email"), ("E-mail",)),
        "phone": pick((subject, "Phone"), ("Phone", "Number")),
        "type": pick((event, "Type"), ("Type", "of", event), ("Category",)),
        "date": pick((event, "Date"), ("Date", "of", event), ("Date",)),
        "time": pick((event, "Time"), ("Time", "of", event), ("Time",)),
        "status": pick((event, "Status"), ("Current", "Status"), ("Status",)),
        "summary": pick((event, "Summary"), ("Summary",)),
        "items": kind.items_label if len(kind.items_label) > 1 else pick(kind.items_label, (event, *kind.items_label)),
        "witness": pick((kind.witness, "Name"), (kind.witness,)),
        "description": pick((kind.described, "Description"), ("Description",)),
        "supervisor": pick(("Supervisor", "Name"), ("Approved", "By")),
        "reference": pick((event, "Reference"), ("Case", "Number")),
        "report_date": pick(("Report", "Date"), ("Date", "Filed")),
        "followup_date": pick(("Followup", "Date"), ("Next", "Date")),
        "cost": pick(("Estimated", "Cost"), ("Amount",)),
    }


def name_style(rng: random.Random, public: bool):
    """One way of writing type names, the same for all types of a document."""

    def joined(words):
        return words[0] + ("_" + "".join(sentence_case(word) for word in words[1:]) if len(words) > 1 else "")

    return (
        joined
        if public
        else rng.choices(
            (
                joined,
                lambda w: "_".join(w).lower(),
                lambda w: " ".join(w).lower(),
                lambda w: sentence_case(" ".join(w).lower()),
                lambda w: w[0].lower() + "".join(sentence_case(x) for x in w[1:]),
                lambda w: "_".join(w).upper(),
                lambda w: " ".join(w),
                lambda w: "".join(sentence_case(x) for x in w),
                lambda w: "-".join(w).lower(),
                lambda w: "_".join(w),
            ),
            (10, 3, 2, 2, 2, 1, 2, 1, 1, 1),
        )[0]
    )


FILLERS = ("circumstances", "initial", "steps", "conclusion")


def heading_style(rng: random.Random):
    """A function (heading, content) → text of one section, and the text between sections."""
    upper = rng.random() < 0.15
    write = rng.choices(
        (
            lambda h, c: f"**{h}:** {c}",
            lambda h, c: f"{h}: {c}",
            lambda h, c: f"{h} - {c}",
            lambda h, c: f"**{h}**: {c}",
            lambda h, c: f"{h}\n{c}",
            lambda h, c: f"## {h}\n{c}",
            lambda h, c: f"[{h}] {c}",
            lambda h, c: f"- {h}: {c}",
            lambda h, c: f"{h} = {c}",
        ),
        (12, 6, 2, 2, 1, 1, 1, 1, 0.5),
    )[0]
    between = rng.choices(("  \n", "\n", "\n\n", " "), (8, 8, 4, 0.5))[0]
    return (lambda h, c: write(h.upper() if upper else h, c)), between


def choose_sections(rng: random.Random, target: int) -> list[str]:
    """Names of the sections of a report in reading order."""
    keep = 1.0 if target > 900 and rng.random() < 0.5 else max(0.35, min(0.9, target / 1300))
    names = [name for name in STANDARD if rng.random() < keep or name == "when"]
    if rng.random() < 0.15:
        spot = names.index("when")
        names[spot : spot + 1] = ["date", "time"] if rng.random() < 0.8 else ["time", "date"]
    for extra in EXTRAS:
        if rng.random() < 0.06:
            names.insert(rng.randrange(len(names) + 1), extra)
    chance = rng.random()
    if chance < 0.15:
        rng.shuffle(names)
    elif chance < 0.35:
        first, second = (rng.randrange(len(names)) for _ in "ab")
        names.insert(second, names.pop(first))
    return names


def narrate(w: Writer, names: list[str], fill: int) -> list[str]:
    """Paragraphs of running text that tell the sections asked for."""
    rng = w.rng
    middle = [name for name in names if name not in ("summary", "opening", "conclusion", "signature")]
    if rng.random() < 0.5:
        rng.shuffle(middle)
    order = [name for name in ("summary", "opening") if name in names] + middle
    order += [name for name in ("conclusion",) if name in names]
    if "opening" in order and rng.random() < 0.2:
        order.remove("opening")
        order.insert(rng.randrange(len(order) + 1) if "summary" not in names else rng.randint(1, len(order)), "opening")
    texts = [text for text in (tell(w, name, fill) for name in order) if text]
    size = rng.choice((2, 3, 4, 5, 99))
    return [" ".join(texts[start : start + size]) for start in range(0, len(texts), size)]


def compose(rng: random.Random, lex: Lexicon, layout: str, kind: Kind, target: int) -> tuple[str, Writer]:
    """The text of one report of about `target` characters and its writer."""
    w = Writer(rng, lex, kind, layout == "headed" and rng.random() < 0.3)
    fill = max(1, min(6, (target - 500) // 180))
    names = choose_sections(rng, target)
    lines: list[str] = []
    if rng.random() < 0.12:
        lines.append(
            rng.choice(
                (
                    f"{kind.event} Report",
                    f"{kind.event.upper()} REPORT",
                    f"# {kind.event} report {lex.code(rng)}",
                    f"{lex.company(rng)} - {kind.event} Report",
                )
            )
        )
    told = [name for name in names if name not in ("when", "date", "time", "location", "official", "signature")]
    if layout == "narrative":
        return ("\n\n" if rng.random() < 0.5 else "\n").join(lines + narrate(w, ["opening"] + told, fill)), w
    write, between = heading_style(rng)
    if w.canonical:
        # The layout police reports of the crime task have, for any kind of report.
        write, between, lines = (lambda h, c: f"**{h}:** {c}"), "  \n", []
        names = [name for name in STANDARD if rng.random() < 0.97]
    if layout == "memo":
        told = [name for name in told if name in FILLERS or rng.random() < 0.5]
        heads = [name for name in names if name not in told]
        lines.append(between.join(write(*section(w, name, fill)) for name in heads))
        lines.append("\n".join(narrate(w, told, fill)))
        return "\n\n".join(line for line in lines if line), w
    lines += [write(*section(w, name, fill)) for name in names]
    return between.join(lines) + (between.rstrip("\n") if rng.random() < 0.4 else ""), w


def questions(rng: random.Random, w: Writer, most: int) -> dict[str, list]:
    """Type → values for up to `most` types: stated ones, absent ones and some that no report of the kind has."""
    public = w.canonical and rng.random() < 0.8
    words, style = concept_words(w.kind, rng, public or rng.random() < 0.6), name_style(rng, public)
    silly = {"owner", "manager", "ceo"} if not w.kind.business and rng.random() < 0.8 else set()
    allowed = [c for c in words if c in w.stated or c not in ONLY_IF_STATED | silly]
    if public or rng.random() < 0.5:
        asked = [c for c in PUBLIC_ORDER if c in allowed]
        if rng.random() < 0.3:
            rng.shuffle(asked)
        asked = sorted(rng.sample(asked, min(most, len(asked))), key=asked.index)
    else:
        stated = [c for c in allowed if c in w.stated]
        absent = [c for c in allowed if c not in w.stated]
        count = max(1, min(most, len(stated)))
        asked = rng.sample(stated, count) + rng.sample(absent, min(len(absent), max(1, count // 3)))
        rng.shuffle(asked)
        asked = asked[:most]
    whole_numbers = public or rng.random() < 0.6
    answers: dict[str, list] = {}
    for concept in asked:
        values = w.stated.get(concept, [])
        if concept == "age" and whole_numbers:
            values = [int(value) if value.isdecimal() else value for value in values]
        answers.setdefault(style(words[concept]), list(values))
    if rng.random() < 0.25 and len(answers) < most:
        alien = style(rng.choice(ALIEN))
        if alien not in answers:
            answers[alien] = []
    return answers


def draft(rng: random.Random, lex: Lexicon, kind: Kind, layout: str) -> tuple[str, Writer]:
    """A report of 250 to 2,600 characters that states at least three concepts, and its writer."""
    target = int(rng.triangular(MIN_REPORT, MAX_REPORT, 1000))
    while True:
        text, w = compose(rng, lex, layout, kind, target)
        if MIN_REPORT <= len(text) <= MAX_REPORT and len(w.stated) >= 3:
            return text, w
        target += 150 if len(text) < MIN_REPORT else -300


def report(rng: random.Random, lex: Lexicon, most: int = 18) -> Report:
    """One report with up to `most` answered types, half of them about crimes."""
    kind = rng.choice(CRIMES if rng.random() < 0.5 else OTHERS)
    layout = rng.choices(("headed", "memo", "narrative"), (11, 3, 6))[0]
    text, w = draft(rng, lex, kind, layout)
    return Report(text, layout, questions(rng, w, most))


SYSTEMS = ("A virtual assistant answers questions from a user based on the provided text.",) * 5 + (
    "You answer questions about a text with values copied from it.",
    "Answer each question with a JSON object.",
    "You read a report and give back what is asked, word for word.",
    "Extract the requested types from the text.",
)
GIVEN = ("Text:\n{}",) * 5 + ("Text: {}", "{}", "Here is the report:\n{}", "Report:\n\n{}", "Please read this.\n\n{}")
READ = ("I’ve read this text.",) * 5 + (
    "I've read this text.",
    "I have read it.",
    "Read.",
    "Ready for your questions.",
    "OK.",
)
ASKED = ("What describes {} in the text?",) * 7 + (
    "Which {} does the text give?",
    "{}?",
    "List every {} in the report.",
    "Find {}.",
)


def report_chat(rng: random.Random, lex: Lexicon) -> Document:
    """A conversation: a report, then 3 to 18 questions about types, each answered as `{"Type": [values]}`.

    The contents of all messages together hold at most 3,600 characters (markers of the chat template not counted).
    """
    while True:
        found = report(rng, lex, 18 if rng.random() < 0.5 else rng.randint(4, 18))
        pattern = rng.choice(ASKED)
        messages = [
            ("system", rng.choice(SYSTEMS)),
            ("user", rng.choice(GIVEN).format(found.text)),
            ("assistant", rng.choice(READ)),
        ]
        turns = [
            (("user", pattern.format(name)), ("assistant", to_json({name: values})))
            for name, values in found.answers.items()
        ]
        room = MAX_CHAT - sum(len(content) for _, content in messages)
        sizes = [len(question[1]) + len(answer[1]) for question, answer in turns]
        while turns and sum(sizes) > room:
            drop = rng.randrange(len(turns))
            del turns[drop], sizes[drop]
        if len(turns) >= 3:
            return chat(messages + [message for turn in turns for message in turn])


def report_questions(rng: random.Random, lex: Lexicon) -> Document:
    """A report and the names of some types, answered by one JSON object."""
    found = report(rng, lex, rng.randint(2, 9))
    names = list(found.answers)
    asked = rng.choice((", ".join, lambda n: to_json(n), lambda n: "\n".join(f"- {name}" for name in n), " | ".join))(
        names
    )
    prompt = rng.choice(
        (
            "{text}\n\nTypes: {asked}\nJSON: ",
            "Types: {asked}\n\nText:\n{text}\n\nAnswer:\n",
            "Report:\n{text}\n\nGive these types as JSON: {asked}\n",
            "### Text\n{text}\n### Types\n{asked}\n### JSON\n",
            "Extract {asked} from the report.\n\n{text}\n\n",
        )
    )
    return completion(prompt.replace("{asked}", asked).replace("{text}", found.text), to_json(found.answers))


def narrative(rng: random.Random, lex: Lexicon) -> Document:
    """A report as plain text, most often without headings."""
    kind = rng.choice(CRIMES + OTHERS)
    layout = rng.choices(("narrative", "memo", "headed"), (8, 1, 1))[0]
    return prose(draft(rng, lex, kind, layout)[0])
