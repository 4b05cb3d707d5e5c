"""Invented record schemas of many domains: keys, value makers and the words a text says a value with."""
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Callable

from helpers.corpus import event_values, phrases
from helpers.corpus.lexicon import Lexicon

# A maker returns the phrase in the text and the value of the answer.
Maker = Callable[[random.Random, Lexicon], "tuple[str, Any]"]


@dataclass(frozen=True)
class Field:
    """One key of a schema.

    Attributes
    ----------
    key : str
        Its name in snake case.
    make : callable
        Draws a phrase and its value.
    said : tuple of str
        Clauses with `{}` in the phrase's place.
    """

    key: str
    make: Maker
    said: tuple[str, ...]


def same(draw: Callable[[random.Random, Lexicon], str]) -> Maker:
    """A maker whose value is the phrase itself."""
    def make(rng: random.Random, lex: Lexicon) -> tuple[str, str]:
        phrase = draw(rng, lex)
        return phrase, phrase
    return make


def choice(options: str) -> Maker:
    """A maker that picks one of several options, given with bars between them."""
    known = options.split("|")
    return same(lambda rng, lex: rng.choice(known))


def pool(method: Callable[[Lexicon, random.Random], str]) -> Callable[[random.Random, Lexicon], str]:
    """A lexicon method with its arguments in the order of the makers here."""
    return lambda rng, lex: method(lex, rng)


def listed(draw: Callable[[random.Random, Lexicon], str], high: int = 4) -> Maker:
    """A maker of one to `high` different phrases; the value is a list."""
    def make(rng: random.Random, lex: Lexicon) -> tuple[str, list[str]]:
        items = list(dict.fromkeys(draw(rng, lex) for _ in range(rng.randint(1, high))))
        return phrases.join_list(rng, items), items
    return make


def money(rng: random.Random, lex: Lexicon) -> str:
    amount = rng.choice((f"{rng.randint(1, 999)}", f"{rng.randint(1, 9999)}.{rng.randint(0, 99):02d}",
                         f"{rng.randint(1000, 99999):,}"))
    return rng.choice(("${}", "${}", "€{}", "£{}", "{} EUR", "{} USD", "₹{}", "{} kr", "{} zł",
                       "{} dollars")).format(amount)


def count(rng: random.Random, lex: Lexicon) -> str:
    return str(rng.randint(1, rng.choice((9, 99, 999, 5000))))


def phone(rng: random.Random, lex: Lexicon) -> str:
    digits = "".join(rng.choices("0123456789", k=9))
    return rng.choice((f"+{rng.randint(1, 99)} {digits[:3]} {digits[3:6]} {digits[6:]}",
                       f"({digits[:3]}) {digits[3:6]}-{digits[5:]}", f"0{digits[:3]} {digits[3:]}",
                       f"{digits[:3]}-{digits[3:6]}-{digits[6:]}"))


UNITS = ("kg", "g", "lb", "km", "cm", "m", "litres", "°C", "%", "mm", "kW", "GB", "miles", "kg", "tonnes")


def measure(rng: random.Random, lex: Lexicon) -> str:
    amount = rng.choice((str(rng.randint(1, 900)), f"{rng.randint(1, 99)}.{rng.randint(1, 9)}"))
    return f"{amount}{rng.choice((' ', ''))}{rng.choice(UNITS)}"


def title(rng: random.Random, lex: Lexicon) -> str:
    return event_values.capitalised(lex.phrase(rng, 2, 5))


def plate(rng: random.Random, lex: Lexicon) -> str:
    letters = "".join(rng.choices("ABCDEFGHJKLMNPRSTUVWXYZ", k=5))
    return rng.choice((f"{letters[:2]}{rng.randint(10, 99)} {letters[2:]}", f"{letters[:3]}-{rng.randint(100, 9999)}"))


def amount(rng: random.Random, lex: Lexicon) -> str:
    unit = rng.choice(("g", " g", " kg", " ml", " cups", " tbsp", " pcs", " x", " boxes of", " packs of", ""))
    return f"{rng.randint(1, 500)}{unit} {lex.word(rng)}"


