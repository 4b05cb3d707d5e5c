"""How fast training, decoding, reading and serving are beside the ways that they replace: ratios with spread.

Run as: python -m helpers.evaluation.benchmark --data public    (some 20 minutes; --only training: a part)

The ways take turns, A B A B in one process, so that a busy machine slows all of them.
"""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tqdm import tqdm

from helpers import files
from helpers.data import read as data
from helpers.data.splits import make_splits
from helpers.errors import UserError, one_of
from helpers.evaluation import systems, trainers
from helpers.evaluation.measured import BENCHMARK, Line, benchmark_table
from helpers.export.model_folder import open_run
from helpers.export.onnx_graphs import OnnxTagger, quantise, write_graph
from helpers.machine import hardware
from helpers.manifest import code_fingerprint, environment_fingerprint
from helpers.models.adapters import load_finetuned, load_untuned
from helpers.models.base import load_base, load_tokenizer, public_name
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.records import Example
from helpers.training.taggers import new_tagger
from helpers.writing.grammar import GrammarMask
from helpers.writing.prompts import Prompt, tuned, untuned
from helpers.writing.questions import answer_together, predict_texts

EASY = 48
"""Tokens that a model may write which was never trained to stop."""
Rates = dict[str, list[float]]


# -- ways that take turns ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class Bench:
    """What is measured, and how long."""

    run: Run  # its data and settings; where it writes
    trained: Run | None = (
        None  # a finished run whose adapter decodes; without one the untuned base model does
    )
    repeats: int = 3  # turns of each way
    seconds: float = 20.0  # least time of a turn
    texts: int = 64  # that are decoded together

    def in_turns(self, part: str, ways: dict[str, Callable[[], float]]) -> Rates:
        """Way → its rates, what it gets done in a second, turn by turn."""
        rates: Rates = {name: [] for name in ways}
        for name, way in tqdm([*ways.items()] * self.repeats, desc=part, unit="turn"):
            rates[name].append(way())
        return rates


def rows_of(run: Run) -> dict[str, list[Example]]:
    """Parts of the data of a run."""
    return make_splits(run, data.load_source(run)).parts


def pair(part: str, rates: Rates, ours: str, theirs: str, unit: str) -> Line:
    """Two ways side by side: median rates; smallest, median and largest ratio of the turns of a round."""
    ratios = [one / other for one, other in zip(rates[ours], rates[theirs], strict=True)]
    return {
        "part": part,
        "ours": ours,
        "against": theirs,
        "unit": unit,
        "rate": statistics.median(rates[ours]),
        "other_rate": statistics.median(rates[theirs]),
        "low": min(ratios),
        "ratio": statistics.median(ratios),
        "high": max(ratios),
    }


def rate_of(work: Callable[[], int], seconds: float) -> float:
    """How much a piece of work, done again until the time is over, gets done in a second."""
    work()  # what is made only once, such as compiled grammars, does not count
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds or not done:
        done += work()
    return done / spent


# -- training ---------------------------------------------------------------------------------------------
def training(bench: Bench) -> list[Line]:
    """Tokens a second, without padding, of one LoRA training by several trainers."""
    ways = trainers.ways_to_train(bench.run, rows_of(bench.run)["train"], bench.seconds)
    rates = bench.in_turns("training", ways)
    return [
        *(pair("training", rates, trainers.OURS, other, "tokens/s") for other in trainers.OTHERS),
        pair("training", rates, trainers.INT8, trainers.OURS, "tokens/s"),
    ]


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


def one_call(model, tokenizer, prompt: Prompt, limit: int, grammar: str | None) -> str:
    """The answer of one `generate` of transformers, held to a grammar by a logits processor."""
    ids, ends = torch.tensor([prompt.text + prompt.questions[0]]), [tokenizer.eos_token_id, *prompt.stop]
    mask, finished = GrammarMask(tokenizer, [grammar], len(tokenizer)) if grammar else None, False

    def held(given: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        nonlocal finished
        if given.shape[1] > ids.shape[1]:
            finished = mask.accept(0, int(given[0, -1]))
        chosen = ends[:1] if finished else mask.choose(scores, [0]).tolist()
        return torch.full_like(scores, float("-inf")).index_fill_(1, torch.tensor(chosen), 0.0)

    found = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
        logits_processor=[held] if mask else [],
    )
    return tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True)


