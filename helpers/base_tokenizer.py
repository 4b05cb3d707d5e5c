"""Byte-fallback BPE tokenizer of the embedded language model.

A word has the same tokens wherever it stands: the space before it is a token of its own, so that a value
after a quote is copied token by token from the text, where it stands after a space. Digits stand alone, so
that dates can be re-ordered digit by digit, and JSON punctuation (`": "`, `", "`, `"], "`) may merge into
single tokens, which makes writing JSON as cheap as writing a private format.
"""
from __future__ import annotations

import json
from typing import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from helpers.corpus.document import BOS, EOS, IM_END, IM_START, PAD

SPACE = "▁"
SPECIAL = [PAD, BOS, EOS, IM_START, IM_END]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# One alternative a line: JSON joints, digits, words, line breaks, other signs with the space after them, spaces.
PIECES = "|".join((
    rf'[\[\]{{}},:{SPACE}]*"[\[\]{{}},:{SPACE}"]*',
    r"\d",
    r"\p{L}+",
    r"\n+",
    rf"[^{SPACE}\p{{L}}\d\n\"]{SPACE}?",
    rf"{SPACE}+",
))


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2048) -> PreTrainedTokenizerFast:
    """Train the tokenizer on an iterator of texts.

    Parameters
    ----------
    texts : iterable of str
        Training text; special tokens inside it are left out of the merges.
    vocab_size : int
        Entries in all: 5 special tokens, 256 byte tokens, characters and merges.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=False))
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    byte_tokens = [f"<0x{value:02X}>" for value in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL + byte_tokens, limit_alphabet=200,
                                  show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))])
    return wrap(without_byte_specials(tokenizer, byte_tokens))


def without_byte_specials(tokenizer: Tokenizer, byte_tokens: list[str]) -> Tokenizer:
    """Byte tokens must be plain vocabulary: as added tokens they would match the literal text `<0x41>`."""
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in set(byte_tokens)]
    return Tokenizer.from_str(json.dumps(state))


def wrap(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """The transformers tokenizer around it, with special tokens and chat template."""
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD,
                                      additional_special_tokens=[IM_START, IM_END], model_max_length=2048,
                                      clean_up_tokenization_spaces=False)
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped
