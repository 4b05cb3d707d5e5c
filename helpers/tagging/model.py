"""The tagger: an encoder with a classifier for G groups of T tags, word features beside the pieces, LoRA, save and load."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import nn

from helpers.files import write_json
from helpers.models.adapters import adapted_layers
from helpers.models.base import device_of, explain_load_error
from helpers.models.int8 import use_int8
from helpers.models.packaged import encoder_path
from helpers.run import Run
from helpers.tagging.encode import bio_tags
from helpers.tagging.features import WordFeatures
from helpers.tasks.base import Task

EXTRAS, CARD = "extras.safetensors", "tagger.json"
CAUSAL_HEAD = "score"


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

    @property
    def fine(self) -> bool:
        """Whether the classifier tells finer labels apart."""
        return self.outputs != self.tags

    @property
    def labels(self) -> list[str]:
        """Names of the classifier's outputs, group after group: "B-date", or the output itself where there is one group."""
        return [f"{output}-{group}" if group else output for group in self.groups for output in self.outputs]


def layout_of(
    task: Task, features: dict[str, int] | None = None, finer: tuple[Sequence[str], Sequence[int]] = ((), ())
) -> Layout:
    """The layout of a task's taggers; `finer` are outputs and the tag of each, none where they are the tags themselves."""
    tags = ("O", "B", "I") if task.writes else bio_tags(task.fields)
    outputs, stands_for = map(tuple, finer if finer[0] else (tags, range(len(tags))))
    return Layout(task.fields if task.writes else ("",), tags, outputs, stands_for, features or {})


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

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (rows, pieces, groups · outputs)."""
        inner = self.base.get_base_model() if hasattr(self.base, "get_base_model") else self.base
        # what is added to the score of each pair of pieces takes the place of the causal mask
        if head_of(inner) == CAUSAL_HEAD:
            hidden = torch.finfo(torch.float32).min * (1.0 - attention_mask.float())
            attention_mask = hidden[:, None, None].expand(-1, 1, input_ids.shape[1], -1)
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
        return logits[batch["row"], batch["head"]].unflatten(1, (len(self.layout.groups), -1))

    def tag_log_probs(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of our tags: those of the outputs, summed over the finer ones that stand for one tag."""
        log_probs = logits.log_softmax(-1)
        if not self.layout.fine:
            return log_probs
        members = [
            [at for at, one in enumerate(self.layout.stands_for) if one == tag]
            for tag in range(len(self.layout.tags))
        ]
        return torch.stack([log_probs[..., own].logsumexp(-1) for own in members], -1)


def head_of(base) -> str:
    """Name of a token classifier's last layer: models that write call it otherwise than encoders do."""
    return CAUSAL_HEAD if hasattr(base, CAUSAL_HEAD) else "classifier"


# -- building ---------------------------------------------------------------------------------------------------------
def load_encoder(
    run: Run, name: str, outputs: Sequence[str], dropout: float = 0.0, attention: str | None = None
):
    """A token classifier on an encoder of the hub, of a package or of a folder, with a fresh seeded head, in fp32.

    On the CPU attention has no dropout: with it PyTorch leaves its fast path.
    """
    from transformers import AutoConfig, AutoModelForTokenClassification
    from transformers.utils import logging

    torch.manual_seed(run.seed)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # that the head is new is what is wanted here
    inside = 0.0 if device_of(run.profile).device == "cpu" else dropout
    try:
        config = AutoConfig.from_pretrained(name, **label_names(outputs))
        for key, value in vars(config).items():  # BERT and DistilBERT name their dropout settings differently
            if "dropout" in key and value is not None:
                setattr(config, key, inside if key.startswith("att") else dropout)
        options = {"dtype": torch.float32, "use_safetensors": True, "attn_implementation": attention}
        model = AutoModelForTokenClassification.from_pretrained(name, config=config, **options)
    except (OSError, ValueError) as error:
        raise explain_load_error(name, error, "encoder_model") from None
    finally:
        logging.set_verbosity(verbosity)
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
            config = AutoConfig.from_pretrained(name)
            places = getattr(config, "max_position_embeddings", 512)
            if tokenizer.num_special_tokens_to_add() < 2:
                _frame(tokenizer)
            if "roberta" in config.model_type:  # its first position comes after that of the padding
                places -= config.pad_token_id + 1
            tokenizer.model_max_length = min(tokenizer.model_max_length, places)
    except (OSError, ValueError) as error:
        raise explain_load_error(name, error, "encoder_model") from None
    return tokenizer


