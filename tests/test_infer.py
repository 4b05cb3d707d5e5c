"""Labelling from the command line: answers point into the original text, each line is answered once, also after a kill."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from echo import Echo
from hypothesis import given
from hypothesis import strategies as st

from helpers import infer
from helpers.errors import UserError
from helpers.paths import ROOT
from helpers.serve.predictor import origins, to_original
from helpers.tasks.text import normalise

SLOWLY = """
import sys
sys.path[:0] = ["tests"]
from pathlib import Path
from echo import Echo
from helpers import infer
from helpers.command import start
start(lambda: infer.label_file(Echo(seconds=0.02), *map(Path, sys.argv[1:]), batch=5, progress=False) and None, [])
"""
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def source(tmp_path):
    return tmp_path / "in.jsonl"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


def bad_lines(out):
    return read(infer.beside(out, ".bad.jsonl"))


def label(source, out, predictor=None, **more):
    return infer.label_file(predictor or Echo(), source, out, progress=False, **more)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@given(st.text(max_size=40))
def test_every_sign_read_has_an_origin_in_order(text):
    reading = normalise(text)
    found = origins(text, reading)
    assert len(found) == len(reading) and [start for start, _ in found] == sorted(start for start, _ in found)
    assert all(0 <= start <= end <= len(text) for start, end in found)


@pytest.mark.parametrize(
    "text, value, original",
    [
        ("  Lunch\t\twith  Zoe\u0308 ", "Zoë", "Zoe\u0308"),
        ("call “Ana” at 9\u202fam sharp", '"Ana" at 9 am', "“Ana” at 9\u202fam"),
        ("a  “½ hour”\u00a0\u2009Zoe\u0308 ﬁle\n", "Zoë file", "Zoe\u0308 ﬁle"),
        ("a  “½ hour”\u00a0\u2009ﬁle", "file", "ﬁle"),
    ],
)
def test_spans_point_to_what_the_user_wrote(text, value, original):
    reading = normalise(text)
    at = reading.index(value)
    start, end = to_original((at, at + len(value)), origins(text, reading))
    assert text[start:end] == original


LINES = [
    '{"text": "one", "id": "a"}',
    "",
    "{broken",
    '{"event_text": "two"}',
    '"three"',
    "[1]",
    '{"text": 4}',
]
LINES += ['{"text": ""}', '{"text": "four"}', '{"text": "a", "text": "b"}']


def test_lines_are_answered_in_order_and_bad_ones_kept_aside_by_number(source, out):
    source.write_bytes("\n".join(LINES).encode() + b"\n\xff\n")
    assert label(source, out, batch=2) == {"answered": 4, "bad": 6, "before": 0}
    answers = {row["line"]: row["fields"]["action"] for row in read(out)}
    assert answers == {1: "one", 4: "two", 5: "three", 9: "four"} and read(out)[0]["id"] == "a"
    bad = {row["line"]: row["reason"] for row in bad_lines(out)}
    assert list(bad) == [3, 6, 7, 8, 10, 11]
    words = ("not JSON", "list", "text", "empty", "twice", "UTF-8")
    assert all(word in reason for word, reason in zip(words, bad.values()))


def test_memory_holds_one_batch_and_long_lines_are_not_read_whole(source, out, monkeypatch):
    monkeypatch.setattr(infer, "LONGEST_LINE", 100)
    predictor = Echo()
    source.write_text("".join(f'"{"x" * (500 if at == 7 else 3)}"\n' for at in range(20)))
    with source.open("rb") as file:
        assert max(map(len, infer.raw_lines(file))) == 101
    assert label(source, out, predictor, batch=4)["bad"] == 1 and max(map(len, predictor.batches)) <= 4
    assert "longer" in bad_lines(out)[0]["reason"]


def whole_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_killed_run_goes_on_and_answers_each_line_once(source, out):
    lines = ["{bad" if at % 7 == 3 else f'{{"text": "event {at}"}}' for at in range(300)]
    source.write_text("\n".join(lines))
    for _ in range(3):
        before, deadline = whole_lines(out), time.monotonic() + 300
        process = subprocess.Popen([sys.executable, "-c", SLOWLY, source, out], env=ENV, cwd=ROOT)
        while whole_lines(out) < before + 40 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL and before < whole_lines(out) < 257
        with out.open("ab") as file:
            file.write(b'{"line": 29')  # as if the kill had come in the middle of a line
    label(source, out)
    answered, bad = read(out), bad_lines(out)
    assert [row["line"] for row in answered] == [at + 1 for at in range(300) if at % 7 != 3]
    assert [row["line"] for row in bad] == [at + 1 for at in range(300) if at % 7 == 3]
    assert all(row["fields"]["action"] == f"event {row['line'] - 1}" for row in answered)


def test_another_model_input_or_process_does_not_go_on_with_an_output(source, out, tmp_path):
    source.write_text('"a"\n"b"\n')
    label(source, out)
    other = Echo()
    other.version = "2"
    with pytest.raises(UserError, match="another model"):
        label(source, out, other)
    label(source, out, other, force=True)
    assert len(read(out)) == 2
    for content in ('"a"\n"c"\n', '"a"\n'):
        source.write_text(content)
        with pytest.raises(UserError, match="another content"):
            label(source, out, other)
    foreign, busy = tmp_path / "notes.jsonl", tmp_path / "busy"
    foreign.write_text("my notes\n")
    with pytest.raises(UserError, match="is there already"):
        label(source, foreign)
    assert foreign.read_text() == "my notes\n"
    with infer.Output(busy, source, "m"), pytest.raises(UserError, match="another process"):
        label(source, busy)


def test_a_file_that_has_grown_is_continued_unless_its_last_line_may_have(source, out):
    for content, answered, before in (('"a"\n"b"\n', 2, 0), ('"a"\n"b"\n"c"', 1, 2), ('"a"\n"b"\n"c"', 0, 3)):
        source.write_text(content)
        assert label(source, out) == {"answered": answered, "bad": 0, "before": before}
    source.write_text('"a"\n"b"\n"c" \n"d"\n')
    with pytest.raises(UserError, match="another content"):
        label(source, out)


def test_a_full_disk_is_one_line_and_with_room_each_line_is_answered_once(source, out):
    source.write_text("".join(f'"event {at}"\n' for at in range(40)))
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); {SLOWLY}"
    command = [sys.executable, "-c", limited, str(source), str(out)]
    done = subprocess.run(command, env=ENV, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert 0 < out.stat().st_size <= 4096
    label(source, out)
    assert [row["line"] for row in read(out)] == list(range(1, 41))


def test_every_input_has_an_output_of_its_own(tmp_path):
    first, second, link = (tmp_path / name for name in ("in.jsonl", "b/in.jsonl", "link.jsonl"))
    second.parent.mkdir()
    for path in (first, second):
        path.write_text('"a"\n')
    link.symlink_to(first)
    for files, out, words in (
        ([first, second], tmp_path / "out", "one name"),
        ([first], link, "is an input"),
        ([tmp_path / "none"], tmp_path / "out", "no file"),
        ([first], None, "needs --out"),
    ):
        with pytest.raises(UserError, match=words):
            infer.targets_of(files, out)
    assert infer.targets_of([first], tmp_path / "b") == {first: second}


def test_shares_of_several_processes_join_to_the_whole(source, out, tmp_path):
    whole = tmp_path / "whole.jsonl"
    source.write_text("\n".join(LINES * 5))
    label(source, whole)
    for rank in (2, 0, 1):
        assert not infer.join_shares(out, 3)
        label(source, infer.share(out, rank, 3), batch=2, rank=rank, world=3)
    assert infer.join_shares(out, 3)
    for ending in ("", ".bad.jsonl"):
        assert infer.beside(out, ending).read_bytes() == infer.beside(whole, ending).read_bytes()
