"""A task of the user's own: a folder with a schema and rows, and all that follows from it."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from grammars import accepts
from own_tasks import booking, write_rooms
from pydantic import BaseModel

from helpers.data.checks import check_rows
from helpers.data.read import load_source
from helpers.data.splits import make_splits
from helpers.errors import UserError
from helpers.evaluation.mistakes import values_not_in_text
from helpers.paths import ROOT
from helpers.run import Run
from helpers.serve.messages import answer_model
from helpers.tasks import TASK_NAMES, classes, load_task
from helpers.tasks.json_task import JsonTask
from helpers.tasks.load import model_of
from helpers.writing.prompts import instruction


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the task."""
    return write_rooms(tmp_path / "rooms")


def test_everything_follows_from_the_schema(folder):
    task = load_task(folder)
    rows = [task.rows.parse(json.loads(line), at) for at, line in enumerate((folder / "rows.jsonl").open())]
    first = rows[0]
    assert task.name == "rooms" and task.fields == ("room", "day", "start", "guests", "layout")
    assert task.rows.from_json(json.loads(json.dumps(task.rows.to_json(first)))) == first
    assert "; guests: a list of strings; layout: one of rows, circle" in instruction(task)
    for example in rows:
        answer = task.chat.completion(example.target)
        assert task.chat.parse_output(answer) == (example.target, None)
        assert all(accepts(task.chat.grammar(example.text, way), answer) for way in ("schema", "source"))
    spans = {name: places or () for name, places in task.spans(first).items()}
    found = [[first.text[a:b] for a, b in places] for places in spans.values()]
    assert found == [["Birch Room"], ["1 May 2027"], ["8:30"], ["Ann", "Cy"], ["circle"]]
    assert task.from_spans(first.text, spans, task.hooks.learn_conventions(rows)) == first.target
    assert task.hooks.rules(first.text)["day"] == "01/05/2027" and task.hooks.rules("hello")["day"] is None
    slices = task.hooks.slices(rows)
    assert {row["length"] for row in slices} == {"short", "medium", "long"}
    assert slices[0]["day format"] == "D Month YYYY" and slices[0]["guests"] == "several"
    assert task.rows.schema()["properties"]["layout"]["anyOf"][0] == {"enum": ["rows", "circle"]}
    assert task.words.examples == tuple(row.text for row in rows[:3])
    assert {"lora.rank", "tagger.epochs", "base_model"} <= task.settings("cpu").keys()


def test_made_and_perturbed_rows_are_labelled_rightly(folder):
    task, rng = load_task(folder), random.Random(0)
    rows = [task.rows.parse(booking(at), at) for at in range(60)]
    made = task.hooks.synthesise(rows, 40, rng)
    assert len({row.text for row in made}) == 40
    changed = [change(rows[0], rng) for change in task.hooks.perturbations().values()]
    assert len(changed) == 6 and None not in changed
    for example in [*made, *changed]:
        assert task.canonical(example.target) == example.target
        assert all(spans is not None for spans in task.spans(example).values())
    assert changed[0].text == rows[0].text.lower() and changed[0].target["guests"] == ["ann", "cy"]
    assert changed[4].text.startswith("1 May 2027 8:30 ") and changed[4].target == rows[0].target
    assert changed[5].text.endswith(")") and changed[5].target == rows[0].target


