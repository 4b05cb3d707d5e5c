"""The hub's copy of the public IT sentences: read from a folder, from the hub, and refused in one line."""

from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value

from helpers.data.read import load_source, source_files
from helpers.errors import UserError
from helpers.run import Run
from helpers.tasks.it_ner.sources import COARSE_LABEL, split_hub

COMMIT = "a" * 40
TAGS = ["O", *(f"{prefix}-{label}" for label in (*COARSE_LABEL, "Data_Type") for prefix in "BI")]
ALL = [(f"word{at}", f"B-{label}") for at, label in enumerate(COARSE_LABEL)]
MIXED = [("Use", "O"), ("Visual", "B-Application"), ("C++", "B-Language"), ("int", "B-Data_Type")]
ROWS = {
    "train": [ALL, MIXED],
    "validation": [[("on", "O"), ("Linux", "B-Operating_System")]],
    "test": [[("no", "O"), ("entity", "O")]],
}


def save(folder: Path, parts=tuple(ROWS), classes: bool = True) -> Path:
    """Parquet files under the names that the hub gives them; tags as numbers of classes, or as text."""
    tags = ClassLabel(names=TAGS) if classes else Value("string")
    features = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(tags)})
    (folder / "data").mkdir(parents=True)
    for part in parts:
        rows = [dict(zip(("tokens", "ner_tags"), map(list, zip(*sentence)))) for sentence in ROWS[part]]
        Dataset.from_list(rows, features).to_parquet(folder / "data" / f"{part}-00000-of-00001.parquet")
    return folder


def public_run(tmp_path: Path, source: object) -> Run:
    return Run("it_ner", "smoke", "public", str(tmp_path / "out"), {"public_source": str(source)})


def check(parts) -> None:
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 2, "validation": 1, "test": 1}
    merged = parts["train"][1].target.tags
    assert merged == ("O", "B-SOFTWARE", "I-SOFTWARE", "O"), "adjacent tokens of one label are one entity"
    assert parts["train"][1].extra["fine_tags"] == ("O", "B-Application", "B-Language", "B-Data_Type")
    assert parts["validation"][0].target.entities() == [("OS", "Linux")]
    assert parts["test"][0].extra["fine_tags"] == ("O", "O"), "known also where every token is outside"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("classes", [True, False])
def test_a_copy_in_a_folder_is_read_and_mapped(tmp_path, classes, capsys):
    folder = save(tmp_path / "copy", classes=classes)
    check(load_source(public_run(tmp_path, folder)))
    shown = capsys.readouterr().out
    assert "Licence: MIT" in shown and folder.as_posix() in shown


def test_sources_do_not_meet_in_the_cache(tmp_path):
    files = source_files(public_run(tmp_path, save(tmp_path / "copy")))
    less = save(tmp_path / "less", ("train", "validation"))
    assert list(load_source(public_run(tmp_path, less))) == ["train", "validation"]
    assert len(files) == 3 and all(file.exists() for file in files.values()), "another run may read them"


def test_what_is_no_such_data_set_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for source, message in (
        ("nowhere", "no folder 'nowhere': public_source is files, hub, or a folder"),
        (tmp_path / "empty", "holds no data set that can be read"),
        (save(tmp_path / "alone", ["train"]), "alone has no validation part"),
    ):
        with pytest.raises(UserError, match=message):
            load_source(public_run(tmp_path, source))
    for tokens, message in (
        ("tokens", "no row .* has the label Application, but OS"),
        ("words", "no columns tokens"),
    ):
        with pytest.raises(UserError, match=message):
            split_hub({"train": [{tokens: ["a"], "ner_tags": ["B-OS"]}]})


def test_the_hub_is_asked_for_no_scripts_and_its_commit_shown(tmp_path, capsys, monkeypatch):
    folder, asked = save(tmp_path / COMMIT), []
    download = lambda *name, **how: asked.append((*name, how)) or str(folder)  # noqa: E731
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    check(load_source(public_run(tmp_path, "hub")))
    assert f"mrm8488/stackoverflow-ner of the hub, commit {COMMIT}" in capsys.readouterr().out
    ((name, how),) = asked
    assert (name, how["repo_type"]) == ("mrm8488/stackoverflow-ner", "dataset")
    assert not any(pattern.endswith((".py", "*")) for pattern in how["allow_patterns"])


@pytest.mark.parametrize("offline", [True, False])
def test_without_the_hub_one_line_says_what_to_do(tmp_path, monkeypatch, offline):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="cannot download data set mrm8488/.*: go online, or") as caught:
        load_source(public_run(tmp_path, "hub"))
    assert "\n" not in str(caught.value)
