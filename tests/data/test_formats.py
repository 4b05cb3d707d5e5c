"""Files that people have: every form gives the same rows, faults are named by line, and no bytes end in a traceback."""

import csv
import gzip
import io
import json
import os
import re
import zlib

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.data.folders import part_file
from helpers.data.read import load_source, scan
from helpers.errors import UserError
from helpers.run import Run
from helpers.tasks import load_task
from helpers.tasks.tag_task import TagTask

CALENDAR = load_task("calendar")
TASK = TagTask(["TOOL", "PLACE"], "sheds")
SENTENCES = [
    (f"Number {at} : Orla left the hedge trimmer in Shed {at} near # 4 .", [(6, 8, "TOOL"), (9, 11, "PLACE")])
    for at in range(30)
] + [("Pass me the rake", [(3, 4, "TOOL")]), ("[ { nothing here", []), ("# stays a token", [])]


# prefixes of one word alone; of the first, the last and inner ones
SCHEMES = {"IOB2": "BBII", "IOB1": "IIII", "BILOU": "UBLI", "IOBES": "SBEI"}


def tags_of(text: str, spans, scheme: str = "IOB2") -> list[str]:
    tags, (alone, head, end, inner) = ["O"] * len(text.split()), SCHEMES[scheme]
    for start, stop, label in spans:
        size = stop - start
        prefixes = alone if size == 1 else [head, *[inner] * (size - 2), end]
        tags[start:stop] = [f"{prefix}-{label}" for prefix in prefixes]
    return tags


ROWS = [{"tokens": text.split(), "ner_tags": tags_of(text, spans)} for text, spans in SENTENCES]
WANTED = [(row["tokens"], row["ner_tags"]) for row in ROWS]


def characters(text: str, spans, units=len) -> list[list]:
    words, found = text.split(), []
    for start, end, label in spans:
        low = sum(units(word) + 1 for word in words[:start])
        found.append([low, low + units(" ".join(words[start:end])), label])
    return found


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def jsonl(rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def columns(line: str = "{word} {tag}", scheme: str = "IOB2", head: str = "", end: str = "\n") -> bytes:
    found = []
    for at, (text, spans) in enumerate(SENTENCES):
        pairs = zip(text.split(), tags_of(text, spans, scheme))
        lines = [line.format(word=word, tag=tag, at=n + 1) for n, (word, tag) in enumerate(pairs)]
        found += [*([head.format(at=at)] if head else []), *lines, ""]
    return end.join(found).encode()


def table(mark: str) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=mark)
    writer.writerow(["Sentence #", "Word", "POS", "Tag"])
    for at, row in enumerate(ROWS):
        for n, (word, tag) in enumerate(zip(row["tokens"], row["ner_tags"])):
            writer.writerow([f"Sentence: {at}" if n == 0 else "", word, "NN", tag])
    return file.getvalue().encode()


def studio(text, spans):
    results = [
        {"type": "labels", "value": {"start": low, "end": high, "text": text[low:high], "labels": [label]}}
        for low, high, label in characters(text, spans)
    ]
    return {"id": 1, "data": {"text": text}, "annotations": [{"result": results, "was_cancelled": False}]}


def objects(text, spans, names=("start", "end", "label")) -> list[dict]:
    return [dict(zip(names, span)) for span in characters(text, spans)]


FORMS = {
    "jsonl": jsonl(ROWS),
    "utf-8 with a mark and CRLF": b"\xef\xbb\xbf" + jsonl(ROWS).replace(b"\n", b"\r\n"),
    "array": json.dumps(ROWS, indent=2).encode(),
    "array, a row a line": b"[\n" + jsonl(ROWS).strip().replace(b"\n", b",\n") + b"\n]\n",
    "objects over lines": "\n".join(json.dumps(row, indent=1) for row in ROWS).encode(),
    "gzip": gzip.compress(jsonl(ROWS)),
    "other keys": jsonl(
        {"id": at, "words": r["tokens"], "tags": r["ner_tags"], "pos_tags": [0]} for at, r in enumerate(ROWS)
    ),
    "two columns, document marks": columns(head="-DOCSTART- O"),
    "three columns, tabs": columns("{word}\tNN\t{tag}"),
    "tag first": columns("{word}\t{tag}\tNN\t_"),
    "another column of tags": columns("{word} NN B-NP {tag}"),
    "another column of tags behind": columns("{word}\t{tag}\tB-NP"),
    "counted": columns("{at}\t{word}\t{tag}\tO"),
    "CRLF": b"\xef\xbb\xbf" + columns(end="\r\n"),
    "comments": columns("{word} _ {tag}", head="# sent_id = {at}\n# id x{at}\tdomain=en"),
    "IOB1": columns(scheme="IOB1"),
    "BILOU": columns(scheme="BILOU"),
    "IOBES": jsonl({"tokens": t.split(), "ner_tags": tags_of(t, s, "IOBES")} for t, s in SENTENCES),
    "CSV of words": table(","),
    "Doccano": jsonl({"id": 3, "text": t, "label": characters(t, s), "Comments": []} for t, s in SENTENCES),
    "Doccano, objects": jsonl(
        {"text": t, "entities": objects(t, s, ("start_offset", "end_offset", "label"))} for t, s in SENTENCES
    ),
    "Label Studio": json.dumps([studio(*one) for one in SENTENCES]).encode(),
    "Label Studio, short": json.dumps(
        [
            {"text": t, "label": [{**one, "labels": [one["label"]]} for one in objects(t, s)]}
            for t, s in SENTENCES
        ]
    ).encode(),
    "Prodigy": jsonl(
        {"text": t, "_input_hash": 7, "spans": objects(t, s), "answer": "accept"} for t, s in SENTENCES
    ),
}


