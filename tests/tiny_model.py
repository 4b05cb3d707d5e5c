"""A base model small enough for tests: random weights, real tokenizer, real architecture."""
from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import torch

from helpers.base_tokenizer import train_tokenizer
from helpers.corpus import mixture
from helpers.pretrain import RECIPES, build_model


def save_tiny_base(folder: Path) -> Path:
    """Write model and tokenizer to a folder and return it."""
    tokenizer = train_tokenizer((d.text for d in itertools.islice(mixture.stream(seed=3), 800)), vocab_size=800)
    torch.manual_seed(1)
    model = build_model(dataclasses.replace(RECIPES["smoke"], hidden_size=32, heads=4, intermediate_size=64), tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
