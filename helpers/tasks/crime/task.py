"""The crime task: a police report, and a chat that asks for 18 entity types one after the other."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from helpers.tasks.base import Message, Values
from helpers.tasks.crime.notes import EQUIVALENCE_NOTE, SCORING_NOTE, VARIANT_NOTES
from helpers.tasks.crime.spans import (
    Conventions,
    conventions_from_json,
    conventions_to_json,
    learn_conventions,
    value_spans,
    values_of_spans,
)
from helpers.tasks.crime.text import (
    FIELDS,
    GIVEN,
    QUESTIONS,
    READ,
    SYSTEM,
    Conversation,
    Target,
    answer_text,
    is_headed,
    means_nothing,
    normalise_report,
    parse_conversation,
    question_text,
    raw_answers,
    read_answer,
    write_conversation,
)
from helpers.tasks.dialogue import DialogueTask
from helpers.tasks.records import Example, PublicFile, Tagger, Writer
from helpers.tasks.settings import reading_settings, tagger_settings
from helpers.tasks.text import normalise

BASES = {
    "smoke": "SmolLM2-135M-Instruct-2-layers",
    "cpu": "SmolLM2-135M-Instruct",
    "gpu": "meta-llama/Meta-Llama-3-8B-Instruct",
}


def training_settings(profile: str) -> dict[str, Any]:
    """Settings of the variants; the `gpu` values are those of the studies this one follows.

    `length_power` 1 gives each answer the same weight: with 0 the tokens of summaries and descriptions hide the question
    whether there is an age. `questions` above 0 lets each copy of a row (`gold_repeats`) ask so many of the 18.
    """
    gpu, smoke = profile == "gpu", profile == "smoke"
    shared = {
        "epochs": 3 if gpu else 1,
        "batch_size": 1 if gpu else 2,
        "accumulation": 2 if gpu else 1,
        "learning_rate": 2e-4 if gpu else 1e-3,
        "weight_decay": 0.01,
        "clip_norm": 1.0,
        "warmup_steps": 3 if smoke else 10,
        "patience": 2,
        "gold_repeats": 1,
        "made_rows": -1 if gpu else 2 if smoke else 30,
        "length_power": 0.0 if gpu else 1.0,
        "questions": 0,
        "bits": 16 if gpu else 8,
    }
    adapter = {**shared, "rank": 16, "alpha": 32, "dropout": 0.05 if gpu else 0.0, "targets": "all"}
    full = {**shared, "learning_rate": 2e-5 if gpu else 1e-4, "bits": 16 if gpu else 32}
    tagger = {
        **tagger_settings(profile),
        "epochs": 1 if smoke else 8 if gpu else 6,
        "made_epochs": 0 if smoke else 1,
        "made_rows": shared["made_rows"],
        "patience": 3,
        "batch_pieces": 4096 if gpu else 1024,
        "learning_rate": 3e-5 if gpu else 3e-4,
        "head_rate": 3e-4 if gpu else 1e-3,
        "freeze_embeddings": not gpu,
        "inside_weight": 3.0,
        "hints": True,
        "withhold": 0.15,
    }
    variants = {
        "full": full,
        "lora": adapter,
        "qlora": {**adapter, "bits": 4, "questions": 9 if profile == "cpu" else 0},
        "tagger": tagger,
    }
    return {f"{variant}.{name}": value for variant, own in variants.items() for name, value in own.items()}


class Crime(DialogueTask):
    """Police report to the values of 18 entity types, each asked for in a question of its own."""

    name = "crime"
    title = "Crime reports"
    description = (
        "A police report is read once; then a chat asks for 18 entity types one by one, and each answer is a "
        "JSON object with the type and a list of its values."
    )
    fields = FIELDS
    verbatim_fields = frozenset(FIELDS) - {"Victim_AgeRange", "Witness_Name", "Suspect_Description"}
    list_fields = frozenset(FIELDS)
    variants = {
        "full": Writer(adapter=False),
        "lora": Writer(adapter=True, trl=True),
        "qlora": Writer(adapter=True, trl=True),
        "tagger": Tagger(),
    }
    votes = {"vote": ("tagger", "lora", "rules")}
    variant_notes, scoring_note, equivalence_note = VARIANT_NOTES, SCORING_NOTE, EQUIVALENCE_NOTE
    sample_file = "reports.jsonl"
    sample_shares = {"train": 2 / 3, "validation": 1 / 6, "test": 1 / 6}
    headline = "exact_f1"
    public_files = tuple(
        PublicFile(
            name=name,
            path=f"CharbelDaher34/NER-Finetuning/a03b5f90ac794736781aad00228217f1b62e813a/{name}",
            sha256=sha256,
            size=size,
        )
        for name, sha256, size in (
            ("dataset.jsonl", "dad2ee0a4d9d7b357b5f8a2e7ffb967cf6fe783688a57d2379e181436b654464", 843632),
            (
                "test_dataset.jsonl",
                "935a22b91fafb2bc7e89bd6c897f30844f54345ab6da927e35a74169495fcade",
                169102,
            ),
        )
    )
    public_train = "354d4e3b90ff56d7e1511aa7f8ad0bd041aefd5aa166827857302db834f28543"
    public_licence = "none stated: for your own use, not to be passed on"
    public_citation = "C. Daher, NER-Finetuning, github.com/CharbelDaher34"
    text_key = "conversation"
    longest_text = 5000
    examples = (
        "On 14 May 2026 at about 22:40 Officer Marta Quill (badge 4471) was called to 18 Harrow Lane, Easton. The victim, "
        "Jonas Feld, 34, said that two men had forced the back door and taken a laptop and 300 pounds in cash. A "
        "neighbour, Ines Prado, saw a dark blue van leave towards Mill Road.",
    )
    published = [
        {
            "system": "Llama-3-8B, QLoRA, 1 epoch (free generation garbled)",
            "token_accuracy": 0.941,
            "loss_before": 1.255,
            "loss": 0.189,
        },
        {
            "system": "Qwen3-0.6B, LoRA (850 of the 900 test answers)",
            "exact_f1": 0.781,
            "field_accuracy": 0.769,
        },
    ]

    def settings(self, profile: str) -> dict[str, Any]:
        gpu, smoke = profile == "gpu", profile == "smoke"
        return {
            "synthetic": 2 if smoke else 100,
            "augment_per_row": 1 if smoke else 2,
            "max_rows": 6 if smoke else 0,
            "few_shot": 1,  # a whole conversation
            "baseline_rows": 0 if gpu else 8,
            "encoder_model": "bert-base-cased" if gpu else "all-MiniLM-L6-v2",
            "base_model": BASES[profile],
            "inference_bits": 32 if gpu else 8,
            "variants": "full,lora,qlora,tagger"
            if gpu
            else "lora,qlora,tagger",  # all weights take too long on a CPU
            **reading_settings(),
            "dialogue": "independent",
            "report_to": "tensorboard",
            "max_length": 4096 if gpu else 2048,
            "max_new_tokens": 12 if smoke else 200,
            "generation_batch_size": 72,
            "score_constraint": "source",
            "score_rows": 1 if smoke else 0 if gpu else 24,
            "robustness_rows": 1 if smoke else 30,
        } | training_settings(profile)

    # -- rows ---------------------------------------------------------------------------------------------------
    def parse_row(self, row: dict[str, Any], index: int) -> Example:
        if not isinstance(row, dict):
            raise ValueError(f"row should be an object, got {type(row).__name__}")
        unknown = sorted(set(row) - {"conversation"})
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}")
        if not isinstance(row.get("conversation"), str):
            raise ValueError(
                "'conversation' should be a string" if "conversation" in row else "missing key 'conversation'"
            )
        found = parse_conversation(row["conversation"])
        return Example(
            index,
            found.report,
            self.canonical(found.answers),
            extra={"row": row, "asked": tuple(found.answers)},
        )

    def to_row(self, example: Example) -> dict[str, Any]:
        asked = example.extra.get("asked", QUESTIONS)
        answers = {name: example.target[name] for name in asked}
        return {"conversation": write_conversation(Conversation(example.text, answers))}

    def row_parts(self, row: dict[str, Any]) -> dict[str, Any]:
        """The answers of a row as they are given, a type a key."""
        return raw_answers(row["conversation"])

    def values(self, target: Target | None) -> Values:
        """Sorted distinct values of each type: neither their order nor their number is part of an answer."""
        return {name: tuple(sorted(set((target or {}).get(name) or ()))) for name in self.fields}

    def canonical(self, target: Target | None) -> Target | None:
        """All types, absent ones empty; values as normalised text."""
        if target is None:
            return None
        texts = {name: map(normalise, map(str, target.get(name) or ())) for name in self.fields}
        return {name: [text for text in found if text] for name, found in texts.items()}

    def equivalent(self, name: str, left: str, right: str) -> bool:
        """Case, a leading article and a final stop change nothing; nor does the word for "nothing there"."""

        def bare(value: str) -> str:
            value = value.casefold().strip(" .")
            return value.removeprefix("the ").removeprefix("an ").removeprefix("a ")

        return bare(left) == bare(right) or (means_nothing(left) and means_nothing(right))

    def says_nothing(self, value: str) -> bool:
        return means_nothing(value)

    def split_public(self, files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
        """`dataset.jsonl` shuffled with seed 42, 25 rows for validation and 225 for train; its test file as it is."""
        rows, test = (
            [json.loads(line) for line in files[file.name].splitlines() if line.strip()]
            for file in self.public_files
        )
        random.Random(42).shuffle(rows)
        return {"train": rows[25:], "validation": rows[:25], "test": test}

    def reading(self, text: str) -> str:
        return normalise_report(text)

    def text_of_row(self, row: dict[str, Any]) -> str:
        """A report under `text`, or that of a conversation."""
        if isinstance(row.get("conversation"), str) and not isinstance(row.get("text"), str):
            return parse_conversation(row["conversation"]).report
        return super().text_of_row(row)

    # -- dialogue -----------------------------------------------------------------------------------------------
    def questions(self) -> tuple[str, ...]:
        return QUESTIONS

    def opening(self, text: str) -> list[Message]:
        return [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": GIVEN + text},
            {"role": "assistant", "content": READ},
        ]

    def question(self, name: str) -> str:
        return question_text(name)

    def answer(self, target: Target, name: str) -> str:
        return answer_text(name, target[name])

    def parse_answer(self, name: str, raw: str) -> tuple[list[str] | None, str | None]:
        try:
            return read_answer(name, raw), None
        except ValueError as error:
            return None, str(error)

    def answer_grammar(self, text: str, name: str, constraint: str) -> str:
        from helpers.tasks.crime.grammar import grammar

        return grammar(text, name, constraint)

    # -- tagging ------------------------------------------------------------------------------------------------
    def spans(self, example: Example) -> dict[str, list[tuple[int, int]] | None]:
        return value_spans(example)

    def learn_conventions(self, train: list[Example]) -> Conventions:
        return learn_conventions(train)

    def from_spans(
        self, text: str, spans: dict[str, list[tuple[int, int]]], conventions: Conventions
    ) -> Target:
        return self.canonical(values_of_spans(text, spans, conventions))

    def conventions_to_json(self, conventions: Conventions) -> dict[str, Any]:
        return conventions_to_json(conventions)

    def conventions_from_json(self, content: dict[str, Any]) -> Conventions:
        return conventions_from_json(content)

    # -- the rest lives in its own modules, imported when asked for ---------------------------------------------
    def rules(self, text: str) -> Target:
        from helpers.tasks.crime.rules import extract

        return self.canonical(extract(text))

    def augmenters(
        self, train: list[Example]
    ) -> dict[str, Callable[[Example, random.Random], Example | None]]:
        from helpers.tasks.crime.augment import augmenters

        return augmenters(train)

    def synthesise(self, train: list[Example], count: int, rng: random.Random) -> list[Example]:
        from helpers.tasks.crime.synthetic import synthesise

        return synthesise(train, count, rng)

    def perturbations(self) -> dict[str, Callable[[Example, random.Random], Example | None]]:
        from helpers.tasks.crime.perturb import PERTURBATIONS

        return dict(PERTURBATIONS)

    # -- analysis -----------------------------------------------------------------------------------------------
    def surface_formats(self, example: Example) -> dict[str, str]:
        from helpers.tasks.crime.style import surface_formats

        return surface_formats(example)

    def slices(self, example: Example) -> dict[str, str]:
        size, names = len(example.text), example.target["Victim_Name"]
        business = any(example.target[role] for role in ("Victim_Owner", "Victim_Manager", "Victim_CEO"))
        return {
            "layout": "headed" if is_headed(example.text) else "narrative",
            "length": "short" if size < 1200 else "medium" if size < 1500 else "long",
            "victims": "none" if not names else "several" if len(names) > 1 else "one",
            "victim": "business" if business else "other",
        }


TASK = Crime()