def read(path, content: bytes, task=TASK):
    path.write_bytes(content)
    return scan(path, task)


def rows_of(found) -> list[tuple[list[str], list[str]]]:
    return [(list(row.target.tokens), list(row.target.tags)) for row in found.examples]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(tmp_path, form, capsys):
    found = read(tmp_path / "train.txt", FORMS[form])
    assert rows_of(found) == WANTED and not found.rejected and not found.faults
    said = capsys.readouterr().out
    plain = form in ("jsonl", "utf-8 with a mark and CRLF", "gzip", "other keys")
    assert said.count("\n") == (not plain)
    assert ("converted to IOB2" in said) == (form in ("IOB1", "BILOU", "IOBES"))


def test_texts_that_nobody_annotated_are_left_out_and_counted(tmp_path, capsys):
    rows = [studio(*SENTENCES[0]), {"data": {"text": "later"}, "annotations": []}]
    assert len(read(tmp_path / "train.json", json.dumps(rows).encode()).examples) == 1
    assert "1 left out" in capsys.readouterr().out


def test_a_no_break_space_is_a_token_and_part_of_an_entity(tmp_path):
    found = read(tmp_path / "train.conll", "Long\tB-TOOL\n\xa0\tI-TOOL\nspade\tI-TOOL\n\nno\tO\n".encode())
    assert [row.target.entities() for row in found.examples] == [[("TOOL", "Long spade")], []]
    assert found.examples[0].target.tokens == ("Long", "\xa0", "spade")
    assert TASK.spans(found.examples[0]) == {"TOOL": [(0, 10)], "PLACE": []}


# -- offsets ----------------------------------------------------------------------------------------------------------
EMOJI = [(f"\U0001f6a2 {text}", [(a + 1, b + 1, name) for a, b, name in spans]) for text, spans in SENTENCES]


@pytest.mark.parametrize(("units", "name"), [(len, "characters"), (utf16, "UTF-16 units")])
def test_the_unit_of_offsets_is_that_in_which_spans_are_whole_words(tmp_path, capsys, units, name):
    rows = [{"text": text, "label": characters(text, spans, units)} for text, spans in EMOJI]
    found = read(tmp_path / "train.jsonl", jsonl(rows))
    assert [row.target.entities() for row in found.examples] == [
        [(label, " ".join(text.split()[a:b])) for a, b, label in spans] for text, spans in EMOJI
    ]
    assert f"offsets in {name}" in capsys.readouterr().out


def test_where_neither_unit_fits_both_readings_are_shown(tmp_path):
    rows = [{"text": text, "label": characters(text, spans)} for text, spans in EMOJI]
    for row in rows:
        row["label"] = [[start + 2, end + 2, name] for start, end, name in row["label"]]
    both = "'dge trimmer i' counted in characters and 'edge trimmer' counted in UTF-16 units; 61 and 61 spans"
    with pytest.raises(UserError, match=rf"line 1: \[29, 42, 'TOOL'\] is {both}"):
        read(tmp_path / "train.jsonl", jsonl(rows))


