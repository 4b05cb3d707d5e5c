"""Word features, windows of long sentences, batches, Viterbi."""

import itertools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoder import TAGS
from transformers import AutoTokenizer

from helpers.models.packaged import packaged_encoder
from helpers.tagging import encode, predict
from helpers.tagging.encode import WindowRow, spans_of_tags, tags_of_spans
from helpers.tagging.features import casing, shape
from helpers.tagging.predict import FORBIDDEN, bio_transitions
from helpers.tasks import Example, load_task
from helpers.tasks.bio import TaggedTokens, to_iob2
from helpers.tasks.text import word_units

TASK = load_task("it_ner")


def plain(tokens):
    """An example of these tokens without entities."""
    return Example(0, " ".join(tokens), TaggedTokens(tuple(tokens), ("O",) * len(tokens)))


def cut(tokenizer, sentences, limit):
    """Windows of some token lists."""
    read = [encode.words_of(TASK, plain(tokens)) for tokens in sentences]
    return encode.windows_of(tokenizer, [text for text, _ in read], [words for _, words in read], limit)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(packaged_encoder())


def test_shape_and_casing():
    for word, form, case in (
        ("Ubuntu", "Xxx", "title"),
        ("22.04", "dd.dd", "digits"),
        ("iOS", "xXX", "mixed"),
        ("C++", "X++", "upper"),
        ("naïve", "xx", "lower"),
        ("->", "->", "other"),
    ):
        assert (shape(word), casing(word)) == (form, case)


# -- spans and tags ---------------------------------------------------------------------------------------------------
TEXT = "Weekly sync with Dr. Ana Lima (Room 2) on 3 May 2026 at 9am"
UNSURE = np.log(np.full((40, 3), 1 / 3))


@given(st.data())
def test_spans_survive_tags(data):
    units = word_units(TEXT)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(units)), min_size=2, max_size=6, unique=True)))
    spans = [(units[a][0], units[b - 1][1]) for a, b in itertools.pairwise(cuts)][::2]
    tags = tags_of_spans(units, [spans, None])
    assert [span for span, _ in spans_of_tags(tags[:, 0].tolist(), units, UNSURE)] == spans
    assert (tags[:, 1] == encode.IGNORE).all()


@pytest.mark.parametrize(
    "piece, wider", [("Room 2", "Room 2"), ("Lima (Room 2", "Lima (Room 2)"), ("Dr", "Dr."), ("9am", "9am")]
)
def test_spans_take_their_brackets_and_abbreviation_stops(piece, wider):
    start, end = encode.widen((TEXT.index(piece), TEXT.index(piece) + len(piece)), TEXT)
    assert TEXT[start:end] == wider


# -- windows ----------------------------------------------------------------------------------------------------------
WORDS = st.sampled_from(("a", "server", "Kubernetes", "0x80070005", "PostgreSQL", "\x00"))


@settings(max_examples=60)
@given(st.lists(WORDS, max_size=60), st.integers(12, 40))
def test_windows_own_each_word_once_at_its_first_piece(tokenizer, words, limit):
    windows = cut(tokenizer, [words], limit)[0]
    firsts = {word: tokenizer(word, add_special_tokens=False)["input_ids"][:1] for word in words}
    owned = [at for at, word in enumerate(words) if firsts[word]]
    assert sorted(at for one in windows for at in one.words) == owned
    for one in windows:
        assert len(one) <= limit and [one.piece_words[head] for head in one.heads] == one.words
        assert [[one.input_ids[head]] for head in one.heads] == [firsts[words[at]] for at in one.words]


def test_a_word_that_fits_no_window_is_read_and_so_is_what_follows(tokenizer):
    windows = cut(tokenizer, [["a", "x9" * 40, "b"]], 16)[0]
    assert [window.words for window in windows] == [[0, 1], [2]] and max(map(len, windows)) == 16


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(10, 120), st.booleans())
def test_batches_hold_every_sequence_within_the_budget(lengths, budget, shuffled):
    batches = encode.budget_batches(lengths, budget, random.Random(0) if shuffled else None)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(max(lengths[i] for i in batch) * len(batch) <= budget or len(batch) == 1 for batch in batches)


