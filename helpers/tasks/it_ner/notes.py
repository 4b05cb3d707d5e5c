"""What the notebooks say about the IT task alone: its baselines, its train rows, its variants, and its scores."""

from __future__ import annotations

VARIANT_NOTES = {
    "full": (
        "all weights, word embeddings frozen on a CPU",
        "cross-entropy of the tags",
        "plain PyTorch loop",
        """
A linear classifier on the encoder gives each word one of eleven tags: `O`, and **B**egin and **I**nside of five labels. Only
the first piece of a word carries its tag. Label smoothing keeps the classifier from being sure of what annotators
themselves are not sure of; sentences without an entity that repeat a wording are thinned out, or placeholders of left-out
code would be what the model sees most.""",
    ),
    "lora": (
        "adapter on all linear layers, classifier",
        "cross-entropy of the tags",
        "plain PyTorch loop + PEFT",
        r"""
LoRA freezes the encoder's weights $W$ and learns a low-rank change: $W + \frac{\alpha}{r} B A$ with $A$ of $r$ rows and
$B$ of $r$ columns, on query, key, value and all dense layers. The classifier is new, so it is trained whole and saved with
the adapter. For prediction the adapter is merged into the encoder: it costs no time.""",
    ),
    "enhanced": (
        "all weights (`gpu` profile: a larger adapter), word features, transitions",
        "cross-entropy of finer labels + CRF",
        "plain PyTorch loop",
        """
What an uncased encoder of six layers lacks, added around it: the **shape** and **casing** of each word, what
the other training rows say of it (a **gazetteer**, a row never looks itself up), the source's **finer labels** as the classes
of the classifier where there are such, a linear-chain **CRF** over our tags, and a moving **average** of the weights.""",
    ),
    "distilled": (
        "all weights of a three-layer student",
        "labels and the teacher's probabilities",
        "plain PyTorch loop",
        r"""
The student starts from every other layer of its teacher and learns from both the labels and the teacher's probabilities:

$$L = \lambda \, T^2 \, \mathrm{KL}\left(p^T_{\text{teacher}} \,\|\, p^T_{\text{student}}\right) + (1 - \lambda)
\, L_{\text{labels}}$$

where $p^T$ are probabilities at temperature $T$. Half of the layers take about half of the time.""",
    ),
}
AUGMENTATION_NOTE = """Sentences are not varied here; their weights change, and sentences are added. **Oversampling** repeats
sentences with entities, those with a rare label more often. **Weak labels**: text without labels gets those that the
dictionary of train entities and a few patterns give it; how often these are right is measured on validation. The weakly
labelled rows are there for all variants, but a variant uses them only where its setting `weak` says so."""
BASELINE_NOTE = """- **majority** calls every token *outside*: its token accuracy shows why accuracy says little here;
- **dictionary** marks the entities of the train part wherever they stand again, adds the patterns of the rules, and takes
  numbers behind both for versions. It learns by heart and nothing else, so it says how much of the task is vocabulary;
- **untuned** is the encoder as it comes under a classifier of random weights: what fine-tuning starts from."""
SCORING_NOTE = """An entity is right if its first token, its last token and its label are (seqeval, strict IOB2); scores are micro
averages over entities. *Exact match* asks for all tags of a sentence, *field accuracy* for all entities of a label in it."""
