"""What a calendar event is about: its eight values and the phrases a text says them with.

Values are copied from the text as they stand, except dates, times and durations said in words, which take their
canonical form.
"""
from __future__ import annotations

import random
import re
from typing import Any

from helpers.corpus import phrases
from helpers.corpus.lexicon import Lexicon

KEYS = ("action", "date", "time", "attendees", "location", "duration", "recurrence", "notes")

TOPICS = (
    "budget|sales|marketing|strategy|product|project|team|client|vendor|partner|design|sprint|roadmap|hiring|"
    "onboarding|legal|finance|security|safety|compliance|release|launch|Q1|Q2|Q3|Q4|KPI|OKR|HR|IT|UX|data|growth|"
    "brand|content|campaign|customer|user|research|test|code|architecture|API|cloud|migration|incident|tax|audit|"
    "board|investor|fundraising|charity|community|volunteer|holiday|birthday|wedding|garden|book club|yoga|chess|"
    "piano|dance|football|tennis|climbing|running|swimming|cooking|photography|dentist|doctor|eye|vet|therapy|physio|"
    "haircut|car|bike|house|school|parent-teacher|science|history|math|language|choir|drama|film|museum|lab|field|"
    "warehouse|supply chain|logistics|inventory|pricing|contract|lease|insurance|mortgage|career|performance|salary|"
    "leadership|mentoring|networking|media|press|podcast|webinar|conference|quick|final|initial|follow-up|urgent|"
    "informal|virtual|morning|evening|end-of-day|mid-year|cross-team|internal|regional|joint|special|family|status|"
    "progress|partnership|creative|operations|recruitment|facilities|stakeholder|supplier|advisory board|backlog|"
    "scrum|department|executive|travel|culture|tech|editorial|stock|energy|grant|housing|alumni|student|staff|"
    "weekend|winter|summer|sports|neighborhood"
).split("|")
NOUNS = (
    "meeting|meeting|meeting|mtg|mtg|mtg.|call|call|review|review|sync|session|sess.|workshop|check-in|checkin|"
    "catch-up|catch up|discussion|planning|training|interview|presentation|demo|briefing|debrief|retro|retrospective|"
    "standup|stand-up|huddle|brainstorm|brainstorming|lunch|dinner|breakfast|coffee|brunch|drinks|party|walk|run|"
    "class|lesson|appointment|appt|consultation|checkup|inspection|visit|tour|trip|hike|picnic|rehearsal|practice|"
    "game|match|tournament|concert|show|ceremony|seminar|lecture|webinar|course|exam|meetup|gathering|get-together|"
    "hangout|chat|convo|update|kickoff|kick-off|launch|walkthrough|run-through|handover|alignment|negotiation|pitch|"
    "audit|assessment|evaluation|survey|forum|panel|roundtable|town hall|all-hands|offsite|retreat|summit|conf|drill|"
    "delivery|pickup|drop-off|installation|repair|screening|tasting|fitting|reading|study group|deadline|deep dive|"
    "1:1|1-on-1|one-on-one|office hours|open house|fundraiser|auction|clean-up|recap|prep|coaching|mentoring|"
    "orientation|critique|talk|grooming|intro|round|gala|outing|dry run|working session|wrap-up|sprint|tutorial|swap"
).split("|")
VERBS = (
    "review|discuss|finalize|finalise|prepare|draft|update|plan|organize|align|present|submit|check|write|edit|send|"
    "approve|test|deploy|fix|clean|paint|repair|return|collect|pick up|drop off|visit|watch|practice|study|attend|"
    "record|rehearse|negotiate|sign|renew|inspect|measure|order|buy|deliver|install|print|pack|tour|audit|outline|"
    "go over|walk through|work on|wrap up|set up|map out|look at|talk about|hand over|close|open|translate|rewrite|"
    "compare|kick off|share|refine|confirm|drop by|play|grab|brainstorm|coordinate|evaluate|sketch|sort out|research|"
    "celebrate|organise|tidy|sell"
).split("|")
OBJECTS = (
    "budget|proposal|report|slides|deck|documents|plans|goals|invites|contract|roadmap|strategy|outline|draft|"
    "numbers|feedback|designs|the new policies|the launch|the mockups|requirements|backlog|invoices|the lease|"
    "the apartment|the car|the bike|the dog|the garden|groceries|tickets|the cake|the keys|the parcel|the kids|"
    "homework|the exhibition|the movie|the landing page|blog post|newsletter|job offer|candidates|test results|"
    "Q3 results|survey answers|the prototype|the kitchen|the venue|the menu|the guest list|the speech|flights|"
    "the budget for next year|open questions|risks|user stories|hiring plan|sales targets|the bug list|"
    "the manuscript|training material|project scope|action items|quote|supplier list|updates|ideas|timelines|tasks|"
    "wireframes|coffee|tennis|lessons learned|travel plans|the new logo|stock levels|expense claims|the handbook|"
    "seating plan|the open house|photos"
).split("|")
SOLO_VERBS = ("Meet|Call|See|Visit|Interview|Brief|Ping|Phone|Meet up with|Catch up with|Lunch with|Coffee with|"
              "Dinner with|Sync with|Check in with|Chat with|Talk to|Walk with|Run with|Follow up with|Pair with|"
              "Touch base with|Tea with|Grab coffee with|Sit down with|Hang out with").split("|")
