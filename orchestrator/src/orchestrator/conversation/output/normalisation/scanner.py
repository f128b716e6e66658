"""The frame of a streaming text filter: scans text from left to right, and holds back only what is still undecided."""

from __future__ import annotations

from abc import ABC, abstractmethod

# The end of a step in the scanned text, and the output of the step; None while the step depends on text to come.
Step = tuple[int, str] | None


class Scanner(ABC):
    """Filters text that is pushed in deltas. How the text is divided into deltas never changes the output.

    For that, a step may look at the text before it and after it, and returns None when more text could change it.
    Each step must bound how much text it waits for.
    """

    def __init__(self) -> None:
        self._text = ""
        # The character before the current step, among the scanned ones; empty at the start.
        self._previous = ""
        # The last character of the output; empty at the start.
        self._last_output = ""

    def push_text(self, text: str) -> str:
        """Add text; return the output that no later text can change."""
        self._text += text
        return self._scan(final=False)

    def end_text(self) -> str:
        """Return the remaining output."""
        return self._scan(final=True)

    def _scan(self, final: bool) -> str:
        text, at = self._text, 0
        output: list[str] = []
        while at < len(text):
            step = self._step(text, at, final)
            if step is None:
                if not final:
                    break
                step = (at + 1, text[at])
            end, normalised = step
            self._on_scanned(text[at:end])
            at = end
            self._last_output = normalised[-1:] or self._last_output
            output.append(normalised)
        self._text = text[at:]
        return "".join(output)

    def _on_scanned(self, source: str) -> None:
        """Record the source text of a step."""
        if source:
            self._previous = source[-1]

    @abstractmethod
    def _step(self, text: str, at: int, final: bool) -> Step:
        """Return the next step of `text`, from `at`; `final`: no text follows."""


def may_become(text: str, at: int, options: tuple[str, ...]) -> bool:
    """Whether the rest of `text`, from `at`, is a proper prefix of one of `options`, which are in lower case."""
    rest = text[at : at + max(map(len, options))].lower()
    return any(len(rest) < len(option) and option.startswith(rest) for option in options)
