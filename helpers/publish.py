"""A folder for the model hub, with a card written from the metrics files; it is sent only when that is asked for.

Run as: python -m helpers.publish --task calendar --variant lora                       writes and checks the folder
        python -m helpers.publish --task calendar --variant lora --repo NAME/MODEL --push      sends it
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from helpers.calibrate import FILE as CALIBRATION
from helpers.errors import UserError
from helpers.evaluation.systems import choose
from helpers.export import token_export
from helpers.export.folders import FORMS, PARITY, export, export_folder, point_to_base
from helpers.export.model_folder import open_run, version_of
from helpers.files import read_json
from helpers.run import Run
from helpers.tagging.model import EXTRAS

ALLOWED = (".safetensors", ".json", ".jinja", ".txt", ".model", ".md", ".onnx", ".data", ".gguf")
NAMED = ("Modelfile",)
SECTIONS = ("Use", "Data", "Recipe", "Results", "Limits")
PERCENT = {
    "exact_match": "exact match",
    "field_accuracy": "fields right",
    "exact_f1": "value F1",
    "f1": "entity F1",
    "json_validity": "valid output",
}


# -- the card ---------------------------------------------------------------------------------------------------------
def _interval(scores: dict[str, Any], name: str) -> str:
    low, high = (scores.get("ci95") or {}).get(name) or (None, None)
    value = f"{scores[name]:.3f}"
    return value if low is None else f"{value} ({low:.3f} to {high:.3f})"


def _results(metrics: dict[str, Any], variant: str) -> str:
    """Scores of the variant, and of each of its fields."""
    scores = metrics["variants"][variant]
    lines = ["| score | value (95 % interval) |", "|---|---|"]
    lines += [
        f"| {label} | {_interval(scores, name)} |"
        for name, label in PERCENT.items()
        if scores.get(name) is not None
    ]
    fields = [
        (name, cells["f1"])
        for name, cells in (scores.get("fields") or {}).items()
        if cells.get("f1") is not None
    ]
    if fields:
        lines += ["", "| field | F1 |", "|---|---|", *(f"| {name} | {value:.3f} |" for name, value in fields)]
    return "\n".join(lines)


def _data(run: Run, metrics: dict[str, Any]) -> str:
    data = metrics.get("data", {})
    source = data.get("source", run.data)
    about = {
        "sample": f"the sample written for the study (`data/{run.task.name}`)",
        "public": f"the public data set of {run.task.public_citation} (licence: {run.task.public_licence})",
    }
    part = (
        "test part"
        if (run.dir / "splits" / "test.jsonl").exists()
        else "validation part, which also chose the variant: expect a little less on new texts"
    )
    return (
        f"Trained on {about.get(source, 'rows of its user')}. Scores are measured on {data.get('rows', '?')} rows of "
        f"the {part} (fingerprint `{str(data.get('fingerprint', ''))[:12]}`)."
    )


def _recipe(run: Run, variant: str, metrics: dict[str, Any]) -> str:
    prefix = f"{variant}."
    own = {
        name.removeprefix(prefix): value for name, value in run.settings.items() if name.startswith(prefix)
    }
    counts = metrics["variants"][variant].get("parameters") or {}
    base = "encoder_model" if variant in run.task.taggers else "base_model"
    lines = [
        f"Base model: `{Path(str(run[base])).name if Path(str(run[base])).is_absolute() else run[base]}`."
    ]
    note = run.task.variant_notes.get(variant)
    if note:
        lines.append(note[3])
    if isinstance(counts, dict) and counts.get("total"):
        lines.append(f"Training changed {counts['trainable']:,} of {counts['total']:,} parameters.")
    table = ["| setting | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in own.items())]
    return "\n".join([*lines, "", *table, f"| seed | {run.seed} |"])


def usage(run: Run, variant: str, repo: str) -> str:
    """Python that loads the model and answers a text; it works as printed once `repo` is a folder or a name."""
    task = run.task
    text = task.examples[0] if task.examples else ""
    if variant in task.taggers:
        return token_export.usage(task, repo, text)
    if task.questions():
        name = task.questions()[0]
        messages = [*task.opening(text), {"role": "user", "content": task.question(name)}]  # type: ignore[attr-defined]
        turns = ",\n".join(f"    {json.dumps(turn, ensure_ascii=False)}" for turn in messages)
        return (
            f"from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f"tokenizer = AutoTokenizer.from_pretrained({repo!r})\n"
            f'model = AutoModelForCausalLM.from_pretrained({repo!r}, dtype="float32")\n'
            f"messages = [\n{turns},\n]\n"
            'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", '
            "return_dict=True)\n"
            "output = model.generate(**inputs)\n"
            'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))\n'
        )
    return (
        f'from transformers import pipeline\n\nwrite = pipeline("text-generation", model={repo!r}, dtype="float32")\n'
        f'print(write({task.prompt(text)!r}, return_full_text=False)[0]["generated_text"])\n'
    )


def _limits(run: Run, variant: str, metrics: dict[str, Any]) -> str:
    scores = metrics["variants"][variant]
    fields = [
        (cells["f1"], name)
        for name, cells in (scores.get("fields") or {}).items()
        if cells.get("f1") is not None
    ]
    weakest = f" The weakest field is `{min(fields)[1]}` (F1 {min(fields)[0]:.3f})." if fields else ""
    calibration = read_json(run.dir / CALIBRATION)
    known = (
        f" Confidence is calibrated for a precision of {calibration['precision']:g} (`{CALIBRATION}`)."
        if variant in calibration.get("variants", {})
        else ""
    )
    return f"English texts like those of the data only. {_alone(run, variant)}{weakest}{known}"


def _alone(run: Run, variant: str) -> str:
    """What the weights lack without the study's own code around them."""
    if variant not in run.task.taggers:
        return (
            "Free decoding may write values that are not in the text; the study's own service holds the output to the "
            "task's schema and to the text."
        )
    hints = (
        f" It was trained to see what the rules propose (`{EXTRAS}`), and tags less well without."
        if run.settings.get(f"{variant}.hints")
        else ""
    )
    return (
        "The weights alone score single words: the best sequence of tags and the values that it stands for are the work "
        f"of the study's own service.{hints}"
    )