SINGLES = ("Meet|Call|Lunch|Dinner|Coffee|Sync|Standup|Gym|Yoga|Brunch|Webinar|Workshop|Retro|Demo|Brainstorm|Run|"
           "Picnic|Debrief|Interview|Review|Training|Catch-up|Check-in|Dentist|Haircut|Hike|Drinks|Party|Rehearsal|"
           "Focus time").split("|")
LEADS = ("Schedule|Schedule|Schedule|Book|Book|Plan|Plan|Organize|Organize|Arrange|Arrange|Set up|Set|Set|Add|Create|"
         "Host|Confirm|Pencil in|Reserve|Organise|Hold|Put in|Block out|Block|Make time for|Find time for|"
         "Block time for|Add a placeholder for|Add a slot for|Put down|Request|Propose|Launch|Fix|Prepare for|Join|"
         "Attend|Coordinate").split("|")
PLATFORMS = ("Zoom|Zoom|Zoom|Teams|Teams|Microsoft Teams|MS Teams|Google Meet|Google Meet|Skype|Webex|Slack|Discord|"
             "FaceTime|WhatsApp|phone|Jitsi|GoToMeeting|Google "
                 "Hangouts|BlueJeans|Hangouts|Signal|Whereby|Gather").split("|")
ROOMS = ("Room|Room|Room|Meeting Room|Conference Room|Boardroom|Studio|Lab|Office|Hall|Suite|Floor|Building|Gate|"
         "Lecture Hall|Auditorium|Classroom|Desk|Bay|Huddle Room|Level|Pod|Theater|Gym|Court|Workshop|Clinic|"
         "Training Room").split("|")
PLACE_ADJECTIVES = (
    "Riverside|Lakeside|Downtown|Central|Sunrise|Midtown|Harbor|Oak|Maple|Blue|Green|Golden|Silver|Old Town|Corner|"
    "Grand|Royal|North|South|East|West|Hilltop|Garden|Urban|Rustic|Italian|Thai|French|Little|Union|Liberty|City|"
    "Cedar|Pine|Rooftop|Corporate|Main|Moonlight|Ocean|Highland|Victoria|Innovation|Tech|Community|Sunset|Brick|"
    "Copper|Velvet").split("|")
