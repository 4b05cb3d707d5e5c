"""The base model of a run, and adapters: where it is looked for, what is said where it is not, merging."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from helpers.errors import UserError
from helpers.models import adapters
from helpers.models.adapters import adapted_layers, add_lora, load_finetuned, load_untuned
from helpers.models.base import four_bit_config, load_base, load_tokenizer
from helpers.models.int8 import Int8Linear
from helpers.run import Run

IDS = torch.tensor([[1, 300, 301, 302]])


def make_run(base: Path | str, out: Path, **settings: object) -> Run:
    return Run("calendar", profile="smoke", out=str(out), settings={"base_model": str(base), **settings})


def learnt(model):
    """The model with an adapter that changes what it says."""
    model = add_lora(model, 4, 8, 0.0, adapted_layers(model), seed=1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    way_out = "'someone/some-model' could not be loaded.*--profile cpu.*base_model=FOLDER"
    for name, words in (("./nothing", "no model in that folder"), ("someone/some-model", way_out)):
        for load in (load_base, load_tokenizer):
            with pytest.raises(UserError, match=words):
                load(make_run(name, tmp_path))


@torch.no_grad()
@pytest.mark.parametrize("four_bit", [False, True])
def test_a_merged_adapter_says_what_the_adapter_says(base, tmp_path, four_bit):
    run = make_run(base, tmp_path, inference_bits=32)
    model = learnt(load_base(run, four_bit_config(run) if four_bit else None))
    model.save_pretrained(tmp_path / "adapter")
    merged, expected = load_finetuned(run, tmp_path / "adapter", four_bit), model(IDS).logits
    assert not hasattr(merged, "peft_config")
    assert torch.allclose(merged(IDS).logits, expected, atol=1e-4)
    assert not torch.allclose(load_base(run)(IDS).logits, expected, atol=1e-2)


@torch.no_grad()
def test_a_trained_model_multiplies_in_int8_unless_its_weights_are_to_be_exported(base, tmp_path):
    run = make_run(base, tmp_path)
    learnt(load_base(run)).save_pretrained(tmp_path / "adapter")
    fast = load_finetuned(run, tmp_path / "adapter")
    whole = load_finetuned(run, tmp_path / "adapter", whole=True)
    assert isinstance(fast.lm_head, Int8Linear) and type(whole.lm_head) is torch.nn.Linear
    assert torch.cosine_similarity(fast(IDS).logits, whole(IDS).logits, dim=-1).min() > 0.99
    load_base(run).save_pretrained(tmp_path / "full")
    assert load_finetuned(run, tmp_path / "full", whole=True)(IDS).logits.equal(load_base(run)(IDS).logits)


def test_an_adapter_needs_its_base_to_run_and_whole_weights_do_not(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    for name in ("model.safetensors", "pytorch_model.bin"):  # the same weights twice
        (folder / name).write_bytes(b"0" * 4000)
    run = make_run(folder, tmp_path)
    for variant in ("lora", "full_entity_loss"):
        run.path("checkpoints", variant, "best", "weights.safetensors").write_bytes(b"0" * 1000)
    run.path("checkpoints", "lora", "best", "adapter_config.json").touch()
    assert adapters.run_megabytes(run, "lora") == pytest.approx(0.005)
    assert adapters.run_megabytes(run, "full_entity_loss") == pytest.approx(0.001)
    away = make_run("someone/some-model", tmp_path)
    assert adapters.run_megabytes(away, "lora") is None


def test_where_16_bits_do_not_fit_the_base_stays_in_4_with_the_adapter_beside_it(base, tmp_path, monkeypatch):
    run = make_run(base, tmp_path, inference_bits=32)
    model = learnt(load_base(run, four_bit_config(run)))
    model.save_pretrained(tmp_path / "adapter")
    monkeypatch.setattr(adapters, "holds_whole", lambda run: False)
    beside = load_finetuned(run, tmp_path / "adapter", four_bit=True)
    assert beside.get_base_model().is_loaded_in_4bit and load_untuned(run).is_loaded_in_4bit
    with torch.no_grad():
        assert torch.allclose(beside(IDS).logits, model(IDS).logits, atol=1e-5)


@pytest.mark.parametrize("width", [128, 96])
def test_weights_survive_four_bits_where_blocks_fit_the_rows(tmp_path, width):
    sizes = {"vocab_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(hidden_size=width, intermediate_size=2 * width, **sizes)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "wide")
    run = make_run(tmp_path / "wide", tmp_path)
    if width % 64:
        with pytest.raises(UserError, match="rows of 96 weights.*multiple of 64"):
            load_base(run, four_bit_config(run))
        return
    exact = load_base(run).state_dict()
    rounded = load_base(run, four_bit_config(run)).dequantize().state_dict()
    for name in (name for name in exact if "proj" in name):
        lost = (rounded[name] - exact[name]).norm() / exact[name].norm()
        # NF4 takes 0.09 of the norm of normally distributed weights, wrong scales would take far more
        assert 0.02 < lost < 0.12, name


@torch.no_grad()
def test_grouped_heads_see_what_eager_attention_sees(base, tmp_path):
    model, ids = load_base(make_run(base, tmp_path)).eval(), torch.arange(60).view(3, 20) * 7
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    mask = torch.ones_like(ids)
    mask[0, :7] = mask[2, 15:] = 0
    found = model(input_ids=ids, attention_mask=mask).logits
    model.set_attn_implementation("eager")
    wanted = model(input_ids=ids, attention_mask=mask).logits
    assert found.std() > 0.1 and torch.allclose(found[mask.bool()], wanted[mask.bool()], atol=1e-4)