def model_card(run: Run, variant: str, repo: str) -> str:
    """The card: front matter for the hub, then use, data, recipe, results and limits, all numbers from files."""
    from huggingface_hub import ModelCard, ModelCardData
    from huggingface_hub.repocard_data import EvalResult

    metrics = read_json(run.dir / "metrics.json")
    if variant not in metrics.get("variants", {}):
        raise UserError(f"{run.dir / 'metrics.json'} has no scores of {variant!r}: run stage 05 first")
    task, scores = run.task, metrics["variants"][variant]
    tagger = variant in task.taggers
    source = metrics.get("data", {}).get("source", run.data)
    data = ModelCardData(
        language="en",
        license="mit",
        library_name="transformers",
        pipeline_tag="token-classification" if tagger else "text-generation",
        tags=["information-extraction", task.name],
        model_name=f"{task.name}-{variant}",
        eval_results=[
            EvalResult(
                task_type="token-classification" if tagger else "text-generation",
                task_name=task.title,
                dataset_type=task.name,
                dataset_name=source if source in ("sample", "public") else "own rows",
                metric_type=name,
                metric_name=label,
                metric_value=round(float(scores[name]), 4),
            )
            for name, label in PERCENT.items()
            if scores.get(name) is not None
        ],
    )
    text = (
        f"---\n{data.to_yaml()}\n---\n\n# {task.title}: {variant}\n\n{task.description}\n\n## Use\n\n```python\n"
        f"{usage(run, variant, repo)}```\n\n## Data\n\n{_data(run, metrics)}\n\n## Recipe\n\n"
        f"{_recipe(run, variant, metrics)}\n\n## Results\n\n{_results(metrics, variant)}\n\n## Limits\n\n"
        f"{_limits(run, variant, metrics)}\n"
    )
    return ModelCard(text).content


# -- the folder -------------------------------------------------------------------------------------------------------
def write_folder(run: Run, variant: str, repo: str, forms: tuple[str, ...] = FORMS) -> Path:
    """Write exactly what is sent: whole weights at the top, the other forms below, card and calibration; returns it."""
    made = export(run, variant, dict.fromkeys(("model", *forms)))
    folder = export_folder(run, variant, "hub")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made["model"], folder)
    for form in ("adapter", "onnx", "gguf"):
        if form in made:
            shutil.copytree(made[form], folder / form)
    if "adapter" in made:
        shutil.copytree(export_folder(run, variant, "base"), folder / "base")
        point_to_base(folder / "adapter", f"{repo}/base")
    for path in (run.dir / CALIBRATION, export_folder(run, variant, PARITY)):
        if path.exists():
            shutil.copy(path, folder / path.name)
    (folder / "README.md").write_text(model_card(run, variant, repo), encoding="utf-8")
    return folder


