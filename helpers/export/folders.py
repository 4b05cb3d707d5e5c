"""Take a trained variant out of the study: folders and files that other programs load with nothing else.

Run as: python -m helpers.export --task calendar --variant lora

Writes below `artifacts/<task>/export/<variant>/`:

- `model/`: whole weights with their tokenizer, for `from_pretrained` and `pipeline`;
- `base/` and `adapter/`: where a variant that writes is an adapter, for `AutoPeftModelForCausalLM`;
- `onnx/`: of a tagger `model.onnx` and `model_int8.onnx`;
- `gguf/`: of a variant that writes `model.gguf` and a `Modelfile`, for llama.cpp and Ollama;
- `parity.json`: how far each of them is from the model that was trained.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from helpers.command import RunFolder, SystemName, TaskName
from helpers.errors import UserError, one_of
from helpers.evaluation.slices import group_score
from helpers.evaluation.systems import system_of
from helpers.export import gguf_file, onnx_graphs
from helpers.export.model_folder import open_run
from helpers.files import read_json, write_json
from helpers.models.adapters import load_finetuned
from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.tagging.encode import collate_windows
from helpers.tagging.model import load_trained_tagger, save_tagger
from helpers.tagging.predict import encode_rows
from helpers.tasks.records import Example

PARITY = "parity.json"
FORMS = ("model", "adapter", "onnx", "gguf")
GAP_ROWS = 8  # whose logits are compared


def export_folder(run: Run, variant: str, *parts: str) -> Path:
    """Where a variant's exports lie."""
    return run.dir.joinpath("export", variant, *parts)


def new_folder(run: Run, variant: str, form: str) -> Path:
    """An empty folder for one form."""
    folder = export_folder(run, variant, form)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


# -- what was trained -------------------------------------------------------------------------------------------------
def checkpoint(run: Run, variant: str) -> Path:
    """Folder of the best checkpoint of a variant."""
    done = run.dir / "checkpoints" / variant / "finished.json"
    if not done.exists():
        raise UserError(
            f"variant {variant!r} cannot be exported: it is not one of the trained variants of {run.dir}"
        )
    return done.parent / "best"


def four_bit_trained(run: Run, variant: str) -> bool:
    """Whether the variant's adapter was trained on a base in 4 bits."""
    note = read_json(run.dir / "checkpoints" / variant / "finished.json").get("result", {}).get("note") or ""
    return note.startswith("base in 4-bit")


def load_unmerged(run: Run, variant: str) -> Any:
    """A variant as it was trained, an adapter beside its base, in the form of :func:`load_exported`."""
    folder = checkpoint(run, variant)
    if variant in run.task.variants.taggers:
        return load_trained_tagger(run, folder, merge=False)
    model = load_finetuned(run, folder, four_bit_trained(run, variant), whole=True, merge=False)
    return model, load_tokenizer(run)


# -- the forms --------------------------------------------------------------------------------------------------------
def export_model(run: Run, variant: str) -> Path:
    """Write the whole weights of a variant, the adapter merged into them, with the tokenizer; returns the folder."""
    source, folder = checkpoint(run, variant), new_folder(run, variant, "model")
    if variant in run.task.variants.taggers:
        save_tagger(load_trained_tagger(run, source), folder)
        return folder
    model = load_finetuned(run, source, four_bit_trained(run, variant), whole=True)
    if getattr(model, "generation_config", None) is not None:  # so that pipeline() decodes as the study does
        model.generation_config.do_sample = False
        model.generation_config.max_new_tokens = int(run["max_new_tokens"])
    model.save_pretrained(folder, safe_serialization=True)
    load_tokenizer(run).save_pretrained(folder)
    return folder


def exported_model(run: Run, variant: str) -> Path:
    """Folder of the whole weights; they are written if they are not there."""
    folder = export_folder(run, variant, "model")
    return folder if (folder / "config.json").exists() else export_model(run, variant)