PLACE_NOUNS = (
    "Cafe|Café|Bistro|Grill|Restaurant|Diner|Bar|Pub|Kitchen|Terrace|Park|Library|Museum|Gallery|Center|Centre|Plaza|"
    "Tower|Hotel|Lodge|Cabin|Hall|Theatre|Station|Market|Bakery|Brewery|Gym|Studio|Clinic|Hospital|School|University|"
    "Campus|Stadium|Arena|Beach|Trail|Lake|Gardens|Office|HQ|Hub|Lounge|Church|Pavilion|Mall|Square|Airport|Bridge|"
    "Wing").split("|")
COMMON_PLACES = (
    "HQ|HQ|office|lobby|reception|cafeteria|rooftop|library|park|beach|gym|studio|boardroom|executive boardroom|home|"
    "online|virtual|main hall|design studio|HR office|marketing office|conference room|meeting room|city park|"
    "community center|second-floor office|training room|banquet hall|innovation hub|art museum café|bookstore|"
    "downtown|riverside park|town hall|warehouse|workshop room|server room|my place|our place|Mum's house|"
    "the usual spot|back office|break room|front desk|top-floor lounge|coffee corner|garden terrace|client site|"
    "construction site|train station|parking lot|pool|coworking space|rec center|coffee shop|mall|court|chapel|"
    "north campus|school gym|old mill|ground floor|media room|sales floor|kitchen|patio|main office|video "
        "call").split("|")


PLACE_SORTS = (
    "nearby|large|old|new|main|city|second-floor|top-floor|north|south|art|corner|public|local|sports|university|"
    "staff|company|school|ground-floor|upstairs|downstairs|riverside|hotel|Mexican|Indian|vegan|little|village|"
    "airport|student"
).split("|")


# First words by which an action of the pool is known to say what to do; others are taken for nouns.
DOING = frozenset(
    "return pick order drill renew change book sign collect water open write take set pay hand clean check submit register "
    "mark clear replace put print plant meet count board apply weigh wash swap phone pack hang get feed exchange cancel "
    "buy visit update turn tune tag send run roll ring read post paint move load lift label fix finish drain deliver "
    "cut close call bring upload unpack unload try trade thin strip reconcile confirm stay drop tidy fill find make go "
    "do see tell ask give keep let shut sow sort start stop switch test top trim wrap wire walk wait wax vacuum "
    "file fit fold follow freeze grease grind groom harvest help hoover insulate iron join lay leave line lock mend "
    "mow nail oil photograph polish prepare prune pump push rake rebook rehearse remove repaint repot review rinse "
    "sand scan scrub sell service sharpen ship shear shovel splice spray stack stain stock sweep swim talk teach "
    "tie tighten transfer translate varnish video weed weld work worm zip draft edit finalise finalize plan organise".split())
ONLINE_WORDS = re.compile(r"\b(teams|zoom|meet|skype|webex|facetime|whatsapp|discord|slack|online|video call|huddle|"
                          r"webinar|signal call|teamspeak)\b", re.IGNORECASE)


def topic(rng: random.Random, lex: Lexicon) -> str:
    draw = rng.random()
    if draw < 0.7:
        return rng.choice(TOPICS)
    if draw < 0.82:
        return lex.phrase(rng, 1, 2)
    if draw < 0.88:
        return f"Project {lex.made_up(rng).capitalize()}"
    if draw < 0.92:
        return lex.company(rng)
    return rng.choice(lex.catch_phrases if draw < 0.95 else lex.jobs if draw < 0.97 else lex.cities)


def noun_action(rng: random.Random, lex: Lexicon) -> str:
    """What takes place, as a noun: `budget review`, `workshop on tidal power`."""
    draw = rng.random()
    if draw < 0.1:
        return rng.choice(NOUNS)
    text = f"{topic(rng, lex)} {rng.choice(NOUNS)}"
    if draw > 0.95:
        text = f"{topic(rng, lex)} {text}"
    elif draw > 0.84:
        tail = rng.choice(OBJECTS) if rng.random() < 0.5 else lex.phrase(rng, 1, 3)
        link = rng.choice(("about", "about", "for", "on", "re", "regarding", "to discuss", "to review", "to finalize"))
        text = f"{text if rng.random() < 0.4 else rng.choice(NOUNS)} {link} {tail}"
    return text


