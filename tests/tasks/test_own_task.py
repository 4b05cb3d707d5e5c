"""A task of the user's own: a folder with a schema and rows, and all that follows from it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from grammars import accepts
from own_tasks import booking, write_rooms
from pydantic import BaseModel

from helpers.errors import UserError
from helpers.tasks import TASK_NAMES, load_task
from helpers.tasks.json_task import JsonTask


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
    assert task.chat.prompt(first.text) == f"Extract entities from: {first.text} → "
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
    assert {"day format": "D Month YYYY", "start format": "24 h", "guests": "several"}.items() <= slices[
        0
    ].items()
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


def test_a_tagging_task_is_its_labels(tmp_path):
    (tmp_path / "labels.txt").write_text("DISH\nPLACE\n")
    task = load_task(tmp_path)
    assert task.fields == ("DISH", "PLACE") and task.headline == "f1" and not task.writes
    assert task.settings("smoke")["full.epochs"] == 1
    with pytest.raises(ValueError, match="unknown label 'WINE': choose from DISH, PLACE"):
        task.rows.parse({"tokens": ["Port"], "ner_tags": ["B-WINE"]}, 0)


def test_a_folder_that_says_nothing_and_a_name_that_is_none(tmp_path):
    with pytest.raises(UserError, match="holds no schema.py, schema.json or labels.txt"):
        load_task(tmp_path)
    with pytest.raises(UserError, match="calendr.*calendar"):
        load_task("calendr")
    (tmp_path / "schema.json").write_text('{"properties": {"a": {"type": "object"}}}')
    with pytest.raises(UserError, match="property 'a' has type 'object'"):
        load_task(tmp_path)


# -- settings -----------------------------------------------------------------------------------------------------------
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
