"""Calendar-like event texts with the eight values they hold, as training documents.

A text is put together from parts (action, date, time, people, place, duration, recurrence, note), each said in one of
many ways, in one of five layouts and any order.
"""
from __future__ import annotations

import random
from functools import lru_cache
from string import Formatter
from typing import Any

from helpers.corpus import phrases
from helpers.corpus.document import Document, chat, completion, to_json
from helpers.corpus.event_values import KEYS, Event, capitalised
from helpers.corpus.lexicon import Lexicon, lexicon

PROMPT = "Extract entities from: {text} → "

PEOPLE = ("w/{}", "w {}", "attendees: {}", "joined by {}", "together with {}", "({})", "invite {}", "- {}", "+ {}",
          "incl. {}", "along with {}", "including {}", "guests: {}", "for {}", "alongside {}", "[{}]", "with: {}",
          "participants {}", "plus {}", "attended by {}")
ONLINE = ("on {}", "on {}", "on {}", "via {}", "via {}", "over {}", "using {}", "held on {}", "@ {}", "({})", "- {}",
          "by {}", "through {}", "on a {} call", "location: {}", "hosted on {}", "link: {}")
PLACES = ("@ {}", "@ {}", "@{}", "({})", "location: {}", "venue: {}", "- {}", "place: {}", "held at {}", "meet at {}",
          "near {}", "inside {}", "over at {}", "where: {}")
DATES = ("on {}", "on {}", "on {}", "on {}", "for {}", "({})", "- {}", "date: {}")
TIMES = ("at {}", "at {}", "at {}", "at {}", "@ {}", "from {}", "around {}", "starting at {}", "@{}", "time: {}",
         "starts {}", "({})", "{} sharp", "at about {}", "starting {}")
DURATIONS = ("for {}", "for {}", "for {}", "for {}", "lasting {}", "lasting about {}", "({})", "about {}", "approx. {}",
             "~{}", "for around {}", "block {} for it", "should take {}", "reserve {}", "plan for {}", "{} long",
             "- {}", "duration: {}", "planned for {}", "blocking off {}", "{} max", "[{}]", "for roughly {}",
             "{} should be enough", "make it {}", "cap it at {}", "keep it to {}", "running {}", "for {} or so",
             "length {}", "allow {}", "let's reserve {} for it")
RECURRENCES = ("{}", "{}", "{}", "({})", "repeats {}", "recurring {}", "repeat: {}", "happening {}", "- {}")
NOTES = ("({})", "- {}", "- {}", "note: {}", "notes: {}", "; {}", "please note: {}", "NB {}", "p.s. {}", "*{}*",
         "reminder: {}", "- note {}", "// {}", "and {}", ", {}")
OPENERS = ("hey, ", "Hi all, ", "Hey team, ", "hi! ", "Hello, ", "ok so ", "FYI: ", "reminder: ", "Reminder - ",
           "note to self: ", "Just confirming ", "don't forget ", "Looking forward to ", "We have ", "I've got ",
           "new invite: ",
           "Invitation: ", "Can we do ", "how about ", "we're doing ", "Good morning, ", "Quick one: ",
           "You are invited to ",
           "Moved: ")
ASKS = ("could you ", "please ", "Please ", "can you ", "Can we ", "I'd like to ", "I need to ", "we should ",
        "Let's ", "let's ", "Hey, can you ", "Need to ", "Kindly ", "remember to ", "don't forget to ",
        "Hi, please ", "I want to ", "We need to ")
CLOSERS = ("Thanks!", "thanks", "See you there!", "See you then.", "cheers", "Let me know if that works.",
           "please confirm", "can't wait!", "lmk", "Ping me if that doesn't work.", "Best,", "hope that's ok", "👍",
           "🎉", "😊", "📅", "!!", "asap", "ok?")
NOWHERE = ("no location", "location TBD", "place to be decided", "venue tbc")
JOIN = ("{} will join", "{} will be there", "{} are coming", "Invite {}", "Attendees: {}", "With {}", "{} attending",
        "I'm meeting {}", "Please invite {}", "{} said yes", "Participants: {}", "We'll be joined by {}")
TAKES = ("It should take {}", "Should last {}", "Plan for {}", "Block {}", "Duration: {}", "It lasts {}",
         "Takes about {}",
         "We have {}", "Reserve {}", "Set aside {}", "Expect it to run {}", "Keep {} free")
WHERE = ("We'll meet at {}", "Location: {}", "It's at {}", "It takes place at {}", "Meet at {}", "Venue: {}",
         "Held at {}")
