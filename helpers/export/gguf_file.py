"""Causal models of the Llama kind as GGUF files for llama.cpp and Ollama, by the library `gguf`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer

from helpers.errors import UserError
from helpers.writing.chat import end_of_turn, render

FILE = "model.gguf"
PRE_TOKENIZERS = {"smollm": "smollm", "llama-3": "llama-bpe"}  # part of a model's name → how words are cut


# -- the model --------------------------------------------------------------------------------------------------------
def interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in the order of llama.cpp, which turns neighbouring pairs.

    transformers turns the first half of a head against its second half.
    """
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def write_gguf(source: Path, folder: Path, name: str, whole: bool = False) -> Path:
    """Write `model.gguf`; returns the file.

    Parameters
    ----------
    source : Path
        Folder of a causal model of the Llama kind with unquantised weights, and of its tokenizer.
    name : str
        What the file says of itself.
    whole : bool
        Whether the matrices keep 32 bits; by default they are `q8_0`, blocks of 32 weights with 8 bits each.

    Raises
    ------
    UserError
        If llama.cpp has no such model or tokenizer under the name of Llama.
    """
    config = AutoConfig.from_pretrained(source)
    if config.model_type != "llama":
        raise UserError(f"GGUF export knows models of the Llama kind, not {config.model_type!r}")
    folder.mkdir(parents=True, exist_ok=True)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(folder / FILE, "llama")
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads["q_proj"])
    writer.add_head_count_kv(heads["k_proj"])
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if whole else gguf.LlamaFileType.MOSTLY_Q8_0)
    add_tokenizer(writer, source, name, config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for path in sorted(source.glob("*.safetensors")):
        with safe_open(path, "pt") as weights:
            for label in weights.keys():  # noqa: SIM118 (it is no dictionary)
                target = names.get_name(label, try_suffixes=(".weight", ".bias"))
                if target is None:
                    raise UserError(f"GGUF export knows models of the Llama kind, which have no {label!r}")
                array = weights.get_tensor(label).float().numpy()
                if turned := re.search("[qk]_proj", label):
                    array = interleave(array, heads[turned[0]])
                small = not whole and array.ndim == 2 and array.shape[-1] % 32 == 0
                wanted = gguf.GGMLQuantizationType.Q8_0 if small else gguf.GGMLQuantizationType.F32
                packed = gguf.quants.quantize(np.ascontiguousarray(array), wanted)
                writer.add_tensor(target, packed, raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / FILE


def add_tokenizer(writer: gguf.GGUFWriter, source: Path, name: str, vocabulary: int) -> None:
    """Tokens, merges, special tokens and chat template of a BPE over bytes that are written as letters."""
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if model["type"] != "BPE" or model.get("byte_fallback"):
        raise UserError("GGUF export knows tokenizers with BPE over bytes, as those of SmolLM2 and Llama 3")
    known = {number: token for token, number in tokenizer.get_vocab().items()}
    kinds = [gguf.TokenType.NORMAL if at in known else gguf.TokenType.UNUSED for at in range(vocabulary)]
    for number, token in tokenizer.added_tokens_decoder.items():
        kinds[number] = gguf.TokenType.CONTROL if token.special else kinds[number]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([known.get(number, f"[PAD{number}]") for number in range(vocabulary)])
    writer.add_token_types(kinds)
    pre = next((value for key, value in PRE_TOKENIZERS.items() if key in name.lower()), "default")
    writer.add_tokenizer_pre(pre)
    writer.add_add_bos_token(begins_texts(tokenizer))
    more = gguf.SpecialVocab(source, load_merges=True)
    more.add_special_token.pop("bos", None)
    more.add_to_gguf(writer, quiet=True)


def begins_texts(tokenizer: Any) -> bool:
    """Whether the tokenizer, and so llama.cpp, puts a token of its own before every text."""
    return tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]


# -- Ollama -----------------------------------------------------------------------------------------------------------
def chat_template(tokenizer: Any) -> str:
    """The tokenizer's chat template in the language of Ollama, which knows that of few models by itself.

    Each role gets what is written before and after its contents. A token that begins every text is llama.cpp's to write.
    """
    roles = ("system", "user", "assistant", "user")
    turns = [{"role": role, "content": f"<{at} of {len(roles)}>"} for at, role in enumerate(roles)]
    text, end = render(tokenizer, turns, generation=True), end_of_turn(tokenizer)
    first, *rest = re.split(
        r"<\d of 4>", text.removeprefix(tokenizer.bos_token if begins_texts(tokenizer) else "")
    )
    heads, tails = [first], []
    for between in rest:
        cut = re.match(rf"(.*?{re.escape(end)}\s*|)(.*)", between, re.DOTALL)
        tails, heads = [*tails, cut[1]], [*heads, cut[2]]
    pieces = [
        f'{{{{ if eq .Role "{role}" }}}}{head}{{{{ .Content }}}}{tail}{{{{ end }}}}'
        for role, head, tail in zip(roles[:3], heads, tails)
    ]
    return f"{{{{ range .Messages }}}}{''.join(pieces)}{{{{ end }}}}{heads[-1]}"


def modelfile(task: Any, source: Path, max_new_tokens: int) -> str:
    """Text of the Modelfile with which `ollama create NAME -f Modelfile` takes the GGUF file, to ask it as it was trained.

    Greedy, without the penalty on repetition that Ollama has by default: values repeat the text.
    """
    tokenizer, dialogue = AutoTokenizer.from_pretrained(source), bool(task.chat.questions)
    template = chat_template(tokenizer) if dialogue else task.chat.prompt("{{ .Prompt }}")
    lines = [
        f"FROM ./{FILE}",
        f'TEMPLATE """{template}"""',
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER num_ctx {AutoConfig.from_pretrained(source).max_position_embeddings}",
        f"PARAMETER num_predict {max_new_tokens}",
        f'PARAMETER stop "{end_of_turn(tokenizer) if dialogue else tokenizer.eos_token}"',
    ]
    return "\n".join(lines) + "\n"