def test_a_span_that_fits_no_words_is_named_and_costs_its_row_alone(tmp_path):
    faults = {
        r"span 1–4 \(TOOL\) is 'ake', which cuts 'rake'|'rak": [1, 4, "TOOL"],
        "span 0–99 does not lie in the text, which ends at 16": [0, 99, "TOOL"],
        "one label": [0, 4, ""],
        r"a span is \[start, end, label\]": [0, 4],
        "unknown label 'HUT'": [0, 4, "HUT"],
    }
    rows = [{"text": f"rake {at} in the shed", "label": [[0, 4, "TOOL"]]} for at in range(120)]
    rows += [{"text": "rake in the shed", "label": [span]} for span in faults.values()]
    found = read(tmp_path / "train.jsonl", jsonl(rows))
    assert len(found.examples) == 120 and not found.faults
    for line, (reason, bad) in enumerate(zip(faults, found.rejected, strict=True), start=121):
        assert bad["line"] == line and re.search(reason, bad["reason"])


def test_spans_of_a_json_task_are_values(tmp_path):
    text = "Lunch with Ann at Hut 4"
    row = {"text": text, "label": [[0, 5, "action"], [11, 14, "attendees"], [18, 23, "location"]]}
    (example,) = read(tmp_path / "train.jsonl", jsonl([row]), CALENDAR).examples
    found = {name: value for name, value in example.target.items() if value}
    assert found == {"action": "Lunch", "attendees": ["Ann"], "location": "Hut 4"}


NAMES = ["O", "B-TOOL", "I-TOOL", "B-PLACE", "I-PLACE"]
NUMBERED = [
    {"tokens": row["tokens"], "ner_tags": [NAMES.index(tag) for tag in row["ner_tags"]]} for row in ROWS
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("label_names.json", json.dumps(NAMES)),
        ("features.json", json.dumps({"ner_tags": {"feature": {"names": NAMES, "_type": "ClassLabel"}}})),
        ("label_names.json", json.dumps({str(at): tag for at, tag in enumerate(NAMES)})),
    ],
)
def test_numbers_get_their_names_from_a_file_beside(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert rows_of(read(tmp_path / "train.jsonl", jsonl(NUMBERED))) == WANTED


def test_numbers_without_names_say_what_to_do(tmp_path):
    found = read(tmp_path / "train.jsonl", jsonl(NUMBERED))
    assert "tags are numbers without names: put label_names.txt beside the file" in found.faults
    assert found.faults.count("without names") == 1, "said once for all rows"


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_folder_of_datasets_is_read_with_its_names(tmp_path, form):
    features = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=NAMES))})
    data = Dataset.from_list(NUMBERED, features)
    if form == "arrow":
        DatasetDict({"train": data}).save_to_disk(tmp_path)
    for at in range(2 * (form == "parquet")):
        data.shard(2, at, contiguous=True).to_parquet(tmp_path / f"train-0000{at}-of-00002.parquet")
    assert rows_of(scan(part_file(tmp_path, "train"), TASK)) == WANTED


def test_a_table_gives_rows_with_a_column_a_field(tmp_path):
    names = ["event_text", *CALENDAR.fields, "remark"]
    row = ["Lunch, with Ann; on 3 May 2027", "Lunch", "03/05/2027", "", "Ann; Bo", "", "", "", "", "x"]
    for mark, ending in ((",", "csv"), ("\t", "tsv"), (";", "csv")):
        file = io.StringIO()
        csv.writer(file, delimiter=mark).writerows([names, row, row[:4]])
        found = read(tmp_path / f"train.{ending}", file.getvalue().encode(), CALENDAR)
        (event,), (bad,) = found.examples, found.rejected
        assert event.text == row[0] and event.target["attendees"] == ["Ann", "Bo"]
        assert (bad["line"], bad["reason"]) == (3, "4 cells under 10 headings")


# -- what is refused --------------------------------------------------------------------------------------------------
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path):
    for content, reason in (
        (b"PK\x03\x04rest", "ZIP archive or an Excel file"),
        (zlib.compress(b"\x85\xa7version\xa30.1\xa5attrs\x9a"), "spaCy DocBin: write it as JSON lines"),
        (gzip.compress(jsonl(ROWS))[:40], "cannot be read"),
        (json.dumps(ROWS, indent=1).encode()[:-9], r"malformed JSON.* line"),
    ):
        with pytest.raises(UserError, match=reason) as caught:
            read(tmp_path / "train.json", content)
        assert "\n" not in str(caught.value) and "train.json" in str(caught.value)


def run_on(tmp_path, **files: bytes) -> Run:
    folder = tmp_path / "in" / "sheds"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return Run(TASK, "smoke", str(tmp_path / "in"), str(tmp_path / "out"))


