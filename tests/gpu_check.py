"""What a GPU makes of the gpu profile, in at most 8 minutes and without a network: one JSON object of figures.

Run as: python -m tests.gpu_check --out gpu.json          (--tiny tries the script itself, on a CPU)

Every variant of every task trains `steps` steps and answers two rows. The base models and encoders of the profile have random
weights at their real size; SmolLM2 comes from its package. Per variant: losses, tokens a second, the share of the speed of a
plain matrix product that training reaches, peak memory, seconds to answer. Last, three steps on the GPU and on the CPU give
losses that are compared.

Training takes 6 operations a parameter and token where all weights are trained, 4 where adapters are; embeddings that are
only looked up do not count.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
    LlamaConfig,
)

from helpers.command import start
from helpers.data.read import load_source
from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.files import read_json, write_json
from helpers.machine import free_memory, hardware, seed_everything
from helpers.models import memory
from helpers.models.base import device_of
from helpers.models.packaged import PACKAGED, packaged_encoder, packaged_folder
from helpers.run import Run
from helpers.tasks import TASK_NAMES
from helpers.training import common
from helpers.training.fit import fit

SMOLLM = {"hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32}
LLAMA3 = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "vocab_size": 128256}
HEADS = {"num_attention_heads": 15, "num_key_value_heads": 5}
LLAMA3_HEADS = {"num_attention_heads": 32, "num_key_value_heads": 8}
BASES = {  # of the tasks that write; as published with the models
    "calendar": SMOLLM | HEADS | {"vocab_size": 49152, "tie_word_embeddings": True},
    "crime": LLAMA3 | LLAMA3_HEADS | {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
}
SMALL = {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 64}
TINY = SMALL | {"num_key_value_heads": 1}
SECONDS = 420  # after which no further variant begins


# -- models of random weights -----------------------------------------------------------------------------------------
def save_random(config: Any, kind: Any, tokenizer: Any, folder: Path) -> Path:
    """Write a model of random weights in 16 bits, tensor by tensor: main memory may not hold it whole."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in kind.from_config(config).state_dict().items()}
    if getattr(config, "tie_word_embeddings", False):
        shapes.pop("lm_head.weight", None)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder.mkdir(parents=True)
    places = {}
    for at, (name, shape) in enumerate(shapes.items()):
        normal = torch.ones if len(shape) == 1 else torch.randn  # one-dimensional: norms, and biases
        scale = 1.0 if name.lower().endswith("norm.weight") else 0.02
        places[name] = f"model-{at}.safetensors"
        tensor = (scale * normal(shape, device=device)).half().cpu()
        save_file({name: tensor}, folder / places[name], metadata={"format": "pt"})
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})
    config.architectures = None
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def models_of(task: str, folder: Path, tiny: bool) -> dict[str, str]:
    """The settings that name the models of a task: folders with random weights at their real size."""
    torch.manual_seed(0)
    words = AutoTokenizer.from_pretrained(packaged_encoder())
    thin = {"n_layers": 1, "dim": 64, "n_heads": 2, "hidden_dim": 64} if tiny else {}
    config = BertConfig(vocab_size=len(words), **(SMALL if tiny else {}))
    settings = {"encoder_model": str(save_random(config, AutoModel, words, folder / "bert"))}
    if task not in BASES:
        config = DistilBertConfig(vocab_size=len(words), **thin)
        student = save_random(config, AutoModel, words, folder / "distilbert")
        return settings | {"distilled.student_model": str(student)}
    tokenizer = AutoTokenizer.from_pretrained(packaged_folder())
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = LlamaConfig(**{**BASES[task], **(TINY if tiny else {})}, **ends, max_position_embeddings=8192)
    base = save_random(config, AutoModelForCausalLM, tokenizer, folder / "base")
    return settings | {"base_model": str(base)}


# -- what is measured -------------------------------------------------------------------------------------------------
def wait() -> float:
    """The time when the GPU has done all it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def product_flops(dtype: torch.dtype, size: int) -> float:
    """Operations a second of a plain matrix product, the best of ten."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, times = torch.randn(size, size, device=device, dtype=dtype), []
    for _ in range(10):
        began = wait()
        _ = left @ left
        times.append(wait() - began)
    return 2 * size**3 / min(times)


