"""Exports: merged weights equal base and adapter, ONNX and GGUF equal PyTorch, folders load with nothing else."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT
from safetensors.torch import load_file, save_file
from tiny_encoder import save_tiny_encoder
from tiny_run import rows

from helpers.errors import UserError
from helpers.export import folders, gguf_file, onnx_graphs
from helpers.files import write_json
from helpers.models.base import base_path, load_base, load_tokenizer
from helpers.run import Run
from helpers.serve.predictor import Predictor
from helpers.writing.chat import render
from helpers.writing.generation import decode
from helpers.writing.prompts import encode_prompt


@pytest.fixture(scope="module")
def exported(calendar_run):
    """Folders of every form of the LoRA variant, and of the tagger's model and graph."""
    made = folders.export(calendar_run, "lora")
    folders.export(calendar_run, "tagger")
    return made


def assert_nothing_is_lost(found):
    for name in {"merged", "onnx"} & set(found):
        assert found[name]["same_predictions"] == 1 and found[name]["largest_logit_gap"] < 1e-3, name
    if "onnx" in found:
        assert found["onnx_int8"]["largest_logit_gap"] > found["onnx"]["largest_logit_gap"]


def test_every_form_is_written_and_equals_the_trained_model(calendar_run, exported):
    run = calendar_run
    assert set(exported) == {"model", "adapter", "gguf"}
    recipe = (exported["gguf"] / "Modelfile").read_text()
    for line in ("FROM ./model.gguf", 'TEMPLATE """Extract entities from: {{ .Prompt }} → """'):
        assert line in recipe
    for variant, forms in (("lora", {"merged"}), ("tagger", {"merged", "onnx", "onnx_int8"})):
        found = folders.check_parity(run, variant)
        assert set(found) == forms
        assert_nothing_is_lost(found)
    merged, base = folders.load_exported(run, "lora"), (load_base(run), load_tokenizer(run))
    assert folders.logit_gap(run, merged, base, rows(run.task)[:2]) > 0.01, "the adapter does something"


def test_taggers_of_tokens_have_the_same_forms(token_run):
    texts = ["Docker on Debian 12", "no", "Docker fails on Debian 12 " * 12]  # one is read in windows
    for variant in ("lora", "enhanced"):
        assert set(folders.export(token_run, variant)) == {"model", "onnx"}
        assert_nothing_is_lost(folders.check_parity(token_run, variant))
        engines = [Predictor(token_run, variant, engine) for engine in ("torch", "onnx")]
        by_torch, by_onnx = ([one["spans"] for one in engine.predict(texts)] for engine in engines)
        assert by_torch == by_onnx and any(by_torch[2].values())


def test_folders_load_with_nothing_else(exported, tmp_path):
    code = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline
