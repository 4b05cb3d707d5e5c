"""Dropout by bytes: what it drops, what it keeps, and that a seed says which."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.dropout import ByteDropout, faster_dropout


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5])
def test_the_wanted_share_is_dropped_the_mean_stays_and_gradients_follow(p):
    torch.manual_seed(0)
    layer, states = ByteDropout(p), torch.ones(501, 403, requires_grad=True)
    out = layer(states)
    share = float((out == 0).float().mean())
    assert share == pytest.approx(round(256 * p) / 256, abs=5 * (p / states.numel()) ** 0.5)
    assert out.detach().unique().tolist() == [0.0, pytest.approx(256 / (256 - round(256 * p)))]
    assert float(out.detach().mean()) == pytest.approx(1, abs=0.01)
    dropped = (out == 0).float()
    assert abs(float((dropped[:, 1:] * dropped[:, :-1]).mean()) - share**2) < 0.005, "neighbours are independent"
    out.sum().backward()
    assert states.grad.equal(out.detach())


def test_a_seed_says_which_are_dropped_and_evaluation_drops_none():
    layer, states = ByteDropout(0.5), torch.randn(3, 5, 7)
    torch.manual_seed(1)
    first, second = layer(states), layer(states)
    torch.manual_seed(1)
    assert layer(states).equal(first) and not second.equal(first)
    assert layer.eval()(states) is states and ByteDropout(0.0)(states) is states
    assert ByteDropout(0.5)(torch.empty(0, 4)).shape == (0, 4)


def test_layers_are_exchanged_wherever_they_are():
    model = nn.ModuleDict({"a": nn.Dropout(0.1), "b": nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2)), "c": nn.Dropout(0.0)})
    faster_dropout(model)
    assert [type(one) for one in (model["a"], model["b"][1], model["c"])] == [ByteDropout, ByteDropout, nn.Dropout]
    assert (model["a"].p, model["b"][1].p) == (0.1, 0.2)
