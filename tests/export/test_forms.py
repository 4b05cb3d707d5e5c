"""Exports: merged weights equal base and adapter, ONNX and GGUF equal PyTorch, folders load with nothing else."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT
from safetensors.torch import load_file, save_file
from tiny_encoder import TAGS, save_tiny_encoder, sentence, sentences, tiny_run
from tiny_run import make_run, make_token_run, rows

from helpers.errors import UserError
from helpers.evaluation.systems import system_of
from helpers.export import folders, gguf_file, onnx_graphs
from helpers.export.latency import compression_table
from helpers.export.model_folder import open_run
from helpers.files import write_json
from helpers.models.base import base_path, load_base, load_tokenizer
from helpers.models.packaged import encoder_path
from helpers.run import Run
from helpers.serve.predictor import Predictor
from helpers.tagging.features import fit_features
from helpers.tagging.model import TokenTagger, TrainedTagger, layout_of, load_encoder, load_token_tokenizer
from helpers.writing.chat import render
from helpers.writing.generation import decode
from helpers.writing.prompts import encode_prompt


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return open_run("calendar", make_run(tmp_path_factory.mktemp("run")))[0]


@pytest.fixture(scope="module")
def exported(run):
    """Folders of every form of the LoRA variant, and of the tagger's model and graph."""
    made = folders.export(run, "lora")
    folders.export(run, "tagger")
    return made


@pytest.fixture(scope="module")
def token_run(tmp_path_factory):
    run = open_run("it_ner", make_token_run(tmp_path_factory.mktemp("run")))[0]
    run.settings["latency_runs"] = 4
    return run


def assert_nothing_is_lost(found):
    for name in {"merged", "onnx"} & set(found):
        assert found[name]["same_predictions"] == 1 and found[name]["largest_logit_gap"] < 1e-3, name
    if "onnx" in found:
        assert found["onnx_int8"]["largest_logit_gap"] > found["onnx"]["largest_logit_gap"]


# -- whole weights ----------------------------------------------------------------------------------------------------
def test_every_form_is_written_and_equals_the_trained_model(run, exported):
    assert set(exported) == {"model", "adapter", "gguf"}
    for variant, forms in (("lora", {"merged"}), ("tagger", {"merged", "onnx", "onnx_int8"})):
        found = folders.check_parity(run, variant)
        assert set(found) == forms
        assert_nothing_is_lost(found)
    merged, base = folders.load_exported(run, "lora"), (load_base(run), load_tokenizer(run))
    assert folders.logit_gap(run, merged, base, rows(run.task)[:2]) > 0.01, "the adapter does something"


def test_taggers_of_tokens_have_the_same_forms(token_run):
    for variant in ("lora", "enhanced"):
        assert set(folders.export(token_run, variant)) == {"model", "onnx"}
        assert_nothing_is_lost(folders.check_parity(token_run, variant))
        engines = [Predictor(token_run, variant, engine) for engine in ("torch", "onnx")]
        by_torch, by_onnx = (engine.predict(["Docker on Debian 12"])[0]["fields"] for engine in engines)
        assert by_torch == by_onnx


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


def test_what_there_is_not_ends_in_one_line(run, token_run):
    with pytest.raises(UserError, match="cannot be exported"):
        folders.export(run, "qlora")
    with pytest.raises(UserError, match="use --engine torch"):
        folders.load_onnx(run, "full_entity_loss")
    with pytest.raises(UserError, match=r"helpers\.export"):
        folders.load_onnx(token_run, "full")


# -- ONNX -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A run and a tagger of eight layers with word features whose weights all matter."""
    place = tmp_path_factory.mktemp("deep")
    run = tiny_run(save_tiny_encoder(place / "encoder", layers=8), place, max_pieces=12)
    features = fit_features(run.task, sentences(), True, True)
    base = load_encoder(run, encoder_path(run), TAGS, attention="eager")
    model = TokenTagger(base, layout_of(run.task, features.sizes)).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return run, TrainedTagger(model, load_token_tokenizer(run), features, np.zeros((len(TAGS), len(TAGS))))