WHERE_ONLINE = ("We'll use {}", "It's on {}", "Location: {}", "Join via {}", "Held on {}", "We'll meet on {}",
                "Link on {}")
WHEN = ("It's on {}", "It takes place on {}", "Date: {}", "It's set for {}", "When: {}", "Scheduled for {}")
AT = ("It starts at {}", "Start: {}", "Time: {}", "We begin at {}", "At {}", "Starting at {}")
OFTEN = ("It repeats {}", "Repeats: {}", "This happens {}", "Recurring: {}")
REMARK = ("Note: {}", "Please note: {}", "Notes: {}", "PS: {}", "Remark: {}", "Also, {}", "And {}")
SCHEDULED = ("scheduled", "scheduled", "planned", "set", "is scheduled", "is set", "will be held", "will take place",
             "happening", "is happening", "is planned", "confirmed", "arranged", "rescheduled", "booked", "is booked",
                 "takes place")
LABELS: dict[str, tuple[str, ...]] = {
    "action": ("Event", "What", "Title", "Subject", "Meeting", "Summary", "Task", "Activity"),
    "date": ("Date", "When", "Day", "On"),
    "time": ("Time", "Start", "Starts", "At", "Start time"),
    "attendees": ("Attendees", "Who", "With", "People", "Participants", "Guests", "Invitees"),
    "location": ("Location", "Where", "Place", "Venue", "Room"),
    "duration": ("Duration", "Length", "How long", "Lasts", "For"),
    "recurrence": ("Repeats", "Recurrence", "Repeat", "Frequency", "How often"),
    "notes": ("Notes", "Note", "Comment", "Remarks", "Details", "NB")}


def say(rng: random.Random, event: Event, kind: str, bare: float, before: str) -> str:
    """One value in words that fit after the part `before` (a key, or empty at the start)."""
    phrase = event.said[kind]
    plain = rng.random() < bare
    if kind == "attendees":
        if plain and before != "location":
            return phrase
        draw = rng.random()
        return (f"with {phrase}" if draw < 0.55 else f"w/ {phrase}" if draw < 0.78
                else rng.choice(PEOPLE).format(phrase))
    if kind == "location":
        # A bare place after free words could not be told from them.
        if plain and (event.online or before in ("date", "time", "duration", "recurrence")):
            return phrase
        if phrase in ("online", "virtual", "downtown", "home"):
            return "at home" if phrase == "home" else phrase
        if event.online:
            return rng.choice(ONLINE).format(phrase)
        if rng.random() < 0.2:
            return rng.choice(PLACES).format(phrase)
        lower = phrase[0].islower() and not phrase.startswith(("the ", "my ", "our ", "http"))
        the = "the " if rng.random() < (0.65 if lower else 0.06) else ""
        return f"{rng.choice(('at', 'at', 'at', 'in', 'in', '@'))} {the}{phrase}"
    if kind == "duration" and phrase in phrases.ADJECTIVAL:
        return f"{rng.choice(('', '', 'a '))}{phrase} {rng.choice(('slot', 'block', 'meeting', 'session', 'chat'))}"
    forms = {"date": DATES, "time": TIMES, "duration": DURATIONS, "recurrence": RECURRENCES, "notes": NOTES}[kind]
    return phrase if plain and kind != "notes" else rng.choice(forms).format(phrase)


def order(rng: random.Random, event: Event, pair: float) -> list[str]:
    """Keys to say after (or around) the action; date and time stay together with probability `pair`."""
    kinds = [kind for kind in ("attendees", "location", "duration", "recurrence")
             if kind in event.said and not (kind == "attendees" and event.company)]
    when = [kind for kind in ("date", "time") if kind in event.said]
    rng.shuffle(kinds)
    if rng.random() < pair:
        if rng.random() < 0.2:
            when.reverse()
        at = rng.choice((0, 0, 0, rng.randint(0, len(kinds))))
        return kinds[:at] + when + kinds[at:]
    kinds += when
    rng.shuffle(kinds)
    return kinds


def head(event: Event) -> str:
    action = event.lead + event.said["action"]
    return f"{action} {event.company}" if event.company else action


def closed(text: str, mark: str) -> str:
    """The text with a closing mark, unless it ends in a full stop already."""
    return text if text.endswith(".") else text + mark


