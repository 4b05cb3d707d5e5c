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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from helpers.command import ExportedName, RunFolder, TaskName
from helpers.errors import UserError, one_of
from helpers.evaluation.slices import group_score
from helpers.evaluation.systems import system_of, trained
from helpers.export import gguf_file, onnx_graphs
from helpers.export.model_folder import open_trained
from helpers.files import read_json, write_json
from helpers.models.adapters import load_finetuned
from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.tagging.encode import collate_windows
from helpers.tagging.model import load_trained_tagger, save_tagger
from helpers.tagging.predict import encode_rows
from helpers.tasks.base import Example

PARITY = "parity.json"
FORMS = ("adapter", "onnx", "gguf")  # beside the whole weights
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


def checkpoint(run: Run, variant: str) -> Path:
    """Folder of the best checkpoint of a variant."""
    if variant not in trained(run):
        raise UserError(f"{variant!r} cannot be exported: it is none of the trained variants of {run.dir}")
    return run.dir / "checkpoints" / variant / "best"


def load_whole(run: Run, variant: str, merge: bool = True) -> Any:
    """A variant as :func:`helpers.evaluation.systems.system_of` takes it, in full precision, an adapter merged or not."""
    folder = checkpoint(run, variant)
    if variant in run.task.variants.taggers:
        return load_trained_tagger(run, folder, merge=merge)
    note = read_json(folder.parent / "finished.json").get("result", {}).get("note") or ""
    model = load_finetuned(run, folder, note.startswith("base in 4-bit"), whole=True, merge=merge)
    return model, load_tokenizer(run)


# -- the forms --------------------------------------------------------------------------------------------------------
def export(run: Run, variant: str, forms: Sequence[str] = FORMS) -> dict[str, Path]:
    """Write the whole weights of a variant and the other wanted forms that it has; returns their folders."""
    tagger, source = variant in run.task.variants.taggers, checkpoint(run, variant)
    found = {"model": export_model(run, variant)}
    if "adapter" in forms and not tagger and (source / "adapter_config.json").exists():
        found["adapter"] = export_adapter(run, variant, source)
    if "onnx" in forms and tagger:  # a variant that writes is run better by llama.cpp
        found["onnx"] = onnx_graphs.save_graphs(run, found["model"], new_folder(run, variant, "onnx"))
    if "gguf" in forms and not tagger:
        found["gguf"] = folder = new_folder(run, variant, "gguf")
        gguf_file.write_gguf(found["model"], folder, f"{run['base_model']} {run.task.name} {variant}")
        text = gguf_file.modelfile(run.task, found["model"], int(run["max_new_tokens"]))
        (folder / "Modelfile").write_text(text, encoding="utf-8")
    return found


def export_model(run: Run, variant: str) -> Path:
    """Write the whole weights of a variant, the adapter merged into them, with the tokenizer; returns the folder."""
    trained, folder = load_whole(run, variant), new_folder(run, variant, "model")
    if variant in run.task.variants.taggers:
        save_tagger(trained, folder)
        return folder
    model, tokenizer = trained
    model.generation_config.do_sample = False  # so that pipeline() decodes as the study does
    model.generation_config.max_new_tokens = int(run["max_new_tokens"])
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def export_adapter(run: Run, variant: str, source: Path) -> Path:
    """Write base and adapter side by side, the adapter pointing to the base; returns the latter's folder."""
    base, folder = new_folder(run, variant, "base"), new_folder(run, variant, "adapter")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("README.md"), dirs_exist_ok=True)
    model, tokenizer = load_whole(run, variant, merge=False)
    model.unload().save_pretrained(base, safe_serialization=True)
    for each in (base, folder):
        tokenizer.save_pretrained(each)
    config = folder / "adapter_config.json"
    write_json(config, {**read_json(config), "base_model_name_or_path": str(base.resolve())})
    return folder