@pytest.fixture(scope="module")
def graph(deep, tmp_path_factory) -> Path:
    return onnx_graphs.write_graph(deep[1].model, tmp_path_factory.mktemp("onnx"))


def test_logits_and_predictions_are_the_same_for_other_batches_lengths_and_windows(deep, graph):
    run, tagger = deep
    loaded = onnx_graphs.OnnxTagger(graph, tagger.model.layout)
    for shape in ((1, 2), (1, 40), (5, 9)):
        inputs = onnx_graphs.example_inputs(tagger.model, *shape)
        assert inputs["attention_mask"].sum(1).tolist() == [shape[1] - row for row in range(shape[0])]
        with torch.inference_mode():
            expected = tagger.model(*inputs.values())
        assert (expected - loaded(*inputs.values())).abs().max() < 1e-3
    given = [*sentences(), sentence(" ".join(["Docker", "fails", "on", "Debian"] * 8), 20)]
    forms = (tagger, TrainedTagger(loaded, tagger.tokenizer, tagger.features, tagger.transitions))
    before, after = (system_of(run, "full", one).predict(given) for one in forms)
    assert [record["prediction"] for record in after] == [record["prediction"] for record in before]
    assert any(set(record["prediction"]) != {"O"} for record in before)


def test_the_runtime_tells_nobody(graph, tmp_path):
    """Its makers' builds keep an identity of the machine, and events to be sent, in the user's folder."""
    code = "import sys, helpers, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
    env = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(graph)], env=env, check=True)
    assert not list(tmp_path.iterdir())


def test_weights_have_seven_bits_where_eight_overflow(graph, monkeypatch):
    def largest():
        found = onnx.load(str(onnx_graphs.quantise(graph))).graph.initializer
        weights = [onnx.numpy_helper.to_array(one) for one in found if one.data_type == onnx.TensorProto.INT8]
        return max(int(np.abs(weight.astype(int)).max()) for weight in weights)

    for flags, bits in (("sse4_2 avx2", 7), ("avx2 avx_vnni", 8)):
        with monkeypatch.context() as pretended:
            pretended.setattr(onnx_graphs.platform, "machine", lambda: "x86_64")
            pretended.setattr(onnx_graphs.Path, "read_text", lambda path, flags=flags, **how: flags)
            assert onnx_graphs.overflows() == (bits == 7)
        monkeypatch.setattr(onnx_graphs, "overflows", lambda bits=bits: bits == 7)
        assert 2 ** (bits - 2) <= largest() <= 2 ** (bits - 1)
        monkeypatch.undo()


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


def test_int8_weights_are_a_quarter_and_what_they_would_spoil_stays(deep, graph):
    kept = onnx_graphs.kept_whole(onnx.load(str(graph)).graph)
    assert sum("feature" in name for name in kept) == 2 * len(deep[1].features.sizes)
    seconds = [f"/base/bert/encoder/layer.{layer}/output/dense/MatMul" for layer in (0, 1)]
    assert [name for name in kept if "MatMul" in name] == ["/base/classifier/MatMul", *seconds]
    small = onnx_graphs.quantise(graph)
    assert small.stat().st_size < 0.35 * graph.stat().st_size
    nodes = onnx.load(str(small)).graph.node
    assert {name for name in kept if "MatMul" in name} <= {
        one.name for one in nodes if one.op_type == "MatMul"
    }
    assert sum(node.op_type == "MatMulInteger" for node in nodes) == 8 * 6 - 2


def test_compression_of_trained_variants(token_run):
    table = compression_table(token_run, ["full", "lora"], sentences())
    assert list(table.index.get_level_values("form").unique()) == ["PyTorch fp32", "ONNX fp32", "ONNX int8"]
    columns = "megabytes ms ms_p5 ms_p95 speedup f1 f1_change largest_difference"
    assert list(table) == columns.split()
    exact, plain = table.xs("ONNX fp32", level="form"), table.xs("PyTorch fp32", level="form")
    assert (table["ms"] > 0).all() and (exact["largest_difference"] < 1e-3).all()
    assert (exact["f1_change"] == 0).all() and (plain["speedup"] == 1).all()
    assert (table.xs("ONNX int8", level="form")["megabytes"] < exact["megabytes"]).all()


