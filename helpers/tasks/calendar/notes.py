"""What the notebooks say about the calendar task alone: how its variants differ, and how its scores are to be read."""

from __future__ import annotations

VARIANT_NOTES = {
    "full_entity_loss": (
        "all weights",
        "language-model loss + field-weighted loss on the output",
        "transformers `Trainer`",
        r"""
Most tokens of an answer are JSON structure that any model learns within minutes; the few tokens that decide are the
values. This variant adds to the language-model loss a second one on the output alone, each token weighted by its field:

$$L = \frac{1}{N}\sum_{i} \ell_i + w \, \frac{\sum_{i \in \text{output}} v_{f(i)} \, \ell_i}{\sum_{i \in \text{output}} v_{f(i)}}$$

where $\ell_i$ is the cross-entropy of token $i$, $f(i)$ its field, $v$ the field weights and $w$ the entity loss weight. The
first sum runs over the answer, or over prompt and answer (setting `learn_prompt`).""",
    ),
    "lora": (
        "adapter on all linear layers",
        "loss on the output",
        "TRL `SFTTrainer` + PEFT",
        r"""
LoRA freezes the weights $W$ and learns a low-rank change: $W + \frac{\alpha}{r} B A$ with $A$ of $r$ rows and $B$ of $r$
columns. The prompt is masked, so that only the answer is learnt.""",
    ),
    "lora_structured_loss": (
        "adapter on all linear layers",
        "output loss + three penalties",
        "transformers `Trainer` + PEFT",
        """
The same adapter on the same rows, with the three penalties of the structured loss above: on the JSON **format** (β), on the
probability that a **whole field** is right (γ), and on **confidence** that is not earned (δ). All else is as in `lora`, so that
the difference between the two is what the loss is worth.""",
    ),
    "qlora": (
        "adapter on all linear layers, base in 4 bits",
        "loss on the output",
        "TRL + PEFT + bitsandbytes",
        """
The frozen base is stored in 4 bits (NF4, with the scales quantised once more), the adapter stays in full precision. On a
large model that is what makes training fit on one card; on a small one it shows what the rounding costs. Where 4-bit
layers do not work, plain LoRA is trained in their place, and the reason is printed.""",
    ),
    "tagger": (
        "all weights of an encoder",
        "BIO tags of each field",
        "plain PyTorch loop",
        """
Is generation needed? Most values stand in the text word for word. A model that only has to *mark* them needs no output
format and cannot invent a value. An encoder reads the whole text at once and gives each word a tag for every field:
**B**egin, **I**nside or **O**utside. The marked spans become values by the conventions counted on the training rows
(whether "30m" is kept or spelt out, how a date is written).

The tagger also sees what the rules of the baseline propose, as one more embedding a word, and learns from the gold rows
where they can be trusted. `--set tagger.hints=false` trains it without.""",
    ),
}
SCORING_NOTE = "The order in which people are named is part of the answer; F1 looks at values as sets."
EQUIVALENCE_NOTE = "“2 pm” and “14:00” are one time, “30 min” and “half an hour” one duration."
INSTRUCTION = """\
Extract the event from the text. Answer with one JSON object and nothing else. Its keys:
"action" (what takes place), "date" (DD/MM/YYYY), "time" (H:MM AM or PM), "attendees" (list of names), "location", \
"duration", "recurrence", "notes". Copy the words of the text. A key that the text says nothing about is null, as in \
{"action": "Dentist", "date": "04/11/2026", "time": "8:00 AM", "attendees": null, "location": null, "duration": null, \
"recurrence": null, "notes": "bring the insurance card"}"""
