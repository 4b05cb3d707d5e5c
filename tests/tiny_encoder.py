"""An encoder small enough for tests: random weights, MiniLM's tokenizer; and sentences it can learn."""

from pathlib import Path

import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from helpers.models.packaged import packaged_encoder
from helpers.run import Run
from helpers.tasks import Example, load_task

SENTENCES = (
    "Python/B-SOFTWARE 3.11/B-VERSION crashes on Windows/B-OS",
    "my printer/B-HARDWARE shows HTTP/B-ERROR 502/I-ERROR",
    "the windows in room 4 are shut",
    "Docker/B-SOFTWARE fails on Debian/B-OS 12/B-VERSION",
    "new router/B-HARDWARE , no error",
    "SIGSEGV/B-ERROR in Visual/B-SOFTWARE Studio/I-SOFTWARE",
    "please reset my pass word",
    "Debian/B-OS kernel panic/B-ERROR on a laptop/B-HARDWARE",
)
TAGS = ("O", *(f"{prefix}-{label}" for label in load_task("it_ner").fields for prefix in "BI"))


def save_tiny_encoder(folder: Path, layers: int = 2) -> Path:
    """Write a narrow BERT with MiniLM's own tokenizer to a folder and return it."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(packaged_encoder())
    sizes = {"hidden_size": 32, "num_hidden_layers": layers, "intermediate_size": 64}
    heads = {"num_attention_heads": 2, "max_position_embeddings": 64}
    config = BertConfig(vocab_size=len(tokenizer), **sizes, **heads)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentence(marked: str, index: int = 0, **more: object) -> Example:
    """A row written as `word/TAG word …`; words without a tag are outside."""
    pairs = [word.partition("/") for word in marked.split()]
    row = {"tokens": [word for word, _, _ in pairs], "ner_tags": [tag or "O" for _, _, tag in pairs], **more}
    return load_task("it_ner").rows.parse(row, index)


def sentences() -> list[Example]:
    """Rows with all five labels."""
    return [sentence(marked, index) for index, marked in enumerate(SENTENCES)]


def tiny_run(encoder: Path, out: Path, **settings: object) -> Run:
    """A run on the tiny encoder; `variant__name=…` sets `variant.name`."""
    given = {"encoder_model": str(encoder), "max_pieces": 32}
    given |= {name.replace("__", "."): value for name, value in settings.items()}
    return Run(task="it_ner", profile="smoke", out=str(out), settings=given)
