"""Start a small Llama with the circuit that copies, instead of waiting for it to appear.

A model that answers with pieces of its input needs *induction* (Olsson et al., 2022): a head in an early layer
that writes into each position which token stood before it, and heads in the next layer that look for
positions whose previous token is the current one and copy what stands there. From random weights this circuit
appears late and suddenly; a start from structured weights (mimetic initialisation, Trockman and Kolter, 2023)
has it from the first step. Only the start differs: the model stays a plain Llama and every weight is trained.
"""
from __future__ import annotations

import torch

EMBEDDING_GROWTH = 5.0  # the usual deviation of 0.02 leaves tied logits too small for a copied token to win
SHARPNESS = 40.0  # attention logit of a match
GAIN = 10.0  # strength of the copy in multiples of the embedding's length
SLOW, FAST = 0.003, 0.015  # rotary frequencies that hardly turn over a text, and those that tell neighbours apart


@torch.no_grad()
def start_with_induction(model, seed: int = 0) -> None:
    """Overwrite embedding and attention of the first two layers of a fresh LlamaForCausalLM, in place.

    The width is shared out: one direction holds a constant, one part the token, one part marks of the tokens
    one and two positions back.

    Layer 0, heads 0 and 1: attend one and two positions back by rotary phase alone (query and key read the
    constant) and write the token found there into the marks. Layer 1, all heads: look for positions whose two
    marks are the current and the previous token, and write the token found there to the output. The match uses
    slow rotary dimensions only, so that distance does not matter to it.

    Parameters
    ----------
    model : LlamaForCausalLM
        With tied embeddings, at least two layers and three heads, and a rotary base that leaves some dimensions
        slow. The constant adds the same to every logit, hence nothing.

    Raises
    ------
    ValueError
        Where the width cannot be shared out so, or no rotary dimension is slow or fast enough.
    """
    config, random = model.config, torch.Generator().manual_seed(seed)
    width, heads = config.hidden_size, config.num_attention_heads
    size, half = width // heads, width // heads // 2
    frequency = float(config.rope_parameters["rope_theta"]) ** (-torch.arange(half) / half)
    fast, slow = (frequency > FAST).float(), (frequency < SLOW).repeat(2).nonzero()[:, 0]
    if width < 1 + 3 * size or len(slow) < 4 or not fast.sum():
        raise ValueError(f"{heads} heads of {size} dimensions with these rotary frequencies cannot hold the circuit")
    base = torch.linalg.qr(torch.randn(width, width, generator=random))[0]
    constant, marks, token = base[0], (base[1:1 + size], base[1 + size:1 + 2 * size]), base[1 + 2 * size:]
    embedding = model.model.embed_tokens.weight
    embedding.copy_(EMBEDDING_GROWTH * embedding @ token.T @ token)
    scale = embedding.norm(dim=1).mean()
    embedding += scale * constant
    _mark_neighbours(model.model.layers[0].self_attn, frequency, fast, constant, marks, token[:size], scale)
    _copy_matches(model.model.layers[1].self_attn, heads, slow, marks, token, scale, random)


def _mark_neighbours(attention, frequency, fast, constant, marks, read, scale) -> None:
    size, width = read.shape
    # after the norm a vector has length √width; embeddings are one half constant, one half token
    amplitude = (280 * size**0.5 / (width * fast.sum())) ** 0.5
    for head, distance in ((0, 1), (1, 2)):
        rows, phase = slice(head * size, (head + 1) * size), frequency * distance
        key = torch.cat([fast, torch.zeros_like(fast)])
        query = torch.cat([fast * phase.cos(), fast * -phase.sin()])  # turned so that the product peaks there
        attention.k_proj.weight[rows] = amplitude * key[:, None] * constant
        attention.q_proj.weight[rows] = amplitude * query[:, None] * constant
        attention.v_proj.weight[rows] = read
        attention.o_proj.weight[:, rows] = marks[head].T * scale / (width / 2) ** 0.5


def _copy_matches(attention, heads, slow, marks, token, scale, random) -> None:
    size, width = marks[0].shape
    one, two = slow[::2], slow[1::2]  # dimensions that compare the one and the other mark
    length = (SHARPNESS * size**0.5 / (width / 3 * len(one) / len(token))) ** 0.5
    for head in range(heads):
        rows = slice(head * size, (head + 1) * size)
        turn = torch.linalg.qr(torch.randn(size, size, generator=random))[0]  # each head looks at another mixture
        current, before, earlier = turn @ token[:size], turn @ marks[0], turn @ marks[1]
        query, key = torch.zeros(size, width), torch.zeros(size, width)
        query[one], key[one] = current[:len(one)], before[:len(one)]
        query[two], key[two] = before[:len(two)], earlier[:len(two)]
        attention.q_proj.weight[rows], attention.k_proj.weight[rows] = length * query, length * key
        block = torch.arange(head * size, (head + 1) * size) % len(token)
        attention.v_proj.weight[rows] = token[block]
        attention.o_proj.weight[:, rows] = GAIN * token[block].T * scale / (width / 3) ** 0.5
