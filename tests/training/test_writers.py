"""Training of models that write: they learn, resume, keep the best, say what goes wrong."""

import gc
import shutil

import pytest
import torch
from few_rows import best_of, checkpoint_of, dies_at, examples, losses_of, make_run, weights_of
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from helpers.errors import UserError
from helpers.machine import Device
from helpers.models.base import load_tokenizer
from helpers.models.int8 import Int8Lora
from helpers.tasks import load_task
from helpers.tasks.base import Writer
from helpers.training import common, writers
from helpers.training.fit import fit
from helpers.writing.encode import PROMPT

WRITERS = tuple(load_task("calendar").variants.writers)
SCORES = ("val_exact_match", "val_field_accuracy", "val_exact_f1")


@pytest.fixture
def scores(monkeypatch) -> list[float]:
    """Scores that the evaluations are to give, one after the other; the last one goes on."""
    given = [0.5]

    def score(run, model, tokenizer, rows):
        return dict.fromkeys(SCORES, given.pop(0) if len(given) > 1 else given[0])

    monkeypatch.setattr(common, "validation_score", score)
    return given


def learn(run, variant: str):
    """Train a variant on all rows; the first two are there to validate."""
    return fit(run, variant, examples(), examples()[:2])


def models_there() -> set[int]:
    """Causal models that somebody holds, by their identity: other tests may keep some."""
    gc.collect()
    return {id(one) for one in gc.get_objects() if isinstance(one, LlamaForCausalLM)}


@pytest.mark.parametrize("variant", WRITERS)
def test_every_variant_learns_and_its_best_epoch_is_kept(base, tmp_path, monkeypatch, variant):
    seen, warned, before = [], [], models_there()

    def score(run, model, tokenizer, rows):
        named = model.named_parameters()
        seen.append({name: each.detach().clone() for name, each in named if each.requires_grad})
        return dict.fromkeys(SCORES, [0.2, 0.9, 0.3][len(seen) - 1])

    monkeypatch.setattr(common, "validation_score", score)
    monkeypatch.setattr("transformers.trainer.logger.warning", lambda text, *more: warned.append(text))
    run = make_run(base, tmp_path, variant, epochs=3, learning_rate=1e-2)
    result = learn(run, variant)
    losses = losses_of(result)
    assert len(losses) == 6 and losses[-1] < losses[0]
    evaluated = [record for record in result.history if "val_exact_match" in record]
    assert [record["step"] for record in evaluated] == [2, 4, 6]
    assert evaluated[1]["val_loss"] < evaluated[0]["val_loss"]
    assert (result.best_score, result.best_step) == (0.9, 4)
    kept = load_file(next(best_of(run, variant).glob("*.safetensors")))
    assert len(kept) == len(seen[1])
    for name, tensor in kept.items():
        name = name.replace(".weight", ".default.weight") if "lora_" in name else name
        assert tensor.equal(seen[1][name]) and not tensor.equal(seen[2][name]), name
    folder = checkpoint_of(run, variant)
    assert not list(folder.glob("trainer/checkpoint-*")) and list(folder.rglob("events.out.tfevents.*"))
    assert not [text for text in warned if "keys" in text], "the weights came back whole"
    assert models_there() <= before, "the next has room"


@pytest.mark.parametrize("variant, bits", [("full_entity_loss", 8), ("lora", 8), ("lora", 32)])
def test_bits_say_how_a_frozen_base_multiplies_and_change_no_count(base, tmp_path, variant, bits):
    model, parameters, note = writers.base_of(make_run(base, tmp_path, variant, bits=bits), variant)
    in_int8 = any(isinstance(module, Int8Lora) for module in model.modules())
    assert in_int8 == (variant == "lora" and bits == 8) and note == ""
    added = 2 * 16 * (5 * (64 + 64) + 2 * (64 + 32))  # two layers, rank 16; keys and values are half as wide
    total = sum(parameter.numel() for parameter in AutoModelForCausalLM.from_pretrained(base).parameters())
    whole = variant == "full_entity_loss"
    assert parameters == {"trainable": total if whole else added, "total": total if whole else total + added}


