"""Training: it learns, it resumes to the same bytes, it stops on a loss that is no number, its adapters reload."""
from __future__ import annotations

import json
import shutil
import weakref
from pathlib import Path

import pytest
import torch
from peft import PeftModel

import helpers.predict as predict_module
import helpers.train as train_module
from helpers import memory
from helpers.config import Run, UserError
from helpers.writing.encode import STRUCTURE, Encoded
from helpers.models.adapters import add_lora, count_parameters, load_finetuned, load_untuned
from helpers.models.base import load_base, load_tokenizer
from helpers.predict import attention_map, load_variant, predict_variant, release_model, variants_trained
from helpers.tasks import get_task
from helpers.training.fit import encode_rows, fit, variant_settings
from tiny_model import save_tiny_base

ROWS = [("Lunch with {p} on 12/03/2026 at 1:00 PM", {"action": "Lunch", "time": "1:00 PM"}),
        ("Call {p} 12/03/2026 9am Zoom", {"action": "Call", "time": "9:00 AM", "location": "Zoom"})]
PEOPLE = ["Ann", "Bo", "Cy", "Dee", "Eli", "Flo", "Gus", "Hal"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny_base(tmp_path_factory.mktemp("base"))


def examples():
    task, rows = get_task("calendar"), []
    for index, person in enumerate(PEOPLE * 2):
        text, output = ROWS[index % 2]
        full = dict.fromkeys(task.fields) | {"date": "12/03/2026", "attendees": [person]} | output
        rows.append(task.parse_row({"event_text": text.format(p=person), "output": full}, index))
    return rows


def make_run(base: Path, out: Path, variant: str, **own):
    settings = {"base_model": str(base), "max_new_tokens": 400, "score_rows": 4,
                **{f"{variant}.{k}": v for k, v in {"epochs": 2, "batch_size": 4, "warmup_steps": 1, **own}.items()}}
    return Run(task="calendar", profile="smoke", out=str(out), settings=settings)


def weights_of(run, variant):
    return next(run.path("checkpoints", variant, "best", "x").parent.glob("*.safetensors")).read_bytes()


@pytest.mark.parametrize("variant", get_task("calendar").variants)
def test_every_variant_lowers_its_loss_and_reloads(base, tmp_path, variant):
    run = make_run(base, tmp_path, variant, epochs=3, learning_rate=1e-2)
    result = fit(run, variant, examples(), examples()[:4])
    losses = [record["loss"] for record in result.history if "loss" in record]
    assert losses[-1] < losses[0]
    assert variants_trained(run) == [variant]
    assert 0 < result.parameters["trainable"] <= result.parameters["total"]
    records = predict_variant(run, variant, examples()[:2], progress=False)
    assert [record["id"] for record in records] == [0, 1] and all(record["prediction"] for record in records)


@pytest.mark.parametrize("variant", ["full_entity_loss", "lora_structured_loss"])
def test_a_killed_loop_resumes_to_the_same_bytes(base, tmp_path, monkeypatch, variant):
    whole, parts = make_run(base, tmp_path / "a", variant, epochs=3), make_run(base, tmp_path / "b", variant, epochs=3)
    fit(whole, variant, examples(), examples()[:4])
    original, calls = train_module.next_token_targets, []

    def dies(*args, **kwargs):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(train_module, "next_token_targets", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(parts, variant, examples(), examples()[:4])
    monkeypatch.setattr(train_module, "next_token_targets", original)
    fit(parts, variant, examples(), examples()[:4])
    assert weights_of(whole, variant) == weights_of(parts, variant)
    assert whole.path("history", f"{variant}.json").read_text() == parts.path("history", f"{variant}.json").read_text()


def test_a_killed_sft_run_resumes_to_the_same_bytes(base, tmp_path, monkeypatch):
    import helpers.train_trl as trl_module

    whole, parts = make_run(base, tmp_path / "a", "lora", epochs=3), make_run(base, tmp_path / "b", "lora", epochs=3)
    fit(whole, "lora", examples(), examples()[:4])
    original, calls = trl_module.check_finite, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        original(*args)

    monkeypatch.setattr(trl_module, "check_finite", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(parts, "lora", examples(), examples()[:4])
    monkeypatch.setattr(trl_module, "check_finite", original)
    fit(parts, "lora", examples(), examples()[:4])
    assert weights_of(whole, "lora") == weights_of(parts, "lora")
    assert whole.path("history", "lora.json").read_text() == parts.path("history", "lora.json").read_text()


def test_a_finished_variant_is_not_trained_again_until_something_changes(base, tmp_path, monkeypatch):
    run = make_run(base, tmp_path, "full_entity_loss", epochs=1)
    first = fit(run, "full_entity_loss", examples(), examples()[:4])
    monkeypatch.setattr(train_module, "training_loop", lambda *a, **k: pytest.fail("trained again"))
    assert fit(run, "full_entity_loss", examples(), examples()[:4]) == first
    with pytest.raises(pytest.fail.Exception):
        fit(run, "full_entity_loss", examples()[1:], examples()[:4])


@pytest.mark.parametrize("variant", ["full_entity_loss", "lora"])
def test_a_loss_that_is_no_number_stops_with_the_way_out(base, tmp_path, variant):
    run = make_run(base, tmp_path, variant, learning_rate=1e30, clip_norm=1e30, warmup_steps=0 if variant == "lora" else 1)
    with pytest.raises(UserError, match=rf"{variant}: the (loss|gradient) is (nan|inf).*--set {variant}.learning_rate"):
        fit(run, variant, examples(), examples()[:4])


def test_too_long_rows_are_named_not_cut(base, tmp_path):
    run = make_run(base, tmp_path, "lora")
    run.settings["max_length"] = 20
    with pytest.raises(UserError, match="row 0 has .* tokens, more than max_length=20"):
        encode_rows(run, load_tokenizer(run), examples()[:1])


def test_merged_adapter_predicts_as_the_adapter_does(base, tmp_path):
    run = make_run(base, tmp_path, "lora")
    model = add_lora(load_base(run), 4, 8, 0.0, ["q_proj", "v_proj"], seed=1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path / "adapter")
    merged, ids = load_finetuned(run, tmp_path / "adapter"), torch.tensor([[1, 300, 301, 302]])
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, model.eval()(ids).logits, atol=1e-4)
        assert not torch.allclose(merged(ids).logits, load_base(run)(ids).logits, atol=1e-2)


def test_lora_parameters_by_hand(base, tmp_path):
    run = make_run(base, tmp_path, "lora")
    counts = count_parameters(add_lora(load_base(run), 4, 8, 0.0, ["q_proj"], seed=1))
    assert counts["trainable"] == 2 * (32 * 4 + 4 * 32)  # two layers, A and B of a 32 × 32 matrix
    assert counts["total"] == count_parameters(load_base(run))["total"] + counts["trainable"]


def test_missing_base_model_is_one_clear_line(tmp_path):
    run = Run(task="calendar", profile="smoke", out=str(tmp_path), settings={"base_model": "artifacts/nothing"})
    with pytest.raises(UserError, match="no model in that folder"):
        load_base(run)


def test_unreachable_hub_model_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run = Run(task="calendar", profile="smoke", out=str(tmp_path), settings={"base_model": "someone/some-model"})
    with pytest.raises(UserError, match="someone/some-model.*--profile cpu"):
        load_base(run)


def test_attention_rows_are_distributions_over_the_past(base, tmp_path):
    run = make_run(base, tmp_path, "full_entity_loss", epochs=1)
    fit(run, "full_entity_loss", examples(), examples()[:4])
    tokens_in, tokens_out, matrix = attention_map(run, "full_entity_loss", examples()[0])
    assert matrix.shape == (len(tokens_out), len(tokens_in)) and "".join(tokens_in).endswith("→ ")
    assert (matrix >= 0).all() and (matrix <= 1).all() and json.loads("".join(tokens_out))


def test_settings_of_a_variant_lose_their_prefix(base, tmp_path):
    assert variant_settings(make_run(base, tmp_path, "lora", rank=3), "lora")["rank"] == 3
    shutil.rmtree(tmp_path / "artifacts")


def test_the_adapter_of_a_four_bit_base_is_trained_in_fp32(base, tmp_path):
    from safetensors.torch import load_file

    run = make_run(base, tmp_path, "qlora", epochs=1)
    fit(run, "qlora", examples(), examples()[:4])
    weights = load_file(run.path("checkpoints", "qlora", "best", "adapter_model.safetensors"))
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_sft_stops_early_when_the_score_does_not_rise(base, tmp_path):
    run = make_run(base, tmp_path, "lora", epochs=6, patience=1, learning_rate=0.0)
    result = fit(run, "lora", examples(), examples()[:4])
    assert max(record["epoch"] for record in result.history) == 2


def test_half_written_checkpoints_are_dropped(tmp_path):
    from helpers.training.writers import last_checkpoint

    assert last_checkpoint(tmp_path) is None
    for step in (9, 10, 999):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").touch()
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert not (tmp_path / "checkpoint-999").exists()


def test_another_base_model_trains_anew(base, tmp_path, monkeypatch):
    copy = tmp_path / "base"
    shutil.copytree(base, copy)
    run = make_run(copy, tmp_path / "out", "full_entity_loss", epochs=1)
    fit(run, "full_entity_loss", examples(), examples()[:4])
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    monkeypatch.setattr(train_module, "training_loop", lambda *a, **k: pytest.fail("trained again"))
    with pytest.raises(pytest.fail.Exception):
        fit(run, "full_entity_loss", examples(), examples()[:4])


@pytest.mark.parametrize("learn_prompt", [False, True])
def test_the_prompt_is_a_target_only_where_the_setting_says_so(base, tmp_path, monkeypatch, learn_prompt):
    from helpers import train
    from helpers.writing.encode import PROMPT

    seen = []

    def watched(*arguments):
        targets = next_token_targets(*arguments)
        seen.append(bool((targets.fields == PROMPT).any()))
        return targets

    next_token_targets = train.next_token_targets
    monkeypatch.setattr(train, "next_token_targets", watched)
    run = make_run(base, tmp_path, "full_entity_loss", epochs=1, learn_prompt=learn_prompt)
    fit(run, "full_entity_loss", examples(), examples()[:4])
    assert seen and set(seen) == {learn_prompt}


def test_the_validation_loss_takes_each_row_once_in_batches_of_a_bounded_number_of_tokens(monkeypatch):
    lengths = [30, 5, 60, 5, 12, 100, 7]
    rows = [Encoded([length] * length, [STRUCTURE] * length) for length in lengths]
    batches = []
    monkeypatch.setattr(train_module, "next_token_targets", lambda model, batch, with_prompt: batch["input_ids"])

    def loss_function(ids):  # its rows are filled with their length: the mean over the rows is known
        batches.append(ids)
        return ids[:, 0].float().mean()

    model = torch.nn.Linear(1, 1)
    model.device = torch.device("cpu")
    loss = train_module._mean_loss(model, rows, 0, loss_function, False, tokens=64)
    assert loss == pytest.approx(sum(lengths) / len(lengths))
    assert sorted(ids[row, 0].item() for ids in batches for row in range(len(ids))) == sorted(lengths)
    assert all(ids.numel() <= 64 or len(ids) == 1 for ids in batches)  # a row longer than that is not cut
    assert len(batches) == 4  # 5 5 7 12 | 30 | 60 | 100


def test_one_trained_variant_is_in_memory_at_a_time(base, tmp_path):
    run = make_run(base, tmp_path, "lora", epochs=1)
    for variant in ("lora", "full_entity_loss"):
        fit(run, variant, examples()[:4], examples()[:2])
    first = load_variant(run, "lora")[0]
    assert load_variant(run, "lora")[0] is first
    gone = weakref.ref(first)
    del first
    load_variant(run, "full_entity_loss")
    assert gone() is None
    release_model()
    assert not predict_module._held


def test_where_16_bits_do_not_fit_the_base_stays_in_4_with_the_adapter_beside_it(base, tmp_path, monkeypatch):
    run = make_run(base, tmp_path, "qlora", epochs=1, learning_rate=1e-2)
    fit(run, "qlora", examples(), examples()[:2])
    merged = [record["raw"] for record in predict_variant(run, "qlora", examples()[:4], progress=False)]
    release_model()
    monkeypatch.setattr(memory, "holds_whole", lambda run: False)
    model = load_variant(run, "qlora")[0]
    assert isinstance(model, PeftModel) and model.get_base_model().is_loaded_in_4bit
    assert [record["raw"] for record in predict_variant(run, "qlora", examples()[:4], progress=False)] == merged
    assert load_untuned(run).is_loaded_in_4bit
    release_model()
