"""A folder for the model hub, with a card written from the metrics files; it is sent only when that is asked for.

Run as: python -m helpers.publish --task calendar --variant lora                       writes and checks the folder
        python -m helpers.publish --task calendar --variant lora --repo NAME/MODEL --push      sends it
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from huggingface_hub import HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.repocard_data import EvalResult

from helpers.calibrate import FILE as CALIBRATION
from helpers.command import ExportedName, RunFolder, TaskName
from helpers.errors import UserError
from helpers.export.folders import PARITY, export, export_folder
from helpers.export.model_folder import open_trained, version_of
from helpers.files import read_json
from helpers.models.base import public_name
from helpers.run import Run

TEMPLATE = Path(__file__).parent / "export" / "card.md"
ALLOWED = ".safetensors .json .jinja .txt .model .md .onnx .data .gguf".split()
NAMED = ("Modelfile",)
CONFIGS = ("config.json", "tokenizer_config.json")
FORMS = ("onnx", "gguf")  # beside the whole weights; an adapter could not name a base inside a repository
SCORES = {
    "exact_match": "exact match",
    "field_accuracy": "fields right",
    "exact_f1": "value F1",
    "f1": "entity F1",
    "json_validity": "valid output",
}
LICENCES = {  # of bases, by the beginning of their name: what is made from them keeps it
    **dict.fromkeys(("HuggingFaceTB/", "sentence-transformers/", "Qwen/"), "apache-2.0"),
    **dict.fromkeys(("all-MiniLM", "bert-", "distilbert-"), "apache-2.0"),
    "meta-llama/Meta-Llama-3": "llama3",
}
STRANGER = """
import sys
from transformers import pipeline
kind, folder, text = sys.argv[1:]
more = {"max_new_tokens": 4} if kind == "text-generation" else {}
pipeline(kind, model=folder, dtype="auto")(text, **more)
"""


def kind_of(run: Run, variant: str) -> str:
    """What the hub calls the work of a variant."""
    return "token-classification" if variant in run.task.variants.taggers else "text-generation"


# -- the card ---------------------------------------------------------------------------------------------------------
def base_of(run: Run, variant: str) -> str:
    """Name of the model that a variant was trained from, without folders of this machine."""
    own = (run.settings.get(f"{variant}.{name}") for name in ("student_model", "encoder"))
    encoder = next(filter(None, own), run["encoder_model"])
    name = public_name(encoder if variant in run.task.variants.taggers else run["base_model"])
    return Path(name).name if Path(name).is_absolute() else name


def model_card(run: Run, variant: str, repo: str) -> str:
    """The card, all numbers from files: front matter for the hub, then the words of `export/card.md`."""
    metrics = read_json(run.dir / "metrics.json")
    if variant not in metrics.get("variants", {}):
        raise UserError(f"{run.dir / 'metrics.json'} has no scores of {variant!r}: run stage 05 first")
    task, data, prefix = run.task, metrics.get("data", {}), f"{variant}."
    scores, chat, calibration = metrics["variants"][variant], task.chat, read_json(run.dir / CALIBRATION)
    results = {
        label: (name, scores[name], (scores.get("ci95") or {}).get(name))
        for name, label in SCORES.items()
        if scores.get(name) is not None
    }
    fields = {name: one["f1"] for name, one in (scores.get("fields") or {}).items()}
    fields = {name: f1 for name, f1 in fields.items() if f1 is not None}
    text, note = next(iter(task.words.examples), ""), task.words.variant_notes.get(variant)
    turns = []
    if chat.questions:
        turns = [*chat.opening(text), {"role": "user", "content": chat.question(chat.questions[0])}]
    about = {
        "tagger": variant in task.variants.taggers,
        "model": repr(repo),
        "text": repr(text),
        "prompt": repr(chat.prompt(text)) if variant in task.variants.writers and not turns else "",
        "messages": [json.dumps(turn, ensure_ascii=False) for turn in turns],
        "base": base_of(run, variant),
        "note": note[3] if note else "",
        "parameters": scores.get("parameters") or {},
        "settings": {name[len(prefix) :]: run[name] for name in run.settings if name.startswith(prefix)},
        "precision": calibration.get("precision") if variant in calibration.get("variants", {}) else None,
    }
    known = {"run": run, "task": task, "variant": variant, "data": data, "results": results, "fields": fields}
    front = front_matter(run, variant, data.get("source", ""), results)
    return ModelCard.from_template(front, template_path=str(TEMPLATE), **known, **about).content


def front_matter(run: Run, variant: str, source: str, results: dict[str, Any]) -> ModelCardData:
    """What the hub reads of a card; `results` are label → (metric, value, interval)."""
    task, base, kind = run.task, base_of(run, variant), kind_of(run, variant)
    licence = next((one for name, one in LICENCES.items() if base.startswith(name)), "other")
    named = source if source in ("sample", "public") else "own rows"
    of = {"task_type": kind, "task_name": task.words.title, "dataset_type": task.name, "dataset_name": named}
    scored = [
        EvalResult(**of, metric_type=name, metric_name=label, metric_value=round(float(value), 4))
        for label, (name, value, _) in results.items()
    ]
    return ModelCardData(
        language="en",
        license=licence,
        license_name=f"that of {base}" if licence == "other" else None,
        base_model=base if "/" in base else None,
        library_name="transformers",
        pipeline_tag=kind,
        tags=["information-extraction", task.name],
        model_name=f"{task.name}-{variant}",
        eval_results=scored,
    )


# -- the folder -------------------------------------------------------------------------------------------------------
def write_folder(run: Run, variant: str, repo: str, forms: Sequence[str] = FORMS) -> Path:
    """Write exactly what is sent: whole weights at the top, other forms below, card and calibration; returns it."""
    made, folder = export(run, variant, forms), export_folder(run, variant, "hub")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made.pop("model"), folder)
    for form, source in made.items():
        shutil.copytree(source, folder / form)
    for path in (run.dir / CALIBRATION, export_folder(run, variant, PARITY)):
        if path.exists():
            shutil.copy(path, folder / path.name)
    (folder / "README.md").write_text(model_card(run, variant, repo), encoding="utf-8")
    return folder


def files_of(folder: Path) -> list[Path]:
    """Every file in a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def check_folder(folder: Path) -> list[str]:
    """What is wrong with a folder that is to be sent; an empty list if nothing is."""
    needed = ("config.json", "model*.safetensors", "README.md")
    found = [f"{pattern} is missing" for pattern in needed if not list(folder.glob(pattern))]
    for path in files_of(folder):
        name = path.relative_to(folder)
        if path.suffix not in ALLOWED and path.name not in NAMED:
            found.append(f"{name} is no file of a model")
        named = re.findall(r'"(/[^"]+)"', path.read_text("utf-8")) if path.name in CONFIGS else []
        if any(Path(each).exists() for each in named):
            found.append(f"{name} holds a path of this machine")
    return found


