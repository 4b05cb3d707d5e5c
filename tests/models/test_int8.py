"""Products in int8: near those of fp32, shared, packed once for decoding, unseen by what saves and loads."""

import copy

import pytest
import torch
from peft import PeftModel
from torch import nn
from torch.nn.functional import cosine_similarity
from transformers import LlamaConfig, LlamaForCausalLM

from helpers.models import int8
from helpers.models.adapters import adapted_layers, add_lora, count_parameters
from helpers.models.base import four_bit_config, load_base
from helpers.models.int8 import packed_once, use_int8
from helpers.run import Run

IDS = torch.arange(24).view(2, 12) * 5 % 128


class Holder(nn.Module):
    """A model of one layer, without a head; `states` are what the layer reads when outliers are looked for."""

    config = LlamaConfig(vocab_size=4)

    def __init__(self, layer: nn.Linear, states: torch.Tensor | None = None):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.states = torch.ones(1, 1, layer.in_features) if states is None else states

    def forward(self, input_ids, use_cache):
        return self.layer(self.states)

    def get_output_embeddings(self):
        return None


def llama(seed: int = 0) -> LlamaForCausalLM:
    """Two layers whose head is the embedding; eight query heads share four of keys."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=True, initializer_range=0.1))


def adapted(model: nn.Module, dropout: float = 0.0) -> PeftModel:
    """The model with an adapter on every linear layer that has learnt something already."""
    model = add_lora(model, 4, 8, dropout, adapted_layers(model), seed=1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    return model


def near(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Cosine of the angle between two tensors."""
    return cosine_similarity(found.detach().flatten(), exact.detach().flatten(), dim=0).item()


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    """Gradients of a language model's loss."""
    model.zero_grad()
    model(input_ids=IDS, labels=IDS).loss.backward()
    return {name: each.grad.clone() for name, each in model.named_parameters() if each.requires_grad}


