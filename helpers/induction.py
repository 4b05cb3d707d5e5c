"""Start a small Llama with the circuit that copies, instead of waiting for it to appear.

A model that answers with pieces of its input needs *induction* (Olsson et al., 2022): a head in an early layer
that writes into each position which token stood before it, and heads in the next layer that look for
positions whose previous token is the current one and copy what stands there. From random weights this circuit
appears late and suddenly; a start from structured weights (mimetic initialisation, Trockman and Kolter, 2023)
has it from the first step. Only the start differs: the model stays a plain Llama and every weight is trained.
"""
from __future__ import annotations

import torch


@torch.no_grad()
def start_with_induction(model, seed: int = 0, sharpness: float = 14.0, gain: float = 3.0) -> None:
    """Overwrite embedding and attention of the first two layers of a fresh LlamaForCausalLM, in place.

    The width is shared out: one direction holds a constant, one part the token, one part marks of the tokens
    one and two positions back.

    Layer 0, heads 0 and 1: attend one and two positions back by rotary phase alone (query and key read the
    constant) and write the token found there into the marks. Layer 1, all heads: look for positions whose two
    marks are the current and the previous token, and write the token found there to the output.

    Parameters
    ----------
    model : LlamaForCausalLM
        With tied embeddings, at least two layers and four heads. The constant adds the same to every logit, hence
        nothing.
    sharpness : float
        Attention logit of a match.
    gain : float
        Strength of the copy, as a multiple of the embedding's length.
    """
    config, random = model.config, torch.Generator().manual_seed(seed)
    width, heads = config.hidden_size, config.num_attention_heads
    size, half = width // heads, width // heads // 2
    base = torch.linalg.qr(torch.randn(width, width, generator=random))[0]
    constant, marks, token = base[0], (base[1:1 + size], base[1 + size:1 + 2 * size]), base[1 + 2 * size:]
    embedding = model.model.embed_tokens.weight
    embedding.copy_(embedding @ token.T @ token)
    scale = embedding.norm(dim=1).mean()
    embedding += scale * constant
    first, second = model.model.layers[0].self_attn, model.model.layers[1].self_attn
    frequency = config_theta(config) ** (-torch.arange(half) / half)
    fast, slow = (frequency > 0.015).float(), frequency < 0.01
    read = token[:size]
    # after the norm a vector has length √width; embeddings are one half constant, one half token
    amplitude = (20 * sharpness * size**0.5 / (width * fast.sum())) ** 0.5
    for head, distance in ((0, 1), (1, 2)):
        rows, phase = slice(head * size, (head + 1) * size), frequency * distance
        key = torch.cat([fast, torch.zeros(half)])
        query = torch.cat([fast * phase.cos(), fast * -phase.sin()])  # turned so that the product peaks there
        first.k_proj.weight[rows] = amplitude * key[:, None] * constant
        first.q_proj.weight[rows] = amplitude * query[:, None] * constant
        first.v_proj.weight[rows] = read
        first.o_proj.weight[:, rows] = marks[head].T * scale / (width / 2) ** 0.5
    order = torch.cumsum(slow.int(), 0)
    single, double = slow & (order % 2 == 0), slow & (order % 2 == 1)  # rotary pairs for the one and the other mark
    for head in range(heads):
        rows = slice(head * size, (head + 1) * size)
        turn = torch.linalg.qr(torch.randn(size, size, generator=random))[0]  # each head looks at another mixture
        current, before, earlier = turn @ read, turn @ marks[0], turn @ marks[1]
        one, two = (torch.cat([mask, mask]).float()[:, None] for mask in (single, double))
        share = float(one.sum() / len(token))  # of a token's squared length in the rows that are compared
        length = (sharpness * size**0.5 / (width / 3 * share)) ** 0.5
        second.q_proj.weight[rows] = length * (one * current + two * before)
        second.k_proj.weight[rows] = length * (one * before + two * earlier)
        block = torch.arange(head * size, (head + 1) * size) % len(token)
        second.v_proj.weight[rows] = token[block]
        second.o_proj.weight[:, rows] = gain * token[block].T * scale / (width / 3) ** 0.5


def config_theta(config) -> float:
    """Rotary base of a Llama configuration."""
    parameters = getattr(config, "rope_parameters", None) or {}
    return float(parameters.get("rope_theta", getattr(config, "rope_theta", 10000.0)))
