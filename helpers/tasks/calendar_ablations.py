"""What is varied, one part at a time, to see what each part of the calendar systems contributes."""
from __future__ import annotations

from typing import Any

from helpers.tasks.records import Ablation, Configuration

WRITER, TAGGER = "full_entity_loss", "tagger"
SIZES = (25, 50, 100, 200, 0)
USUAL_ROWS = 500
"""About as many gold rows as a training part has, unless `max_rows` cuts it: fewer rows are reckoned by it."""
MADE = {
    "no made rows": {"augment_per_row": 0, "synthetic": 0},
    "varied gold rows": {"synthetic": 0},
    "invented rows": {"augment_per_row": 0},
    "both": {},
}
ENDS = ("no made rows", "both")
COSTLY = ("lora_structured_loss", "qlora")
"""Left out of the folds, whose hours are better spent on other questions; the losses have an ablation of their own."""


def ablations(profile: str, defaults: dict[str, Any], systems: tuple[str, ...]) -> dict[str, Ablation]:
    """The ablations of a profile; `smoke` has a few configurations of each.

    Parameters
    ----------
    profile : str
    defaults : dict
        Settings of the profile.
    systems : tuple of str
        Variants and votes of the task.
    """
    smoke = profile == "smoke"
    folded = tuple(name for name in systems if name not in COSTLY)
    sizes, both = ((8, 0), (WRITER,)) if smoke else (SIZES, (WRITER, TAGGER))
    kinds = {name: MADE[name] for name in (("no made rows", "both") if smoke else MADE)}
    return {
        "systems": Ablation("Systems with their default settings", (
            Configuration("rules", "rules"),
            *(Configuration(name, name, against="rules") for name in ((WRITER, TAGGER) if smoke else folded)),
            *(() if smoke else (Configuration("tagger without hints", TAGGER, {f"{TAGGER}.hints": False}, against=TAGGER),)))),
        "augmentation": Ablation("Made rows in training", tuple(
            _made(variant, kind, change, defaults) for variant in both for kind, change in kinds.items()
            if variant == WRITER or kind in ENDS)),
        "constraints": Ablation("What decoding is held to", (
            Configuration("free", WRITER, decoding="free"),
            Configuration("schema", WRITER, decoding="schema", against="free"),
            Configuration("source", WRITER, decoding="source", against="free"))),
        "losses": Ablation("Losses of full fine-tuning", _losses(smoke)),
        "learning_curve": Ablation("Number of training rows, with and without made rows", tuple(
            _size(variant, size, kind, defaults) for variant in both for size in sizes
            for kind in ("no made rows", "both")), scored_on="validation", view="curve"),
        "seeds": Ablation("Spread over seeds", tuple(
            Configuration(name, name, seeds=2 if smoke else 3) for name in ((WRITER,) if smoke else systems)),
            scored_on="validation", view="seeds"),
    }


def _losses(smoke: bool) -> tuple[Configuration, ...]:
    plain = "next token, answer"
    found = (
        Configuration(plain, WRITER, trainer="helpers.train:fit_answer_loss"),
        Configuration("entity-weighted", WRITER, against=plain),
        Configuration("entity-weighted, prompt too", WRITER, {f"{WRITER}.learn_prompt": True}, against=plain),
        Configuration("structured", WRITER, trainer="helpers.ablation_losses:fit_full_structured_loss", against=plain),
    )
    return (found[0], found[2]) if smoke else found


def _made_count(settings: dict[str, Any], variant: str, rows: int) -> int:
    """About how many made rows an epoch has."""
    there = settings["augment_per_row"] * rows + settings["synthetic"]
    wanted = settings[f"{variant}.made_rows"]
    return min(wanted, there) if wanted else there


def _made(variant: str, kind: str, change: dict[str, Any], defaults: dict[str, Any]) -> Configuration:
    """Training on one kind of made rows."""
    first = next(iter(MADE))
    return Configuration(f"{variant}: {kind}", variant, change | _as_long(variant, 0, change, defaults),
                         against="" if kind == first else f"{variant}: {first}")


def _size(variant: str, size: int, kind: str, defaults: dict[str, Any]) -> Configuration:
    """Training on `size` gold rows and what can be made of them."""
    change, label = MADE[kind], f"{size or 'all'} rows"
    return Configuration(f"{variant}: {label}, {kind}", variant, change | _as_long(variant, size, change, defaults),
                         against="" if kind == "no made rows" else f"{variant}: {label}, no made rows", rows=size)


def _as_long(variant: str, rows: int, change: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Settings that keep training about as long where there are fewer rows (0: as many as usual).

    Without them fewer rows would also mean fewer updates, and one could not tell which of the two a score shows. The
    generative variants read gold rows several times an epoch; the tagger, whose epochs run over the gold rows alone,
    gets more epochs, up to four times as many.
    """
    usual_rows = defaults["max_rows"] // 2 or USUAL_ROWS
    rows = rows or usual_rows
    if variant == TAGGER:
        factor = min(4.0, (usual_rows / rows) ** 0.5)
        names = ("epochs", "patience") if factor > 1 else ()
        return {f"{variant}.{name}": round(defaults[f"{variant}.{name}"] * factor) for name in names}
    repeats, usual_made = defaults[f"{variant}.gold_repeats"], _made_count(defaults, variant, usual_rows)
    missing = usual_made - _made_count(defaults | change, variant, rows)
    wanted = max(1, round((repeats * usual_rows + missing) / rows))
    return {f"{variant}.gold_repeats": wanted} if wanted != repeats else {}
