"""Causal models of the Llama kind as GGUF files for llama.cpp and Ollama."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from helpers.errors import UserError

FILE = "model.gguf"
PRE_TOKENIZERS = {"smollm": "smollm", "llama-3": "llama-bpe"}
CONTROL, NORMAL = 3, 1  # kinds of token in the GGUF format
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def tensor_name(name: str) -> str:
    """Name of a weight in GGUF, e.g. `blk.0.attn_q.weight` for `model.layers.0.self_attn.q_proj.weight`."""
    stem, ending = name.rsplit(".", 1)
    if stem in OUTSIDE:
        return f"{OUTSIDE[stem]}.{ending}"
    number, _, part = stem.removeprefix("model.layers.").partition(".")
    if not number.isdigit() or part not in LAYER:
        raise UserError(f"GGUF export knows models of the Llama kind: {name!r} is none of their weights")
    return f"blk.{number}.{LAYER[part]}.{ending}"


def interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in the order of llama.cpp, which turns neighbouring pairs.

    transformers turns the first half of a head against its second half.
    """
    return (
        weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
        .swapaxes(1, 2)
        .reshape(weight.shape)
    )


def token_lists(tokenizer: Any) -> dict[str, Any]:
    """Tokens, their kinds and the merges, as llama.cpp wants them for a BPE over bytes that are written as letters."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] != "BPE" or state["model"].get("byte_fallback"):
        raise UserError(
            "GGUF export knows tokenizers with BPE over bytes, such as those of SmolLM2 and Llama 3"
        )
    special = {token["content"] for token in state["added_tokens"] if token["special"]}
    pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in state["model"]["merges"]]
    ids = {**state["model"]["vocab"], **{token["content"]: token["id"] for token in state["added_tokens"]}}
    tokens = [token for token, _ in sorted(ids.items(), key=lambda item: item[1])]
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise UserError("GGUF export needs token numbers without gaps")
    return {
        "tokens": tokens,
        "kinds": [CONTROL if token in special else NORMAL for token in tokens],
        "merges": [" ".join(pair) for pair in pairs],
    }


def write_gguf(model: Any, tokenizer: Any, folder: Path, name: str, kind: str = "q8_0") -> Path:
    """Write `model.gguf`; returns the file.

    Parameters
    ----------
    model, tokenizer
        A causal model of the Llama kind with unquantised weights.
    name : str
        What the file says of itself.
    kind : str
        `f32`, `f16` or `q8_0` (blocks of 32 weights with 8 bits each): the form of the matrices.
    """
    try:
        import gguf
    except ModuleNotFoundError:
        raise UserError("package gguf is missing: install requirements.txt") from None
    config = model.config
    if config.model_type != "llama":
        raise UserError(f"GGUF export knows models of the Llama kind, not {config.model_type!r}")
    kinds = {
        "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
        "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
        "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    }
    form, file_type = kinds[kind]
    folder.mkdir(parents=True, exist_ok=True)
    heads, size = (
        config.num_attention_heads,
        getattr(config, "head_dim", None) or config.hidden_size // (config.num_attention_heads),
    )
    writer = gguf.GGUFWriter(folder / FILE, "llama")
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(file_type)
    _add_tokenizer(writer, tokenizer, name)
    tied = bool(config.tie_word_embeddings)
    for label, weight in model.state_dict().items():
        if tied and label.startswith("lm_head."):
            continue
        array = weight.detach().float().cpu().numpy()
        if label.endswith(("q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias")):
            array = interleave(array, heads if ".q_proj." in label else config.num_key_value_heads)
        wanted = form if array.ndim == 2 and array.shape[-1] % 32 == 0 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(
            tensor_name(label), gguf.quants.quantize(np.ascontiguousarray(array), wanted), raw_dtype=wanted
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / FILE


def _add_tokenizer(writer: Any, tokenizer: Any, name: str) -> None:
    lists = token_lists(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(lists["tokens"])
    writer.add_token_types(lists["kinds"])
    writer.add_token_merges(lists["merges"])
    pre = next((value for key, value in PRE_TOKENIZERS.items() if key in name.lower()), "default")
    writer.add_tokenizer_pre(pre)
    first = tokenizer("a")["input_ids"][:1]
    writer.add_add_bos_token(tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id])
    for add, number in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if number is not None:
            add(number)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)


def modelfile(task: Any, tokenizer: Any, max_new_tokens: int, context: int) -> str:
    """Text of the Modelfile with which `ollama create NAME -f Modelfile` takes the GGUF file."""
    lines = [f"FROM ./{FILE}"]
    if not task.chat.questions:  # the template of a dialogue is in the GGUF file
        lines.append(f'TEMPLATE """{task.chat.prompt("{{ .Prompt }}")}"""')
    lines += [
        "PARAMETER temperature 0",
        f"PARAMETER num_ctx {context}",
        f"PARAMETER num_predict {max_new_tokens}",
        f'PARAMETER stop "{tokenizer.eos_token}"',
    ]
    return "\n".join(lines) + "\n"