def brand_name(rng: random.Random, lex: Lexicon) -> str:
    series = rng.choice(("X", "Pro", "Mini", "S", "Max", "GT", ""))
    return f"{lex.made_up(rng).capitalize()} {series}{rng.randint(1, 900)}"


def day(rng: random.Random, lex: Lexicon) -> tuple[str, str]:
    return phrases.date(rng, old=rng.random() < 0.2)


def clock(rng: random.Random, lex: Lexicon) -> tuple[str, str]:
    return phrases.time(rng)


def length(rng: random.Random, lex: Lexicon) -> tuple[str, str]:
    return phrases.duration(rng, worded=0.0)


NAME, FIRST, COMPANY, CITY, ADDRESS, STREET, EMAIL, JOB, CODE = (same(pool(method)) for method in (
    Lexicon.full_name, Lexicon.first_name, Lexicon.company, Lexicon.city, Lexicon.address, Lexicon.street,
    Lexicon.email,
    Lexicon.job, Lexicon.code))
MONEY, COUNT, PHONE, MEASURE, TITLE, PLATE, BRAND = (same(draw) for draw in (
    money, count, phone, measure, title, plate, brand_name))
PEOPLE, ITEMS, AMOUNTS, CODES, CITIES = (listed(draw) for draw in (
    pool(Lexicon.full_name), lambda rng, lex: lex.phrase(rng, 1, 2), amount, pool(Lexicon.code), pool(Lexicon.city)))
WORDS = same(lambda rng, lex: lex.phrase(rng, 2, 6))
PLACE = same(event_values.place)
NOTE = same(phrases.note)
OFTEN = same(lambda rng, lex: phrases.recurrence(rng))
ANY = (NAME, FIRST, COMPANY, CITY, ADDRESS, STREET, EMAIL, JOB, CODE, MONEY, COUNT, PHONE, MEASURE, TITLE, PLATE,
       BRAND, WORDS,
       PLACE, NOTE, OFTEN, day, clock, length, PEOPLE, ITEMS, AMOUNTS, CODES, CITIES)
PLURAL = (PEOPLE, ITEMS, AMOUNTS, CODES, CITIES)


def schema(opening: str, *rows: tuple[str, Maker, str]) -> tuple[tuple[str, ...], tuple[Field, ...]]:
    """Openings and fields from a compact notation with bars between alternatives."""
    return tuple(opening.split("|")), tuple(Field(key, make, tuple(said.split("|"))) for key, make, said in rows)