def test_a_batch_is_padded_to_its_longest_window_only(tokenizer):
    sentences = [["Vim"], ["Docker", "is", "down"]]
    rows = [
        WindowRow(windows[0], [[5]] * len(words), torch.ones(len(words), 1), torch.full((len(words), 1), 2))
        for words, windows in zip(sentences, cut(tokenizer, sentences, 32))
    ]
    batch = encode.collate_windows(rows, 0)
    assert batch["input_ids"].shape[1] == max(map(len, rows)) and batch["features"].shape[2] == 1
    assert batch["attention_mask"].sum() == sum(map(len, rows))
    assert (batch["features"][0, :, 0] == 5).sum() == len(rows[0]) - 2
    assert batch["row"].tolist() == [0, 1, 1, 1]
    assert batch["head"].tolist() == [head for row in rows for head in row.window.heads]
    assert batch["tags"].tolist() == [[1]] * 4 and batch["outputs"].tolist() == [[2]] * 4


# -- sequences --------------------------------------------------------------------------------------------------------
SMALL = ("O", "B-OS", "I-OS", "B-ERROR")


def random_scores(words: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng, count = np.random.default_rng(seed), len(SMALL)
    transitions = rng.normal(size=(count, count)) + bio_transitions(SMALL)
    return rng.normal(size=(words, count)), transitions, predict.start_scores(SMALL)


def path_score(path, scores, transitions, start) -> float:
    steps = sum(transitions[a, b] for a, b in zip(path, path[1:]))
    return start[path[0]] + sum(scores[at, tag] for at, tag in enumerate(path)) + steps


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(0, 10_000))
def test_viterbi_is_the_best_of_all_paths(words, seed):
    scores, transitions, start = random_scores(words, seed)
    paths = itertools.product(range(len(SMALL)), repeat=words)
    best = max(paths, key=lambda path: path_score(path, scores, transitions, start))
    other = random_scores(words, seed + 1)[0]
    found = predict.best_paths(np.stack([scores, other]), transitions, start)
    assert found[0].tolist() == list(best)


@given(st.lists(st.integers(0, 6), max_size=5), st.integers(0, 1000))
def test_decoded_sequences_are_always_valid(lengths, seed):
    rng = np.random.default_rng(seed)
    scores = [rng.normal(size=(length, 2, len(TAGS))) for length in lengths]
    found = predict.decode(scores, np.zeros((len(TAGS), len(TAGS))), TAGS)
    assert [tags.shape for tags in found] == [(length, 2) for length in lengths]
    for at, paths in enumerate(found):
        for group in range(2):
            tags = [TAGS[tag] for tag in paths[:, group]]
            assert tuple(tags) == to_iob2(tags)
            alone = predict.decode([scores[at][:, [group]]], np.zeros((len(TAGS), len(TAGS))), TAGS)[0]
            assert paths[:, [group]].tolist() == alone.tolist(), "each text and group as if it were alone"


def test_transition_pmi_by_hand():
    pmi = predict.transition_pmi([[0, 1, 0], [1]], count=2)
    pairs = np.array([[0.5, 1.5], [1.5, 0.5]])
    single = np.array([1.5, 1.5]) / 3
    assert pmi == pytest.approx(np.log(pairs / 2) - np.log(single))
    assert bio_transitions(TAGS)[TAGS.index("O"), TAGS.index("I-OS")] == FORBIDDEN
    assert bio_transitions(("O", "B", "I")).tolist() == [[0, 0, FORBIDDEN], [0, 0, 0], [0, 0, 0]]
    assert bio_transitions(TAGS)[TAGS.index("B-OS"), TAGS.index("I-OS")] == 0
