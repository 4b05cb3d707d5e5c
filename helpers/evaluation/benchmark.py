"""How fast training, decoding, reading and serving are beside the ways that they replace: ratios with spread.

Run as: python -m helpers.evaluation.benchmark --data public    (some 20 minutes; --only training: a part)

The ways take turns, A B A B in one process, so that a busy machine slows all of them.
"""

from __future__ import annotations

import copy
import itertools
import math
import statistics
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tqdm import tqdm
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from helpers import files
from helpers.data import read as data
from helpers.data.splits import make_splits
from helpers.errors import UserError, one_of
from helpers.evaluation import systems
from helpers.evaluation.measured import BENCHMARK, Line, benchmark_table
from helpers.export.model_folder import open_run
from helpers.export.onnx_graphs import OnnxTagger, quantise, write_graph
from helpers.machine import hardware
from helpers.manifest import code_fingerprint, environment_fingerprint
from helpers.models.adapters import load_finetuned, load_untuned
from helpers.models.base import load_base, load_tokenizer, public_name
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.base import Example
from helpers.training import writers
from helpers.training.taggers import new_tagger
from helpers.writing.prompts import Prompt, answer_together, predict_texts, tuned, untuned

EASY = 48  # tokens that a model may write which was never trained to stop
SIZE = 2048  # of the square matrices whose product shows what the cores can do
Ways = dict[str, Callable[[], float]]  # name → what gives the rate of a turn


# -- ways that take turns ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class Bench:
    """What is measured, and how long."""

    run: Run  # its data and settings; where it writes
    trained: Run | None = None  # a finished run whose adapter decodes, else the untuned base model does
    repeats: int = 3  # turns of each way
    seconds: float = 20.0  # least time of a turn
    texts: int = 64  # that are decoded together

    def lines(self, part: str, unit: str, ways: Ways, pairs: Sequence[tuple[str, str]]) -> list[Line]:
        """Let ways take turns; a line for each pair: median rates; smallest, median and largest ratio of a round."""
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for name, way in tqdm([*ways.items()] * self.repeats, desc=part, unit="turn"):
            rates[name].append(way())
        found = []
        for ours, theirs in pairs:
            ratios = [one / other for one, other in zip(rates[ours], rates[theirs], strict=True)]
            names = {"part": part, "ours": ours, "against": theirs, "unit": unit}
            medians = [statistics.median(each) for each in (rates[ours], rates[theirs], ratios)]
            shown = dict(zip(("rate", "other_rate", "ratio"), medians))
            found.append(names | shown | {"low": min(ratios), "high": max(ratios)})
        return found

    def rate(self, work: Callable[[], int], seconds: float = math.inf) -> float:
        """How much a piece of work, done again until the time of a turn is over, gets done in a second."""
        work()  # what is made only once, such as compiled grammars, does not count
        done, started, limit = 0, time.perf_counter(), min(seconds, self.seconds)
        while (spent := time.perf_counter() - started) < limit or not done:
            done += work()
        return done / spent


def rows_of(run: Run) -> dict[str, list[Example]]:
    """Parts of the data of a run."""
    return make_splits(run, data.load_source(run)).parts


def peak() -> float:
    """Floating-point operations a second of the best of five fp32 products of large matrices."""
    left, right = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE)
    return 2 * SIZE**3 / min(timeit.repeat(lambda: left @ right, number=1, repeat=5))


# -- training ---------------------------------------------------------------------------------------------
class Clock(TrainerCallback):
    """Ends a training when its time is over and knows its rate in tokens that are no padding."""

    def __init__(self, seconds: float):
        self.seconds, self.first, self.rate = seconds, (0.0, 0), 0.0

    def on_step_end(self, args, state, control, **kwargs):
        now, tokens = time.perf_counter(), state.num_input_tokens_seen
        if state.global_step == 1:  # asks for memory, and does not count
            self.first = now, tokens
            return
        spent = now - self.first[0]
        self.rate = (tokens - self.first[1]) / spent
        control.should_training_stop = spent >= self.seconds