def test_a_json_schema_a_chat_and_hooks(tmp_path):
    properties = {
        "name": {"type": "string"},
        "when": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        "sizes": {"type": "array", "items": {"type": "number"}},
        "paid": {"type": "boolean"},
        "way": {"enum": ["post", "van", None]},
    }
    schema = {"type": "object", "properties": properties, "required": ["name"]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    (tmp_path / "settings.yaml").write_text("ask: each\nheadline: exact_f1\nsettings: {synthetic: 7}\n")
    (tmp_path / "notes.md").write_text("---\ntitle: Orders\ndescription: D.\n---\n\n# scoring\n\nBy hand.\n")
    (tmp_path / "hooks.py").write_text(
        "from helpers.tasks.base import Hooks\n\n\ndef hooks(task):\n"
        "    return Hooks(rules=lambda text: task.canonical({'name': text.split()[0]}))\n"
    )
    task = load_task(str(tmp_path))
    target = {"name": "Vase", "when": "02/06/2027", "sizes": [3, 4.5], "paid": True, "way": "van"}
    output = target | {"when": "2027-06-02"}
    example = task.rows.parse({"text": "Vase 3 by 4.5, 2 June 2027, by van", "output": output}, 0)
    assert example.target == target and task.values(target)["sizes"] == ("3", "4.5")
    assert task.words.title == "Orders" and task.words.scoring_note == "By hand."
    assert task.settings("cpu")["synthetic"] == 7 and task.hooks.rules("Vase now")["name"] == "Vase"
    raw = task.chat.completion(target)
    assert task.chat.questions == task.fields and raw.split("\n")[2] == '{"sizes": [3, 4.5]}'
    assert task.chat.parse_output(raw) == (target, None)
    assert task.chat.parse_answer("paid", '{"paid": ["yes"]}') == (None, "wrong type")
    for field in task.fields:
        for way in ("schema", "source"):
            assert accepts(task.chat.grammar(example.text, way, field), task.chat.answer(target, field))


@pytest.mark.parametrize(
    "name, content",
    [
        ("train.conll", "The O\nPort\tB-WINE\n\nin O\nGraz\tB-PLACE\n"),
        ("rows.jsonl", '{"tokens": ["Port", "Graz"], "tags": ["U-WINE", "I-PLACE"]}\nno JSON\n{"text": 3}\n'),
        ("rows.json", '[{"tokens": ["Port", "Graz"], "ner_tags": ["B-WINE", "B-PLACE"]}]'),
    ],
)
def test_labels_are_read_from_the_rows(name, content, tmp_path):
    (tmp_path / name).write_bytes(gzip.compress(content.replace(" O", "\tO").encode()))
    assert load_task(tmp_path).fields == ("PLACE", "WINE")


def test_a_folder_that_says_nothing_and_a_name_that_is_none(tmp_path):
    with pytest.raises(UserError, match="holds no schema.py, schema.json or labels.txt"):
        load_task(tmp_path)
    with pytest.raises(UserError, match="calendr.*calendar"):
        load_task("calendr")
    (tmp_path / "schema.json").write_text('{"properties": {"a": {"type": "object"}}}')
    with pytest.raises(UserError, match="property 'a' has type 'object'"):
        load_task(tmp_path)


# -- objects in the answer ------------------------------------------------------------------------------------------
class Address(BaseModel):
    """Where an order goes."""

    street: str | None
    city: str | None


class Order(BaseModel):
    """What is ordered, and where it goes."""

    customer: str | None
    delivery: Address | None
    gift: bool | None = None


TEXT = "Ann Roe, Elm Lane 4, Graz"
OUTPUT = {"customer": "Ann Roe", "delivery": {"street": "Elm Lane 4", "city": "Graz"}, "gift": True}


@pytest.mark.parametrize("schema", [Order, model_of(Order.model_json_schema())], ids=["pydantic", "JSON"])
def test_an_object_is_its_fields_and_comes_back_as_an_object(schema):
    task = JsonTask(schema)
    assert task.fields == ("customer", "delivery.street", "delivery.city", "gift")
    example = task.rows.parse({"text": TEXT, "output": OUTPUT}, 0)
    assert task.values(example.target)["delivery.city"] == ("Graz",)
    assert task.rows.write(example)["output"] == OUTPUT
    assert task.rows.from_json(json.loads(json.dumps(task.rows.to_json(example)))) == example
    answer = task.chat.completion(example.target, example.text)
    assert task.chat.parse_output(answer) == (example.target, None)
    assert all(accepts(task.chat.grammar(TEXT, way), answer) for way in ("schema", "source"))
    inner = task.rows.schema()["properties"]["delivery"]["anyOf"][0]
    assert inner["required"] == ["street", "city"]
    served = answer_model(task).model_json_schema()["$defs"]
    assert any(set(one["properties"]) == {"street", "city"} for one in served.values())
    absent = task.rows.parse({"text": TEXT, "output": OUTPUT | {"delivery": None}}, 0)
    assert task.rows.write(absent)["output"]["delivery"] is None


def test_what_is_wrong_in_an_object_is_named():
    for given, reason in (
        ("Graz", "'output.delivery' should be an object or null, got string"),
        ({"street": None, "city": 3}, "'output.delivery.city' should be a string or null, got number"),
        ({"city": "", "zip": 1}, "missing key 'output.delivery.street'; unknown key 'output.delivery.zip'"),
    ):
        with pytest.raises(ValueError, match=f"^{reason}$"):
            JsonTask(Order).rows.parse({"text": TEXT, "output": OUTPUT | {"delivery": given}}, 0)


class Parcel(BaseModel):
    """An object in an object."""

    order: Order


class Basket(BaseModel):
    """A list of objects."""

    orders: list[Address]


class Part(BaseModel):
    """A part of parts."""

    name: str
    inner: Part | None


@pytest.mark.parametrize(
    "schema, name",
    [(Parcel, "order.delivery"), (Basket, "orders"), (Part, "inner.inner")],
)
def test_what_a_schema_cannot_give_is_refused_by_name(schema, name):
    with pytest.raises(TypeError, match=f"^field '{name}' holds"):
        JsonTask(schema)
    with pytest.raises(UserError, match=f"^schema.json: property '{name.split('.')[-1]}' has type"):
        model_of(schema.model_json_schema())


# -- fields that no piece of a text gives -----------------------------------------------------------------------------
NOBODY = OUTPUT | {"customer": "Ann", "delivery": None}


def test_a_classifier_of_the_text_says_what_no_piece_of_it_does():
    task = JsonTask(Order)
    said = [("as a present for {}", True), ("{} pays at the till", False), ("wrapped with a bow, {}", True)]
    rows = [
        task.rows.parse({"text": text.format("Ann"), "output": NOBODY | {"gift": gift}}, at)
        for at, (text, gift) in enumerate(said * 4)
    ]
    learnt = json.loads(json.dumps(task.hooks.learn_conventions(rows)))
    found = task.from_spans("a present for Bo", {"customer": [(14, 16)]}, learnt)
    assert found == {"customer": "Bo", "delivery.street": None, "delivery.city": None, "gift": True}
    assert task.from_spans("Bo pays", {"customer": [(0, 2)]}, learnt)["gift"] is False
    assert task.from_spans("Bo pays", {"customer": [(0, 2)], "gift": [(3, 7)]}, learnt)["gift"] is False
    value, probability = classes.of_text(task.kinds, "Bo pays", {}, learnt)["gift"]
    assert value is False and 0.5 < probability < 1
    alone = task.hooks.learn_conventions(rows[:1])  # a value that all rows have is always given
    assert task.from_spans("Bo pays", {"customer": [(0, 2)]}, alone)["gift"] is True
    for customer, made_up in (("Zoe", ["Zoe"]), ("ann", [])):
        answer = {"id": 0, "prediction": task.canonical({"customer": customer, "gift": False})}
        assert values_not_in_text(task, rows[:1], [answer])["value"].tolist() == made_up
    overlapping = {"customer": [(0, 6)], "delivery.city": [(4, 11)]}
    around = classes.words_around(task.kinds, "Ann of Graz paid", overlapping)
    assert around == ["<delivery.city>", "ann", "paid"]


@pytest.mark.parametrize("name", ["orders", "tickets"])
def test_the_examples_load_and_nothing_is_wrong_with_them(name, tmp_path, capsys):
    run = Run(str(ROOT / "docs" / "example" / name), out=str(tmp_path))
    source = load_source(run)
    splits = make_splits(run, source)
    assert check_rows(run, source, splits).empty and "set aside" not in capsys.readouterr().out
    assert len(source["all"]) > 150 and (tmp_path / "artifacts" / name / "rejected.jsonl").read_text() == ""
    values = [run.task.values(example.target) for example in splits.parts["train"]]
    assert all(sum(bool(one[field]) for one in values) > 10 for field in run.task.fields)


def test_settings_come_from_groups_variants_and_profiles():
    class Note(BaseModel):
        text: str | None

    document = {
        "settings": {"rows": 3},
        "groups": {"one": {"rate": 1, "size": 2}, "two": {"rate": 4}},
        "variants": {
            "a": {"kind": "tagger", "like": ["one", "two"], "settings": {"size": 9}},
            "b": {"kind": "tagger", "like": ["one"]},
        },
        "profiles": {"gpu": {"groups": {"one": {"size": 5}}, "variants": {"b": {"settings": {"rate": 0}}}}},
    }
    both = {"variants": "a,b", "rows": 3, "a.rate": 4, "a.size": 9}
    task = JsonTask(Note, document=document)
    assert task.settings("cpu") == both | {"b.rate": 1, "b.size": 2}
    assert task.settings("gpu") == both | {"b.rate": 0, "b.size": 5}


@pytest.mark.parametrize("name", TASK_NAMES)
def test_a_task_is_small_to_others_and_has_the_same_settings_in_all_profiles(name):
    task = load_task(name)
    assert len([one for one in dir(task) if not one.startswith("_")]) <= 20
    smoke, cpu, gpu = (task.settings(profile) for profile in ("smoke", "cpu", "gpu"))
    assert smoke.keys() == cpu.keys() == gpu.keys()
    assert set(task.words.variant_notes) == set(task.variants)
