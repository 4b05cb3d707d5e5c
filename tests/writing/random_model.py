"""A random model whose answers differ from text to text: its head is not tied to what it reads."""

from __future__ import annotations

import torch
from transformers import AutoModelForCausalLM


def varied_model(folder, seed: int = 0):
    """The model of a folder with random changes of its weights, and a head of its own."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        model.lm_head.weight = torch.nn.Parameter(0.05 * torch.randn_like(model.lm_head.weight))
    return model
