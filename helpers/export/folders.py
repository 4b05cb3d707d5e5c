"""Take a trained variant out of the study: folders and files that other programs load with nothing else.

Run as: python -m helpers.export --task calendar --variant lora

Writes below `artifacts/<task>/export/<variant>/`:

- `model/`: whole weights with their tokenizer, for `from_pretrained` and `pipeline`;
- `base/` and `adapter/`: where the variant is an adapter, for `AutoPeftModelForCausalLM`;
- `onnx/`: `model.onnx` and `model_int8.onnx`, causal models with a KV cache;
- `gguf/`: `model.gguf` and a `Modelfile`, for llama.cpp and Ollama;
- `parity.json`: how far each of them is from the model that was trained.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from helpers.errors import UserError
from helpers.export import causal_onnx, token_export
from helpers.export.export_gguf import modelfile, write_gguf
from helpers.export.model_folder import open_run
from helpers.files import read_json, write_json
from helpers.run import Run
from helpers.tasks.records import Example

PARITY = "parity.json"
FORMS = ("model", "adapter", "onnx", "gguf")


def export_folder(run: Run, variant: str, *parts: str) -> Path:
    """Where a variant's exports lie."""
    return run.dir.joinpath("export", variant, *parts)


def _checked(run: Run, variant: str) -> Path:
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


# -- whole weights ----------------------------------------------------------------------------------------------------
def with_adapter(run: Run, variant: str) -> Any:
    """The base in fp32 (of a variant trained in 4 bits: rounded to them and back) with the adapter beside it, unmerged."""
    from peft import PeftModel

    from helpers.models.base import load_base

    four_bit = four_bit_trained(run, variant)
    base = load_base(run, four_bit)
    if four_bit:
        base = base.dequantize().to(torch.float32)
        base.config.quantization_config = None
    return PeftModel.from_pretrained(base, _checked(run, variant)).eval()


def export_model(run: Run, variant: str) -> Path:
    """Write the whole weights of a variant, the adapter merged into them, with the tokenizer; returns the folder."""
    from helpers.models.adapters import load_finetuned
    from helpers.models.base import load_tokenizer

    source, folder = _checked(run, variant), export_folder(run, variant, "model")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if variant in run.task.taggers:
        token_export.export_model(run, source, folder)
        return folder
    model, tokenizer = (
        load_finetuned(run, source, four_bit_trained(run, variant), whole=True),
        load_tokenizer(run),
    )
    if getattr(model, "generation_config", None) is not None:  # so that pipeline() decodes as the study does
        model.generation_config.do_sample = False
        model.generation_config.max_new_tokens = int(run["max_new_tokens"])
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def export_adapter(run: Run, variant: str) -> Path | None:
    """Write base and adapter side by side, the adapter pointing to the base; None where the variant is no such adapter.

    One on an encoder is not written: with its head it is of no use to other programs before it is merged.
    """
    source = _checked(run, variant)
    if variant in run.task.taggers or not (source / "adapter_config.json").exists():
        return None
    from helpers.models.base import load_tokenizer

    base, folder = export_folder(run, variant, "base"), export_folder(run, variant, "adapter")
    for each in (base, folder):
        shutil.rmtree(each, ignore_errors=True)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("README.md"))
    unmerged, tokenizer = with_adapter(run, variant), load_tokenizer(run)
    unmerged.unload().save_pretrained(base, safe_serialization=True)
    for each in (base, folder):
        tokenizer.save_pretrained(each)
    point_to_base(folder, str(base.resolve()))
    return folder


def point_to_base(adapter: Path, base: str) -> None:
    """Write into an adapter's folder where its base is: a folder or a name on the hub."""
    path = adapter / "adapter_config.json"
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), "base_model_name_or_path": base})


