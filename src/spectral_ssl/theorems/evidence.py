"""What a check collects over its instances: the worst of each family, and how optimisers fared."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from spectral_ssl.closed_form.result import Result
from spectral_ssl.theorems.optimise import REACHED, Best, disagreement


class Worst:
    """The largest value seen, overall and by family; NaN counts as infinite, so that it cannot hide."""

    def __init__(self) -> None:
        self.by_family: dict[str, float] = {}

    def see(self, family: str, *values: float) -> None:
        """Take note of an instance's values."""
        largest = max(float(value) if not np.isnan(value) else np.inf for value in values)
        self.by_family[family] = max(self.by_family.get(family, -np.inf), largest)

    @property
    def value(self) -> float:
        """The largest of all; minus infinity if nothing was seen."""
        return max(self.by_family.values(), default=-np.inf)

    def detail(self) -> dict[str, float]:
        """`family NAME` to its worst."""
        return {f"family {name}": value for name, value in self.by_family.items()}


class Optimum:
    """A closed form against optimisers, over instances: loss gap, principal angle, who reached the minimum."""

    def __init__(self) -> None:
        self.gap, self.angle = Worst(), Worst()
        self.starts: dict[str, int] = defaultdict(int)
        self.reached: dict[str, int] = defaultdict(int)
        self.seen = self.tied = 0

    def see(
        self,
        family: str,
        result: Result,
        best: Best,
        scale: float,
        *,
        centre: bool,
        tied: bool = False,
        itself: float = 0.0,
    ) -> None:
        """Compare one closed form with the best point found.

        scale: size of the objective's terms. tied: the eigenvalue at the cut ties with the next, so that the
        subspace is not determined and only the loss is compared. itself: further relative errors that must vanish,
        such as the objective at the embedding against the formula.
        """
        gap, angle = disagreement(result, best, scale, centre=centre)
        self.gap.see(family, gap, itself)
        self.angle.see(family, 0.0 if tied else angle)
        self.seen, self.tied = self.seen + 1, self.tied + int(tied)
        for name, losses in best.losses.items():
            self.starts[name] += len(losses)
            self.reached[name] += sum(loss - best.loss <= REACHED * scale for loss in losses)

    @property
    def value(self) -> float:
        """The larger of the worst loss gap and the worst angle."""
        return max(self.gap.value, self.angle.value)

    def detail(self) -> dict[str, float]:
        """Loss gap, principal angle, the shares of starts that reached it and of ties, the worst by family."""
        found = {"loss gap": self.gap.value, "principal angle": self.angle.value}
        found |= {f"reached by {name}": self.reached[name] / count for name, count in self.starts.items()}
        found["share of instances compared by loss alone"] = self.tied / max(self.seen, 1)
        families = self.gap.by_family
        worst = {name: max(families[name], self.angle.by_family[name]) for name in families}
        return found | {f"family {name}": value for name, value in worst.items()}
