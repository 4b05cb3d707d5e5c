"""Causal models of the Llama kind as GGUF files for llama.cpp and Ollama, by the library `gguf`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer

from helpers.errors import UserError

FILE = "model.gguf"
PRE_TOKENIZERS = {
    "smollm": "smollm",
    "llama-3": "llama-bpe",
}  # part of a model's name → how llama.cpp cuts words
KINDS = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}


def interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in the order of llama.cpp, which turns neighbouring pairs.

    transformers turns the first half of a head against its second half.
    """
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def write_gguf(source: Path, folder: Path, name: str, kind: str = "q8_0") -> Path:
    """Write `model.gguf`; returns the file.

    Parameters
    ----------
    source : Path
        Folder of a causal model of the Llama kind with unquantised weights, and of its tokenizer.
    name : str
        What the file says of itself.
    kind : str
        `f32`, `f16` or `q8_0` (blocks of 32 weights with 8 bits each): the form of the matrices.

    Raises
    ------
    UserError
        If llama.cpp has no such model or tokenizer under the name of Llama.
    """
    config = AutoConfig.from_pretrained(source)
    if config.model_type != "llama":
        raise UserError(f"GGUF export knows models of the Llama kind, not {config.model_type!r}")
    form, file_type = KINDS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer = gguf.GGUFWriter(folder / FILE, "llama")
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(file_type)
    add_tokenizer(writer, source, name, config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for path in sorted(source.glob("*.safetensors")):
        with safe_open(path, "pt") as weights:
            for label in weights.keys():  # noqa: SIM118 (it is no dictionary)
                target = names.get_name(label, try_suffixes=(".weight", ".bias"))
                if target is None:
                    raise UserError(
                        f"GGUF export knows models of the Llama kind: {label!r} is none of their weights"
                    )
                array = weights.get_tensor(label).float().numpy()
                if ".q_proj." in label or ".k_proj." in label:
                    array = interleave(array, heads if ".q_proj." in label else kv_heads)
                fits = array.ndim == 2 and array.shape[-1] % 32 == 0
                wanted = form if fits else gguf.GGMLQuantizationType.F32
                writer.add_tensor(
                    target, gguf.quants.quantize(np.ascontiguousarray(array), wanted), raw_dtype=wanted
                )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / FILE


def add_tokenizer(writer: gguf.GGUFWriter, source: Path, name: str, vocabulary: int) -> None:
    """Tokens, merges and special tokens of a BPE over bytes that are written as letters."""
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if model["type"] != "BPE" or model.get("byte_fallback"):
        raise UserError(
            "GGUF export knows tokenizers with BPE over bytes, such as those of SmolLM2 and Llama 3"
        )
    known = {number: token for token, number in tokenizer.get_vocab().items()}
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    kinds = [
        gguf.TokenType.CONTROL
        if number in special
        else gguf.TokenType.NORMAL
        if number in known
        else gguf.TokenType.UNUSED
        for number in range(vocabulary)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([known.get(number, f"[PAD{number}]") for number in range(vocabulary)])
    writer.add_token_types(kinds)
    pre = next((value for key, value in PRE_TOKENIZERS.items() if key in name.lower()), "default")
    writer.add_tokenizer_pre(pre)
    first = tokenizer("a")["input_ids"][:1]
    writer.add_add_bos_token(tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id])
    more = gguf.SpecialVocab(source, load_merges=True)
    more.add_special_token.pop("bos", None)
    more.add_to_gguf(writer, quiet=True)


def modelfile(task: Any, source: Path, max_new_tokens: int) -> str:
    """Text of the Modelfile with which `ollama create NAME -f Modelfile` takes the GGUF file."""
    lines = [f"FROM ./{FILE}"]
    if not task.chat.questions:  # the template of a dialogue is in the GGUF file
        lines.append(f'TEMPLATE """{task.chat.prompt("{{ .Prompt }}")}"""')
    lines += [
        "PARAMETER temperature 0",
        f"PARAMETER num_ctx {AutoConfig.from_pretrained(source).max_position_embeddings}",
        f"PARAMETER num_predict {max_new_tokens}",
        f'PARAMETER stop "{AutoTokenizer.from_pretrained(source).eos_token}"',
    ]
    return "\n".join(lines) + "\n"