def telegraph(rng: random.Random, event: Event) -> str:
    """`Budget review 3 May 2027 4pm w/ Ana & Lu Room 4 30m`."""
    kinds = order(rng, event, 0.8)
    at = rng.choice((0, 0, 0, 0, rng.randint(0, len(kinds)), min(2, len(kinds))))
    kinds.insert(at, "action")
    if "notes" in event.said:
        kinds.append("notes")
    bare, glue = rng.choice((0.3, 0.75, 0.9)), rng.choice((" ", " ", " ", " ", ", ", ", ", " - ", " | ", " / "))
    text, before = "", ""
    for kind in kinds:
        words = head(event) if kind == "action" else say(rng, event, kind, bare, before)
        between = glue
        if glue == " - ":
            words = words.removeprefix("- ")
        if kind == "action" and before in ("attendees", "location") and glue == " ":
            between = rng.choice((": ", " - ", ", "))
        elif kind == "notes" and words[0] in ",;":
            between = ""
        text = f"{text}{between}{words}" if text else words
        before = kind
    return closed(text, rng.choice((".", "", "", "")))


def sentence(rng: random.Random, event: Event) -> str:
    """`Plan a budget review with Ana on 3 May 2027 at 4 pm for half an hour.`"""
    kinds, text, before = order(rng, event, 0.9), head(event), "action"
    takes = event.said.get("duration")
    if event.lead and not event.led_in and takes and takes not in phrases.ADJECTIVAL and rng.random() < 0.1:
        kinds.remove("duration")
        blocked = rng.choice(("Block", "Block out", "Reserve", "Set aside", "Keep", "Book", "Hold"))
        text = f"{blocked} {takes} for {rng.choice(('the ', 'the ', 'our ', ''))}{event.said['action']}"
    if not event.lead and not event.verbal and kinds and kinds[0] in ("date", "time") and rng.random() < 0.3:
        text = f"{text} {rng.choice(SCHEDULED)}"
    if "notes" in event.said:
        kinds.append("notes")
    bare, comma = rng.choice((0.02, 0.1, 0.3)), rng.choice((0.05, 0.15, 0.5))
    for kind in kinds:
        words = say(rng, event, kind, bare, before)
        between = "" if words[0] in ",;" else ", " if rng.random() < comma and words[0] not in "-(/[*+" else " "
        text = f"{text}{between}{words}"
        before = kind
    return closed(text, rng.choice((".", ".", ".", "", "!")))


def chatty(rng: random.Random, event: Event) -> str:
    """`hey, can we do a budget review …? thanks`."""
    said = event.said["action"]
    opened = rng.random() < 0.8 and not event.led_in
    if opened and event.verbal and rng.random() < 0.7:
        event.values["action"] = event.said["action"] = said[0].lower() + said[1:]
    text = sentence(rng, event)
    if opened:
        opener = rng.choice(ASKS) if event.lead or event.verbal else rng.choice(OPENERS)
        if not event.lead and not event.verbal and rng.random() < 0.4 and said[0].islower():
            opener = f"{opener}{phrases.an(said)} "
        text = opener + (text[0].lower() + text[1:] if event.lead else text)
    if "location" not in event.said and rng.random() < 0.1:
        text = f"{text} {rng.choice(NOWHERE)}."
    return f"{text} {rng.choice(CLOSERS)}" if rng.random() < 0.5 else text


def sentences(rng: random.Random, event: Event) -> str:
    """One short sentence for each value or two."""
    first = [kind for kind in ("date", "time") if kind in event.said and rng.random() < 0.7]
    text, before = head(event), "action"
    for kind in first:
        text = f"{text} {say(rng, event, kind, 0.1, before)}"
        before = kind
    rest = [kind for kind in KEYS[1:] if kind in event.said and kind not in first
            and not (kind == "attendees" and event.company)]
    rng.shuffle(rest)
    forms = {"date": WHEN, "time": AT, "attendees": JOIN, "location": WHERE_ONLINE if event.online else WHERE,
             "duration": TAKES, "recurrence": OFTEN, "notes": REMARK}
    out, stop = [text], rng.choice((". ", ". ", ". ", "\n", " - "))
    for kind in rest:
        if kind == "duration" and event.said[kind] in phrases.ADJECTIVAL:
            out.append(f"It's a {event.said[kind]} slot")
        else:
            out.append(rng.choice(forms[kind]).format(event.said[kind]))
    text = stop.join(out)
    return closed(text, rng.choice((".", ".", "")))