def verb_action(rng: random.Random, lex: Lexicon) -> str:
    """What is to be done: `finalize budget`."""
    draw = rng.random()
    verb = rng.choice(VERBS)
    if draw < 0.6:
        return f"{verb} {rng.choice(OBJECTS)}"
    if draw < 0.9:
        return f"{verb} {rng.choice(('', 'the ', 'my ', 'our ', ''))}{lex.phrase(rng, 1, 3)}"
    return rng.choice(lex.phrases)


def platform(rng: random.Random) -> str:
    return rng.choice(PLATFORMS)


def place(rng: random.Random, lex: Lexicon) -> str:
    """A place in space: a room, an address, a venue, a common noun or a made-up name."""
    if rng.random() < 0.35:
        return lex.pooled(rng, "places")
    draw = rng.random()
    if draw < 0.28:
        tag = rng.choice((str(rng.randint(1, 40)), str(rng.randint(100, 999)), rng.choice("ABCDEFGH"),
                          f"{rng.randint(1, 30)}{rng.choice('ABCD')}", f"{rng.choice('ABCDE')}{rng.randint(1, 40)}",
                          lex.made_up(rng).capitalize()))
        room = f"{rng.choice(ROOMS)} {tag}"
        other = rng.random()
        if other < 0.12:
            return f"{room}, {rng.choice(PLACE_ADJECTIVES)} {rng.choice(PLACE_NOUNS)}"
        if other < 0.2:
            return f"{rng.choice(PLACE_ADJECTIVES)} {rng.choice(PLACE_NOUNS)}, {room}"
        if other < 0.26:
            return f"{rng.choice(('HQ', lex.company(rng), lex.city(rng)))} {room}"
        return room
    if draw < 0.56:
        return f"{rng.choice(PLACE_ADJECTIVES)} {rng.choice(PLACE_NOUNS)}"
    if draw < 0.72:
        return rng.choice(COMMON_PLACES)
    if draw < 0.8:
        return f"{rng.choice(PLACE_SORTS)} {rng.choice(PLACE_NOUNS).lower()}"
    if draw < 0.86:
        return lex.address(rng)
    if draw < 0.89:
        return rng.choice((lex.city, lex.company, lex.street))(rng)
    if draw < 0.94:
        return f"{lex.first_name(rng)}'s {rng.choice(PLACE_NOUNS + ['house', 'place', 'office', 'desk', 'flat'])}"
    if draw < 0.99:
        name = lex.made_up(rng) if rng.random() < 0.6 else lex.word(rng)
        return f"{name.capitalize()} {rng.choice(PLACE_NOUNS)}"
    return f"https://{rng.choice(lex.domains)}/{lex.made_up(rng)}/{rng.randint(100, 99999)}"


def misspell(rng: random.Random, text: str) -> str:
    """One slip of the fingers: two letters swapped, one lost or one doubled."""
    if len(text) < 5:
        return text
    at = rng.randint(1, len(text) - 3)
    if not text[at:at + 2].isalpha():
        return text
    return text[:at] + rng.choice((text[at + 1] + text[at], text[at], text[at] * 2 + text[at + 1])) + text[at + 2:]


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