def check_folder(folder: Path) -> list[str]:
    """What is wrong with a folder that is to be sent; an empty list if nothing is."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in ALLOWED and path.name not in NAMED:
            found.append(f"{path.relative_to(folder)} is no file of a model")
        if path.is_symlink():
            found.append(f"{path.relative_to(folder)} is a link")
    if not (folder / "config.json").exists() or not list(folder.glob("*.safetensors")):
        found.append("config.json or the weights are missing")
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.exists() else ""
    found += [f"the card has no section {name!r}" for name in SECTIONS if f"\n## {name}\n" not in text]
    found += [
        f"{path.relative_to(folder)} holds a path of this machine"
        for path in sorted(folder.rglob("*.json"))
        if path.name in ("config.json", "adapter_config.json", "tokenizer_config.json")
        and _holds_path(json.loads(path.read_text(encoding="utf-8")))
    ]
    for path in sorted(folder.rglob("*.safetensors")):
        reason = _damaged(path)
        if reason:
            found.append(f"{path.relative_to(folder)} cannot be read: {reason}")
    return found + _metadata_problems(text)


def _holds_path(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_path, value.values()))
    if isinstance(value, list):
        return any(map(_holds_path, value))
    return isinstance(value, str) and Path(value).is_absolute() and Path(value).exists()


def _damaged(path: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as weights:
            list(weights.keys())
    except (SafetensorError, OSError) as error:
        return str(error).splitlines()[0]
    return None


def _metadata_problems(text: str) -> list[str]:
    """What the front matter of a card lacks."""
    from huggingface_hub import ModelCard

    try:
        data = ModelCard(text).data.to_dict()
    except ValueError as error:
        return [f"the card's front matter is wrong: {str(error).splitlines()[0]}"]
    return [
        f"the card's front matter has no {name}"
        for name in ("license", "pipeline_tag", "model-index")
        if name not in data
    ]


def push(folder: Path, repo: str, private: bool = True, api: Any = None) -> str:
    """Send a checked folder to the hub; returns its address there."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if repo.count("/") != 1:
        raise UserError(f"--repo {repo!r}: write it as NAME/MODEL")
    problems = check_folder(folder)
    if problems:
        raise UserError(f"{folder} is not sent: {'; '.join(problems)}")
    api = api or HfApi()
    try:
        address = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo, folder_path=str(folder), commit_message=f"Model {version_of(_files(folder))}"
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(
            f"the hub did not take {repo}: {str(error).splitlines()[0]}; log in with `hf auth login`"
        ) from None
    return str(address)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def main(
    task: Annotated[str, typer.Option(metavar="calendar|crime|it_ner")] = "calendar",
    run: Annotated[str, typer.Option(help="Folder of a finished run (artifacts/<task> by default).")] = "",
    variant: Annotated[str, typer.Option(help="A trained variant (the best by default).")] = "",
    repo: Annotated[str, typer.Option(help="NAME/MODEL on the hub.")] = "",
    send: Annotated[
        bool, typer.Option("--push", help="Send the folder; without it nothing leaves this machine.")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="Make the repository public.")] = False,
) -> None:
    """Write the folder for the hub, check it, and send it if --push is given."""
    opened, _ = open_run(task, run or None)
    name = choose(opened, variant or None)
    if send and repo.count("/") != 1:
        raise UserError("--push needs --repo NAME/MODEL")
    folder = write_folder(opened, name, repo or f"NAME/{task}-{name.replace('_', '-')}")
    problems = check_folder(folder)
    for problem in problems:
        print(f"problem: {problem}")
    size = sum(path.stat().st_size for path in _files(folder)) / 1e6
    print(f"{folder}: {len(_files(folder))} files, {size:.1f} MB, {'not ready' if problems else 'ready'}")
    if send:
        print(push(folder, repo, private=not public))


if __name__ == "__main__":
    from helpers.command import start

    start(main)