def _frame(tokenizer) -> None:
    """Let the tokenizer of a model that writes put special pieces around a text, as those of encoders do."""
    from tokenizers.processors import ByteLevel, Sequence, TemplateProcessing

    last = tokenizer.eos_token
    first = tokenizer.bos_token or last
    known = [(token, tokenizer.convert_tokens_to_ids(token)) for token in dict.fromkeys((first, last))]
    around = TemplateProcessing(single=f"{first} $A {last}", special_tokens=known)
    tokenizer.backend_tokenizer.post_processor = Sequence([ByteLevel(trim_offsets=True), around])


def build_token_tagger(run: Run, own: dict[str, Any], layout: Layout) -> TokenTagger:
    """The tagger that a variant's settings ask for, untrained.

    With a `rank` LoRA on every projection of the encoder; the classifier is trained whole and saved with the adapter.
    """
    base = load_encoder(run, encoder_path(run, own.get("encoder", "")), layout.labels, own["dropout"])
    torch.manual_seed(run.seed)
    if own["rank"]:
        from peft import LoraConfig, TaskType, get_peft_model

        sizes = {"r": own["rank"], "lora_alpha": own["alpha"], "lora_dropout": own["lora_dropout"]}
        layers = {"target_modules": adapted_layers(base), "modules_to_save": [head_of(base)]}
        base = get_peft_model(base, LoraConfig(task_type=TaskType.TOKEN_CLS, **sizes, **layers))
        if own.get("bits") == 8 and device_of(run.profile).device == "cpu":
            use_int8(base)
    elif own["freeze_embeddings"]:
        base.get_input_embeddings().weight.requires_grad_(False)
    torch.manual_seed(run.seed)
    return TokenTagger(base, layout).to(device_of(run.profile).device)


def keep_layers(base, kept: Sequence[int]):
    """A copy of an encoder that has only some of its layers, in their order."""
    copy = deepcopy(base)
    layers = next(module for module in copy.modules() if isinstance(module, nn.ModuleList))
    for index in sorted(set(range(len(layers))) - set(kept), reverse=True):
        del layers[index]
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
class Card:
    """What is kept of a tagger beside its weights."""

    layout: Layout
    features: WordFeatures
    transitions: list[list[float]]
    knowledge: Any = None
    encoder: str = ""


@dataclass(frozen=True)
class TrainedTagger:
    """A tagger ready to predict; `knowledge` is what train showed about turning spans into values (`learn_conventions`)."""

    model: TokenTagger
    tokenizer: Any
    features: WordFeatures
    transitions: np.ndarray  # (tags, tags): what Viterbi adds to the scores of words, beside the rules of BIO
    knowledge: Any = None
    encoder: str = ""  # its own, where it is not that of the setting `encoder_model`


def save_tagger(tagger: TrainedTagger, folder: Path) -> None:
    """Write weights (of LoRA the adapter alone), tokenizer and whatever else prediction needs."""
    folder.mkdir(parents=True, exist_ok=True)
    model = tagger.model
    model.base.save_pretrained(folder, safe_serialization=True)
    tagger.tokenizer.save_pretrained(folder)
    # what is not the encoder's or its classifier's
    extras = {
        name: one.detach().cpu() for name, one in model.named_parameters() if not name.startswith("base.")
    }
    if extras:
        save_file(extras, folder / EXTRAS)
    transitions = np.round(tagger.transitions, 6).tolist()
    card = Card(model.layout, tagger.features, transitions, tagger.knowledge, tagger.encoder)
    write_json(folder / CARD, asdict(card))


def read_card(folder: Path) -> tuple[Layout, WordFeatures, np.ndarray, Any, str]:
    """What :func:`save_tagger` keeps beside the weights: layout, features, transitions, knowledge, name of its encoder."""
    card = TypeAdapter(Card).validate_json((folder / CARD).read_bytes())
    return card.layout, card.features, np.array(card.transitions), card.knowledge, card.encoder


def load_trained_tagger(
    run: Run, folder: Path, attention: str | None = None, merge: bool = True
) -> TrainedTagger:
    """Inverse of :func:`save_tagger`; unless `merge` is false an adapter is merged into the encoder, and costs nothing."""
    layout, *rest = read_card(folder)
    adapted = (folder / "adapter_config.json").exists()
    source = encoder_path(run, rest[-1]) if adapted else str(folder)
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