def everything(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copies of all parameters and buffers."""
    return {name: tensor.clone() for name, tensor in (*model.named_parameters(), *model.named_buffers())}


@pytest.mark.parametrize("one_pass", [True, False])
def test_both_ways_of_a_product_are_exact(one_pass):
    if one_pass and not int8._one_pass():
        pytest.skip("no product in one pass on this machine")
    codes, right = (torch.arange(-n, n, dtype=torch.int8).repeat(5, 1)[:, :126] for n in (127, 63))
    left, scale = int8.Rounded(codes, torch.arange(1.0, 6)), torch.tensor([1.0, 0.5, 2.0])
    wanted = (codes.double() * left.scale[:, None]) @ (right[:3].double() * scale[:, None]).t()
    assert int8._Factor(right[:3], scale, one_pass)(left).tolist() == wanted.tolist()


def test_a_product_in_one_pass_that_takes_a_thousand_times_as_long_is_not_used(monkeypatch):
    monkeypatch.setattr(int8.timeit, "repeat", lambda product, number, repeat: [0.2] * repeat)
    int8._one_pass.cache_clear()
    assert not int8._one_pass()
    int8._one_pass.cache_clear()


def test_product_and_gradients_by_hand(monkeypatch):
    monkeypatch.setattr(int8, "OUTLIERS", 0)
    layer = nn.Linear(2, 2, bias=False)
    # rows are scaled by 0.1 and 0.2: 127, 10.4 → 10 and -127, 16.3 → 16
    layer.weight.data = torch.tensor([[12.7, 1.04], [-25.4, 3.26]])
    states = torch.tensor([[-6.35, 2.02]], requires_grad=True)  # scaled by 0.05: -127, 40.4 → 40
    layer = use_int8(Holder(layer)).layer
    result = layer(states)
    by_hand = [0.05 * 0.1 * (127 * -127 + 10 * 40), 0.05 * 0.2 * (127 * 127 + 16 * 40)]
    assert result[0].tolist() == pytest.approx(by_hand, rel=1e-5)
    # times the scales of the rows the gradient is 0.1, -0.1: 127 and -127 at a scale of 0.1 / 127
    result.backward(torch.tensor([[1.0, -0.5]]))
    assert states.grad[0].tolist() == pytest.approx([0.1 * (127 + 127), 0.1 * (10 - 16)], rel=1e-5)


def test_columns_that_are_larger_than_the_rest_are_left_to_fp32():
    torch.manual_seed(0)
    states = torch.randn(1, 50, 64)
    states[..., [5, 40]] *= 1000
    plain, large = nn.Linear(64, 32), torch.tensor([5, 40])
    layer, exact = use_int8(Holder(plain, states)).layer, plain(states)
    assert {5, 40} < set(layer.outliers.tolist()) and len(layer.outliers) == int8.OUTLIERS
    rest = exact - states[..., large] @ plain.weight[:, large].t()
    assert near(layer(states) - (exact - rest), rest) > 0.999, "what is small is not lost beside it"
    assert layer.dequantised()[:, large].equal(plain.weight[:, large])
    assert not list(layer.parameters()) and layer.state_dict() == {}, "no weight is kept in fp32"


@pytest.mark.parametrize("inference", [False, True])
def test_what_is_changed_in_place_is_rounded_anew(inference):
    layer = use_int8(Holder(nn.Linear(8, 4))).layer
    with torch.inference_mode(inference):  # there tensors have no versions
        states = torch.randn(3, 8)
        first = layer(states)
        states.add_(1.0)
        assert layer(states).equal(layer(states.clone())) and not layer(states).equal(first)


def test_the_head_gives_back_gradients_that_int8_could_not_hold():
    model, states = use_int8(llama().requires_grad_(False)), torch.randn(5, 64, requires_grad=True)
    gradient = torch.full((5, 128), 1e-4)
    gradient[torch.arange(5), torch.arange(5)] = -1.0  # what the loss gives: one large number a row
    model.lm_head(states).backward(gradient)
    assert states.grad.equal(gradient @ model.get_input_embeddings().weight)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_adapter_gradients_are_near_those_over_a_base_in_fp32(dropout):
    plain = adapted(llama(), dropout).train()
    model = use_int8(copy.deepcopy(plain))
    torch.manual_seed(3)
    exact = gradients(plain)
    torch.manual_seed(3)  # the same numbers are dropped
    found = gradients(model)
    assert found.keys() == exact.keys() and all("lora_" in name for name in found)
    for name in exact:
        assert near(found[name], exact[name]) > 0.97, name
        assert found[name].norm().item() == pytest.approx(exact[name].norm().item(), rel=0.1), name


@torch.no_grad()
def test_packed_once_is_the_merged_model_and_leaves_the_model_as_it_was():
    model = use_int8(adapted(llama())).eval()
    merged = adapted(llama()).merge_and_unload().eval()(IDS).logits
    before, kept = model(IDS).logits, everything(model)
    with packed_once(model):
        inside = model(IDS).logits
    assert near(inside, merged) > 0.99 and not inside.equal(before)
    with pytest.raises(KeyError), packed_once(model):
        raise KeyError
    assert model(IDS).logits.equal(before)
    after = everything(model)
    assert after.keys() == kept.keys() and all(after[name].equal(kept[name]) for name in kept)


@pytest.fixture
def run(tmp_path) -> Run:
    """A run whose base model is :func:`llama`."""
    llama().save_pretrained(tmp_path / "base")
    settings = {"base_model": str(tmp_path / "base")}
    return Run("calendar", profile="smoke", out=str(tmp_path), settings=settings)


@torch.no_grad()
def test_an_adapter_over_int8_is_that_over_the_plain_base_and_loads_again(run, tmp_path):
    model = adapted(load_base(run)).eval()
    model.save_pretrained(tmp_path / "plain")
    expected = model(IDS).logits
    use_int8(model).save_pretrained(tmp_path / "int8")
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / kind).iterdir()} for kind in ("plain", "int8")
    ]
    assert files[0] == files[1] and "adapter_model.safetensors" in files[0]
    assert near(model(IDS).logits, expected) > 0.99 > near(load_base(run)(IDS).logits, expected)
    again = load_base(run)
    fresh = use_int8(add_lora(again, 4, 8, 0.0, adapted_layers(again), seed=2)).eval()
    fresh.load_adapter(tmp_path / "int8", "default")  # as the Trainer loads the best checkpoint
    assert fresh(IDS).logits.equal(model(IDS).logits)


@torch.no_grad()
def test_a_base_in_four_bits_multiplies_in_int8_and_reloads(run, tmp_path):
    four_bits = four_bit_config(run)
    model = adapted(load_base(run, four_bits)).eval()
    rounded = load_base(run, four_bits).dequantize()  # what the 4 bits stand for, in fp32
    trained = count_parameters(model)
    use_int8(model)
    assert count_parameters(model)["trainable"] == trained["trainable"]
    found = model(IDS).logits
    model.save_pretrained(tmp_path / "adapter")
    plain = PeftModel.from_pretrained(rounded, tmp_path / "adapter").eval()
    assert near(found, plain(IDS).logits) > 0.99 and not found.equal(plain(IDS).logits)
    with packed_once(model):
        assert near(model(IDS).logits, plain(IDS).logits) > 0.99
    assert model(IDS).logits.equal(found)
    again = PeftModel.from_pretrained(load_base(run, four_bits), tmp_path / "adapter").eval()
    assert use_int8(again)(IDS).logits.equal(found)