def training(bench: Bench) -> list[Line]:
    """Tokens a second, without padding, of one LoRA training: our trainer, its base in int8, and TRL's as it comes."""
    run, train = bench.run, rows_of(bench.run)["train"]
    variant = next(name for name, writer in run.task.variants.writers.items() if writer.adapter)
    tokenizer = load_tokenizer(run)
    endless = {
        "max_steps": 10**6,
        "eval_strategy": "no",
        "save_strategy": "no",
        "include_num_input_tokens_seen": "non_padding",
    }

    def of_bits(bits: int) -> tuple[Run, Any]:
        own = {"rank": 16, "alpha": 32, "targets": "all", "bits": bits}
        settings = run.settings | {f"{variant}.{name}": value for name, value in own.items()}
        of = Run(run.task, run.profile, run.data, str(run.root), settings, run.seed)
        return of, writers.base_of(of, variant)[0]

    def ours(bits: int) -> Trainer:
        of, model = of_bits(bits)
        trainer = writers.make_trainer(of, variant, model, tokenizer, train, train[:1], run.dir)
        trainer.remove_callback(EarlyStoppingCallback)
        for name, value in endless.items():
            setattr(trainer.args, name, value)
        return trainer

    def trl() -> Trainer:
        # learns completions alone, as it does where prompt and completion come as texts
        of, model = of_bits(32)
        rows = writers.dataset_of(of, tokenizer, train)
        answers = rows.map(
            lambda row: {"completion_mask": [int(kind != -2) for kind in row["field_ids"]]},
            remove_columns=[name for name in rows.column_names if name != "input_ids"],
        )
        more = {**endless, "use_cpu": True, "bf16": False, "report_to": [], "disable_tqdm": True}
        args = SFTConfig(str(run.dir / "trainer"), completion_only_loss=True, seed=run.seed, **more)
        return SFTTrainer(model=model, train_dataset=answers, processing_class=tokenizer, args=args)

    def rate(make: Callable[[], Trainer]) -> float:
        trainer, clock = make(), Clock(bench.seconds)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(clock)
        trainer.train()
        return clock.rate

    plain, int8, theirs = "our trainer", "our trainer, base in int8", "SFTTrainer as it comes"
    makers = {plain: partial(ours, 32), theirs: trl, int8: partial(ours, 8)}
    ways = {name: partial(rate, make) for name, make in makers.items()}
    return bench.lines("training", "tokens/s", ways, [(plain, theirs), (int8, plain)])


# -- decoding ---------------------------------------------------------------------------------------------
def writer(run: Run, trained: Run | None) -> tuple[Callable[[bool], Any], Callable[..., Prompt], int]:
    """(whole → model, what it is asked, tokens it may write): a finished adapter, else the untuned base."""
    names = [
        name for name, one in run.task.variants.writers.items() if one.adapter and one.loss != "structured"
    ]
    found = [name for name in names if trained and name in systems.trained(trained)]
    if not found:
        return lambda whole: load_base(run).eval() if whole else load_untuned(run), untuned, EASY
    folder = trained.dir / "checkpoints" / found[0] / "best"
    return lambda whole: load_finetuned(trained, folder, whole=whole), tuned, run["max_new_tokens"]


def decoding(bench: Bench) -> list[Line]:
    """Events a second that are decoded together, against one `generate` call each of the same model in fp32."""
    run = bench.run
    load, prompt, limit = writer(run, bench.trained)
    fast, whole, tokenizer = load(False), load(True), load_tokenizer(run)
    texts = [row.text for row in rows_of(run)["validation"]][: bench.texts]
    queue = itertools.cycle(texts)

    def together() -> int:
        predict_texts(fast, tokenizer, run.task, texts, "free", limit, len(texts), prompt)
        return len(texts)

    def each() -> int:
        asked = prompt(tokenizer, run.task, next(queue))
        ids = torch.tensor([asked.text + asked.questions[0]])
        whole.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=[tokenizer.eos_token_id, *asked.stop],
            pad_token_id=tokenizer.pad_token_id,
        )
        return 1

    ours, theirs = f"{len(texts)} together", "one generate call each"
    ways = {ours: partial(bench.rate, together), theirs: partial(bench.rate, each)}
    return bench.lines("decoding", "texts/s", ways, [(ours, theirs)])


