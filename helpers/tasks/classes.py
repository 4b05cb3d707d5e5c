"""What a whole text says: a linear classifier over its words for fields whose values are no pieces of the text.

A tagger marks pieces; whether an order is a present, or how it is paid, is said by other words each time. The classifier is
learnt from train rows and kept as JSON data beside the tagger.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from helpers.tasks.fields import Boolean, Choice, Kind, Place

Spans = Mapping[str, Sequence[Place] | None]
Model = dict[str, Any]  # `classes` (values, None for none), `bias` and word → weights, one a class
_LEAST_ROWS = 2  # in which a word must stand


def classified(kinds: Mapping[str, Kind]) -> tuple[str, ...]:
    """Fields of one value that no piece of the text gives but a few words name: truth values and choices."""
    return tuple(
        name for name, kind in kinds.items() if isinstance(kind, (Boolean, Choice)) and not kind.many
    )


def words_around(kinds: Mapping[str, Kind], text: str, spans: Spans) -> list[str]:
    """Words of a text in small letters, once each, digits as 0; a marked value is one word that names its field.

    What stands in a value says little: a present is known by the words around it, not by what is bought.
    """
    marked = [(*span, name) for name, many in spans.items() for span in many or () if kinds[name].placed]
    before = len(text)
    for start, end, name in sorted(marked, reverse=True):
        if end <= before:  # of places that overlap the last is named
            text, before = f"{text[:start]} <{name}> {text[end:]}", start
    found = re.findall(r"<[^>]*>|\w+", text.lower())
    return sorted({re.sub(r"\d", "0", word) for word in found})


def learn(rows: Sequence[tuple[list[str], Any]]) -> Model | None:
    """A classifier of (words, value) rows: logistic regression with L2 of strength 1, classes weighted alike.

    A value that all rows have is always given. None where no row has a value, or no word stands in two rows.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    classes = sorted({value for _, value in rows}, key=lambda value: (value is None, str(value)))
    if len(classes) < 2:
        return {"classes": classes, "bias": [0.0], "words": {}} if classes not in ([], [None]) else None
    counted = CountVectorizer(analyzer=list, min_df=_LEAST_ROWS, binary=True)
    try:
        counts = counted.fit_transform([words for words, _ in rows])
    except ValueError:  # no word is left
        return None
    fitted = LogisticRegression(class_weight="balanced", max_iter=1000)
    fitted.fit(counts, [classes.index(value) for _, value in rows])
    weights, bias = fitted.coef_, fitted.intercept_
    if len(classes) == 2:  # one row of weights stands for the difference of both
        weights, bias = [-weights[0] / 2, weights[0] / 2], [-bias[0] / 2, bias[0] / 2]
    columns = [[round(float(one), 4) for one in column] for column in zip(*weights)]
    names = counted.get_feature_names_out().tolist()
    return {
        "classes": classes,
        "bias": [round(float(one), 4) for one in bias],
        "words": dict(zip(names, columns)),
    }


def classify(model: Model, words: Sequence[str]) -> tuple[Any, float]:
    """The most probable value of a text with these words, and its probability."""
    scores = list(model["bias"])
    for word in words:
        for at, weight in enumerate(model["words"].get(word, ())):
            scores[at] += weight
    best = max(range(len(scores)), key=scores.__getitem__)
    return model["classes"][best], 1 / sum(math.exp(score - scores[best]) for score in scores)


def says(kind: Kind, text: str, span: Place) -> bool:
    """Whether a marked piece is a value of a kind: no piece is a truth value, and a choice has to be one of its words."""
    if isinstance(kind, Boolean):
        return False
    return not isinstance(kind, Choice) or not kind.flaw(kind.canonical(kind.said(text, span)))


def of_text(
    kinds: Mapping[str, Kind], text: str, spans: Spans, models: Mapping[str, Model] | None
) -> dict[str, tuple[Any, float]]:
    """Field → what its classifier says of a text in which nothing is marked for it, and the probability of that."""
    silent = [
        name
        for name in classified(kinds)
        if name in (models or ()) and not any(says(kinds[name], text, span) for span in spans.get(name) or ())
    ]
    words = words_around(kinds, text, spans) if silent else []
    return {name: classify(models[name], words) for name in silent}