def decoding(bench: Bench) -> list[Line]:
    """Events a second that are decoded together, against one call each of the same model in fp32.

    An untuned model is not held to a grammar: it would fill the room that a grammar gives to the last token.
    """
    run, task, lines = bench.run, bench.run.task, []
    load, prompt, limit = writer(run, bench.trained)
    fast, whole, tokenizer = load(False), load(True), load_tokenizer(run)
    texts = [row.text for row in rows_of(run)["validation"]][: bench.texts]

    def together(way: str) -> int:
        predict_texts(fast, tokenizer, task, texts, way, limit, len(texts), prompt)
        return len(texts)

    def each(way: str, queue: Iterator[str]) -> int:
        text = next(queue)
        grammar = None if way == "free" else task.chat.grammar(text, way)
        one_call(whole, tokenizer, prompt(tokenizer, task, text), limit, grammar)
        return 1

    for way in task.variants.decodings if prompt is tuned else ("free",):
        ours, theirs = f"{len(texts)} together, {way}", f"one generate call each, {way}"
        ways = {
            ours: partial(rate_of, partial(together, way), bench.seconds),
            theirs: partial(rate_of, partial(each, way, itertools.cycle(texts)), bench.seconds),
        }
        lines.append(pair("decoding", bench.in_turns(f"decoding, {way}", ways), ours, theirs, "texts/s"))
    return lines


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

    names = {f"one reading, {count} questions": True, f"{count} readings": False}
    ways = {
        name: partial(rate_of, partial(read, itertools.cycle(prompts), together), bench.seconds)
        for name, together in names.items()
    }
    return [pair("reading", bench.in_turns("reading", ways), *names, "reports/s")]


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
        seconds, label = min(bench.seconds, 3.0), f"{count} text{'s' * (count > 1)}: "
        ways = {
            label + form: partial(rate_of, partial(answer, model, count, itertools.cycle(rows)), seconds)
            for form, model in forms.items()
        }
        first, *others = ways
        rates = bench.in_turns(f"serving, {count}", ways)
        lines += [pair("serving", rates, other, first, "texts/s") for other in others]
    return lines


# -- all of it --------------------------------------------------------------------------------------------
PARTS: dict[str, Callable[[Bench], list[Line]]] = {
    part.__name__: part for part in (training, decoding, reading, serving)
}


def measure(bench: Bench, only: Sequence[str] = ()) -> dict[str, Any]:
    """Lines of some parts, or of all, with what they were measured on.

    Raises
    ------
    UserError
        For an unknown part, or a task whose models write nothing.
    """
    run = bench.run
    if not run.task.variants.writers:
        raise UserError(f"{run.task.name} has no model that writes: notebook 05 measures its taggers")
    chosen = [one_of(name, list(PARTS), "part") for name in only] or list(PARTS)
    before = trainers.peak()
    lines = [line for name in chosen for line in PARTS[name](bench)]
    return {
        "lines": lines,
        "manifest": {
            "task": run.task.name,
            "data": data.data_name(run),
            "model": public_name(run),
            "decoded by": "a finished adapter" if bench.trained else "the untuned base",
            "repeats": bench.repeats,
            "seconds": bench.seconds,
            "gemm_gflops": round(max(before, trainers.peak()) / 1e9, 1),
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
    settings = {name: trained[name] for name in ("base_model",)} if trained else {}
    bench = Bench(Run(task, "cpu", source, str(out), settings), trained, repeats, seconds)
    content = measure(bench, only or ())
    path = out / BENCHMARK.name if only else BENCHMARK
    files.write_json(path, content)
    frame, caption = benchmark_table(path)
    print(frame.round(2).to_string(), caption, f"written to {path}", sep="\n")


if __name__ == "__main__":
    from helpers.command import start

    start(main)
