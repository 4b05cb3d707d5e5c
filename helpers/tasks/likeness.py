"""How like two lists of values of one field of one row are."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from rapidfuzz import fuzz, process
from scipy.optimize import linear_sum_assignment

from helpers.tasks.kind import Kind

FUZZY = 85  # least rapidfuzz ratio (0-100) of two values that count as alike


def token_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Word-overlap F1 of one field of one row (Rajpurkar et al. 2016), articles kept; NaN where both are empty.

    Words are compared without case or punctuation; values that hold no word at all (an emoji) are compared whole.
    """
    if not gold and not predicted:
        return math.nan
    left, right = (
        Counter(word for value in values for word in re.findall(r"\w+", value.casefold())) or Counter(values)
        for values in (gold, predicted)
    )
    return 2 * (left & right).total() / (left.total() + right.total())


def fuzzy_hits(gold: Sequence[str], predicted: Sequence[str]) -> int:
    """Most pairs of a gold and a predicted value that are alike (ratio of :data:`FUZZY` or more), each used once."""
    left, right = sorted(set(gold)), sorted(set(predicted))
    if not left or not right:
        return 0
    alike = process.cdist(left, right, scorer=fuzz.ratio) >= FUZZY
    return int(alike[linear_sum_assignment(alike, maximize=True)].sum())


def soft_hits(kind: Kind, gold: Sequence[str], predicted: Sequence[str]) -> int:
    """Pairs of a gold and a predicted value that mean the same (:meth:`Kind.equivalent`), each used once.

    Case, punctuation, a leading article, the spelling of a date, time or duration, and the order do not count.
    """
    left = list(gold)
    for value in predicted:
        match = next((other for other in left if other == value or kind.equivalent(other, value)), None)
        if match is not None:
            left.remove(match)
    return len(gold) - len(left)


def soft_right(kind: Kind, gold: Sequence[str], predicted: Sequence[str]) -> bool:
    """Whether two lists of values of a field mean the same."""
    return len(gold) == len(predicted) == soft_hits(kind, gold, predicted)