# -- GGUF -------------------------------------------------------------------------------------------------------------
def test_the_file_holds_the_model(run, exported):
    import gguf

    model, tokenizer = folders.load_exported(run, "lora")
    reader = gguf.GGUFReader(exported["gguf"] / gguf_file.FILE)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "llama"
    assert fields["llama.block_count"] == model.config.num_hidden_layers
    tokens = fields["tokenizer.ggml.tokens"]
    assert tokens[: len(tokenizer)] == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert len(tokens) == model.config.vocab_size
    assert fields["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert len(tensors) == len([name for name in model.state_dict() if not name.startswith("lm_head")])
    down = tensors["blk.0.ffn_down.weight"]
    values = gguf.quants.dequantize(down.data, down.tensor_type)
    weight = model.model.layers[0].mlp.down_proj.weight.detach().numpy()
    assert np.abs(values - weight).max() <= np.abs(weight).max() / 100
    text = (exported["gguf"] / "Modelfile").read_text()
    assert f'PARAMETER stop "{tokenizer.eos_token}"' in text
    assert "FROM ./model.gguf" in text and 'TEMPLATE """Extract entities from: {{ .Prompt }} → """' in text


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


def texts():
    """Twenty texts, some with signs that take several bytes."""
    names = ("Ann", "Zoë", "Dr. O’Neil", "王伟", "Bo & Co")
    pairs = enumerate(itertools.product(names, ("in room 4", "at Café Roma", "— online", "🎉 party")))
    return [
        f"Lunch with {name} {place} on 3/0{1 + at % 9}/2026 at {1 + at % 12}pm" for at, (name, place) in pairs
    ]


def test_llama_cpp_writes_what_pytorch_writes(tmp_path):
    """The base model, cut, asked by llama.cpp itself (the package xllamacpp brings it ready to run)."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="xllamacpp has no wheel for this platform")
    base = Run(task="calendar", profile="smoke", out=str(tmp_path))
    model, tokenizer = load_base(base), load_tokenizer(base)
    path = gguf_file.write_gguf(Path(base_path(base)), tmp_path, base["base_model"], whole=True)
    given = xllamacpp.CommonParams()
    given.model.path, given.n_ctx, given.n_parallel = str(path), 512, 1
    server, prompts = xllamacpp.Server(given), [base.task.chat.prompt(text) for text in texts()]
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    mine = decode(model, tokenizer, encoded, max_new_tokens=16)
    for prompt, ids, expected in zip(prompts, encoded, mine, strict=True):
        asked = {"max_tokens": 16, "temperature": 0, "logprobs": 1}
        for read in (prompt, ids) if ids == encoded[0] else (prompt,):  # a text as the tokenizer reads it
            answer = server.handle_completions({"prompt": read, **asked})
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
    text = gguf_file.modelfile(task, tmp_path / "source", 20)
    lines = text.partition('"""')[2].rpartition('"""')
    for line in ("temperature 0", "repeat_penalty 1", "num_ctx 99", "num_predict 20", 'stop "<|im_end|>"'):
        assert f"PARAMETER {line}\n" in lines[2]
    # what Go makes of the template: the pieces of its role for each message, then what is after the loop
    loop, _, tail = lines[0].removeprefix("{{ range .Messages }}").rpartition("{{ end }}")
    pieces = dict(re.findall(r'{{ if eq .Role "(\w+)" }}(.*?){{ end }}', loop, re.DOTALL))
    question = {"role": "user", "content": task.chat.question("Victim_Name")}
    messages = [*task.chat.opening("Ann was robbed."), question]
    written = "".join(pieces[turn["role"]].replace("{{ .Content }}", turn["content"]) for turn in messages)
    assert written + tail == render(tokenizer, messages, generation=True)
