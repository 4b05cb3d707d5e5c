"""Exports: merged weights equal base and adapter, ONNX and GGUF equal PyTorch, folders load with nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_run import make_run, make_token_run, rows

from helpers import publish
from helpers.calibrate import NEVER, calibrate, fit_field, from_json, held_out, load_calibrations, to_json
from helpers.errors import UserError
from helpers.evaluation.systems import write_predictions
from helpers.export import causal_onnx, export_gguf, onnx_runtime
from helpers.export import folders as export
from helpers.export.model_folder import open_run
from helpers.models.base import load_base, load_tokenizer
from helpers.run import Run
from helpers.writing.generation import decode
from helpers.writing.prompts import encode_prompt


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return open_run("calendar", make_run(tmp_path_factory.mktemp("run")))[0]


@pytest.fixture(scope="module")
def exported(run):
    """Folders of every form of the LoRA variant, and of the tagger's model and graph."""
    made = export.export(run, "lora")
    export.export(run, "tagger", ("model", "onnx"))
    return made


# -- whole weights ----------------------------------------------------------------------------------------------------
def test_every_form_is_written_and_equals_the_trained_model(run, exported):
    assert set(exported) == {"model", "adapter", "onnx", "gguf"}
    for variant in ("lora", "tagger"):
        found = export.check_parity(run, variant)
        assert set(found) == {"merged", "onnx", "onnx_int8"}
        for name in ("merged", "onnx"):
            assert found[name]["same_predictions"] == 1 and found[name]["largest_logit_gap"] < 1e-3, (
                variant,
                name,
            )
        assert found["onnx_int8"]["largest_logit_gap"] > found["onnx"]["largest_logit_gap"]


def test_the_tagger_takes_its_hints_along(run, exported):
    from safetensors.torch import load_file, save_file

    extras = export.export_folder(run, "tagger", "model") / "extras.safetensors"
    graph, before = export.load_onnx(run, "tagger", quantised=False), load_file(extras)
    assert {one.name for one in graph.model.session.get_inputs()} == {
        "input_ids",
        "attention_mask",
        "features",
    }
    save_file({name: torch.zeros_like(table) for name, table in before.items()}, extras)
    try:
        assert (
            export.gap_between(run, "tagger", graph, export.load_exported(run, "tagger"), rows(run.task))
            > 0.01
        )
    finally:
        save_file(before, extras)


def test_taggers_of_tokens_have_the_same_forms(tmp_path, capsys):
    from helpers.serve.predictor import Predictor

    run = open_run("it_ner", make_token_run(tmp_path))[0]
    for variant in ("lora", "enhanced"):
        made = export.export(run, variant)
        assert set(made) == {"model", "onnx"}
        found = export.check_parity(run, variant)
        for name in ("merged", "onnx"):
            assert found[name]["same_predictions"] == 1 and found[name]["largest_logit_gap"] < 1e-3, (
                variant,
                name,
            )
        assert found["onnx_int8"]["largest_logit_gap"] > found["onnx"]["largest_logit_gap"]
        assert (
            Predictor(run, variant, "onnx").predict(["Docker on Debian 12"])[0]["fields"]
            == Predictor(run, variant).predict(["Docker on Debian 12"])[0]["fields"]
        )
        exec(compile(publish.usage(run, variant, str(made["model"])), "card", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.strip()
    folder = publish.write_folder(run, "enhanced", "me/it", ("onnx",))
    assert (
        publish.check_folder(folder) == []
        and "entity F1 | 0.500 (0.250 to 0.750)" in (folder / "README.md").read_text()
    )


def test_the_adapter_does_something_and_the_merge_keeps_it(run, exported):
    from transformers import AutoModelForCausalLM

    from helpers.models.base import load_base, load_tokenizer

    merged, tokenizer = AutoModelForCausalLM.from_pretrained(exported["model"]), load_tokenizer(run)
    assert export.logit_gap(merged, load_base(run), tokenizer, ["Lunch with Ann"]) > 0.01
    assert export.logit_gap(merged, export.with_adapter(run, "lora"), tokenizer, ["Lunch with Ann"]) < 1e-4


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
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported["model"]), str(exported["adapter"])],
        text=True,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env={"PATH": "", "HF_HUB_OFFLINE": "1"},
    )
    assert "wrote True" in done.stdout, done.stderr[-2000:]