def load_exported(run: Run, variant: str) -> Any:
    """The exported whole weights as :func:`helpers.evaluation.systems.system_of` takes them, in fp32 on the CPU."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = export_folder(run, variant, "model")
    if variant in run.task.variants.taggers:
        return load_trained_tagger(run, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def load_onnx(run: Run, variant: str, quantised: bool = True) -> Any:
    """A tagger as :func:`helpers.evaluation.systems.system_of` takes it, by ONNX Runtime."""
    if variant not in run.task.variants.taggers:
        raise UserError(f"{variant} writes its answers: ONNX graphs are those of taggers, use --engine torch")
    folder = export_folder(run, variant, "onnx")
    if not (folder / onnx_graphs.QUANTISED).exists():
        way_out = f"python -m helpers.export --task {run.task.name} --variant {variant}"
        raise UserError(f"{folder} holds no graphs: write them with {way_out}")
    return onnx_graphs.load_graph(run, folder, quantised)


# -- parity -----------------------------------------------------------------------------------------------------------
@torch.inference_mode()
def logits_of(run: Run, form: Any, examples: Sequence[Example]) -> Iterator[torch.Tensor]:
    """Logits of one form of a variant over some rows, row after row; a model that writes reads the answers, too."""
    if isinstance(form, tuple):
        model, tokenizer = form
        for row in examples:
            text = run.task.chat.prompt(row.text) + run.task.chat.completion(row.target, row.text)
            ids = tokenizer(text, return_tensors="pt")["input_ids"].to(model.device)
            yield model(input_ids=ids).logits.float().cpu()
        return
    for row in itertools.chain(*encode_rows(run, form.tokenizer, form.features, examples)):
        batch = collate_windows([row], form.tokenizer.pad_token_id or 0)
        yield form.model.word_logits({name: part.to(form.model.device) for name, part in batch.items()}).cpu()


def logit_gap(run: Run, left: Any, right: Any, examples: Sequence[Example]) -> float:
    """Largest absolute difference between the logits of two forms of a variant over some rows."""
    pairs = zip(logits_of(run, left, examples), logits_of(run, right, examples))
    return max(float((before - after).abs().max()) for before, after in pairs)


def check_parity(run: Run, variant: str, rows: int = 0) -> dict[str, dict[str, float]]:
    """Compare every exported form with the trained model on the scored part; kept in `parity.json`.

    `merged` sets the merged weights beside base and adapter, or beside the checkpoint where there is no adapter; `onnx`
    and `onnx_int8` are set beside the merged weights.

    Returns
    -------
    dict
        Form → rows, same_predictions (share of rows), largest_logit_gap over the first of them, and score and
        score_before (:func:`helpers.evaluation.slices.group_score`) of the form and of what it is set beside.
    """
    examples, whole = run.load("scored")[: rows or None], load_exported(run, variant)
    pairs = {"merged": (load_whole(run, variant, merge=False), whole)}
    if (export_folder(run, variant, "onnx") / onnx_graphs.QUANTISED).exists():
        pairs |= {name: (whole, load_onnx(run, variant, name == "onnx_int8")) for name in onnx_graphs.GRAPHS}
    found: dict[str, dict[str, float]] = {}
    for name, pair in pairs.items():
        before, after = (system_of(run, variant, form).predict(examples) for form in pair)
        same = [one["prediction"] == other["prediction"] for one, other in zip(before, after)]
        found[name] = {
            "rows": len(examples),
            "same_predictions": sum(same) / len(same),
            "largest_logit_gap": logit_gap(run, *pair, examples[:GAP_ROWS]),
            "score": group_score(run.task, examples, after),
            "score_before": group_score(run.task, examples, before),
        }
    write_json(export_folder(run, variant, PARITY), found)
    return found


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: ExportedName = "",
    form: Annotated[list[str] | None, typer.Option(metavar="|".join(FORMS), help="Only these forms.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows parity is measured on (0: all scored ones).")] = 0,
) -> None:
    """Export a trained variant and check that nothing was lost.

    Without --variant it is the one that the run deploys. A vote is several models, which no file holds as one: the best of
    its trained members is then exported.
    """
    opened, name, why = open_trained(task, run or None, variant or None)
    print(f"variant: {name} ({why})")
    chosen = [one_of(each, FORMS, "form") for each in form or FORMS]
    for made, folder in export(opened, name, chosen).items():
        print(f"{made}: {folder}")
    for made, numbers in check_parity(opened, name, rows).items():
        print(f"{made}: " + ", ".join(f"{label} {value:.6g}" for label, value in numbers.items()))
