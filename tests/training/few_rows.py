"""Runs that train a tiny model on a few events, and what they leave."""

from pathlib import Path

from helpers.run import Run
from helpers.tasks import Example, load_task
from helpers.training import common

ROWS = [
    ("Lunch with {p} on 12/03/2026 at 1:00 PM", {"action": "Lunch", "time": "1:00 PM"}),
    ("Call {p} 12/03/2026 9am Zoom", {"action": "Call", "time": "9:00 AM", "location": "Zoom"}),
]
PEOPLE = ["Ann", "Bo", "Cy", "Dee", "Eli", "Flo", "Gus", "Hal"]


def examples() -> list[Example]:
    """Eight events, each with a person of its own."""
    task, rows = load_task("calendar"), []
    for index, person in enumerate(PEOPLE):
        text, output = ROWS[index % 2]
        full = dict.fromkeys(task.fields) | {"date": "12/03/2026", "attendees": [person]} | output
        rows.append(task.rows.parse({"event_text": text.format(p=person), "output": full}, index))
    return rows


def make_run(base: Path, out: Path, variant: str, profile: str = "smoke", **own: object) -> Run:
    """A calendar run on a base model; `own` are settings of the variant. Two epochs of two steps."""
    own = {"epochs": 2, "batch_size": 4, "accumulation": 1, "warmup_steps": 1, **own}
    settings = {"base_model": str(base), "max_new_tokens": 4, "score_rows": 2, "score_constraint": "free"}
    settings |= {f"{variant}.{name}": value for name, value in own.items()}
    return Run("calendar", profile=profile, out=str(out), settings=settings)


def checkpoint_of(run: Run, variant: str) -> Path:
    """Folder that a variant is trained in."""
    return run.path("checkpoints", variant, "x").parent


def best_of(run: Run, variant: str) -> Path:
    """Folder of a variant's kept weights."""
    return checkpoint_of(run, variant) / "best"


def weights_of(run: Run, variant: str) -> bytes:
    """The file of a variant's kept weights."""
    return next(best_of(run, variant).glob("*.safetensors")).read_bytes()


def losses_of(result) -> list[float]:
    """The training loss at each step."""
    return [record["loss"] for record in result.history if "loss" in record]


def dies_at(step: int, monkeypatch) -> None:
    """Let the next training be killed behind a step."""

    def dies(self, args, state, control, **kwargs):
        if state.global_step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(common.Progress, "on_step_end", dies)
