"""A base model small enough for tests: random weights, the real tokenizer and chat template, the real architecture."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from helpers.models.packaged import CUT, packaged_folder


def save_tiny_base(folder: Path) -> Path:
    """Write a Llama of two narrow layers with SmolLM2's tokenizer to a folder and return it."""
    tokenizer = AutoTokenizer.from_pretrained(packaged_folder(CUT))
    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True}
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes, **heads, **ends))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@torch.no_grad()
def varied_model(folder, seed: int = 0):
    """The model of a folder with random changes of its weights and a head of its own: answers differ from text to text."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    model.lm_head.weight = torch.nn.Parameter(0.05 * torch.randn_like(model.lm_head.weight))
    return model