def reading(bench: Bench) -> list[Line]:
    """Reports a second whose questions share one reading, against a reading for each question."""
    own = {name: bench.run[name] for name in ("base_model", "max_rows") if name in bench.run.settings}
    run = Run("crime", bench.run.profile, bench.run.data, str(bench.run.root), own, bench.run.seed)
    model, tokenizer = load_untuned(run), load_tokenizer(run)
    rows = rows_of(run)["validation"][: bench.repeats]
    prompts = [tuned(tokenizer, run.task, row.text) for row in rows]
    count = len(run.task.chat.questions)

    def read(queue: Iterator[Prompt], together: bool) -> int:
        one = next(queue)
        for questions in [one.questions] if together else [[question] for question in one.questions]:
            asked = [one._replace(questions=questions)]
            answer_together(model, tokenizer, asked, max_new_tokens=EASY // 2)
        return 1

    ways = {
        name: partial(bench.rate, partial(read, itertools.cycle(prompts), together))
        for name, together in ((f"one reading, {count} questions", True), (f"{count} readings", False))
    }
    return bench.lines("reading", "reports/s", ways, [tuple(ways)])


# -- serving ----------------------------------------------------------------------------------------------
def serving(bench: Bench) -> list[Line]:
    """Texts a second of the span tagger, one and 32 at a time, as it is served and as int8 graph.

    It is not trained: how fast it is does not depend on its weights.
    """
    run, rows = bench.run, rows_of(bench.run)["train"]
    variant = next(name for name in run.task.variants if name in run.task.variants.taggers)
    tagger = new_tagger(run, variant, rows)
    eager = copy.deepcopy(tagger.model)
    eager.base.set_attn_implementation("eager")
    graph = quantise(write_graph(copy.deepcopy(eager), run.dir / "tagger"))
    forms = {
        "PyTorch, eager attention": eager,
        "PyTorch, as it is served": tagger.model,
        "ONNX Runtime, int8": OnnxTagger(graph, tagger.model.layout),
    }

    def answer(model: Any, count: int, queue: Iterator[Example]) -> int:
        system = systems.TaggingSystem(run, variant, replace(tagger, model=model))
        return len(system.predict(list(itertools.islice(queue, count))))

    lines = []
    for count in (1, 32):
        label = f"{count} text{'s' * (count > 1)}: "
        ways = {
            label + form: partial(bench.rate, partial(answer, model, count, itertools.cycle(rows)), 3.0)
            for form, model in forms.items()
        }
        first, *others = ways
        lines += bench.lines("serving", "texts/s", ways, [(other, first) for other in others])
    return lines


# -- all of it --------------------------------------------------------------------------------------------
PARTS = {part.__name__: part for part in (training, decoding, reading, serving)}


def measure(bench: Bench, only: Sequence[str] = ()) -> dict[str, Any]:
    """Lines of some parts, or of all, with what they were measured on; a UserError for what cannot be measured."""
    run = bench.run
    if not run.task.variants.writers:
        raise UserError(f"{run.task.name} has no model that writes: notebook 05 measures its taggers")
    chosen = [one_of(name, list(PARTS), "part") for name in only] or list(PARTS)
    before = peak()
    lines = [line for name in chosen for line in PARTS[name](bench)]
    return {
        "lines": lines,
        "manifest": {
            "task": run.task.name,
            "data": data.data_name(run),
            "model": public_name(run["base_model"]),
            "decoded by": "a finished adapter" if bench.trained else "the untuned base",
            "repeats": bench.repeats,
            "seconds": bench.seconds,
            "gemm_gflops": round(max(before, peak()) / 1e9, 1),
            "code": code_fingerprint(),
            "hardware": hardware(),
            "environment": environment_fingerprint(),
        },
    }


def main(
    task: Annotated[str, typer.Option(metavar="calendar|crime", help="What is decoded.")] = "calendar",
    data: Annotated[str, typer.Option(metavar="sample|public|DIR", help="As in ./run_all.sh.")] = "sample",
    only: Annotated[list[str] | None, typer.Option(metavar="|".join(PARTS), help="A part.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each way.")] = 3,
    seconds: Annotated[float, typer.Option(min=0, help="Least time of a turn.")] = 20.0,
    run: Annotated[str, typer.Option(help="A finished run that decodes (artifacts/<task>).")] = "",
) -> None:
    """Measure everything in one run and keep it in results/; with --only in artifacts/benchmark/."""
    out, trained = ROOT / "artifacts" / "benchmark", None
    source = data if data in ("sample", "public") else str(Path(data).expanduser().resolve())
    if run or (ROOT / "artifacts" / task / "checkpoints").is_dir():
        trained = open_run(task, run or None)[0]
    settings = {"base_model": trained["base_model"]} if trained else {}
    bench = Bench(Run(task, "cpu", source, str(out), settings), trained, repeats, seconds)
    content = measure(bench, only or ())
    path = out / BENCHMARK.name if only else BENCHMARK
    files.write_json(path, content)
    frame, caption = benchmark_table(path)
    print(frame.round(2).to_string(), caption, f"written to {path}", sep="\n")


if __name__ == "__main__":
    from helpers.command import start

    start(main)
