"""The tagger: an encoder with a classifier for G groups of T tags, word features beside the pieces, LoRA, save and load."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from helpers.files import write_json
from helpers.models.adapters import adapted_layers
from helpers.models.base import device_of, explain_load_error
from helpers.models.packaged import encoder_path
from helpers.run import Run
from helpers.tagging.encode import groups_of, tag_names
from helpers.tagging.features import WordFeatures
from helpers.tasks.base import Task

EXTRAS, CARD = "extras.safetensors", "tagger.json"


@dataclass(frozen=True)
class Layout:
    """What a tagger reads and writes: every word gets one of the tags in each group, one group a field or a single one.

    The classifier's outputs are the tags, or finer ones of which several stand for one tag.
    """

    groups: tuple[str, ...]
    tags: tuple[str, ...]
    outputs: tuple[str, ...]
    stands_for: tuple[int, ...]  # the tag of each output
    features: dict[str, int] = field(default_factory=dict)  # word feature → number of its values
    crf: bool = False  # whether transitions between tags are learnt

    @property
    def fine(self) -> bool:
        """Whether the classifier tells finer labels apart."""
        return self.outputs != self.tags

    @property
    def labels(self) -> list[str]:
        """Names of the classifier's outputs, group after group: "B-date", or the output itself where there is one group."""
        return [f"{output}-{group}" if group else output for group in self.groups for output in self.outputs]

    @property
    def membership(self) -> torch.Tensor:
        """1 where an output (line) stands for a tag (column)."""
        table = torch.zeros(len(self.outputs), len(self.tags))
        table[range(len(self.outputs)), list(self.stands_for)] = 1
        return table


def layout_of(
    task: Task,
    features: dict[str, int] | None = None,
    crf: bool = False,
    outputs: Sequence[str] = (),
    stands_for: Sequence[int] = (),
) -> Layout:
    """The layout of a task's taggers; without `outputs` the classifier gives the tags themselves."""
    tags = tag_names(task)
    wanted = (tuple(outputs), tuple(stands_for)) if outputs else (tags, tuple(range(len(tags))))
    return Layout(groups_of(task), tags, *wanted, features or {}, crf)


