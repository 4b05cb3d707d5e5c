"""What is said about rows that can be read but are odd or wrong, and when a run stops."""

import json
import random

import pytest

from helpers.data.checks import check_rows
from helpers.data.read import load_source
from helpers.data.splits import make_splits
from helpers.errors import UserError
from helpers.run import Run
from helpers.tasks import load_task

FIELDS = load_task("calendar").fields
WORDS = "alder birch cedar damson elm fir gorse hazel iris juniper kale larch maple nettle oak pine".split()


def event(at: int, text: str = "", **output) -> dict:
    text = text or " ".join(random.Random(at).sample(WORDS, 9))
    return {"event_text": text, "output": {**dict.fromkeys(FIELDS), "action": text.split()[0], **output}}


def checked(tmp_path, train, validation=(), **settings):
    folder = tmp_path / "in" / "calendar"
    folder.mkdir(parents=True)
    parts = {"train": train, "validation": validation or [event(90 + at) for at in range(3)]}
    for part, rows in parts.items():
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = Run("calendar", "smoke", str(tmp_path / "in"), str(tmp_path / "out"), {"max_rows": 0, **settings})
    source = load_source(run)
    return check_rows(run, source, make_splits(run, source)), source


MANY = [event(at) for at in range(60)]


def test_every_kind_is_counted_with_lines_and_examples(tmp_path, capsys):
    rowing = "Rowing on the lower lake at dawn on 3 May 2027"
    odd = [
        event(0, "Lunch with Orla at the mill on 25/12/2027", location="ill"),
        event(0, "Supper with Orla at the mill", location="Mill Lane"),
        event(0, "Choir in the old chapel", location="chapel", notes="chapel"),
        event(0, "Chess in the reading corner on 12/25/2027", duration=""),
        event(0, "Yoga with Ann in the long barn at noon", attendees=["Ann"]),
        event(0, "Yoga with Bob in the long barn at noon", attendees=["Bob"]),
        *[event(0, rowing)] * 2,
    ]
    validation = [event(0, rowing.replace("3", "4"), location="ake"), event(91), event(92)]
    table, _ = checked(tmp_path, MANY + odd, validation)
    shown = table["examples"].to_dict()
    assert table["rows"]["value cuts words of the text"] == 2
    for kind, said in {
        # what held-out rows say is not shown
        "value cuts words of the text": "train line 61: 'ill'; validation line 1",
        "value is not in the text": "train line 62: 'Mill Lane'",
        "one value in two fields": "train line 63: 'chapel' in location and notes",
        "empty value": "train line 64: duration",
        "date that can only be read day first": "train line 61: 25/12/2027",
        "date that can only be read month first": "train line 64: 12/25/2027",
        "like a row of another part": "validation line 1",
    }.items():
        assert shown[kind] == said
    assert all(f"Yoga with {name}" in shown["same words, other labels"] for name in ("Ann", "Bob"))
    assert shown["repeat, left out"].startswith("train line 68: ")
    assert "--set split=groups" in capsys.readouterr().out


def test_labels_moved_by_an_offset_stop_the_run_and_may_be_let_through(tmp_path):
    rows = [event(at, f"{WORDS[at % 16]} meeting number {at}", location="eetin") for at in range(4)]
    said = r"train: 4 values in 4 rows are no whole words .*line 61: 'eetin'.*checks=warn"
    with pytest.raises(UserError, match=said):
        checked(tmp_path, MANY + rows)
    table, _ = checked(tmp_path / "again", MANY + rows, checks="warn")
    assert table.loc["value cuts words of the text", "rows"] == 4


def test_given_parts_are_dealt_anew_by_wording_where_asked(tmp_path):
    series = [event(at, f"Rowing on the lower lake at {at} o'clock") for at in range(8)]
    table, source = checked(tmp_path, MANY + series[:5], series[5:], split="groups")
    assert list(source) == ["all"] and [row.id for row in source["all"]] == list(range(68))
    assert "like a row of another part" not in table.index