class Event:
    """The values of one event and the phrases its text says them with.

    Parameters
    ----------
    rng, lex
        Generator and pools.
    keep_lead : bool
        Whether a lead verb ("Schedule a …") belongs to the action.

    Attributes
    ----------
    values : dict
        The eight values as they are to be answered.
    said : dict of str
        The phrase of every value that is there.
    lead : str
        Words before the action that do not belong to it.
    led_in : bool
        Whether those words are a phrase of the pool, which may be of any grammar.
    company : str
        People named right after the action ("Meet Ana"), with the word that links them.
    online : bool
        Whether the location is a platform.
    verbal : bool
        Whether the action starts with a verb.
    """

    def __init__(self, rng: random.Random, lex: Lexicon, keep_lead: bool):
        values: dict[str, Any] = dict.fromkeys(KEYS)
        said: dict[str, str] = {}
        self.values, self.said, self.online, self.company, self.lead, self.verbal = values, said, False, "", "", False
        self.led_in = False
        if rng.random() < 0.97:
            said["date"], values["date"] = phrases.date(rng)
        if rng.random() < 0.95:
            said["time"], values["time"] = phrases.time(rng)
        if rng.random() < 0.75:
            said["attendees"], values["attendees"] = phrases.people(rng, lex, groups=rng.choice((0.05, 0.1, 0.5)))
        if rng.random() < 0.66:
            self.online = rng.random() < 0.42
            values["location"] = said["location"] = platform(rng) if self.online else place(rng, lex)
            self.online = self.online or bool(ONLINE_WORDS.search(said["location"]))
        if rng.random() < 0.03:
            said["duration"] = rng.choice(phrases.ADJECTIVAL)
            values["duration"] = phrases.WORDED_DURATIONS[said["duration"]]
        elif rng.random() < 0.8:
            said["duration"], values["duration"] = phrases.duration(rng)
        draw = rng.random()
        often = rng.choice(phrases.RECURRENCE_ADJECTIVES) if draw < 0.035 else ""
        if 0.035 <= draw < 0.06:
            values["recurrence"] = said["recurrence"] = phrases.recurrence(rng)
        if rng.random() < 0.06:
            values["notes"] = said["notes"] = phrases.note(rng, lex)
        action = self._company(rng) if "attendees" in said and not often and rng.random() < 0.1 else ""
        action = action or self._action(rng, lex, often)
        if rng.random() < 0.03:
            action = misspell(rng, action)
        action = self._with_lead(rng, lex, action, keep_lead)
        if values["recurrence"] is None:
            # An adjective such as "weekly" in the action says how often, too.
            found = [word for word in action.split(" ") if word.lower() in phrases.RECURRENCE_ADJECTIVES]
            values["recurrence"] = found[0] if found else None
        values["action"] = said["action"] = action

    def _company(self, rng: random.Random) -> str:
        """An action whose people follow at once; sets `company`."""
        verb = rng.choice(SOLO_VERBS)
        action, _, link = verb.rpartition(" ") if verb.endswith((" with", " to")) else (verb, "", "")
        self.company, self.verbal = f"{link} {self.said['attendees']}".strip(), True
        return action

    def _action(self, rng: random.Random, lex: Lexicon, often: str) -> str:
        if often:
            return f"{often} {rng.choice(NOUNS) if rng.random() < 0.5 else noun_action(rng, lex)}"
        if rng.random() < 0.4:
            action = lex.pooled(rng, "actions")
            self.verbal = action.split(" ")[0].lower() in DOING
            return action
        draw = rng.random()
        if draw < 0.12:
            return rng.choice(SINGLES)
        if draw < 0.76:
            return noun_action(rng, lex)
        self.verbal = True
        return verb_action(rng, lex)

    def _with_lead(self, rng: random.Random, lex: Lexicon, action: str, keep_lead: bool) -> str:
        if rng.random() < 0.12:
            self.lead, self.led_in = f"{lex.pooled(rng, 'lead_ins')} ", True
            return action
        draw = rng.random()
        if self.verbal or draw > 0.42:
            return capitalised(action) if draw < 0.82 else action
        first = action.split(" ")[0]
        if first in SINGLES:
            action = action[0].lower() + action[1:]
        article = rng.random()
        lead = rng.choice(LEADS) + (f" {phrases.an(action)} " if article < 0.5 else " the " if article < 0.55 else " ")
        if keep_lead:
            self.verbal = True
            return lead + action
        self.lead = lead
        return action
