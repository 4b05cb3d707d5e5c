"""Extraction over many schemas, copying of unseen strings, and reformatting, as training documents."""
from __future__ import annotations

import random
from typing import Any

from helpers.corpus import phrases
from helpers.corpus.document import Document, chat, completion, to_json
from helpers.corpus.lexicon import Lexicon
from helpers.corpus.schemas import ANY, DOMAINS, PLURAL, Field, clock, day

TASKS = ("Extract {keys} as JSON.", "Return JSON with the keys {keys}.", "Fields: {keys}.", "Keys: {keys}.",
         "Fill in: {keys}.",
         "Extract the following fields: {keys}. Use null when a field is missing.", "JSON keys: {keys}",
         "Find {keys} in the text. Answer with one JSON object.", "Schema: {keys}", "Give {keys} (null if absent).")
FRAMES = ("{task}\n\n{text}\n\n", "{task}\nText: {text}\nJSON: ", "{task}\n\nText: {text}\nAnswer: ",
          "{task} {text} → ",
          "{text}\n\n{task}\n", "Input: {text}\n{task}\nOutput: ", "Text: {text}\n\n{task}\n→ ")
AS_WRITTEN = (" Copy every value as written.", " Keep dates and times as they stand.", " Values verbatim.")
SYSTEMS = ("You extract records.", "You are a helpful assistant.", "Answer with JSON only.",
           "You fill in forms from text.")
FILLERS = ("Thanks.", "Please confirm.", "No further remarks.", "See attachment.", "Processed automatically.",
           "Nothing else to add.",
           "Kind regards", "To be checked.", "More details will follow.", "The rest is unchanged.",
           "All data as given by phone.")


def key_style(rng: random.Random, key: str, style: int) -> str:
    """A snake-case key in one of four styles: as it is, camelCase, with spaces, Title Case."""
    words = key.split("_")
    if style == 1:
        return words[0] + "".join(word.capitalize() for word in words[1:])
    if style == 2:
        return " ".join(words)
    return " ".join(word.capitalize() for word in words) if style == 3 else key


class Record:
    """A record of some schema and the text that tells it.

    Attributes
    ----------
    text : str
        The record as a form, as clauses or as sentences.
    values : dict
        Canonical value of every key of the schema, None where the text is silent.
    written : dict
        The same with dates and times as the text writes them.
    """

    def __init__(self, rng: random.Random, lex: Lexicon, fields: tuple[Field, ...], openings: tuple[str, ...],
                 form: float):
        self.values: dict[str, Any] = {field.key: None for field in fields}
        self.written = dict(self.values)
        share = rng.choice((0.5, 0.75, 0.75, 0.9, 1.0))
        told = [field for field in fields if rng.random() < share] or [fields[0]]
        if rng.random() < 0.6:
            rng.shuffle(told)
        lines = []
        as_form, style = rng.random() < form, rng.choice((0, 2, 3, 3))
        colon = rng.choice((": ", ": ", ": ", "=", " = ", " - ", "\t", " → "))
        for field in told:
            phrase, value = field.make(rng, lex)
            self.values[field.key] = value
            self.written[field.key] = value if isinstance(value, list) else phrase
            lines.append(f"{key_style(rng, field.key, style)}{colon}{phrase}" if as_form
                         else rng.choice(field.said).format(phrase))
        if as_form:
            glue = rng.choice(("\n", "\n", "\n", " | ", "; ", ", "))
            opening = rng.choice(("", "", f"{rng.choice(openings)}\n"))
        else:
            glue = rng.choice((", ", ", ", "; ", " - ", ". ", ". "))
            if glue == ". ":
                lines = [line[0].upper() + line[1:] if line[0].islower() and said_first(line, field) else line
                         for line, field in zip(lines, told, strict=True)]
            opening = f"{rng.choice(openings)}{'. ' if glue == '. ' else rng.choice((': ', ' - ', ', ', ': '))}"
        self.text = opening + glue.join(lines) + ("" if as_form else ".")
        if rng.random() < 0.15:
            self.text = f"{self.text} {rng.choice(FILLERS)}"


def said_first(line: str, field: Field) -> bool:
    """Whether a clause starts with words of its own, so that a capital does not alter the value."""
    return not any(said.startswith("{}") for said in field.said)


def wanted(rng: random.Random, values: dict[str, Any]) -> list[str]:
    """Keys to ask for: all of them or some, often in another order."""
    keys = list(values)
    if rng.random() < 0.55:
        keys = rng.sample(keys, rng.randint(1, len(keys)))
    elif rng.random() < 0.5:
        rng.shuffle(keys)
    return keys


