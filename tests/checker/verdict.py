"""What the checker found: damages by name, and the figures behind the verdict.

A damage says which invariant of the product it breaks (I1 to I4), what kind it is and where it lies, so that
a test can ask for one kind and a person can go and look.  The verdict keeps every damage: a limit belongs to
the printing alone, for a run with 100,000 lost events must still count to 100,000.
"""

import json
from collections import Counter

PROMISES = {
    "I1": "every acknowledged event is exactly one row or one dead letter",
    "I2": "nothing is stored that was not sent",
    "I3": "every offset below next_offset has one outcome, none at or above it has",
    "I4": "daily statistics equal the raw query",
}
SHOWN_OF_A_KIND = 10


class Damage:
    """One broken promise at one place."""

    def __init__(self, invariant, kind, where):
        self.invariant = invariant
        self.kind = kind
        self.where = where

    def __str__(self):
        return f"{self.invariant} {self.kind}: {self.where}"


class Verdict:
    """Collects damages and figures; holds when there is no damage."""

    def __init__(self):
        self.damages = []
        self.figures = {}

    def damage(self, invariant, kind, where):
        assert invariant in PROMISES
        self.damages.append(Damage(invariant, kind, where))

    def holds(self):
        return not self.damages

    def kinds(self):
        """The set of kinds of damage found: what a test of planted damage asks for."""
        return {damage.kind for damage in self.damages}

    def as_json(self):
        return json.dumps({
            "holds": self.holds(),
            "figures": self.figures,
            "damages": [vars(damage) for damage in self.damages],
        }, indent=2, sort_keys=True, default=str)

    def as_text(self):
        lines = [f"{name:24} {value}" for name, value in self.figures.items()]
        for invariant, promise in PROMISES.items():
            broken = [d for d in self.damages if d.invariant == invariant]
            lines.append(f"{invariant} {'BROKEN' if broken else 'holds '} {promise}")
            lines.extend(self._named(broken))
        lines.append("verdict: " + ("all holds" if self.holds() else f"{len(self.damages)} damages"))
        return "\n".join(lines)

    @staticmethod
    def _named(damages):
        seen = Counter()
        for damage in damages:
            seen[damage.kind] += 1
            if seen[damage.kind] <= SHOWN_OF_A_KIND:
                yield f"   {damage.kind}: {damage.where}"
        for kind, count in seen.items():
            if count > SHOWN_OF_A_KIND:
                yield f"   {kind}: {count - SHOWN_OF_A_KIND} more"
