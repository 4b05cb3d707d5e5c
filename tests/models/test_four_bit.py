"""Base models in 4 bits: what comes back is what went in, but for the rounding."""

from __future__ import annotations

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from helpers.errors import UserError
from helpers.models.base import load_base
from helpers.run import Run

ROUNDING = 0.12
"""More than NF4 takes from normally distributed weights (0.09 of their norm), less than wrong scales do."""


def saved_model(folder, hidden: int):
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return Run(task="calendar", profile="cpu", out=str(folder / "out"), settings={"base_model": str(folder)})


def test_weights_survive_four_bits(tmp_path):
    run = saved_model(tmp_path, 128)
    exact = load_base(run).state_dict()
    rounded = load_base(run, four_bit=True).dequantize().state_dict()
    for name in (name for name in exact if "proj" in name):
        lost = (rounded[name] - exact[name]).norm() / exact[name].norm()
        assert 0.02 < lost < ROUNDING, name


def test_rows_that_no_block_fits_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="rows of 96 weights.*multiple of 64"):
        load_base(saved_model(tmp_path, 96), four_bit=True)
