"""Tagged tokens of any labels: tags and spans, rows, tokens, markup, CoNLL columns, perturbations."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_encoder import TAGS, sentence, sentences

from helpers.tasks import load_task
from helpers.tasks.bio import TaggedTokens, parse_markup, spans_of, tags_of, to_iob2, words_of_text
from helpers.tasks.tag_task import TagTask

TASK = load_task("it_ner")
LABELS, KINDS = TASK.fields, ("ticket", "bug")


# -- tags -------------------------------------------------------------------------------------------------------------
def test_iob1_is_repaired_and_neighbours_stay_apart():
    given_tags = ["I-OS", "I-OS", "O", "I-OS", "B-OS", "I-VERSION"]
    assert to_iob2(given_tags) == ("B-OS", "I-OS", "O", "B-OS", "B-OS", "B-VERSION")
    assert to_iob2(["U-OS", "B-OS", "L-OS", "S-OS", "E-OS"]) == ("B-OS", "B-OS", "I-OS", "B-OS", "I-OS")


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_spans_and_tags_are_inverse(tags):
    valid = to_iob2(tags)
    assert tags_of(spans_of(valid), len(valid)) == valid
    assert to_iob2(valid) == valid


# -- rows -------------------------------------------------------------------------------------------------------------
def test_bad_rows_are_refused_with_a_reason():
    for row, reason in (
        ({"tokens": ["a"]}, "missing key 'ner_tags'"),
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, "2 tokens but 1 ner_tags"),
        ({"tokens": ["a"], "ner_tags": ["B-CAT"]}, "unknown label 'CAT'"),
        ({"tokens": ["a"], "ner_tags": ["X-OS"]}, "tag 'X-OS' is not"),
        ({"tokens": ["a"], "ner_tags": [0]}, "'ner_tags' should be a list of strings"),
        ({"tokens": ["a b"], "ner_tags": ["O"]}, "token 'a b' is empty or holds a space"),
        ({"tokens": ["a"], "ner_tags": ["O"], "fine_tags": []}, "1 tokens but 0 fine_tags"),
        ({"tokens": ["a"], "ner_tags": ["O"], "label": 1}, "unknown key 'label'"),
    ):
        with pytest.raises(ValueError, match=reason.replace("'", ".")):
            TASK.rows.parse(row, 0)


def test_labels_and_rows_alone_are_a_task():
    task = TagTask(["DISH", "PLACE"])
    tags = ["B-DISH", "I-DISH", "I-DISH", "O", "I-PLACE"]
    example = task.rows.parse({"tokens": ["Soup", "du", "jour", "at", "Ann's"], "ner_tags": tags}, 0)
    assert task.values(example.target) == {"DISH": ("Soup du jour",), "PLACE": ("Ann's",)}
    assert task.rows.from_json(json.loads(json.dumps(task.rows.to_json(example)))) == example
    assert task.hooks.rules(example.text).tags == ("O",) * 5
    assert task.rows.example("Soup, please.").target.tokens == ("Soup", ",", "please", ".")
    assert task.hooks.slices([example])[0]["DISH"] == "one"
    other = task.rows.parse({"tokens": ["Stew", "!"], "ner_tags": ["B-DISH", "O"]}, 1)
    made = task.hooks.synthesise([example, other], 2, random.Random(0))
    assert {row.text for row in made} == {"Stew at Ann's", "Soup du jour !"} and made[0].origin == "synthetic"


def test_values_and_predictions_meet_on_the_tokens():
    example = sentence("Visual/B-SOFTWARE Studio/I-SOFTWARE 2019/B-VERSION or Vim/B-SOFTWARE")
    values = TASK.values(example.target)
    assert values["SOFTWARE"] == ("Visual Studio", "Vim") and values["OS"] == ()
    assert TASK.bind(list(example.target.tags), example) == example.target
    assert TASK.bind({"SOFTWARE": ["Visual Studio", "Vim"], "VERSION": ["2019"]}, example) == example.target
    assert TASK.bind(None, example) is None
    long = sentence("SQL/B-OS Server/I-OS and SQL/B-OS")  # the longest first, whatever the spaces
    assert TASK.bind({"OS": ["SQL", "SQLServer", "absent", ""]}, long) == long.target
    with pytest.raises(ValueError, match="row 0 has 5 tokens but 1 predicted"):
        TASK.bind(["O"], example)


def test_places_of_entities_in_the_text():
    tokens = ["Run", "Visual", "C++", "on", "\uff11\uff11"]
    tags = ["O", "B-SOFTWARE", "I-SOFTWARE", "O", "B-VERSION"]
    example = TASK.rows.parse({"tokens": tokens, "ner_tags": tags}, 0)
    found = {label: [example.text[a:b] for a, b in places] for label, places in TASK.spans(example).items()}
    assert found["SOFTWARE"] == ["Visual C++"] and found["VERSION"] == ["11"] and found["OS"] == []


# -- tokens, markup, columns ------------------------------------------------------------------------------------------
def test_tokens_are_split_as_in_the_public_rows():
    text = 'He can\'t (really) use C++, ".NET" or C#... see main() and v1.2.3, e.g. 0x80070005!!'
    words = 'He ca n\'t ( really ) use C++ , " .NET " or C# ... see main() and v1.2.3 , e.g . 0x80070005 !!'
    assert words_of_text(text) == words.split()


def test_bad_markup_is_refused():
    for line, reason in (("no tab", "begins with ticket"), ("bug\t[[x](OS)](OS)", "broken markup")):
        with pytest.raises(ValueError, match=reason):
            parse_markup(line, KINDS)


CHARACTERS = "abcXYZ019.,:;!?'\"()-/+#_"
WORDS = st.lists(st.text(CHARACTERS, min_size=1, max_size=7), min_size=1, max_size=4).map(" ".join)
PIECES = st.lists(st.tuples(WORDS, st.sampled_from(("", *LABELS))), min_size=1, max_size=6)


@given(PIECES, st.sampled_from((" ", "")))
def test_every_marked_entity_comes_back(pieces, glue):
    marked = glue.join(f"[{text}]({label})" if label else text for text, label in pieces)
    row = parse_markup(f"bug\t{marked}", KINDS)
    assert "".join(row["tokens"]) == "".join(text.replace(" ", "") for text, _ in pieces)
    found = [(label, "".join(row["tokens"][start:end])) for start, end, label in spans_of(row["ner_tags"])]
    assert found == [(label, text.replace(" ", "")) for text, label in pieces if label]


# -- perturbations ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(TASK.hooks.perturbations()))
def test_perturbations_keep_the_number_and_labels_of_entities(name):
    change, fitted = TASK.hooks.perturbations()[name], 0
    for example in sentences() + [sentence("Wi-Fi/B-HARDWARE of Node-RED/B-SOFTWARE , now .", 9)]:
        new = change(example, random.Random(3))
        if new is None:
            continue
        fitted += new.text != example.text
        labels = [label for label, _ in example.target.entities()]
        assert [label for label, _ in new.target.entities()] == labels
        assert to_iob2(new.target.tags) == new.target.tags and len(new.target.tokens) == len(new.target.tags)
        assert new.text == " ".join(new.target.tokens)
    assert fitted


def test_tokens_are_split_and_glued_with_their_tags():
    changes = TASK.hooks.perturbations()
    split = changes["split tokens"](sentence("old Hyper-V/B-SOFTWARE"), random.Random(0)).target
    assert split.tokens == ("old", "Hyper", "-", "V")
    assert split.tags == ("O", "B-SOFTWARE", "I-SOFTWARE", "I-SOFTWARE")
    glued = changes["glued marks"](sentence("on Haiku/B-OS , yes"), random.Random(0))
    assert glued.target == TaggedTokens(("on", "Haiku,", "yes"), ("O", "B-OS", "O"))
