"""Loading: what is refused, what is kept, and what the user is told."""

import hashlib
import json
import random
import re
from pathlib import Path

import pytest
from tiny_task import TinyTask

from helpers.data.read import fingerprint, is_public, load_source, read_jsonl, scan, write_jsonl
from helpers.errors import UserError
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks import load_task
from helpers.tasks.base import Public, PublicFile
from helpers.tasks.text import word_spans

TASK = load_task("calendar")
ABSENT = dict.fromkeys(TASK.fields)


def line(text: str, **output) -> bytes:
    row = {"event_text": text, "output": {**ABSENT, "action": "Lunch", **output}}
    return json.dumps(row, ensure_ascii=False).encode()


def many(count: int = 40) -> list[bytes]:
    return [line(f"Lunch number {number}") for number in range(count)]


def put(path: Path, lines: list[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def run_on(tmp_path: Path, **files: list[bytes]) -> Run:
    for part, lines in files.items():
        put(tmp_path / "in" / "calendar" / f"{part}.jsonl", lines)
    (tmp_path / "in").mkdir(exist_ok=True)
    return Run("calendar", data=str(tmp_path / "in"), out=str(tmp_path / "out"))


BAD = {
    "malformed JSON": b'{"event_text": "Lunch", "output": {',
    "notes": line("Lunch").replace(b', "notes": null', b""),
    "attendees": line("Lunch", attendees="Ann"),
    "not UTF-8: byte 0xe9": line("Lunch at Café").decode().encode("latin-1"),
    "row should be an object, got list": b'["Lunch"]',
    "NaN": line("Lunch").replace(b'"Lunch"', b"NaN", 1),
    "surrogate": line("Lunch").replace(b"Lunch", b"\\ud800", 1),
    "nested too deeply": b"[" * 100_000,
}


def test_bad_rows_are_kept_apart_with_line_and_reason_and_cost_no_good_row(tmp_path):
    lines = many(200)
    path = put(tmp_path / "rows.jsonl", [*lines[:3], b"", b"   ", *BAD.values(), *lines[3:]])
    found = scan(path, TASK)
    assert [example.text for example in found.examples] == [f"Lunch number {number}" for number in range(200)]
    assert [example.id for example in found.examples] == [0, 1, 2, *range(11, 208)], (
        "bad rows have an index too"
    )
    assert [bad["line"] for bad in found.rejected] == list(range(6, 14)) and not found.faults
    for reason, bad in zip(BAD, found.rejected):
        assert reason in bad["reason"] and "\n" not in bad["reason"] and bad["file"].endswith("rows.jsonl")


def test_rejected_rows_are_written_as_they_stand_in_the_file(tmp_path):
    run = run_on(tmp_path, train=[*many(), b"{oops \xff", b"{also"], validation=[*many(20), b"null"])
    assert {part: len(rows) for part, rows in load_source(run).items()} == {"train": 40, "validation": 20}
    rejected = [
        (bad["file"][-11:], bad["line"], bad["row"]) for bad in read_jsonl(run.path("rejected.jsonl"))
    ]
    assert rejected[:2] == [("train.jsonl", 41, "{oops \\xff"), ("train.jsonl", 42, "{also")]
    assert rejected[2:] == [("ation.jsonl", 21, "null")]
    load_source(run_on(tmp_path, train=many(), validation=many(3)))
    assert run.path("rejected.jsonl").read_bytes() == b"", "those of an earlier run are gone"


@pytest.mark.parametrize(
    ("good", "bad", "stops"), [(19, 1, False), (18, 1, True), (38, 2, False), (37, 2, True)]
)
def test_more_than_five_percent_bad_rows_stop_the_run(tmp_path, good, bad, stops):
    found = scan(put(tmp_path / "rows.jsonl", many(good) + [b"{"] * bad), TASK)
    assert (len(found.examples), len(found.rejected)) == (good, bad)
    said = rf"{bad} of {good + bad} rows of .*rows\.jsonl .*malformed JSON.*line{'s' * (bad > 1)} {good + 1}"
    assert bool(re.match(said, found.faults)) == stops == bool(found.faults)


def test_a_file_without_any_readable_row_is_one_clear_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    for content, message in (
        (b"", "is empty"),
        (b"\n \r\n\n", "is empty"),
        (line("Lunch").decode().encode("utf-16"), "not UTF-8 but looks like UTF-16"),
        (line("Lunch").decode().encode("utf-32"), "not UTF-8 but looks like UTF-16 or UTF-32"),
        (b"\n".join([line("Café").decode().encode("latin-1")] * 3), "is not UTF-8 text"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"rows\.jsonl.*{message}") as error:
            scan(path, TASK)
        assert "\n" not in str(error.value)


# -- sources ----------------------------------------------------------------------------------------------------------
def test_the_sample_is_as_its_card_states_and_every_span_a_piece_of_its_text(tmp_path):
    parts = load_source(Run("calendar", out=str(tmp_path)))
    examples = parts.pop("all")
    assert not parts and (tmp_path / "artifacts" / "calendar" / "rejected.jsonl").read_bytes() == b""
    card = (ROOT / "data" / "calendar" / "README.md").read_text(encoding="utf-8")
    assert f"holds {len(examples)} short texts" in card
    stated = re.findall(r"^\| ([\d.]+ % .*) \|$", card, flags=re.M)
    (shares,) = [[float(cell.strip(" %")) for cell in row.split("|")] for row in stated]
    for name, wanted in zip(TASK.fields, shares, strict=True):
        share = 100 * sum(bool(example.target[name]) for example in examples) / len(examples)
        assert share == pytest.approx(wanted, abs=0.06), name
    for example in examples:
        for name, values in TASK.values(example.target).items():
            if name not in ("date", "time"):
                assert all(word_spans(value, example.text) for value in values), example


@pytest.mark.parametrize(
    ("task", "data", "files", "message"),
    [
        ("calendar", "in", {}, "has no folder 'calendar'"),
        ("calendar", "in", {"train": many()}, r"calendar/validation\.jsonl is missing"),
        ("calendar", "in", {"train": many(), "validation": many(), "test": []}, r"test\.jsonl is empty"),
        ("calendar", "sampel", {}, "no data folder 'sampel': give sample, public or a folder"),
        (TinyTask(), "public", {}, "no public data for task 'tiny'"),
    ],
)
def test_a_source_without_what_is_needed_is_one_line(tmp_path, monkeypatch, task, data, files, message):
    run_on(tmp_path, **files)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        load_source(Run(task, data=data, out=str(tmp_path / "out")))


# -- public data ------------------------------------------------------------------------------------------------------
ROWS = [{"text": f"row {number}", "target": dict.fromkeys(TinyTask().fields)} for number in range(10)]
CONTENT = "\n".join(map(json.dumps, ROWS)).encode()
PLACE = "owner/repository/abc/rows.jsonl"
FILE = PublicFile("rows.jsonl", PLACE, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class PublicTask(TinyTask):
    PUBLIC = Public((FILE,), train=fingerprint(ROWS[:6]), licence="MIT", citation="A. Author, Rows")

    def split_public(self, files):
        rows = [json.loads(text) for text in files["rows.jsonl"].splitlines()]
        return {"train": rows[4:], "validation": rows[2:4], "test": rows[:2]}


@pytest.fixture
def server(web):
    """The file that the local web server serves, and the paths it was asked for."""
    folder, requests = web
    served = folder / PLACE
    served.parent.mkdir(parents=True)
    served.write_bytes(CONTENT)
    return served, requests


def test_public_data_is_downloaded_once_and_its_licence_shown(server, tmp_path, capsys):
    _, requests = server
    run = Run(PublicTask(), data="public", out=str(tmp_path / "out"))
    for _ in range(2):
        parts = load_source(run)
        shown = capsys.readouterr().out
        assert "Licence: MIT" in shown and "A. Author, Rows" in shown
    assert requests == ["/owner/repository/abc/rows.jsonl"]
    assert [row.text for row in parts["train"]] == [f"row {at}" for at in range(4, 10)]
    assert [(row.id, row.text) for row in parts["test"]] == [(0, "row 0"), (1, "row 1")]
    (tmp_path / "cache" / "tiny" / "rows.jsonl").write_bytes(CONTENT[:50])
    assert len(load_source(run)["train"]) == 6 and len(requests) == 2, "a damaged copy is downloaded again"


def test_changed_public_data_is_refused_and_not_cached(server, tmp_path):
    served, _ = server
    served.write_bytes(CONTENT + b"\n{}")
    with pytest.raises(UserError, match="is not the pinned file"):
        load_source(Run(PublicTask(), data="public", out=str(tmp_path / "out")))
    assert not (tmp_path / "cache" / "tiny" / "rows.jsonl").exists()


@pytest.mark.parametrize("address", [None, "http://127.0.0.1:9"])
def test_no_such_public_file_and_no_server(server, tmp_path, monkeypatch, address):
    server[0].unlink()
    if address:
        monkeypatch.setenv("STUDY_PUBLIC_URL", address)
    with pytest.raises(UserError, match=r"cannot download .*rows\.jsonl.*--data sample"):
        load_source(Run(PublicTask(), data="public", out=str(tmp_path / "out")))


def test_public_calendar_rows_are_split_as_published_results_need_it():
    numbers = list(range(792))
    rows = "\n".join(json.dumps({"event_text": str(number)}) for number in numbers).encode()
    parts = TASK.hooks.split_public({"event_text_mapping.jsonl": rows})
    random.Random(42).shuffle(numbers)
    wanted = {"test": numbers[:119], "validation": numbers[119:238], "train": numbers[238:]}
    assert {part: [int(row["event_text"]) for row in rows] for part, rows in parts.items()} == wanted


def test_public_rows_are_known_wherever_they_come_from(tmp_path):
    same = [json.dumps(row, sort_keys=True).encode() for row in ROWS[:6]]
    for name, own in {"same": same, "other": same[:5], "broken": [b"{"]}.items():
        put(tmp_path / name / "tiny" / "train.jsonl", own)
    wanted = {str(tmp_path / "same"): True, str(tmp_path / "other"): False, str(tmp_path / "broken"): False}
    for place, known in (wanted | {"public": True, "sample": False}).items():
        assert is_public(Run(PublicTask(), data=place, out=str(tmp_path))) is known, place
    assert not is_public(Run(TinyTask(), data=str(tmp_path / "same"), out=str(tmp_path)))


def test_an_interrupted_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"text": "é"}])

    def broken():
        yield {"text": "new"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(path, broken())
    assert read_jsonl(path) == [{"text": "é"}] and [file.name for file in tmp_path.iterdir()] == [path.name]
