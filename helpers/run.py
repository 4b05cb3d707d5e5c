"""Parameters in; paths, seed, settings and logger out: every notebook starts with `Run(...)`."""

from __future__ import annotations

import json
import logging
import os
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from helpers.errors import UserError, one_of
from helpers.paths import ROOT, input_folder
from helpers.tasks import TASK_NAMES, Task, load_task

PROFILES = ("smoke", "cpu", "gpu")
SEED = 42
OFFLINE_GIVEN = "HF_HUB_OFFLINE" in os.environ  # by the user, whose word counts


def stay_offline(wanted: bool) -> None:
    """Keep this process off the hub, or let it go there, whatever a run before this one wanted."""
    os.environ.pop("HF_HUB_OFFLINE", None)
    if wanted:
        os.environ["HF_HUB_OFFLINE"] = "1"
    if constants := sys.modules.get("huggingface_hub.constants"):  # it reads the environment once
        constants.HF_HUB_OFFLINE = wanted


def parse_setting(text: str, default: Any) -> Any:
    """Turn the text of `--set name=text` into the type of the default value; ValueError if it does not fit."""
    if default is None or isinstance(default, str):
        return None if text.lower() in ("none", "null") and default is None else text
    kind = TypeAdapter(type(default))
    read = kind.validate_json if isinstance(default, (list, dict)) else kind.validate_python
    try:
        return read(text)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None


def setting_name(name: str, settings: dict[str, Any]) -> str:
    """The whole name of a setting: `model` is the one a task fine-tunes, its base model or, without one, its encoder."""
    if name != "model":
        return name
    return "base_model" if "base_model" in settings else "encoder_model"


def merge_settings(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Defaults of a task and profile overlaid with the user's values; unknown names are refused."""
    merged = dict(defaults)
    for name, value in given.items():
        name = one_of(setting_name(name, defaults), sorted(defaults), "setting")
        try:
            merged[name] = parse_setting(value, defaults[name]) if isinstance(value, str) else value
        except ValueError as error:
            raise UserError(f"setting {name}={value!r} does not fit: {error}") from None
    return merged


@dataclass
class Run:
    """One run of one task: where its files are and how it is set.

    Parameters
    ----------
    task : str
        `calendar`, `crime` or `it_ner`, or the folder of a task of your own (:func:`helpers.tasks.load.load_task`).
    profile : str
        `smoke`, `cpu` or `gpu`.
    data : str
        `sample`, `public` or a folder that holds `<task>/{train,validation,test}.jsonl`.
    out : str, optional
        Folder that gets `artifacts/` and `report/`; by default the repository, or `artifacts/smoke` in it for the smoke
        profile, whose scores mean nothing.
    settings : dict or JSON text
        Values that replace the profile's defaults.
    seed : int
        Seeds everything random.

    Raises
    ------
    UserError
        For an unknown task, profile, setting or data folder.
    """

    task: Any
    profile: str = "cpu"
    data: str = "sample"
    out: str | None = None
    settings: Any = field(default_factory=dict)
    seed: int = SEED

    def __post_init__(self) -> None:
        one_of(self.profile, PROFILES, "profile")
        named = isinstance(self.task, Task) or self.task in TASK_NAMES
        self.own_folder = None if named else Path(self.task).expanduser().resolve()
        named_task, self.task, self.data = self.task, load_task(self.task), input_folder(self.data)
        given = json.loads(self.settings) if isinstance(self.settings, str) else dict(self.settings)
        self.settings = merge_settings(self.task.settings(self.profile), given)
        order = one_of(self.settings.get("date_order", "day"), ("day", "month"), "date order")
        self.task = load_task(named_task, order) if order == "month" else self.task
        own = ROOT / "artifacts" / "smoke" if self.profile == "smoke" else ROOT
        self.root = Path(self.out).resolve() if self.out else own
        self.dir = self.root / "artifacts" / self.task.name
        self.report_dir = self.root / "report"
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log = logging.getLogger(f"study.{self.task.name}")
        if not OFFLINE_GIVEN:
            stay_offline(self.profile != "gpu" and self.data != "public")

    def __getitem__(self, name: str) -> Any:
        """The value of one setting."""
        return self.settings[name]

    def path(self, *parts: str) -> Path:
        """A path under `artifacts/<task>/`; its folder is made."""
        path = self.dir.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def rng(self, *scope: Any) -> random.Random:
        """A random generator that depends on the seed and the given words alone."""
        return random.Random(":".join(map(str, (self.seed, *scope))))

    def load(self, part: str) -> list:
        """Examples that 02_augment left: `train`, `train_augmented`, `validation`, `test` or `scored`.

        `scored` is the test part, or the validation part where the data came without a test part.

        Raises
        ------
        UserError
            If stage 02 has not run yet.
        """
        if part == "scored":
            part = "test" if self.path("splits", "test.jsonl").exists() else "validation"
        path = self.path("splits", f"{part}.jsonl")
        if not path.exists():
            raise UserError(
                f"{path} is missing: run notebook 02_augment (./run_all.sh {self.task.name}) first"
            )
        with path.open(encoding="utf-8") as lines:
            return [self.task.rows.from_json(json.loads(line)) for line in lines]
