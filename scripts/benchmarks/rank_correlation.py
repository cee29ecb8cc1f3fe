"""Rank correlation within groups, pooled: do two measures order the members of each group alike?

Kendall's and Spearman's coefficients are one: `sum a_ij b_ij / sqrt(sum a_ij^2 sum b_ij^2)` over pairs, where a score
is the sign of a difference, or the difference of ranks (Daniels 1944, Biometrika 33:129-135). Pairs within groups alone
make the pooled one; ties count nothing, as in tau-b.
"""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

Values = Float[np.ndarray, " members"]
Score = Callable[[Values], Float[np.ndarray, "members members"]]


def kendall(values: Values) -> Float[np.ndarray, "members members"]:
    """Which of each pair is larger: -1, 0 or 1."""
    return np.sign(np.subtract.outer(values, values))


def spearman(values: Values) -> Float[np.ndarray, "members members"]:
    """By how many ranks each pair differs."""
    ranks = rankdata(values)
    return np.subtract.outer(ranks, ranks)


def correlation(groups: Iterable[tuple[Values, Values]], score: Score) -> float:
    """How alike two measures order the members of groups: from -1 to 1; NaN if one of them orders nothing.

    Args:
        groups: Both measures of the members of each.
        score: `kendall` or `spearman`.
    """
    pairs = [(score(a), score(b)) for a, b in groups]
    both, left, right = (sum(float(np.sum(x * y)) for x, y in each) for each in
                         (pairs, [(a, a) for a, _ in pairs], [(b, b) for _, b in pairs]))  # fmt: skip
    return both / (left * right) ** 0.5 if left and right else float("nan")