def test_what_is_not_trained_is_not_exported(run):
    with pytest.raises(UserError, match="cannot be exported"):
        export.export(run, "qlora")
    with pytest.raises(UserError, match="helpers.export"):
        export.load_onnx(run, "full_entity_loss")


# -- ONNX -------------------------------------------------------------------------------------------------------------
def test_graph_with_cache_equals_the_model_at_any_shape(run, exported):
    from transformers import DynamicCache

    model, _ = export.load_exported(run, "lora")
    session = onnx_runtime.open_session(exported["onnx"] / causal_onnx.FILE)
    assert [one.name for one in session.get_inputs()][:5] == [
        "input_ids",
        "attention_mask",
        "position_ids",
        "past_key_values.0.key",
        "past_key_values.0.value",
    ]
    for batch, before, new in ((1, 0, 5), (3, 4, 1), (2, 2, 3)):
        inputs = causal_onnx.example_inputs(model.config, batch, before, new, seed=batch)
        logits, *present = session.run(None, {name: part.numpy() for name, part in inputs.items()})
        cache = DynamicCache()
        past = list(inputs.values())[3:]
        for layer in range(model.config.num_hidden_layers if before else 0):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        with torch.inference_mode():
            expected = model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                position_ids=inputs["position_ids"],
                past_key_values=cache,
            ).logits
        assert np.abs(expected.numpy() - logits).max() < 1e-3, (batch, before, new)
        assert present[0].shape[2] == before + new


def test_decoding_by_onnx_writes_what_pytorch_writes(run, exported):
    model, tokenizer = export.load_exported(run, "lora")
    session, _ = export.load_onnx(run, "lora", quantised=False)
    prompts = [run.task.prompt(row.text) for row in rows(run.task)] + [run.task.prompt("Call")]
    grammars = [run.task.grammar(text, "source") for text in [row.text for row in rows(run.task)] + ["Call"]]
    for given, before in ((None, ""), (grammars, ""), (None, "Shot: a → b\n")):
        ids = [encode_prompt(tokenizer, before + prompt) for prompt in prompts]
        left, right = (
            decode(one, tokenizer, ids, max_new_tokens=25, grammars=given, batch_size=4)
            for one in (model, session)
        )
        assert [one.tokens for one in left] == [one.tokens for one in right]
        assert all(a.log_probs == pytest.approx(b.log_probs, abs=1e-3) for a, b in zip(left, right))


def test_damaged_or_missing_graphs_end_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"helpers\.export"):
        onnx_runtime.open_session(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be loaded"):
        onnx_runtime.open_session(tmp_path / "model.onnx")


# -- GGUF -------------------------------------------------------------------------------------------------------------
def test_weights_get_the_names_of_llama_cpp():
    assert export_gguf.tensor_name("model.layers.3.mlp.down_proj.weight") == "blk.3.ffn_down.weight"
    assert export_gguf.tensor_name("model.embed_tokens.weight") == "token_embd.weight"
    with pytest.raises(UserError, match="Llama kind"):
        export_gguf.tensor_name("model.layers.3.mlp.experts.0.weight")


def test_interleaved_rows_turn_as_llama_cpp_turns_them():
    """Turning neighbouring pairs of interleaved rows equals turning halves of the original ones, up to the order."""
    generator = torch.Generator().manual_seed(0)
    heads, size = 2, 6
    weight, hidden = torch.randn(heads * size, 5, generator=generator), torch.randn(5, generator=generator)
    angles = torch.tensor([0.3, 0.7, 1.1])
    halves = (weight @ hidden).view(heads, size)
    first, second = halves[:, :3], halves[:, 3:]
    expected = torch.cat(
        [first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()], 1
    )
    pairs = (torch.from_numpy(export_gguf.interleave(weight.numpy(), heads)) @ hidden).view(heads, 3, 2)
    turned = torch.stack(
        [
            pairs[..., 0] * angles.cos() - pairs[..., 1] * angles.sin(),
            pairs[..., 1] * angles.cos() + pairs[..., 0] * angles.sin(),
        ],
        -1,
    )
    assert torch.allclose(turned.transpose(1, 2).reshape(heads, size), expected, atol=1e-5)


def test_the_file_holds_the_model(run, exported):
    import gguf

    model, tokenizer = export.load_exported(run, "lora")
    reader = gguf.GGUFReader(exported["gguf"] / export_gguf.FILE)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert (
        fields["general.architecture"] == "llama"
        and fields["llama.block_count"] == model.config.num_hidden_layers
    )
    assert fields["tokenizer.ggml.tokens"] == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert fields["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert len(tensors) == len([name for name in model.state_dict() if not name.startswith("lm_head")])
    down = tensors["blk.0.ffn_down.weight"]
    values = gguf.quants.dequantize(down.data, down.tensor_type)
    weight = model.model.layers[0].mlp.down_proj.weight.detach().numpy()
    assert np.abs(values - weight).max() <= np.abs(weight).max() / 100
    text = (exported["gguf"] / "Modelfile").read_text()
    assert "FROM ./model.gguf" in text and 'TEMPLATE """Extract entities from: {{ .Prompt }} → """' in text


def test_tokenizers_that_are_no_bpe_over_bytes_are_refused_in_one_line():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE({"<0x41>": 0}, [], byte_fallback=True))
    )
    with pytest.raises(UserError, match="BPE over bytes"):
        export_gguf.token_lists(tokenizer)