def labelled(rng: random.Random, event: Event) -> str:
    """`Event: … | Date: … | Where: …`."""
    kinds = [kind for kind in KEYS if kind in event.said]
    if rng.random() < 0.4:
        rng.shuffle(kinds)
    glue = rng.choice(("\n", "\n", "\n", " | ", " | ", "; ", ", ", " / ", " "))
    colon = rng.choice((": ", ": ", ": ", ": ", ":", " = ", " - "))
    lines = []
    for kind in kinds:
        phrase = event.lead + event.said[kind] if kind == "action" and not event.led_in else event.said[kind]
        if kind == "action" and rng.random() < 0.3:
            lines.append(phrase)
        else:
            lines.append(f"{rng.choice(LABELS[kind])}{colon}{phrase}")
    return glue.join(lines)


SLOTS = {"people": "attendees", "place": "location"}  # names of the pool's slots that are no keys


@lru_cache(maxsize=1)
def joiners() -> tuple[tuple[str, frozenset[str]], ...]:
    """Patterns of the pool in which values stand together, with the keys each needs."""
    return tuple((pattern, frozenset(SLOTS.get(name, name) for _, name, _, _ in Formatter().parse(pattern) if name))
                 for pattern in lexicon().pools["joiners"])


def joined(rng: random.Random, event: Event) -> str:
    """`Ana → budget review → Room 4`: a pattern of the pool; values it has no place for follow it or are left out."""
    said = event.said
    fits = [(pattern, keys) for pattern, keys in joiners() if keys <= said.keys()]
    if event.company or said.get("duration") in phrases.ADJECTIVAL or not fits:
        return telegraph(rng, event)
    pattern, keys = rng.choice(fits)
    rest = [kind for kind in said if kind not in keys]
    rng.shuffle(rest)
    text = pattern.removesuffix(".").format(**{slot: said[key] for slot, key in SLOTS.items() if key in said},
                          **{key: head(event) if key == "action" else said[key] for key in keys - set(SLOTS.values())})
    for kind in rest:
        if rng.random() < 0.7:
            text = f"{text} {say(rng, event, kind, 0.1, 'action')}"
        else:
            del said[kind]
            # an adjective in the action may say how often, whatever else is left out
            if kind != "recurrence" or event.values[kind] not in said["action"]:
                event.values[kind] = None
    return text


LAYOUTS = (telegraph,) * 6 + (sentence,) * 6 + (joined,) * 5 + (chatty,) * 3 + (sentences,) * 3 + (labelled,) * 2


def event(rng: random.Random, lex: Lexicon, keep_lead: bool | None = None) -> tuple[str, dict[str, Any]]:
    """One event text and its eight values; absent ones are None.

    Parameters
    ----------
    keep_lead : bool, optional
        Whether a lead verb belongs to the action; drawn at random when left out.
    """
    drawn = Event(rng, lex, rng.random() < 0.5 if keep_lead is None else keep_lead)
    text, values = rng.choice(LAYOUTS)(rng, drawn), drawn.values
    if rng.random() < 0.1:
        said = {key: phrase.lower() for key, phrase in drawn.said.items()}
        text = text.lower()
        for key in ("action", "location", "recurrence", "notes"):
            values[key] = values[key].lower() if values[key] else None
        values["attendees"] = [name.lower() for name in values["attendees"]] if values["attendees"] else None
        if values["duration"] and said["duration"] not in phrases.WORDED_DURATIONS:
            values["duration"] = values["duration"].lower()
    elif rng.random() < 0.3:
        # A sentence starts with a capital, and so does the action that opens it.
        if text.startswith(values["action"]):
            values["action"] = capitalised(values["action"])
            text = capitalised(text)
            if values["recurrence"] and values["recurrence"] not in text:
                values["recurrence"] = capitalised(values["recurrence"])
    return text, values


TASKS = (
    "Extract the event as JSON.", "Turn this message into a calendar entry (JSON).",
    "Return the event details as JSON.",
    "Parse the event.", "Extract the calendar fields.", "What event does this describe? Answer in JSON.",
    "Extract entities from the text.", "Read the text and fill in the event fields; use null for what is missing.",
    "Event extraction. Output one JSON object.", "Convert to a calendar event.", "Find all event details.",
    "Give me the structured event.", "Extract action, date, time, attendees, location, duration, recurrence and notes.",
    f"Extract these fields as JSON: {', '.join(KEYS)}.", f"Keys: {', '.join(KEYS)}.")
FRAMES = ("{task}\n\n{text}\n\n", "{task}\nText: {text}\nJSON: ", "{task}\n\nText: {text}\nAnswer: ",
          "{task} {text} → ",
          "{text}\n\n{task}\n", "Input: {text}\n{task}\nOutput: ", "{task}\n\"{text}\"\n")