def test_both_trainers_of_the_libraries_train_the_same(base, tmp_path, monkeypatch, scores):
    found = []
    for trl in (True, False):
        run = make_run(base, tmp_path / str(trl), "lora", dropout=0.1)
        monkeypatch.setitem(run.task.variants, "lora", Writer(adapter=True, trl=trl))
        found.append((learn(run, "lora").history, weights_of(run, "lora")))
    assert found[0] == found[1]


@pytest.mark.parametrize("trl", [True, False])
def test_a_step_of_several_batches_is_the_mean_over_their_tokens(base, tmp_path, monkeypatch, scores, trl):
    def loss(targets):  # a number that differs from row to row
        return targets.tokens.float().mean() + 0 * targets.logits.sum()

    found = []
    monkeypatch.setattr(writers, "loss_of", lambda run, variant: loss)
    for size, accumulation in ((4, 1), (2, 2), (1, 4)):
        own = {"batch_size": size, "accumulation": accumulation, "epochs": 1}
        run = make_run(base, tmp_path / str(size), "lora", **own)
        monkeypatch.setitem(run.task.variants, "lora", Writer(adapter=True, trl=trl))
        found.append(losses_of(learn(run, "lora")))
    data = writers.dataset_of(run, load_tokenizer(run), examples())
    answers = {sum(kind != PROMPT for kind in row["field_ids"]) for row in data}
    assert len(answers) > 1, "else a mean of means would be the same"
    assert found[1] == pytest.approx(found[0], rel=1e-5) == found[2]