# -- other runtimes ---------------------------------------------------------------------------------------------------
def load_exported(run: Run, variant: str) -> Any:
    """The exported whole weights as :func:`helpers.evaluation.systems.system_of` takes it; causal ones in fp32 on the CPU."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = export_folder(run, variant, "model")
    if not (folder / "config.json").exists():
        folder = export_model(run, variant)
    if variant in run.task.taggers:
        return token_export.load_model(run, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def export_onnx(run: Run, variant: str) -> Path:
    """Write the ONNX graph and its int8 form with the tokenizer; returns the folder."""
    folder, whole = export_folder(run, variant, "onnx"), load_exported(run, variant)
    if variant in run.task.taggers:
        token_export.export_onnx(run, export_folder(run, variant, "model"), folder)
        return folder
    model, tokenizer = whole
    causal_onnx.quantise(causal_onnx.export_causal(model, folder))
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load_onnx(run: Run, variant: str, quantised: bool = True) -> Any:
    """A variant as :func:`helpers.evaluation.systems.system_of` takes it, by ONNX Runtime."""
    from transformers import AutoConfig, AutoTokenizer

    folder = export_folder(run, variant, "onnx")
    path = folder / (causal_onnx.QUANTISED if quantised else causal_onnx.FILE)
    if not path.exists():
        raise UserError(
            f"{path} is missing: write it with python -m helpers.export --task {run.task.name} "
            f"--variant {variant}"
        )
    if variant in run.task.taggers:
        return token_export.load_onnx(run, folder, quantised)
    return causal_onnx.OnnxCausalLM(path, AutoConfig.from_pretrained(folder)), AutoTokenizer.from_pretrained(
        folder
    )


def export_gguf(run: Run, variant: str, kind: str = "q8_0") -> Path | None:
    """Write GGUF file and Modelfile; returns the folder, None for a tagger, which llama.cpp does not run."""
    if variant in run.task.taggers:
        return None
    model, tokenizer = load_exported(run, variant)
    folder = export_folder(run, variant, "gguf")
    write_gguf(model, tokenizer, folder, f"{run['base_model']} {run.task.name} {variant}", kind)
    text = modelfile(run.task, tokenizer, int(run["max_new_tokens"]), model.config.max_position_embeddings)
    (folder / "Modelfile").write_text(text, encoding="utf-8")
    return folder


# -- parity -----------------------------------------------------------------------------------------------------------
@torch.inference_mode()
def logit_gap(left: Any, right: Any, tokenizer: Any, texts: Sequence[str]) -> float:
    """Largest absolute difference between the logits of two causal models over every token of some texts."""
    worst = 0.0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        pair = [
            model(input_ids=ids.to(model.device), attention_mask=torch.ones_like(ids).to(model.device))
            .logits.float()
            .cpu()
            for model in (left, right)
        ]
        worst = max(worst, float((pair[0] - pair[1]).abs().max()))
    return worst


def gap_between(run: Run, variant: str, left: Any, right: Any, examples: Sequence[Example]) -> float:
    """Largest logit gap between two forms of a variant; a model that writes reads the answer, too."""
    task = run.task
    if variant in task.taggers:
        return token_export.logit_gap(run, left, right, examples)
    texts = [task.prompt(example.text) + task.completion(example.target) for example in examples]
    return logit_gap(left[0], right[0], left[1], texts)


def load_unmerged(run: Run, variant: str) -> Any:
    """A variant as it was trained, an adapter beside its base."""
    from helpers.evaluation.systems import load_trained
    from helpers.models.base import load_tokenizer

    if variant in run.task.taggers:
        return token_export.load_trained(run, _checked(run, variant))
    if (_checked(run, variant) / "adapter_config.json").exists():
        return with_adapter(run, variant), load_tokenizer(run)
    if variant in run.task.writers:
        from helpers.models.adapters import load_finetuned

        return load_finetuned(run, _checked(run, variant), whole=True), load_tokenizer(run)
    return load_trained(run, variant).loaded


def compare(
    run: Run, variant: str, left: Any, right: Any, examples: Sequence[Example], gap_rows: int = 8
) -> dict[str, float]:
    """Share of rows with the same prediction, the largest logit gap over some rows, and the scores of both.

    `score` is that of `right`, `score_before` that of `left` (:func:`helpers.evaluation.slices.group_score`).
    """
    from helpers.evaluation.slices import group_score
    from helpers.evaluation.systems import system_of

    records = [system_of(run, variant, one).predict(examples) for one in (left, right)]
    same = [a["prediction"] == b["prediction"] for a, b in zip(*records)]
    scores = [group_score(run.task, examples, found) for found in records]
    return {
        "rows": len(examples),
        "same_predictions": sum(same) / len(same),
        "largest_logit_gap": gap_between(run, variant, left, right, examples[:gap_rows]),
        "score": scores[1],
        "score_before": scores[0],
    }


def check_parity(run: Run, variant: str, rows: int = 0) -> dict[str, dict[str, float]]:
    """Compare every exported form with the trained model on the scored part; kept in `parity.json`.

    `merged` sets the merged weights beside base and adapter, or beside the checkpoint where there is no adapter; `onnx`
    and `onnx_int8` are set beside the merged weights.
    """
    examples = run.load("scored")[: rows or None]
    whole = load_exported(run, variant)
    found = {"merged": compare(run, variant, load_unmerged(run, variant), whole, examples)}
    for name, quantised in (("onnx", False), ("onnx_int8", True)):
        if (export_folder(run, variant, "onnx") / causal_onnx.QUANTISED).exists() and not run.task.asks(
            variant
        ):
            found[name] = compare(run, variant, whole, load_onnx(run, variant, quantised), examples)
    write_json(export_folder(run, variant, PARITY), found)
    return found


def export(run: Run, variant: str, forms: Sequence[str] = FORMS) -> dict[str, Path]:
    """Write the wanted forms of a variant; returns the folders of those it has."""
    makers: dict[str, Callable[[Run, str], Path | None]] = {
        "model": export_model,
        "adapter": export_adapter,
        "onnx": export_onnx,
        "gguf": export_gguf,
    }
    found = {form: makers[form](run, variant) for form in FORMS if form in forms}
    return {form: folder for form, folder in found.items() if folder is not None}


def main(
    task: Annotated[str, typer.Option(metavar="calendar|crime|it_ner")] = "calendar",
    run: Annotated[str, typer.Option(help="Folder of a finished run (artifacts/<task> by default).")] = "",
    variant: Annotated[str, typer.Option(help="A trained variant (the best by default).")] = "",
    form: Annotated[list[str] | None, typer.Option(metavar="|".join(FORMS), help="Only these forms.")] = None,
    rows: Annotated[
        int, typer.Option(min=0, help="Rows that parity is measured on (0: all scored ones).")
    ] = 0,
) -> None:
    """Export a trained variant and check that nothing was lost."""
    from helpers.errors import one_of

    opened, name = open_run(task, run or None, variant or None)
    for each in form or []:
        one_of(each, FORMS, "form")
    for made, folder in export(opened, name, form or FORMS).items():
        print(f"{made}: {folder}")
    for made, numbers in check_parity(opened, name, rows).items():
        print(f"{made}: " + ", ".join(f"{label} {value:.6g}" for label, value in numbers.items()))