class TokenTagger(nn.Module):
    """A BERT-like token classifier (`base`, perhaps with an adapter) with as many labels as the layout has outputs.

    The values of the word features are added as embeddings to the word pieces, before the encoder mixes them, and as
    scores to the logits, where a value speaks for itself.
    """

    def __init__(self, base, layout: Layout) -> None:
        super().__init__()
        self.base, self.layout = base, layout
        sizes, width, outputs = layout.features.values(), base.config.hidden_size, len(layout.labels)
        self.feature_inputs = nn.ModuleList(nn.Embedding(size, width, padding_idx=0) for size in sizes)
        self.feature_scores = nn.ModuleList(nn.Embedding(size, outputs, padding_idx=0) for size in sizes)
        for inputs, scores in zip(self.feature_inputs, self.feature_scores):
            nn.init.normal_(inputs.weight, std=0.01)
            nn.init.zeros_(inputs.weight[0])
            nn.init.zeros_(scores.weight)
        count = len(layout.tags)
        self.transitions = nn.Parameter(torch.zeros(count, count)) if layout.crf else None
        self.register_buffer("membership", layout.membership, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.membership.device

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (rows, pieces, groups · outputs)."""
        inner = self.base.get_base_model() if hasattr(self.base, "get_base_model") else self.base
        if features is None:
            return inner(input_ids=input_ids, attention_mask=attention_mask).logits.float()
        embedded = inner.get_input_embeddings()(input_ids)
        for index, table in enumerate(self.feature_inputs):
            embedded = embedded + table(features[..., index])
        logits = inner(inputs_embeds=embedded, attention_mask=attention_mask).logits.float()
        for index, table in enumerate(self.feature_scores):
            logits = logits + table(features[..., index])
        return logits

    def word_logits(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits (words, groups, outputs) at the first piece of each word of a batch of :func:`collate_windows`."""
        logits = self(batch["input_ids"], batch["attention_mask"], batch.get("features"))
        return self.by_group(logits[batch["row"], batch["head"]])

    def by_group(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (words, groups · outputs) as (words, groups, outputs)."""
        return logits.view(len(logits), len(self.layout.groups), len(self.layout.outputs))

    def tag_log_probs(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of our tags: those of the outputs, summed over the finer ones that stand for one tag."""
        log_probs = logits.log_softmax(-1)
        if not self.layout.fine:
            return log_probs
        members = self.membership.bool().unbind(1)
        return torch.stack([log_probs[..., chosen].logsumexp(-1) for chosen in members], -1)


# -- building ---------------------------------------------------------------------------------------------------------
def load_encoder(run: Run, name: str, outputs: Sequence[str], dropout: float = 0.0, attention: str = "sdpa"):
    """A token classifier on an encoder of the hub, of a package or of a folder, with a fresh seeded head, in fp32.

    On the CPU attention has no dropout: with it PyTorch leaves its fast path.
    """
    from transformers import AutoModelForTokenClassification
    from transformers.utils import logging

    torch.manual_seed(run.seed)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # that the head is new is what is wanted here
    try:
        model = AutoModelForTokenClassification.from_pretrained(
            name,
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation=attention,
            **label_names(outputs),
        )
    except (OSError, ValueError) as error:
        raise explain_load_error(name, error, "encoder_model") from None
    finally:
        logging.set_verbosity(verbosity)
    inside = 0.0 if device_of(run.profile).device == "cpu" else dropout
    for module in model.modules():  # BERT and DistilBERT name their dropout settings differently
        if isinstance(module, nn.Dropout):
            module.p = dropout
        elif hasattr(module, "dropout_prob"):
            module.dropout_prob = inside
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = inside
    return model


def label_names(outputs: Sequence[str]) -> dict[str, Any]:
    """Labels of a classifier as transformers' configurations hold them."""
    return {"id2label": dict(enumerate(outputs)), "label2id": {name: at for at, name in enumerate(outputs)}}


def load_token_tokenizer(run: Run, name: str | None = None):
    """The encoder's tokenizer; its `model_max_length` is at most what the encoder has positions for."""
    from transformers import AutoConfig, AutoTokenizer

    name = name or encoder_path(run)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        if not (Path(name) / CARD).exists():  # a trained tagger's tokenizer knows it
            places = getattr(AutoConfig.from_pretrained(name), "max_position_embeddings", 512)
            tokenizer.model_max_length = min(tokenizer.model_max_length, places)
    except (OSError, ValueError) as error:
        raise explain_load_error(name, error, "encoder_model") from None
    return tokenizer


def add_token_lora(base, rank: int, alpha: int, dropout: float, seed: int):
    """LoRA on every projection of the encoder; the classifier is trained whole and saved with the adapter."""
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    sizes = {"r": rank, "lora_alpha": alpha, "lora_dropout": dropout}
    layers = {"target_modules": adapted_layers(base), "modules_to_save": ["classifier"]}
    return get_peft_model(base, LoraConfig(task_type=TaskType.TOKEN_CLS, **sizes, **layers))


def build_token_tagger(run: Run, own: dict[str, Any], layout: Layout) -> TokenTagger:
    """The tagger that a variant's settings ask for, untrained."""
    base = load_encoder(run, encoder_path(run), layout.labels, own["dropout"])
    if own["rank"]:
        base = add_token_lora(base, own["rank"], own["alpha"], own["lora_dropout"], run.seed)
    elif own["freeze_embeddings"]:
        base.get_input_embeddings().weight.requires_grad_(False)
    torch.manual_seed(run.seed)
    return TokenTagger(base, layout).to(device_of(run.profile).device)


def keep_layers(base, kept: Sequence[int]):
    """A copy of an encoder that has only some of its layers, in their order."""
    copy = deepcopy(base)
    for module in list(copy.modules()):
        for attribute, child in list(module.named_children()):
            if isinstance(child, nn.ModuleList) and len(child) == base.config.num_hidden_layers:
                setattr(module, attribute, nn.ModuleList(child[index] for index in kept))
    copy.config.num_hidden_layers = len(kept)
    return copy


def new_classifier(base, outputs: Sequence[str]) -> None:
    """Give an encoder a fresh classifier for other outputs."""
    base.classifier = nn.Linear(base.config.hidden_size, len(outputs))
    nn.init.normal_(base.classifier.weight, std=0.02)
    nn.init.zeros_(base.classifier.bias)
    base.num_labels = len(outputs)
    base.config.update(label_names(outputs))


# -- files ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TrainedTagger:
    """A tagger ready to predict; `knowledge` is what train showed about turning spans into values (`learn_conventions`)."""

    model: TokenTagger
    tokenizer: Any
    features: WordFeatures
    transitions: np.ndarray  # (tags, tags): what Viterbi adds to the scores of words, beside the rules of BIO
    multiple: float = 0.0  # how much of the training tags' transition PMI is in it
    knowledge: Any = None


def save_tagger(task: Task, tagger: TrainedTagger, folder: Path) -> None:
    """Write weights (of LoRA the adapter alone), tokenizer and whatever else prediction needs."""
    folder.mkdir(parents=True, exist_ok=True)
    model = tagger.model
    model.base.save_pretrained(folder, safe_serialization=True)
    if not (folder / "tokenizer.json").exists():
        tagger.tokenizer.save_pretrained(folder)
    # what is not the encoder's or its classifier's
    extras = {
        name: one.detach().cpu() for name, one in model.named_parameters() if not name.startswith("base.")
    }
    if extras:
        save_file(extras, folder / EXTRAS)
    card = {
        "layout": asdict(model.layout),
        "features": asdict(tagger.features),
        "transitions": np.round(tagger.transitions, 6).tolist(),
        "multiple": tagger.multiple,
        "knowledge": tagger.knowledge,
    }
    write_json(folder / CARD, card)


def read_card(task: Task, folder: Path) -> tuple[Layout, WordFeatures, np.ndarray, float, Any]:
    """What :func:`save_tagger` keeps beside the weights: layout, features, transitions, multiple and knowledge."""
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    layout, features = card["layout"], card["features"]
    for given, names in (
        (layout, ("groups", "tags", "outputs", "stands_for")),
        (features, ("names", "fields")),
    ):
        given |= {name: tuple(given[name]) for name in names}
    transitions = np.array(card["transitions"])
    return Layout(**layout), WordFeatures(**features), transitions, card["multiple"], card["knowledge"]


def load_trained_tagger(run: Run, folder: Path, attention: str = "sdpa", merge: bool = True) -> TrainedTagger:
    """Inverse of :func:`save_tagger`; unless `merge` is false an adapter is merged into the encoder, and costs nothing."""
    layout, *rest = read_card(run.task, folder)
    adapted = (folder / "adapter_config.json").exists()
    source = encoder_path(run) if adapted else str(folder)
    base = load_encoder(run, source, layout.labels, attention=attention)
    if adapted:
        from peft import PeftModel

        base = PeftModel.from_pretrained(base, folder)
        base = base.merge_and_unload() if merge else base
    model = TokenTagger(base, layout)
    if (folder / EXTRAS).exists():
        missing = model.load_state_dict(load_file(folder / EXTRAS), strict=False).unexpected_keys
        if missing:
            raise ValueError(f"{folder / EXTRAS} holds weights the tagger has no place for: {missing}")
    model = model.to(device_of(run.profile).device).eval()
    return TrainedTagger(model, load_token_tokenizer(run, str(folder)), *rest)