def ask(rng: random.Random, record: Record) -> Document:
    """A document that asks for some keys of a record as JSON."""
    keys, style = wanted(rng, record.values), rng.choice((0, 0, 0, 1, 2, 3))
    names = {key: key_style(rng, key, style) for key in keys}
    values, task = record.values, rng.choice(TASKS).format(keys=", ".join(names.values()))
    if rng.random() < 0.2:
        values, task = record.written, task.rstrip(".") + "." + rng.choice(AS_WRITTEN)
    answer = to_json({names[key]: values[key] for key in keys})
    prompt = rng.choice(FRAMES).format(task=task, text=record.text)
    if rng.random() < 0.3:
        messages = [("system", rng.choice(SYSTEMS))] if rng.random() < 0.4 else []
        return chat(messages + [("user", prompt.strip()), ("assistant", answer)])
    return completion(prompt, answer)


def record_fields(rng: random.Random, lex: Lexicon) -> Document:
    """A record of a known domain and the keys wanted from it."""
    openings, fields = rng.choice(DOMAINS)
    return ask(rng, Record(rng, lex, fields, openings, form=0.3))


def made_up_field(rng: random.Random, lex: Lexicon) -> Field:
    """A field whose key is one or two random words; plural keys hold lists."""
    make = rng.choice(ANY)
    key = "_".join(lex.word(rng).lower() for _ in range(rng.choice((1, 1, 2))))
    if make in PLURAL:
        key = key if key.endswith("s") else key + "s"
    said = key.replace("_", " ")
    return Field(key, make, (f"{said}: {{}}", f"the {said} is {{}}", f"{{}} as {said}", f"{said} {{}}",
                             f"with {said} {{}}"))


def invented_schema(rng: random.Random, lex: Lexicon) -> Document:
    """A record whose keys are random words, so that only the text tells what belongs to a key."""
    fields = {field.key: field for field in (made_up_field(rng, lex) for _ in range(rng.randint(2, 8)))}
    opening = f"{lex.phrase(rng, 1, 3)} {rng.choice(('record', 'entry', 'form', 'sheet', 'note', 'log', 'card'))}"
    return ask(rng, Record(rng, lex, tuple(fields.values()), (opening,), form=0.6))


def record_questions(rng: random.Random, lex: Lexicon) -> Document:
    """A record and a few questions on it, answered in a word."""
    openings, fields = rng.choice(DOMAINS)
    record = Record(rng, lex, fields, openings, form=0.4)
    absent = rng.choice(("null", "Not stated.", "not given"))
    note = f" Answer {absent} if it is missing." if absent != "Not stated." else ""
    messages = []
    for key in rng.sample(list(record.values), min(len(fields), rng.randint(1, 5))):
        name, value = key.replace("_", " "), record.written[key]
        question = rng.choice(("What is the {}?", "{}?", "Give the {}.", "Tell me the {}.",
                               "What does it say about the {}?")).format(name)
        value = absent if value is None else ", ".join(value) if isinstance(value, list) else value
        messages += [("user", question), ("assistant", value)]
    messages[0] = ("user", f"{record.text}\n\n{messages[0][1]}{note}")
    return chat(messages)


def unseen(rng: random.Random, lex: Lexicon) -> str:
    """A string to copy: made-up words, codes, names, digits or random letters."""
    draw = rng.random()
    if draw < 0.3:
        return " ".join(lex.made_up(rng) for _ in range(rng.randint(1, 4)))
    if draw < 0.45:
        return lex.code(rng)
    if draw < 0.6:
        return lex.full_name(rng)
    if draw < 0.7:
        return "".join(rng.choices("0123456789", k=rng.randint(2, 10)))
    if draw < 0.8:
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
                                   k=rng.randint(3, 14)))
    return lex.address(rng) if draw < 0.85 else lex.phrase(rng, 1, 5)


def key_value_copy(rng: random.Random, lex: Lexicon) -> Document:
    """Pairs of unseen keys and values; the answer repeats some of the values."""
    pairs = {lex.made_up(rng) if rng.random() < 0.5 else lex.word(rng): unseen(rng, lex) for _ in range(rng.randint(2,
                                                                                                                    12))}
    colon, glue = rng.choice((": ", " = ", " -> ", " is ")), rng.choice(("\n", "\n", "; ", " | "))
    text = glue.join(f"{key}{colon}{value}" for key, value in pairs.items())
    keys = rng.sample(list(pairs), rng.randint(1, min(5, len(pairs))))
    draw = rng.random()
    if draw < 0.4:
        return completion(f"{text}\n\n{', '.join(keys)} as JSON:\n", to_json({key: pairs[key] for key in keys}))
    if draw < 0.7:
        question = rng.choice(("What is {}? ", "{} → ", "Value of {}: ")).format(keys[0])
        return completion(f"{text}\n\n{question}", pairs[keys[0]])
    messages = [(role, content) for key in keys for role, content in (("user", key), ("assistant", pairs[key]))]
    messages[0] = ("user", f"{text}\n\n{keys[0]}")
    return chat(messages)


