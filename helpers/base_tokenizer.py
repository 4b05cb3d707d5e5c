"""Byte-fallback BPE tokenizer of the embedded language model.

A word keeps the space before it, and a word that opens a JSON string gets such a space too (taken out again
when tokens become text): so a value has the same tokens in the text and in the answer, each of them names one
word or piece, and a value is copied token by token. With the space as a token of its own, every second token
looks like all the others, and copying is much harder to learn. Digits stand alone, so that dates can be
re-ordered digit by digit, and JSON punctuation (`": "`, `", "`, `"], "`) may merge into single tokens, which
makes writing JSON as cheap as writing a private format.
"""
from __future__ import annotations

import json
import re
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
# A quotation mark that opens a JSON string and stands before a word, perhaps with spaces between.
OPENING = r'(?<=[\[{:,] |[\[{:,])"'
WORD_AHEAD = r"(?= *[\p{L}\p{N}])"
# One alternative a line: JSON joints, digits, words, line breaks, other signs, spaces.
PIECES = "|".join((
    rf'[\[\]{{}},:{SPACE}]*"(?:[\[\]{{}},:"]|{SPACE}(?![\p{{L}}\d]))*',
    rf"{SPACE}?\d",
    rf"{SPACE}?\p{{L}}+",
    r"\n+",
    rf"{SPACE}?[^{SPACE}\p{{L}}\d\n\"]",
    rf"{SPACE}+?(?={SPACE}[\p{{L}}\d])",
    rf"{SPACE}+",
))


def spaced_openings(text: str) -> str:
    """The text as the tokenizer reads it: one space more after a quotation mark that opens a JSON string.

    Grammars for constrained decoding describe the text in this form, see :mod:`helpers.constrain`.
    """
    return re.sub(r'(?:(?<=[\[{:,] )|(?<=[\[{:,]))"(?= *[^\W_])', '" ', text)


def train_tokenizer(texts: Iterable[str], vocab_size: int = 3072) -> PreTrainedTokenizerFast:
    """Train the tokenizer on an iterator of texts.

    Parameters
    ----------
    texts : iterable of str
        Training text; special tokens inside it are left out of the merges.
    vocab_size : int
        Entries in all: 5 special tokens, 256 byte tokens, characters and merges.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=False))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Replace(Regex(OPENING + WORD_AHEAD), '" '), normalizers.Replace(" ", SPACE)])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Replace(Regex(OPENING + " " + WORD_AHEAD), '"')])
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
