"""The hub's copy of the public IT sentences: read from a folder, from a local hub, and refused in one line."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value

from helpers.data.read import load_source
from helpers.errors import UserError
from helpers.run import Run
from helpers.tasks import load_task
from helpers.tasks.it_ner.sources import COARSE_LABEL, split_hub

COMMIT = "a" * 40
TAGS = ["O", *(f"{prefix}-{label}" for label in (*COARSE_LABEL, "Data_Type") for prefix in "BI")]
ALL = [(f"word{at}", f"B-{label}") for at, label in enumerate(COARSE_LABEL)]
ROWS = {
    "train": [
        ALL,
        [("Use", "O"), ("Visual", "B-Application"), ("C++", "B-Language"), ("int", "B-Data_Type")],
    ],
    "validation": [[("on", "O"), ("Linux", "B-Operating_System")]],
    "test": [[("no", "O"), ("entity", "O")]],
}


def save(folder: Path, rows=None, classes: bool = True) -> Path:
    """Parquet files under the names that the hub gives them; tags as numbers of classes, or as text."""
    features = Features(
        {
            "tokens": Sequence(Value("string")),
            "ner_tags": Sequence(ClassLabel(names=TAGS) if classes else Value("string")),
        }
    )
    (folder / "data").mkdir(parents=True)
    for part, sentences in (rows or ROWS).items():
        columns = {
            "tokens": [[word for word, _ in one] for one in sentences],
            "ner_tags": [[tag for _, tag in one] for one in sentences],
        }
        Dataset.from_dict(columns, features).to_parquet(
            str(folder / "data" / f"{part}-00000-of-00001.parquet")
        )
    return folder


def public_run(tmp_path: Path, source: object) -> Run:
    return Run(
        "it_ner",
        profile="smoke",
        data="public",
        out=str(tmp_path / "out"),
        settings={"public_source": str(source)},
    )


def check(parts) -> None:
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 2, "validation": 1, "test": 1}
    assert parts["train"][1].target.tags == ("O", "B-SOFTWARE", "I-SOFTWARE", "O"), (
        "adjacent tokens of one label merged"
    )
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


def test_a_part_of_another_source_does_not_stay_in_the_cache(tmp_path):
    load_source(public_run(tmp_path, save(tmp_path / "copy")))
    less = save(tmp_path / "less", {part: ROWS[part] for part in ("train", "validation")})
    assert list(load_source(public_run(tmp_path, less))) == ["train", "validation"]


def test_other_labels_or_columns_are_refused():
    with pytest.raises(UserError, match="no row .* has the label Application, but OS: use --set"):
        split_hub({"train": [{"tokens": ["a"], "ner_tags": ["B-OS"]}]})
    with pytest.raises(UserError, match="no columns tokens and ner_tags"):
        split_hub({"train": [{"words": ["a"], "ner_tags": ["B-OS"]}]})


def test_no_such_folder_and_no_data_set_in_it(tmp_path):
    with pytest.raises(UserError, match="no folder 'nowhere': public_source is files, hub, or a folder"):
        load_source(public_run(tmp_path, "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no data set that can be read"):
        load_source(public_run(tmp_path, tmp_path / "empty"))
    alone = save(tmp_path / "alone", {"train": ROWS["train"]})
    with pytest.raises(UserError, match="alone has no validation part"):
        load_source(public_run(tmp_path, alone))


# -- the hub ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[tuple[str, list[str]]]:
    """A local server that answers as the hub does for the one data set; its address, and the paths it was asked for."""
    folder, requests = save(tmp_path / "hub"), []
    name = load_task("it_ner").public.hub
    (folder / "run.py").write_text("raise SystemExit\n")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            _, _, file = self.path.partition(f"/{COMMIT}/")
            if self.path.startswith(f"/api/datasets/{name}/tree/"):
                tree = [
                    {
                        "type": "file",
                        "path": path,
                        "size": len(content),
                        "oid": hashlib.sha1(content).hexdigest(),
                    }
                    for path, content in files.items()
                ]
                self.answer(json.dumps(tree).encode())
            elif self.path.startswith(f"/api/datasets/{name}"):
                self.answer(json.dumps({"id": name, "sha": COMMIT, "siblings": []}).encode())
            elif self.path.startswith(f"/datasets/{name}/resolve/") and file in files:
                self.answer(files[file])
            else:
                self.send_error(404)

        do_HEAD = do_GET

        def answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", address := f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield address, requests
    server.shutdown()
    server.server_close()


def test_the_data_set_is_downloaded_from_the_hub_once_and_its_commit_shown(
    hub, tmp_path, capsys, monkeypatch
):
    _, requests = hub
    check(load_source(public_run(tmp_path, "hub")))
    assert f"mrm8488/stackoverflow-ner of the hub, commit {COMMIT}" in capsys.readouterr().out
    assert sum(path.endswith(".parquet") for path in requests) >= 3 and not any(
        "run.py" in path for path in requests
    )
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    check(load_source(public_run(tmp_path, "hub")))


@pytest.mark.parametrize("offline", [True, False])
def test_without_the_hub_one_line_says_what_to_do(hub, tmp_path, monkeypatch, offline):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        UserError, match="cannot download data set mrm8488/stackoverflow-ner .*: go online, or"
    ) as caught:
        load_source(public_run(tmp_path, "hub"))
    assert "\n" not in str(caught.value)


def test_a_data_set_that_the_hub_does_not_have(hub, tmp_path, monkeypatch):
    task = load_task("it_ner")
    monkeypatch.setattr(task, "public", replace(task.public, hub="owner/other"))
    with pytest.raises(UserError, match="cannot download data set owner/other"):
        load_source(public_run(tmp_path, "hub"))