def reformat(rng: random.Random, lex: Lexicon) -> Document:
    """Dates, times and lists into their canonical forms, alone, in lines or inside a phrase."""
    draw = rng.random()
    if draw < 0.75:
        kind, make = (("date", day) if draw < 0.4 else ("time", clock))
        form = rng.choice(("DD/MM/YYYY", "canonical date", "day/month/year") if kind == "date"
                          else ("H:MM AM/PM", "canonical time", "12-hour time"))
        pairs = [make(rng, lex) for _ in range(rng.choice((1, 1, 2, 3, 5, 8)))]
        if len(pairs) == 1:
            said, value = pairs[0]
            frame = rng.choice(("{form}: {said} → ", "Write as {form}: {said}\n", "{said} → ", "{said} as {form} → ",
                                "Extract the {kind}: {before} {said} {after} → ", "{kind}? {before} {said} {after}\n"))
            prompt = frame.format(form=form, said=said, kind=kind, before=lex.phrase(rng, 1, 6), after=lex.phrase(rng,
                                                                                                                  1, 6))
            return completion(prompt, value)
        lines = "\n".join(said for said, _ in pairs)
        values = [value for _, value in pairs]
        if rng.random() < 0.5:
            return completion(f"{kind.capitalize()}s as {form}, one a line.\n{lines}\n\n", "\n".join(values))
        return completion(f"{kind.capitalize()}s as {form}, JSON list.\n{lines}\n\n", to_json(values))
    said, items = phrases.people(rng, lex, high=6) if rng.random() < 0.6 else rng.choice(PLURAL)(rng, lex)
    frame = rng.choice(("List: {said} → ", "As a JSON list: {said}\n", "{said} → ", "Split into a list: {said}\n",
                        "Names or items: {said}\n"))
    return completion(frame.format(said=said), to_json(items))


def span_copy(rng: random.Random, lex: Lexicon) -> Document:
    """Repeat all of a text, the words between two of its words, or those in quotation marks."""
    words = list(dict.fromkeys(unseen(rng,
                                      lex) if rng.random() < 0.15 else lex.word(rng) for _ in range(rng.randint(6,
                                                                                                                40))))
    words = list(dict.fromkeys(word for phrase in words for word in phrase.split(" ")))
    text = " ".join(words)
    draw = rng.random()
    if draw < 0.25 or len(words) < 4:
        return completion(rng.choice(("Repeat: {}\n", "Copy: {} → ", "Say it again: {}\n")).replace("{}", text), text)
    start = rng.randint(0, len(words) - 3)
    end = rng.randint(start + 2, min(len(words) - 1, start + 12))
    span = " ".join(words[start + 1:end])
    if draw < 0.65:
        ask_for = rng.choice(("Words between {} and {}: ", "Repeat the words between {} and {}.\n", "From {} to {} → "))
        left, right = ask_for.split("{}", 1)
        middle, tail = right.split("{}", 1)
        return completion(f"{text}\n\n{left}{words[start]}{middle}{words[end]}{tail}", span)
    if draw < 0.85:
        open_mark, close_mark = rng.choice(('""', "''", "()", "[]", "<>", "**", "«»"))
        marked = " ".join(words[:start + 1] + [f"{open_mark}{span}{close_mark}"] + words[end:])
        return completion(f"{marked}\n\n{rng.choice(('What is marked? ', 'The words in marks: ', 'Marked: '))}", span)
    return completion(f"{text}\n\n{rng.choice(('Words after', 'The rest after', 'Continue from'))} {words[start]}: ",
                      " ".join(words[start + 1:]))


def echo(rng: random.Random, lex: Lexicon) -> Document:
    """A text and the same text again: the plainest way to learn to copy, before values have to be found."""
    makers = (lex.word, lex.full_name, lex.first_name, lex.city, lex.street, lex.company, lex.code, lex.made_up, lex.word)
    text = rng.choice((" ", " ", ", ")).join(rng.choice(makers)(rng) for _ in range(rng.randint(2, 16)))
    prompt = rng.choice(("Repeat: {} → ", "Copy the text: {} → ", "{}\n\nThe same again:\n", "Text: {}\nText: "))
    return completion(prompt.format(text), text)