def test_llama_cpp_writes_what_pytorch_writes(tmp_path):
    """The base model, asked by llama.cpp itself (the package xllamacpp brings it ready to run)."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="xllamacpp has no wheel for this platform")
    base = Run(task="calendar", profile="cpu", out=str(tmp_path))
    model, tokenizer = load_base(base), load_tokenizer(base)
    path = export_gguf.write_gguf(model, tokenizer, tmp_path, base["base_model"], "f32")
    given = xllamacpp.CommonParams()
    given.model.path, given.n_ctx, given.n_parallel = str(path), 512, 1
    server = xllamacpp.Server(given)
    text = base.task.prompt("Lunch with Ann on 3/03/2026 at 1pm")
    mine = decode(model, tokenizer, [encode_prompt(tokenizer, text)], max_new_tokens=100)[0]
    for prompt in (encode_prompt(tokenizer, text), text):  # so llama.cpp reads a text as the tokenizer does
        answer = server.handle_completions(
            {"prompt": prompt, "max_tokens": 100, "temperature": 0, "logprobs": 1}
        )
        written = answer["choices"][0]["logprobs"]["content"]
        assert [token["id"] for token in written if token["id"] != tokenizer.eos_token_id] == mine.tokens
        assert [token["logprob"] for token in written][: len(mine.tokens)] == pytest.approx(
            mine.log_probs, abs=1e-2
        )


# -- the hub ----------------------------------------------------------------------------------------------------------
class FakeHub:
    """Remembers what it was sent."""

    def __init__(self):
        self.sent = []

    def create_repo(self, repo, private, exist_ok):
        self.private = private
        return f"hub/{repo}"

    def upload_folder(self, repo_id, folder_path, commit_message):
        self.sent.append((repo_id, folder_path))


def test_the_folder_is_whole_and_its_card_speaks_of_the_metrics(run, exported, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = publish.write_folder(run, "lora", "me/calendar-lora", ("adapter", "onnx", "gguf"))
    assert publish.check_folder(folder) == []
    card = (folder / "README.md").read_text(encoding="utf-8")
    for words in (
        "0.500 (0.250 to 0.750)",
        "me/calendar-lora",
        "100 of 1,000 parameters",
        "| rank |",
        "| action | 0.500 |",
    ):
        assert words in card, words
    assert (
        json.loads((folder / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"]
        == "me/calendar-lora/base"
    )
    AutoModelForCausalLM.from_pretrained(folder)
    hub = FakeHub()
    assert publish.push(folder, "me/calendar-lora", api=hub) == "hub/me/calendar-lora" and hub.private
    assert hub.sent == [("me/calendar-lora", str(folder))]
    shutil.copytree(folder, tmp_path / "bad")
    (tmp_path / "bad" / "notes.py").write_text("print()")
    (tmp_path / "bad" / "model.safetensors").write_bytes(b"\x00" * 20)
    (tmp_path / "bad" / "README.md").write_text("# no card")
    problems = " ".join(publish.check_folder(tmp_path / "bad"))
    for words in ("notes.py", "cannot be read", "no section 'Limits'", "front matter"):
        assert words in problems, problems
    with pytest.raises(UserError, match="is not sent"):
        publish.push(tmp_path / "bad", "me/x", api=hub)
    assert len(hub.sent) == 1


def test_usage_works_as_printed(run, exported, capsys):
    for variant, folder in (
        ("lora", exported["model"]),
        ("tagger", export.export_folder(run, "tagger", "model")),
    ):
        exec(compile(publish.usage(run, variant, str(folder)), "card", "exec"), {})  # noqa: S102
        assert capsys.readouterr().out.strip()


def test_nothing_is_sent_without_the_flag(run, monkeypatch, capsys):
    from helpers.command import status

    monkeypatch.setattr(publish, "push", lambda *args, **kwargs: pytest.fail("sent"))
    assert status(publish.main, ["--run", str(run.dir), "--variant", "tagger"]) == 0
    assert "ready" in capsys.readouterr().out
    card = (export.export_folder(run, "tagger", "hub") / "README.md").read_text(encoding="utf-8")
    assert "extras.safetensors" in card and "Free decoding" not in card
    assert status(publish.main, ["--run", str(run.dir), "--variant", "tagger", "--push"]) == 2


# -- calibration ------------------------------------------------------------------------------------------------------
def test_calibration_mends_what_is_too_sure_and_keeps_the_order():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=2000)
    stated, right = truth**0.25, rng.uniform(size=2000) < truth  # far too sure
    found = fit_field(stated, right, 0.9)
    sure = found(stated)
    assert np.mean((sure - truth) ** 2) < 0.2 * np.mean((stated - truth) ** 2)
    assert (np.diff(found(np.linspace(0, 1, 50))) >= -1e-12).all()
    kept = sure >= found.threshold
    assert right[kept].mean() == pytest.approx(0.9, abs=0.03) and 0.1 < kept.mean() < 0.4


def test_few_rows_make_nobody_sure_and_no_row_judges_itself():
    always = fit_field([0.99] * 8, [True] * 8, 0.95)
    assert always([1.0])[0] == pytest.approx(9 / 10) and always.threshold <= always([1.0])[0]
    assert fit_field([0.9] * 8, [False] * 8, 0.95).threshold == NEVER
    stated, right = np.array([0.1, 0.9] * 10), np.array([False, True] * 10)
    right[0] = True  # its own label must not decide its confidence
    one = held_out(stated, right, "isotonic", 0)[0]
    right[0] = False
    assert held_out(stated, right, "isotonic", 0)[0] == one


def test_calibrations_are_kept_and_used(run):
    from helpers.serve.predictor import Predictor

    examples = run.load("validation")
    records = [
        {
            "id": row.id,
            "prediction": row.target if row.id % 2 else {**row.target, "action": "Dinner"},
            "raw": "",
            "confidence": dict.fromkeys(run.task.fields, 0.9 if row.id % 2 else 0.2),
        }
        for row in examples
    ]
    write_predictions(run, "tagger", records, part="validation")
    found = calibrate(run, "tagger", 0.9)
    assert found["action"]([0.9])[0] > 0.7 and found["action"]([0.2])[0] < 0.4
    predictor = Predictor(run, "tagger")
    example = run.task.example("Lunch with Ann")
    answers = [
        predictor.answer(
            example.text,
            example,
            {"prediction": examples[0].target, "confidence": dict.fromkeys(run.task.fields, stated)},
        )
        for stated in (0.95, 0.1)
    ]
    assert "action" not in answers[0]["needs_review"] and "action" in answers[1]["needs_review"]
    assert answers[0]["confidence"]["action"] > answers[1]["confidence"]["action"]
    frame = {"action": found["action"]}
    assert from_json(json.loads(json.dumps(to_json(frame)))) == frame
    with pytest.raises(UserError, match="precision"):
        calibrate(run, "tagger", 1.5)
    assert load_calibrations(run, "tagger") == found
    for record in records:
        record["prediction"] = examples[0].target  # as if the model had been trained anew
    write_predictions(run, "tagger", records, part="validation")
    assert load_calibrations(run, "tagger") != found
    run.path("validation_predictions", "tagger.jsonl").unlink()
    assert load_calibrations(run, "tagger") == found
    (run.dir / "calibration.json").unlink()
    assert Predictor(run, "tagger").calibrations == {}