SUBSET_TASKS = ("Extract {keys} from the text as JSON.", "Return a JSON object with {keys}.", "Fields: {keys}.",
                "Which {keys}? Answer as JSON, null if not given.", "Extract only {keys}.",
                "Keys: {keys}. Text follows.")
SYSTEMS = ("You extract calendar events.", "You are a helpful assistant.", "You turn messages into JSON.",
           "You are a precise extraction system. Answer with JSON only.")
SHOTS = (("Text: ", "\nJSON: "), ("Input: ", "\nOutput: "), ("Extract entities from: ", " → "), ("Event: ", "\n"),
         ("", " => "),
         ("Extract entities from: ", " → "))
ASKED = {
    "action": ("What is the event?", "What is planned?", "What is the action?"),
    "date": ("When is it?", "What is the date?", "On which day (DD/MM/YYYY)?"),
    "time": ("At what time?", "When does it start?", "What is the time?"),
    "attendees": ("Who attends?", "Who is coming?", "List the attendees."),
    "location": ("Where is it?", "What is the location?", "Where do we meet?"),
    "duration": ("How long does it last?", "What is the duration?", "How long is it?"),
    "recurrence": ("How often does it repeat?", "What is the recurrence?"),
    "notes": ("Is there a note?", "What are the notes?")}


def subset(rng: random.Random) -> list[str]:
    """One to six of the keys, often in another order."""
    return rng.sample(KEYS, rng.randint(1, 6))


def event_extraction(rng: random.Random, lex: Lexicon) -> Document:
    """The task itself: the prompt of fine-tuning and the eight values."""
    text, values = event(rng, lex)
    return completion(PROMPT.format(text=text), to_json(values))


def event_instruction(rng: random.Random, lex: Lexicon) -> Document:
    """The eight values asked for in other words."""
    text, values = event(rng, lex)
    return completion(rng.choice(FRAMES).format(task=rng.choice(TASKS), text=text), to_json(values))


def event_subset(rng: random.Random, lex: Lexicon) -> Document:
    """Some of the values, as the prompt names them."""
    text, values = event(rng, lex)
    keys = subset(rng)
    task = rng.choice(SUBSET_TASKS).format(keys=phrases.join_list(rng, keys) if rng.random() < 0.4 else ", ".join(keys))
    return completion(rng.choice(FRAMES).format(task=task, text=text), to_json({key: values[key] for key in keys}))


def event_chat(rng: random.Random, lex: Lexicon) -> Document:
    """A conversation: all values, some of them, or one after the other."""
    text, values = event(rng, lex)
    messages = [("system", rng.choice(SYSTEMS))] if rng.random() < 0.4 else []
    draw, keys = rng.random(), list(KEYS)
    if draw < 0.35:
        asked = []
        for key in subset(rng)[:4]:
            value = values[key]
            asked.append((rng.choice(ASKED[key]), "Not stated." if value is None
                          else ", ".join(value) if isinstance(value, list) else value))
        messages += [("user", f"{text}\n\n{asked[0][0]}"), ("assistant", asked[0][1])]
        for question, answer in asked[1:]:
            messages += [("user", question), ("assistant", answer)]
        return chat(messages)
    if draw < 0.55:
        keys = subset(rng)
        task = rng.choice(SUBSET_TASKS).format(keys=", ".join(keys))
    else:
        task = "Extract entities from:" if draw < 0.75 else rng.choice(TASKS)
    messages.append(("user", f"{task}{rng.choice((' ', chr(10), chr(10) * 2))}{text}"))
    return chat(messages + [("assistant", to_json({key: values[key] for key in keys}))])


def event_shots(rng: random.Random, lex: Lexicon) -> Document:
    """One to three answered examples, then the text to answer; all share one convention on lead verbs."""
    keep_lead, (before, after) = rng.random() < 0.5, rng.choice(SHOTS)
    keys = list(KEYS) if rng.random() < 0.8 else subset(rng)
    prompt = rng.choice(("", "", f"{rng.choice(TASKS)}\n\n")) if len(keys) == len(KEYS) else ""
    for left in range(rng.randint(1, 3), -1, -1):
        text, values = event(rng, lex, keep_lead)
        prompt, answer = f"{prompt}{before}{text}{after}", to_json({key: values[key] for key in keys})
        if left:
            prompt = f"{prompt}{answer}\n\n"
    return completion(prompt, answer)