def test_the_adapter_of_a_four_bit_base_is_trained_in_fp32(base, tmp_path, scores):
    run = make_run(base, tmp_path, "qlora", epochs=1)
    result = learn(run, "qlora")
    assert result.note.startswith("base in 4-bit NF4")
    weights = load_file(best_of(run, "qlora") / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    ups = [tensor for name, tensor in weights.items() if "lora_B" in name]
    assert not any(tensor.equal(tensor.bfloat16().float()) for tensor in ups), "nor rounded on the way"


def test_where_four_bits_do_not_work_plain_lora_is_trained_and_said(base, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(writers, "four_bit_problem", lambda: "RuntimeError: no kernel")
    model, _, note = writers.base_of(make_run(base, tmp_path, "qlora"), "qlora")
    assert note == "plain LoRA: RuntimeError: no kernel"
    assert "plain LoRA is trained instead" in capsys.readouterr().out
    assert not getattr(model.get_base_model(), "is_loaded_in_4bit", False)


@pytest.mark.parametrize("variant", ["full_entity_loss", "lora_structured_loss", "qlora"])
def test_a_killed_run_resumes_to_the_same_bytes(base, tmp_path, monkeypatch, variant):
    own = {} if variant == "full_entity_loss" else {"dropout": 0.1}
    whole, parts = (make_run(base, tmp_path / name, variant, **own) for name in "ab")
    expected = learn(whole, variant)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        dies_at(3, patched)
        learn(parts, variant)
    steps, goes_on = [], common.StudyMixin.training_step
    counted = lambda self, *given: steps.append(self.state.global_step) or goes_on(self, *given)
    monkeypatch.setattr(common.StudyMixin, "training_step", counted)
    assert learn(parts, variant) == expected
    assert steps == [2, 3], "the first epoch is not trained again"
    assert weights_of(whole, variant) == weights_of(parts, variant)
    histories = [run.path("history", f"{variant}.json").read_bytes() for run in (whole, parts)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("epochs", [2, 5])  # it comes to its end, or to that of its patience
def test_a_run_killed_after_its_last_step_trains_no_more(base, tmp_path, monkeypatch, scores, epochs):
    run = make_run(base, tmp_path, "lora", epochs=epochs, patience=1)
    scores[:] = [0.5, 0.4]

    def dies(at):
        def die(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(at, die)
            learn(run, "lora")

    dies("helpers.training.fit.write_json")  # before the result is kept
    kept = weights_of(run, "lora")
    shutil.rmtree(best_of(run, "lora"))
    monkeypatch.setattr(common.StudyMixin, "training_step", lambda *a, **k: pytest.fail("trained again"))
    dies("helpers.training.common.shutil.rmtree")  # while checkpoints are cleared
    result = learn(run, "lora")
    assert weights_of(run, "lora") == kept and len(losses_of(result)) == 4 and result.best_step == 2
    assert not list(checkpoint_of(run, "lora").glob("trainer/checkpoint-*"))


def test_half_written_checkpoints_are_dropped(tmp_path):
    assert common.last_checkpoint(tmp_path) is None
    states = {8: None, 9: '{"global_step": 9}', 10: '{"global_step": 10}', 11: '{"global_st', 12: ""}
    for step, state in states.items():
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert common.last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert len(list(tmp_path.iterdir())) == 2


def test_training_stops_when_the_score_does_not_rise_and_of_equal_scores_the_lower_loss_is_kept(
    base, tmp_path, scores
):
    result = learn(make_run(base, tmp_path, "lora", learning_rate=1e-2), "lora")
    losses = {record["step"]: record["val_loss"] for record in result.history if "val_loss" in record}
    assert losses[4] < losses[2] and result.best_step == 4
    scores[:] = [0.4, 0.3]
    run = make_run(base, tmp_path / "more", "lora", epochs=6, patience=1)
    result = learn(run, "lora")
    assert max(record["epoch"] for record in result.history) == 2 and result.best_step == 2


@pytest.mark.parametrize("variant", ["full_entity_loss", "qlora"])
def test_a_loss_that_is_no_number_stops_with_the_way_out(base, tmp_path, scores, variant):
    run = make_run(base, tmp_path, variant, learning_rate=1e30, clip_norm=1e30, warmup_steps=0)
    said = rf"^{variant}: the .* is (nan|inf) at step .*--set {variant}.learning_rate="
    with pytest.raises(UserError, match=said) as caught:
        learn(run, variant)
    assert "\n" not in str(caught.value)


def test_a_gradient_that_is_no_number_stops_unless_fp16_skips_such_steps(base, tmp_path):
    run = make_run(base, tmp_path, "lora")
    model, tokenizer = writers.base_of(run, "lora")[0], load_tokenizer(run)
    trainer = writers.make_trainer(run, "lora", model, tokenizer, examples(), examples()[:2], tmp_path)
    trainer.args.fp16 = True
    trainer.log({"grad_norm": float("inf")})
    trainer.args.fp16 = False
    with pytest.raises(UserError, match="lora: the gradient is inf at step 0"):
        trainer.log({"grad_norm": float("inf")})


def test_precision_and_what_is_computed_again_follow_the_device(base, tmp_path, monkeypatch):
    here = writers.training_arguments(make_run(base, tmp_path, "lora"), "lora", tmp_path)
    assert not (here.fp16 or here.bf16 or here.gradient_checkpointing) and here.use_cpu
    monkeypatch.setattr(common, "device_of", lambda profile: Device("cuda", torch.float16, ""))
    run = make_run(base, tmp_path, "lora", profile="gpu")
    there = writers.training_arguments(run, "lora", tmp_path, True)
    assert there.fp16 and not there.bf16 and there.gradient_checkpointing and not there.use_cpu


@pytest.mark.parametrize("variant", ["full_entity_loss", "lora", "qlora"])
def test_with_layers_that_are_computed_again_every_adapter_learns(
    base, tmp_path, monkeypatch, scores, variant
):
    monkeypatch.setattr(writers, "needs_checkpointing", lambda *given: True)
    run = make_run(base, tmp_path, variant, profile="gpu", epochs=1, learning_rate=1e-2, warmup_steps=0)
    learn(run, variant)
    before = load_file(base / "model.safetensors")
    after = load_file(next(best_of(run, variant).glob("*.safetensors")))
    if variant == "full_entity_loss":
        assert after.keys() == before.keys() and not any(after[name].equal(before[name]) for name in after)
    else:
        ups = {name: tensor for name, tensor in after.items() if "lora_B" in name}
        assert len(ups) == 14 and all(tensor.any() for tensor in ups.values()), "B starts as zeros"
