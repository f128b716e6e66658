"""What conversations do without while memory is short."""

from __future__ import annotations

from dataclasses import dataclass

# How much of its usual past a model is shown when contexts are short.
SHORT_HISTORY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Savings:
    """What is saved. Looked at when a reply begins: one that is under way is finished as it was begun."""

    short_contexts: bool = False
    # The main voice is left in peace: another one speaks.
    small_voice: bool = False
    # No voice speaks: replies are shown.
    text_only: bool = False

    @property
    def history_share(self) -> float:
        """How much of its usual past the model is shown, 0 to 1."""
        return SHORT_HISTORY_SHARE if self.short_contexts else 1.0
