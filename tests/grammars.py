"""Whether a grammar of answers takes a text as a whole, byte by byte."""

import llguidance

_TOKENIZER = llguidance.LLTokenizer("byte")


def accepts(grammar: str, text: str) -> bool:
    """Whether a grammar lets the text through as a whole."""
    matcher = llguidance.LLMatcher(_TOKENIZER, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    tokens = _TOKENIZER.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()
