"""Notebook 07 runs only when asked for, and what it left is forgotten when models change."""

from __future__ import annotations

import pytest

from helpers.errors import UserError
from helpers.pipeline import stages
from helpers.run import Run


def test_optional_stages_run_only_when_asked_for_and_are_forgotten_when_models_change(tmp_path):
    plain, whole = stages.find_stages(), stages.find_stages(optional=True)
    assert [stage.name for stage in whole if stage not in plain] == ["07_deploy"]
    assert stages.pick_stage(whole, "7") == len(whole) - 2
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    for stage in whole[-2:]:
        for path in (stage.stamp(run), stage.output(run)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
    stages.forget_optional(run, whole)
    assert all(stage.output(run).exists() for stage in whole[-2:])
    stages.forget_optional(run, plain)
    assert [stage.output(run).exists() for stage in whole[-2:]] == [False, True]
    with pytest.raises(UserError):
        stages.pick_stage(plain, "07")