class Watch:
    """Seconds and tokens of the steps of all trainers."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, int]] = []
        plain = common.StudyMixin.training_step

        def timed(trainer: Any, model: Any, inputs: dict[str, Any], *more: Any) -> torch.Tensor:
            began, tokens = wait(), int(inputs["attention_mask"].sum())
            loss = plain(trainer, model, inputs, *more)
            self.steps.append((wait() - began, tokens))
            return loss

        common.StudyMixin.training_step = timed

    def speed(self) -> float:
        """Tokens a second since it was asked last, but for the first step, which is slower."""
        (_, *counted), self.steps = self.steps, []
        return sum(tokens for _, tokens in counted) / sum(seconds for seconds, _ in counted)


def few_steps(run: Run, variant: str, steps: int) -> Run:
    """The run, set to train a variant for so many steps, or a few more where its batches say so."""
    own = {"epochs": 1, "warmup_steps": 1, "least_steps": steps, "made_epochs": 0, "patience": 99}
    own = {f"{variant}.{name}": value for name, value in own.items()}
    run.settings |= {name: value for name, value in own.items() if name in run.settings}
    run.settings |= {"max_new_tokens": 8, "score_rows": 2, "generation_batch_size": 36}
    return run


def rows_for(run: Run, variant: str, steps: int, rows: list) -> list:
    """As many rows as a writer takes for its steps; a tagger takes what there is, again and again."""
    if variant in run.task.variants.taggers:
        return rows[: 8 * steps]
    count = steps * run[f"{variant}.batch_size"] * run[f"{variant}.accumulation"]
    return (rows * (count // len(rows) + 1))[:count]


def check_variant(
    run: Run, variant: str, steps: int, rows: list, watch: Watch, peak: float
) -> dict[str, Any]:
    """Train a variant and have it answer."""
    few_steps(run, variant, steps)
    result = fit(run, variant, rows_for(run, variant, steps, rows), rows[:2])
    losses, speed = [record["loss"] for record in result.history if "loss" in record], watch.speed()
    system, began = systems.load(run, variant), wait()
    answers = system.predict(rows[:2])
    seconds = wait() - began
    system.release()
    every, trained = result.parameters["total"], result.parameters["trainable"]
    tagger = variant in run.task.variants.taggers
    config = AutoConfig.from_pretrained(run["encoder_model" if tagger else "base_model"])
    only_read = 0 if config.tie_word_embeddings and not tagger else config.vocab_size * config.hidden_size
    operations = (6 if trained == every else 4) * max(0, every - only_read) * speed
    return {
        "steps": len(losses),
        "loss": [round(losses[0], 4), round(losses[-1], 4)],
        "tokens_per_second": round(speed),
        "share_of_matrix_product": round(operations / peak, 4),
        "peak_memory_mb": read_json(run.path("costs.json"))[variant]["train_peak_memory_mb"],
        "answers": len(answers),
        "answer_seconds": round(seconds, 4),
        "note": result.note,
    }


def loss_difference(folder: Path, rows: list, model: str) -> float:
    """Largest relative difference between the losses of three steps of LoRA on the device and on the CPU in fp32."""
    found = []
    for at, profile in enumerate(("gpu", "cpu")):
        run = Run("calendar", profile="gpu", out=str(folder / str(at)), settings={"base_model": model})
        few_steps(run, "lora", 3)
        run.settings |= {"lora.batch_size": 2, "lora.accumulation": 1, "lora.dropout": 0.0}
        run.profile = profile  # `cpu` is fp32 there, with the settings of the other
        history = fit(run, "lora", rows[:6], rows[:1]).history
        found.append([record["loss"] for record in history if "loss" in record])
    return max(abs(one - other) / other for one, other in zip(*found))


def checks(
    folder: Path, steps: int, tiny: bool, only: str, until: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and numbers of every variant, and why there are none."""
    watch, peak = Watch(), product_flops(device_of("gpu").dtype, 256 if tiny else 4096)
    for task in TASK_NAMES:
        if only and not only.startswith(f"{task}/"):
            continue
        run = Run(task, profile="gpu", out=str(folder / "out"), settings=models_of(task, folder / task, tiny))
        rows = next(iter(load_source(run).values()))
        fitting = memory.variants_that_fit(run)
        for variant in run.task.variants:
            name = f"{task}/{variant}"
            if only not in ("", name):
                continue
            if variant not in fitting or time.monotonic() > until:
                yield name, {"left_out": "no time left" if variant in fitting else "does not fit this GPU"}
                continue
            try:
                yield name, check_variant(run, variant, steps, rows, watch, peak)
            except (UserError, RuntimeError, ValueError) as error:
                yield name, {"error": str(error).splitlines()[0]}
            free_memory()
        if task == "calendar" and not only:
            model = "SmolLM2-135M-Instruct-2-layers" if tiny else PACKAGED
            yield "loss_difference_to_cpu", {"largest": loss_difference(folder / "twice", rows, model)}


def main(
    out: Annotated[Path | None, typer.Option(help="Where the JSON goes too.")] = None,
    steps: Annotated[int, typer.Option(min=2)] = 20,
    tiny: Annotated[bool, typer.Option("--tiny", help="Models of one narrow layer.")] = False,
    only: Annotated[str, typer.Option(help="One variant alone, such as calendar/lora.")] = "",
) -> int:
    """Train and ask every variant of the gpu profile; status 1 if one of them cannot be."""
    began = time.monotonic()
    seed_everything(42)
    with tempfile.TemporaryDirectory() as folder:
        chosen = device_of("gpu")
        found: dict[str, Any] = {"device": chosen.device, "dtype": str(chosen.dtype), "tiny": tiny}
        found["hardware"] = hardware()
        found["variants"] = {}
        for name, numbers in checks(Path(folder), steps, tiny, only, began + SECONDS):
            found["variants"][name] = numbers
            print(name, json.dumps(numbers), flush=True)
    found["seconds"] = round(time.monotonic() - began)
    if out:
        write_json(out, found)
    print(json.dumps(found, indent=1))
    return int(any("error" in numbers for numbers in found["variants"].values()))


if __name__ == "__main__":
    start(main)
