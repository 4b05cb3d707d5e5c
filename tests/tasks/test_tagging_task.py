"""Tagged tokens: tags, rows, markup, perturbations; the IT task: public files, finer labels, weak labels, resampling."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_encoder import TAGS, sentence, sentences

from helpers.data.read import load_source, scan
from helpers.errors import UserError
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks import load_task
from helpers.tasks.bio import TaggedTokens, parse_markup, spans_of, tags_of, to_iob2, words_of_text
from helpers.tasks.it_ner import augment
from helpers.tasks.it_ner.dictionary import Dictionary, known_names, name_spans, rule_tags
from helpers.tasks.tag_task import TagTask

TASK = load_task("it_ner")
LABELS, KINDS = TASK.fields, ("ticket", "bug")


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
    # F1 of rows with some label and of rows without differ by construction: no slice
    assert "DISH" not in task.hooks.slices([example])[0]
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
    wide = TASK.rows.parse(
        {"tokens": ["on", "C++", "\uff11\uff11"], "ner_tags": ["O", "B-OS", "B-VERSION"]}, 0
    )
    found = {label: [wide.text[a:b] for a, b in places] for label, places in TASK.spans(wide).items()}
    assert found["OS"] == ["C++"] and found["VERSION"] == ["11"] and found["SOFTWARE"] == []
    long = sentence("SQL/B-OS Server/I-OS and SQL/B-OS")  # the longest first, whatever the spaces
    assert TASK.bind({"OS": ["SQL", "SQLServer", "absent", ""]}, long) == long.target
    with pytest.raises(ValueError, match="row 0 has 5 tokens but 1 predicted"):
        TASK.bind(["O"], example)


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


# -- the IT task -------------------------------------------------------------------------------------------------------
def test_finer_labels_are_kept_beside_ours():
    row = {"tokens": ["Xcode", "15"], "ner_tags": ["I-SOFTWARE", "B-VERSION"], "kind": "bug"}
    example = TASK.rows.parse(row | {"fine_tags": ["I-Application", "B-Version"]}, 7)
    assert example.target.tags == ("B-SOFTWARE", "B-VERSION")
    again = TASK.rows.from_json(json.loads(json.dumps(TASK.rows.to_json(example))))
    assert again == example and again.extra["fine_tags"] == ("B-Application", "B-Version")
    fine = TASK.rows.parse({"tokens": ["Perl", "foo"], "ner_tags": ["B-Language", "B-Variable_Name"]}, 0)
    assert fine.target.tags == ("B-SOFTWARE", "O") and fine.extra["fine_tags"][1] == "B-Variable_Name"


def test_the_sample_is_what_its_card_says():
    found = scan(ROOT / "data" / "it_ner" / TASK.rows.file, TASK)
    rows = found.examples
    card = (ROOT / "data" / "it_ner" / "README.md").read_text(encoding="utf-8")
    counts = augment.label_counts(rows)
    assert not found.rejected and f"{len(rows):,} sentences" in card
    for label in TASK.fields:
        distinct = {text.lower() for row in rows for text in TASK.values(row.target)[label]}
        assert f"| `{label}` | {counts[label]:,} | {len(distinct):,} |" in card
    assert f"{sum(len(row.target.tokens) for row in rows):,} in all" in card


CONLL = """Question_ID\tO\tQuestion_ID\tO
:\tO\t:\tO

Use\tO\tUse\tO
Visual\tB-Application\tVisual\tO
C++\tB-Language\tC++\tO
\t
Answer_to_Question_ID\tO
:\tO