def test_all_faults_of_all_files_are_said_at_once_by_kind(tmp_path):
    rows = [{**row, "ner_tags": row["ner_tags"][:-1]} if at % 3 else row for at, row in enumerate(ROWS)]
    rows[0] = {"tokens": ["a"], "ner_tags": ["B-HUT"]}
    with pytest.raises(UserError) as caught:
        load_source(run_on(tmp_path, train_jsonl=jsonl(rows[:10])))
    said = str(caught.value)
    assert "7 of 10 rows" in said and "(lines 2, 3, 5, 6, 8 and 1 more)" in said
    assert "unknown label 'HUT': choose from TOOL, PLACE (line 1)" in said
    assert "validation.jsonl is missing" in said and "rejected.jsonl" in said


def test_a_row_with_a_key_twice_is_set_aside_and_stops_nothing(tmp_path, capsys):
    lines = jsonl(ROWS).split(b"\n")
    for at in (2, 5, 9):
        lines[at] = lines[at].replace(b'"ner_tags"', b'"tokens": [], "ner_tags"', 1)
    parts = load_source(run_on(tmp_path, train_jsonl=b"\n".join(lines), dev_conll=columns()))
    sizes = {part: len(rows) for part, rows in parts.items()}
    assert sizes == {"train": len(ROWS) - 3, "validation": len(ROWS)}
    said = capsys.readouterr().out
    assert "3 rows set aside: key 'tokens' stands twice in one object (lines 3, 6, 10)" in said


# -- any bytes --------------------------------------------------------------------------------------------------------
EVENTS = [
    {
        "event_text": f"Budget talk {at} with Mara",
        "output": {**dict.fromkeys(CALENDAR.fields), "action": f"Budget talk {at}", "attendees": ["Mara"]},
    }
    for at in range(30)
]
EVENT_TABLE = [",".join(["event_text", *CALENDAR.fields])]
EVENT_TABLE += [f"{row['event_text']},{row['output']['action']},,,Mara,,,," for row in EVENTS]
EVENT_FORMS = {
    "events": jsonl(EVENTS),
    "event array": json.dumps(EVENTS, indent=1).encode(),
    "event table": "\n".join(EVENT_TABLE).encode(),
}
PIECES = [b"\n", b"\r\n", b"\xff", b"\0", b"NaN", b"9" * 5000, b"\\ud800", b'"tokens": [],', b" "]
PIECES += map(str.encode, '\t " { } [ ] , ; # O B-TOOL X-TOOL -DOCSTART- \xa0 \u2028'.split(" "))


@st.composite
def mutated(draw):
    """(form, its content after some changes)."""
    form = draw(st.sampled_from([*FORMS, *EVENT_FORMS]))
    content = (FORMS | EVENT_FORMS)[form]
    packed = content.startswith(b"\x1f\x8b")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        end = at + draw(st.sampled_from([0, 0, 1, 2, 30]))
        content = content[:at] + draw(st.sampled_from([b"", *PIECES]) | st.binary(max_size=3)) + content[end:]
    encoding = draw(st.sampled_from([None] * 8 + ["utf-16", "latin-1", "utf-8-sig", "gzip"]))
    if encoding == "gzip":
        content = gzip.compress(content)
    elif encoding and not packed:
        content = content.decode("utf-8", errors="replace").encode(encoding, errors="replace")
    return form, content


def good_lines(form: str, content: bytes) -> set[str]:
    """What a reader without ambition is sure of: lines of JSON that are as they were."""
    if form not in ("jsonl", "events", "Doccano", "Prodigy", "IOBES"):
        return set()
    before = set((FORMS | EVENT_FORMS)[form].split(b"\n"))
    lines = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line in before and line]
    rows = map(json.loads, lines)
    return {" ".join(row.get("tokens", ())) or row.get("event_text") or row["text"] for row in rows}


@settings(max_examples=int(os.environ.get("STUDY_FUZZ", 150)), deadline=None)
@given(mutated())
def test_any_file_loads_or_ends_in_one_line(tmp_path_factory, case):
    form, content = case
    task = CALENDAR if form in EVENT_FORMS else TASK
    path = tmp_path_factory.mktemp("fuzz") / "train.txt"
    path.write_bytes(content)
    try:
        found = scan(path, task)
    except UserError as error:
        assert "\n" not in str(error) and "train.txt" in str(error)
        return
    assert "\n" not in found.faults
    plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    read = [(row.text, row.target if task is CALENDAR else list(row.target.tags)) for row in found.examples]
    known = {row["event_text"]: row["output"] for row in EVENTS}
    known |= {" ".join(tokens): tags for tokens, tags in WANTED}
    assert all((text, known[text]) in read for text in good_lines(form, plain))