DOMAINS = (
    schema("A support ticket came in|New ticket|Ticket update",
           ("ticket_id", CODE, "number {}|ref {}|logged as {}"),
           ("customer", NAME, "reported by {}|the customer is {}|from {}"),
           ("product", BRAND, "about the {}|concerning {}"),
           ("problem", WORDS, "the problem: {}|complaint: {}"),
           ("priority", choice("low|medium|high|urgent|critical"), "priority {}|{} priority"),
           ("assigned_to", FIRST, "assigned to {}|{} takes it"),
           ("opened_on", day, "opened on {}|received {}"),
           ("due_time", clock, "to be answered by {}|due at {}")),
    schema("An order was placed|Order received|New order",
           ("order_id", CODE, "order no. {}|reference {}"),
           ("buyer", NAME, "bought by {}|for {}|customer {}"),
           ("items", ITEMS, "items: {}|containing {}|the basket holds {}"),
           ("total", MONEY, "total {}|it comes to {}|paid {}"),
           ("shipping_address", ADDRESS, "ship to {}|deliver to {}"),
           ("order_date", day, "ordered on {}|dated {}"),
           ("payment", choice("card|cash|bank transfer|PayPal|invoice|voucher"), "paid by {}|payment: {}"),
           ("delivery_window", clock, "deliver after {}|not before {}")),
    schema("Contact details|Please save this contact|New colleague",
           ("name", NAME, "{}|this is {}|name: {}"),
           ("company", COMPANY, "works for {}|at {}|of {}"),
           ("job_title", JOB, "as {}|position: {}|role {}"),
           ("phone", PHONE, "tel {}|call {}|phone {}"),
           ("email", EMAIL, "mail {}|{}|write to {}"),
           ("city", CITY, "based in {}|lives in {}"),
           ("birthday", day, "born on {}|birthday {}"),
           ("languages", listed(lambda rng, lex: rng.choice(
               "English|Polish|Hindi|French|Swahili|Turkish|Welsh|Dutch|Tamil|Czech".split("|"))),
            "speaks {}|languages: {}")),
    schema("Shipment notice|A parcel is on its way|Freight booked",
           ("tracking_number", CODE, "tracking {}|no. {}"),
           ("sender", COMPANY, "sent by {}|shipper {}|from {}"),
           ("recipient", NAME, "addressed to {}|to {}|for {}"),
           ("origin", CITY, "leaving {}|picked up in {}"),
           ("destination", ADDRESS, "bound for {}|destination {}"),
           ("weight", MEASURE, "weighing {}|weight {}"),
           ("carrier", COMPANY, "carried by {}|carrier: {}"),
           ("arrival_date", day, "expected {}|arrives on {}"),
           ("contents", ITEMS, "contents: {}|it holds {}")),
    schema("Here is a recipe|My grandmother's recipe|Tonight's dish",
           ("dish", TITLE, "{}|called {}|dish: {}"),
           ("ingredients", AMOUNTS, "you need {}|ingredients: {}|take {}"),
           ("servings", COUNT, "serves {}|for {} people"),
           ("cooking_time", length, "cook for {}|ready in {}"),
           ("temperature", same(lambda rng, lex: f"{rng.randrange(100, 260, 5)} °C"), "at {}|oven at {}"),
           ("author", NAME, "by {}|recipe from {}"),
           ("tools", ITEMS, "tools: {}|use {}")),
    schema("Rental agreement|A car was rented|Booking of a vehicle",
           ("renter", NAME, "rented by {}|driver {}|renter: {}"),
           ("vehicle", BRAND, "a {}|vehicle: {}"),
           ("plate", PLATE, "plate {}|registration {}"),
           ("pickup_place", PLACE, "pick-up at {}|collected from {}"),
           ("pickup_date", day, "from {}|picked up on {}"),
           ("pickup_time", clock, "at {}|ready by {}"),
           ("period", length, "for {}|period: {}"),
           ("deposit", MONEY, "deposit {}|a deposit of {}"),
           ("extras", ITEMS, "with {}|extras: {}")),
    schema("Incident report|Something happened at the site|Safety log",
           ("incident_number", CODE, "no. {}|filed as {}"),
           ("date", day, "on {}|date {}"),
           ("time", clock, "at {}|around {}"),
           ("place", PLACE, "at {}|place: {}"),
           ("reported_by", NAME, "reported by {}|according to {}"),
           ("witnesses", PEOPLE, "seen by {}|witnesses: {}"),
           ("injuries", choice("none|a cut hand|bruised knee|burns|broken wrist|minor"), "injuries: {}|result: {}"),
           ("damage", MONEY, "damage of {}|costs about {}"),
           ("officer", NAME, "officer {} attended|handled by {}")),
    schema("Flight booking|Your trip|Travel plan",
           ("passenger", NAME, "for {}|passenger {}|traveller: {}"),
           ("flight", CODE, "flight {}|on {}"),
           ("from_city", CITY, "from {}|departing {}"),
           ("to_city", CITY, "to {}|arriving in {}"),
           ("departure_date", day, "on {}|leaving {}"),
           ("departure_time", clock, "at {}|take-off {}"),
           ("seat", same(lambda rng, lex: f"{rng.randint(1, 60)}{rng.choice('ABCDEF')}"), "seat {}|seated in {}"),
           ("price", MONEY, "fare {}|costs {}"),
           ("stops", CITIES, "via {}|with stops in {}")),
    schema("Flat to let|House for sale|Property listing",
           ("address", ADDRESS, "at {}|address: {}"),
           ("rent", MONEY, "rent {}|asking {}"),
           ("rooms", COUNT, "{} rooms|with {} rooms"),
           ("area", same(lambda rng, lex: f"{rng.randint(18, 400)} m²"), "{}|area {}"),
           ("agent", NAME, "agent {}|contact {}"),
           ("available_from", day, "available from {}|free on {}"),
           ("features", ITEMS, "features: {}|has {}"),
           ("viewing_time", clock, "viewing at {}|open from {}")),
    schema("Clinic note|Patient record|Appointment slip",
           ("patient", NAME, "patient {}|seen: {}"),
           ("date_of_birth", day, "born {}|DOB {}"),
           ("doctor", same(lambda rng, lex: f"Dr. {lex.last_name(rng)}"), "seen by {}|doctor: {}"),
           ("symptoms", ITEMS, "complains of {}|symptoms: {}"),
           ("medicines", AMOUNTS, "prescribed {}|takes {}"),
           ("next_visit", day, "next visit {}|come back on {}"),
           ("visit_time", clock, "at {}|time {}"),
           ("insurance", COMPANY, "insured with {}|insurer {}"),
           ("how_often", OFTEN, "take it {}|repeat {}")),
    schema("Vacancy|Job posting|We are hiring",
           ("position", JOB, "{}|position: {}|as {}"),
           ("employer", COMPANY, "at {}|employer {}"),
           ("place", CITY, "in {}|based in {}"),
           ("salary", MONEY, "salary {}|pays {}"),
           ("skills", ITEMS, "must know {}|skills: {}"),
           ("apply_by", day, "apply by {}|closing date {}"),
           ("contact", EMAIL, "write to {}|contact {}"),
           ("hours", length, "{} a day|shifts of {}")),
    schema("Invoice|Bill|Payment reminder",
           ("invoice_number", CODE, "no. {}|number {}"),
           ("vendor", COMPANY, "from {}|issued by {}"),
           ("client", NAME, "to {}|billed to {}"),
           ("issue_date", day, "dated {}|issued {}"),
           ("due_date", day, "due {}|payable by {}"),
           ("amount", MONEY, "amount {}|sum of {}"),
           ("tax", same(lambda rng, lex: f"{rng.randint(1, 27)}%"), "tax {}|plus {} VAT"),
           ("lines", AMOUNTS, "for {}|lines: {}")),
    schema("Match report|Last night's game|Result",
           ("home_team", CITY, "{} at home|hosts {}"),
           ("away_team", CITY, "against {}|visitors {}"),
           ("score", same(lambda rng, lex: f"{rng.randint(0, 9)}{rng.choice('-:')}{rng.randint(0, 9)}"),
            "ended {}|final score {}"),
           ("scorers", PEOPLE, "goals by {}|scorers: {}"),
           ("venue", PLACE, "played at {}|venue {}"),
           ("date", day, "on {}|date {}"),
           ("kick_off", clock, "kick-off {}|started at {}"),
           ("attendance", COUNT, "{} watched|attendance {}"),
           ("referee", NAME, "referee {}|whistled by {}")),
    schema("Library loan|Book on hold|Catalogue entry",
           ("title", TITLE, "titled {}|title: {}"),
           ("authors", PEOPLE, "by {}|authors: {}"),
           ("shelf", CODE, "shelf {}|stands at {}"),
           ("borrower", NAME, "lent to {}|borrower {}"),
           ("due_back", day, "back by {}|return on {}"),
           ("publisher", COMPANY, "published by {}|publisher {}"),
           ("pages", COUNT, "{} pages|length {} pages")),
    schema("Reservation|Table booked|Hotel stay",
           ("guest", NAME, "for {}|guest {}|under the name {}"),
           ("venue", PLACE, "at {}|venue: {}"),
           ("date", day, "on {}|for {}"),
           ("time", clock, "at {}|arriving {}"),
           ("party_size", COUNT, "party of {}|{} guests"),
           ("requests", NOTE, "request: {}|remark: {}"),
           ("phone", PHONE, "phone {}|reach them on {}"),
           ("stay", length, "staying {}|for {}")),
    schema("Machine log|Maintenance visit|Service sheet",
           ("machine", BRAND, "machine {}|unit {}"),
           ("serial", CODE, "serial {}|S/N {}"),
           ("technician", FIRST, "technician {}|serviced by {}"),
           ("fault", WORDS, "fault: {}|error {}"),
           ("parts", AMOUNTS, "replaced {}|parts: {}"),
           ("date", day, "on {}|visit {}"),
           ("downtime", length, "down for {}|downtime {}"),
           ("next_service", OFTEN, "service {}|to be checked {}"),
           ("reading", MEASURE, "reading {}|shows {}")),
)
