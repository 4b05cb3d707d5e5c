"""What the notebooks say about the crime task alone: how its variants differ, and how its scores are to be read."""

from __future__ import annotations

VARIANT_NOTES = {
    "full": (
        "all weights",
        "loss on the answers",
        "transformers `Trainer`",
        """
A row is a whole chat: the report, then 18 questions with their answers. It goes through the model's own chat template in
one sequence, and only what the assistant says is learnt, with the token that ends its turn. In this study no question sees
another one (`dialogue=independent`): each attends to the report and to itself, at the positions it would have if it were
asked alone. Each answer counts the same in the loss, be it an age or a long summary (`length_power=1`; with 0 each token
does). One pass over the chat thus teaches 18 separate questions, and at prediction any of them can be asked first.
With `--set dialogue=sequential` a question sees all turns before it, as in an ordinary chat.""",
    ),
    "lora": (
        "adapter on all linear layers",
        "loss on the answers",
        "TRL `SFTTrainer` + PEFT",
        r"""
LoRA freezes the weights $W$ and learns a low-rank change: $W + \frac{\alpha}{r} B A$ with $A$ of $r$ rows and $B$ of $r$
columns. Report and questions are masked, so that only the answers are learnt.""",
    ),
    "qlora": (
        "adapter on all linear layers, base in 4 bits",
        "loss on the answers",
        "TRL + PEFT + bitsandbytes",
        """
The frozen base is stored in 4 bits (NF4, with the scales quantised once more), the adapter stays in full precision. That is
what makes a model of eight billion parameters fit on one card; on a small one it shows what the rounding costs. Where 4-bit
layers do not work, plain LoRA is trained in their place, and the reason is printed.""",
    ),
    "tagger": (
        "an encoder, its word embeddings frozen",
        "BIO tags of each type",
        "plain PyTorch loop",
        """
Are questions and answers needed at all? Nearly every value stands in the report word for word. A pretrained encoder (setting
`encoder_model`) reads the whole report at once and gives each word a tag for every type: **B**egin, **I**nside or **O**utside,
so that a word may belong to a summary and to a name. Marked places become values by what is
counted on the training rows: whether a type keeps its full stop, and which group labels give for an age. The tagger
also sees what the rules of the baseline propose, as one more embedding a word (`--set tagger.hints=false` trains it
without). A report that is longer than the encoder takes is read in overlapping windows.""",
    ),
}
SCORING_NOTE = (
    "An answer is a set of values: their order does not count, and field accuracy is what other studies call *set "
    "exact match*. Exact F1, the *value F1*, decides here, since a report is rarely right in all 18 answers. "
    "Validity is counted by answers, and an invalid answer counts as one without values."
)
EQUIVALENCE_NOTE = (
    "“A torn glove.” and “torn glove” are one item, “Not provided” and “None identified” one statement."
)