def load_exported(run: Run, variant: str) -> Any:
    """The exported whole weights as :func:`helpers.evaluation.systems.system_of` takes them, in fp32 on the CPU."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = exported_model(run, variant)
    if variant in run.task.variants.taggers:
        return load_trained_tagger(run, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def export_adapter(run: Run, variant: str) -> Path | None:
    """Write base and adapter side by side, the adapter pointing to the base; None where the variant is no such adapter.

    One on an encoder is not written: with its head it is of no use to other programs before it is merged.
    """
    source = checkpoint(run, variant)
    if variant in run.task.variants.taggers or not (source / "adapter_config.json").exists():
        return None
    base, folder = new_folder(run, variant, "base"), new_folder(run, variant, "adapter")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("README.md"), dirs_exist_ok=True)
    model, tokenizer = load_unmerged(run, variant)
    model.unload().save_pretrained(base, safe_serialization=True)
    for each in (base, folder):
        tokenizer.save_pretrained(each)
    config = folder / "adapter_config.json"
    write_json(config, {**read_json(config), "base_model_name_or_path": str(base.resolve())})
    return folder


def export_onnx(run: Run, variant: str) -> Path | None:
    """Write the ONNX graph of a tagger and its int8 form; None for a variant that writes, which llama.cpp runs better."""
    if variant not in run.task.variants.taggers:
        return None
    return onnx_graphs.save_graphs(run, exported_model(run, variant), export_folder(run, variant, "onnx"))


def load_onnx(run: Run, variant: str, quantised: bool = True) -> Any:
    """A tagger as :func:`helpers.evaluation.systems.system_of` takes it, by ONNX Runtime."""
    if variant not in run.task.variants.taggers:
        raise UserError(f"{variant} writes its answers: ONNX graphs are those of taggers, use --engine torch")
    folder = export_folder(run, variant, "onnx")
    if not (folder / onnx_graphs.QUANTISED).exists():
        raise UserError(
            f"{folder} holds no graphs: write them with python -m helpers.export --task {run.task.name} "
            f"--variant {variant}"
        )
    return onnx_graphs.load_graph(run, folder, quantised)


def export_gguf(run: Run, variant: str, kind: str = "q8_0") -> Path | None:
    """Write GGUF file and Modelfile; returns the folder, None for a tagger, which llama.cpp does not run."""
    if variant in run.task.variants.taggers:
        return None
    name = f"{run['base_model']} {run.task.name} {variant}"
    source, folder = exported_model(run, variant), new_folder(run, variant, "gguf")
    gguf_file.write_gguf(source, folder, name, kind)
    text = gguf_file.modelfile(run.task, source, int(run["max_new_tokens"]))
    (folder / "Modelfile").write_text(text, encoding="utf-8")
    return folder


MAKERS: dict[str, Callable[[Run, str], Path | None]] = {
    "model": export_model,
    "adapter": export_adapter,
    "onnx": export_onnx,
    "gguf": export_gguf,
}


def export(run: Run, variant: str, forms: Iterable[str] = FORMS) -> dict[str, Path]:
    """Write the wanted forms of a variant; returns the folders of those it has."""
    found = {form: MAKERS[form](run, variant) for form in FORMS if form in forms}
    return {form: folder for form, folder in found.items() if folder is not None}


# -- parity -----------------------------------------------------------------------------------------------------------
@torch.inference_mode()
def logits_of(run: Run, variant: str, form: Any, examples: Sequence[Example]) -> Iterator[torch.Tensor]:
    """Logits of one form of a variant over some rows, row after row; a model that writes reads the answers, too."""
    if variant in run.task.variants.taggers:
        for row in itertools.chain(*encode_rows(run, form.tokenizer, form.features, examples)):
            batch = collate_windows([row], form.tokenizer.pad_token_id or 0)
            yield form.model.word_logits(
                {name: part.to(form.model.device) for name, part in batch.items()}
            ).cpu()
        return
    model, tokenizer = form
    for row in examples:
        text = run.task.chat.prompt(row.text) + run.task.chat.completion(row.target)
        ids = tokenizer(text, return_tensors="pt")["input_ids"].to(model.device)
        yield model(input_ids=ids).logits.float().cpu()


def logit_gap(run: Run, variant: str, left: Any, right: Any, examples: Sequence[Example]) -> float:
    """Largest absolute difference between the logits of two forms of a variant over some rows."""
    pairs = zip(logits_of(run, variant, left, examples), logits_of(run, variant, right, examples))
    return max(float((before - after).abs().max()) for before, after in pairs)


def compare(run: Run, variant: str, left: Any, right: Any, examples: Sequence[Example]) -> dict[str, float]:
    """Share of rows with the same prediction, the largest logit gap over the first of them, and the scores of both.

    `score` is that of `right`, `score_before` that of `left` (:func:`helpers.evaluation.slices.group_score`).
    """
    records = [system_of(run, variant, one).predict(examples) for one in (left, right)]
    same = [before["prediction"] == after["prediction"] for before, after in zip(*records)]
    before, after = (group_score(run.task, examples, found) for found in records)
    return {
        "rows": len(examples),
        "same_predictions": sum(same) / len(same),
        "largest_logit_gap": logit_gap(run, variant, left, right, examples[:GAP_ROWS]),
        "score": after,
        "score_before": before,
    }


def check_parity(run: Run, variant: str, rows: int = 0) -> dict[str, dict[str, float]]:
    """Compare every exported form with the trained model on the scored part; kept in `parity.json`.

    `merged` sets the merged weights beside base and adapter, or beside the checkpoint where there is no adapter; `onnx`
    and `onnx_int8` are set beside the merged weights.
    """
    examples, whole = run.load("scored")[: rows or None], load_exported(run, variant)
    found = {"merged": compare(run, variant, load_unmerged(run, variant), whole, examples)}
    if (export_folder(run, variant, "onnx") / onnx_graphs.QUANTISED).exists():
        for name, quantised in (("onnx", False), ("onnx_int8", True)):
            found[name] = compare(run, variant, whole, load_onnx(run, variant, quantised), examples)
    write_json(export_folder(run, variant, PARITY), found)
    return found


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: SystemName = "",
    form: Annotated[list[str] | None, typer.Option(metavar="|".join(FORMS), help="Only these forms.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows parity is measured on (0: all scored ones).")] = 0,
) -> None:
    """Export a trained variant and check that nothing was lost."""
    opened, name = open_run(task, run or None, variant or None)
    chosen = [one_of(each, FORMS, "form") for each in form or FORMS]
    for made, folder in export(opened, name, chosen).items():
        print(f"{made}: {folder}")
    for made, numbers in check_parity(opened, name, rows).items():
        print(f"{made}: " + ", ".join(f"{label} {value:.6g}" for label, value in numbers.items()))