from peft import AutoPeftModelForCausalLM
model, adapter = sys.argv[1:]
whole, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
ids = tokenizer("Lunch with Ann", return_tensors="pt")["input_ids"]
parts = AutoPeftModelForCausalLM.from_pretrained(adapter)
assert (whole(ids).logits - parts(ids).logits).abs().max() < 1e-3
write = pipeline("text-generation", model=model)
print("wrote", len(write("Extract entities from: Lunch → ", return_full_text=False)[0]["generated_text"]) > 0)
assert not any(name.startswith("helpers") for name in sys.modules)
"""
    command = [sys.executable, "-c", code, str(exported["model"]), str(exported["adapter"])]
    alone = {"cwd": tmp_path, "env": {"PATH": "", "HF_HUB_OFFLINE": "1"}}
    done = subprocess.run(command, text=True, capture_output=True, check=False, **alone)
    assert "wrote True" in done.stdout, done.stderr[-2000:]


def test_what_there_is_not_ends_in_one_line(calendar_run, token_run):
    with pytest.raises(UserError, match="cannot be exported"):
        folders.export(calendar_run, "qlora")
    with pytest.raises(UserError, match="use --engine torch"):
        folders.load_onnx(calendar_run, "full_entity_loss")
    with pytest.raises(UserError, match=r"helpers\.export"):
        folders.load_onnx(token_run, "full")


@pytest.fixture(scope="module")
def graph(token_run) -> Path:
    folders.export(token_run, "full", ("onnx",))
    return folders.export_folder(token_run, "full", "onnx") / onnx_graphs.FILE


def test_the_runtime_tells_nobody(graph, tmp_path):
    """Its makers' builds keep an identity of the machine, and events to be sent, in the user's folder."""
    code = "import sys, helpers, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
    env = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(graph)], env=env, check=True)
    assert not list(tmp_path.iterdir())


def test_weights_have_seven_bits_where_eight_overflow(graph, monkeypatch):
    for flags, bits in (("sse4_2 avx2", 7), ("avx2 avx_vnni", 8)):
        with monkeypatch.context() as pretended:
            pretended.setattr(onnx_graphs.platform, "machine", lambda: "x86_64")
            pretended.setattr(onnx_graphs.Path, "read_text", lambda path, flags=flags, **how: flags)
            assert onnx_graphs.overflows() == (bits == 7)
        with monkeypatch.context() as pretended:
            pretended.setattr(onnx_graphs, "overflows", lambda bits=bits: bits == 7)
            found = onnx.load(str(onnx_graphs.quantise(graph))).graph.initializer
        weights = [onnx.numpy_helper.to_array(one) for one in found if one.data_type == onnx.TensorProto.INT8]
        largest = max(int(np.abs(weight.astype(int)).max()) for weight in weights)
        assert 2 ** (bits - 2) <= largest <= 2 ** (bits - 1)


def test_int8_is_compared_on_the_machine_that_serves(token_run):
    folders.export(token_run, "full", ("onnx",))
    kept = folders.export_folder(token_run, "full", "onnx", onnx_graphs.CHECK)
    assert folders.load_onnx(token_run, "full")
    content = load_file(kept)
    for name in onnx_graphs.GRAPHS.values():
        content[name] += 9.0
    save_file(content, kept)  # as if this CPU computed otherwise than that of the export
    with pytest.raises(UserError, match="--engine onnx, or export it here"):
        folders.load_onnx(token_run, "full")
    assert folders.load_onnx(token_run, "full", quantised=False)


def test_what_is_no_llama_is_refused_in_one_line(exported, tmp_path):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    bytes_apart = Tokenizer(models.BPE({"<0x41>": 0}, [], byte_fallback=True))
    PreTrainedTokenizerFast(tokenizer_object=bytes_apart).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="BPE over bytes"):
        gguf_file.add_tokenizer(None, tmp_path, "", 1)
    encoder = save_tiny_encoder(tmp_path / "encoder")
    with pytest.raises(UserError, match="'bert'"):
        gguf_file.write_gguf(Path(encoder), tmp_path, "")


def test_llama_cpp_writes_what_pytorch_writes(tmp_path):
    """The base model, cut, asked by llama.cpp itself (the package xllamacpp brings it ready to run)."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="xllamacpp has no wheel for this platform")
    base = Run(task="calendar", profile="smoke", out=str(tmp_path))
    model, tokenizer = load_base(base), load_tokenizer(base)
    path = gguf_file.write_gguf(Path(base_path(base)), tmp_path, base["base_model"], whole=True)
    given = xllamacpp.CommonParams()
    given.model.path, given.n_ctx, given.n_parallel = str(path), 512, 1
    names = ("Ann", "Zoë", "Dr. O’Neil", "王伟", "Bo & Co")  # some with signs that take several bytes
    pairs = enumerate(itertools.product(names, ("in room 4", "at Café Roma", "— online", "🎉 party")))
    texts = [f"Lunch with {name} {place} on 3/0{1 + at % 9}/2026 at 1pm" for at, (name, place) in pairs]
    server, prompts = xllamacpp.Server(given), [base.task.chat.prompt(text) for text in texts]
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    mine = decode(model, tokenizer, encoded, max_new_tokens=16)
    asked = {"max_tokens": 16, "temperature": 0, "logprobs": 1}
    for prompt, expected in zip(
        [*prompts, encoded[0]], [*mine, mine[0]]
    ):  # it reads a text as the tokenizer does
        answer = server.handle_completions({"prompt": prompt, **asked})
        written = answer["choices"][0]["logprobs"]["content"]
        found = [token["id"] for token in written if token["id"] != tokenizer.eos_token_id]
        assert found == expected.tokens, prompt
        stated = [one["logprob"] for one in written][: len(found)]
        assert stated == pytest.approx(expected.log_probs, abs=1e-2)


LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start|>' + m['role'] + '<|end|>\n\n' + m['content'] | trim + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant<|end|>\n\n' }}{% endif %}"
)


@pytest.mark.parametrize("own", [None, LLAMA_3])
def test_ollama_writes_a_chat_as_the_tokenizer_does(tmp_path, own):
    base = Run(task="crime", profile="smoke", out=str(tmp_path))
    tokenizer, task = load_tokenizer(base), base.task
    tokenizer.chat_template = own or tokenizer.chat_template
    tokenizer.save_pretrained(tmp_path / "source")
    write_json(tmp_path / "source" / "config.json", {"model_type": "llama", "max_position_embeddings": 99})
    _, template, options = gguf_file.modelfile(task, tmp_path / "source", 20).split('"""')
    for line in ("temperature 0", "repeat_penalty 1", "num_ctx 99", "num_predict 20", 'stop "<|im_end|>"'):
        assert f"PARAMETER {line}\n" in options
    # what Go makes of the template: the pieces of its role for each message, then what is after the loop
    loop, _, tail = template.removeprefix("{{ range .Messages }}").rpartition("{{ end }}")
    pieces = dict(re.findall(r'{{ if eq .Role "(\w+)" }}(.*?){{ end }}', loop, re.DOTALL))
    question = {"role": "user", "content": task.chat.question("Victim_Name")}
    messages = [*task.chat.opening("Ann was robbed."), question]
    written = "".join(pieces[turn["role"]].replace("{{ .Content }}", turn["content"]) for turn in messages)
    assert written + tail == render(tokenizer, messages, generation=True)