def try_folder(folder: Path, kind: str, text: str) -> list[str]:
    """Load a folder as a stranger would, by `pipeline` in a process that knows nothing of this project; what goes wrong."""
    command = [sys.executable, "-I", "-c", STRANGER, kind, str(folder), text]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return [f"pipeline cannot load it ({last[:160]})"] if done.returncode else []


def push(folder: Path, repo: str, private: bool = True, api: Any = None) -> str:
    """Send a checked folder to the hub, where it replaces what was there; returns its address."""
    api, message = api or HfApi(), f"Model {version_of(files_of(folder))}"
    try:
        address = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=str(folder), commit_message=message, delete_patterns="*")
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the hub did not take {repo}: {reason}; log in with `hf auth login`") from None
    return str(address)


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: ExportedName = "",
    repo: Annotated[str, typer.Option(help="NAME/MODEL on the hub.")] = "",
    send: Annotated[bool, typer.Option("--push", help="Send it; else nothing leaves this machine.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Make the repository public.")] = False,
) -> None:
    """Write the folder for the hub, load it as a stranger would, and send it if --push is given."""
    opened, name, why = open_trained(task, run or None, variant or None)
    print(f"variant: {name} ({why})")
    if send and repo.count("/") != 1:
        raise UserError("--push needs --repo NAME/MODEL")
    folder = write_folder(opened, name, repo or f"NAME/{opened.task.name}-{name.replace('_', '-')}")
    text = next(iter(opened.task.words.examples), "a text")
    problems = check_folder(folder) + try_folder(folder, kind_of(opened, name), text)
    for problem in problems:
        print(f"problem: {problem}")
    size = sum(path.stat().st_size for path in files_of(folder)) / 1e6
    print(f"{folder}: {len(files_of(folder))} files, {size:.1f} MB, {'not ready' if problems else 'ready'}")
    if send:
        if problems:
            raise UserError(f"{folder} is not sent")
        print(push(folder, repo, private=not public))


if __name__ == "__main__":
    from helpers.command import start

    start(main)
