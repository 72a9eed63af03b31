"""How far NumPy's own softmax and its kin may be off, by the textbook: written down without the auditor's code.

First-order bounds for one row of float32 or float64 logits, with u the unit roundoff, exp and log within 4 ULP
(relative error 8 u), and NumPy's pairwise sums, of height h. In the notation of docs/numerics.md: t = max x - x,
s = sum exp(-t), D = sum p t.
"""

from __future__ import annotations

import numpy as np


def height(n: int) -> int:
    """Additions that a term of a pairwise sum of up to 128 terms goes through."""
    return n - 1 if n < 8 else n // 8 + 2 + n % 8


class Row:
    """One row, in float64; `u` belongs to the dtype that is audited."""

    def __init__(self, x: np.ndarray, u: float) -> None:
        self.u, self.h = u, height(len(x))
        self.t = x.max() - x
        self.s = np.exp(-self.t).sum()
        self.p = np.exp(-self.t) / self.s
        self.log_p = -self.t - np.log(self.s)
        self.lse = x.max() + np.log(self.s)
        # The sum: each term's own error, weighted, and the additions.
        self.sigma = u * ((self.p * self.t).sum() + 8.0 + self.h)
        self.log_s = self.sigma + 8.0 * u * np.log(self.s)

    def softmax(self) -> np.ndarray:
        """exp(-t) / s: the exponent, exp, the sum, the quotient."""
        return self.p * (self.u * (self.t + 8.0) + self.sigma + self.u)

    def log_softmax(self) -> np.ndarray:
        """-t - log s: the gap, the logarithm, the difference."""
        return self.u * self.t + self.log_s + self.u * np.abs(self.log_p)

    def logsumexp(self) -> float:
        """max x + log s."""
        return float(self.log_s + self.u * abs(self.lse))

    def softmax_gradient(self, g: np.ndarray) -> np.ndarray:
        """p (g - sum p g), three roundings and the sum's."""
        c = (self.p * g).sum()
        dp = self.softmax()
        dc = (dp * np.abs(g)).sum() + (self.h + 1) * self.u * (self.p * np.abs(g)).sum()
        return dp * np.abs(g - c) + self.p * (dc + 2.0 * self.u * np.abs(g - c))

    def log_softmax_gradient(self, g: np.ndarray) -> np.ndarray:
        """g - p sum g with p = exp of the stored log p: exp, its argument's error, the sum, two roundings."""
        total, magnitude = abs(g.sum()), np.abs(g).sum()
        dp = self.p * (self.log_softmax() + 8.0 * self.u)
        product = dp * total + self.p * self.u * (self.h * magnitude + total)
        return product + self.u * np.abs(g - self.p * g.sum())

    def loss_gradient(self, label: int, g: float) -> np.ndarray:
        """(p - y) g, two roundings."""
        y = np.eye(len(self.p))[label]
        return abs(g) * (self.softmax() + 2.0 * self.u * np.abs(self.p - y))