on\tO
Linux\tB-Operating_System
3\tB-Value"""


def test_public_files_are_mapped_without_the_headings():
    parts = TASK.hooks.split_public({name: CONLL.encode() for name in ("train.txt", "dev.txt", "test.txt")})
    assert list(parts) == ["train", "validation", "test"]
    first, second = parts["validation"]
    assert first["tokens"] == ["Use", "Visual", "C++"] and second["tokens"] == ["on", "Linux", "3"]
    assert first["ner_tags"] == ["O", "B-SOFTWARE", "I-SOFTWARE"] and second["ner_tags"] == ["O", "B-OS", "O"]
    assert first["fine_tags"] == ["O", "B-Application", "B-Language"]


def test_folders_may_hold_conll_or_markup(tmp_path):
    folder = tmp_path / "it_ner"
    folder.mkdir()
    (folder / "train.conll").write_text(CONLL, encoding="utf-8")
    (folder / "validation.txt").write_text("bug\t[Vim](SOFTWARE) is fine\n\nforum\tno\n", encoding="utf-8")
    run = Run(task="it_ner", profile="smoke", data=str(tmp_path), out=str(tmp_path / "out"))
    source = load_source(run)
    assert source["train"][0].target.tags == ("O", "B-SOFTWARE", "I-SOFTWARE") and len(source["train"]) == 2
    assert [row.extra["kind"] for row in source["validation"]] == ["bug", "forum"]
    (folder / "validation.txt").write_text("bug\t[Vim](TOOL) is fine\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"validation.txt .*unknown label 'TOOL'.*\(line 1\)"):
        load_source(run)


# -- dictionary, weak labels, resampling --------------------------------------------------------------------------------
def test_the_dictionary_knows_what_train_labelled_mostly():
    marked = ["Go/B-SOFTWARE is fast", "go home", "go away", "Visual/B-SOFTWARE Studio/I-SOFTWARE"]
    train = list(map(sentence, [*marked, "visual studio lamp"]))
    dictionary = Dictionary(train)
    assert dictionary.entries == {("go",): ("SOFTWARE", 1 / 3), ("visual", "studio"): ("SOFTWARE", 1 / 2)}
    tags = dictionary.tags("go to Visual Studio 2019 on Windows 10".split())
    assert tags == ("O", "O", "B-SOFTWARE", "I-SOFTWARE", "B-VERSION", "O", "B-OS", "B-VERSION")
    assert dictionary.tags(["Visual", "Studio"], least_share=0.6) == ("O", "O")


def test_patterns_read_versions_only_behind_what_takes_them():
    def found(text: str) -> list[str]:
        return [f"{word}/{tag}" for word, tag in zip(text.split(), rule_tags(text.split())) if tag != "O"]

    error = "java.lang.NullPointerException"
    assert found(f"HTTP 502 and {error} in room 4") == ["HTTP/B-ERROR", "502/I-ERROR", f"{error}/B-ERROR"]
    text = "Debian 12 has 12 packages , version 3 of 1.2.3"
    assert found(text) == ["Debian/B-OS", "12/B-VERSION", "3/B-VERSION", "1.2.3/B-VERSION"]


@pytest.mark.parametrize(
    "text, found",
    [
        (
            "our Dell Latitude 7440 and an Epson projector",
            ["HARDWARE Dell Latitude 7440", "HARDWARE Epson projector"],
        ),
        ("Brother HL-L2350DW jams , Dell wrote", ["HARDWARE Brother HL-L2350DW"]),
        (
            "Visual Studio Code 1.9 , not visual studio",
            ["SOFTWARE Visual Studio Code", "SOFTWARE visual studio"],
        ),
        ("Word is not a word in Word", ["SOFTWARE Word"]),
        ("it ends with Microsoft", []),
        ("open windows let the heat out , Windows does not", ["OS Windows"]),
    ],
)
def test_names_of_the_trade(text, found):
    tokens = text.split()
    assert [f"{label} {' '.join(tokens[a:b])}" for a, b, label in name_spans(tokens)] == found


def test_names_come_before_patterns_and_versions_after_both():
    assert rule_tags(["with", "Java"]) == ("O", "B-SOFTWARE"), "no longer name is read"
    tags = rule_tags("PowerShell 7.4 on Windows 11 : HTTP 502".split())
    assert [tag for tag in tags if tag != "O"] == [
        *("B-SOFTWARE", "B-VERSION", "B-OS", "B-VERSION", "B-ERROR", "I-ERROR")
    ]


def test_each_name_is_listed_in_one_writing():
    names = known_names()
    assert not {key for key in names.as_written if tuple(map(str.lower, key)) in names.any_case}
    assert set(names.any_case.values()) == {"OS", "SOFTWARE", "HARDWARE"}


def test_weak_labels_and_their_measured_precision(tmp_path):
    train = [sentence("Docker/B-SOFTWARE is down", 3), sentence("my router/B-HARDWARE hums", 4)]
    text = tmp_path / "text.txt"
    text.write_text("Docker is on every router of the house.\nNothing was said here today.\nToo short.\n")
    rows = augment.weak_rows(train, {"weak_ratio": 1.0, "unlabelled": str(text)}, random.Random(0))
    assert [(row.id, row.origin) for row in rows] == [(5, "weak")]
    assert rows[0].target.entities() == [("SOFTWARE", "Docker"), ("HARDWARE", "router")]
    assert augment.weak_rows(train, {"weak_ratio": 0.0}, random.Random(0)) == []
    quality = augment.weak_quality(train, [sentence("Docker/B-SOFTWARE on a router and Vim/B-SOFTWARE")])
    assert quality.loc["all", ["predicted", "right", "gold"]].tolist() == [2, 1, 2]
    assert quality.loc["HARDWARE", "precision"] == 0 and quality.loc["SOFTWARE", "recall"] == 0.5
    with pytest.raises(UserError, match="unlabelled='absent.txt' cannot be read"):
        augment.unlabelled_sentences("absent.txt")


def test_oversampling_meets_its_factors():
    common, rare, empty = map(sentence, (" ".join(["Vim/B-SOFTWARE"] * 4), "SIGBUS/B-ERROR", "nothing"))
    train = [common] * 400 + [rare] * 40 + [empty] * 200
    copies = augment.oversample(train, {"oversample": 1.5, "rare_boost": 0.5}, random.Random(1))
    made = {row.text: sum(one.text == row.text for one in copies) for row in (common, rare, empty)}
    assert 160 < made[common.text] < 240 and made[rare.text] == 40 and made[empty.text] == 0
    assert {row.origin for row in copies} == {"oversampled"}
    table = augment.resampling_table(train, train + copies)
    assert table.loc["ERROR"].tolist() == [40, 80, 40]
    assert table.loc["sentences without", "after"] == 200
