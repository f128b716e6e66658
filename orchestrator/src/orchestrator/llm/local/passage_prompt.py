"""The prompt over one passage. It begins with the notes, so that the part that every question shares comes first.

With a common instruction first, llama.cpp would take the instruction's tokens for a shared prefix and overwrite the
passage that was prepared.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.knowledge.passages import Passage
from orchestrator.llm.context import ChatMessage

# About a thousand tokens, half of the smallest context.
_MAX_NOTES_CHARS = 4_000
_MAX_QUESTION_CHARS = 500
NOT_IN_NOTES = "The notes do not say."
_INSTRUCTIONS = (
    "You answer questions about these notes, aloud. Answer with one short, complete sentence that says only what the"
    f" notes say. If the answer is not in the notes, say exactly: {NOT_IN_NOTES}"
)


@dataclass(frozen=True, slots=True)
class PassagePrompt:
    """The part of the prompt that depends on the passage only."""

    system: str

    def messages(self, question: str) -> list[ChatMessage]:
        """The messages of a question; an empty one gives the prefix that all questions share."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": " ".join(question.split())[:_MAX_QUESTION_CHARS]},
        ]


def passage_prompt(passage: Passage) -> PassagePrompt:
    """The prompt over `passage`; a long passage is cut at the end of a sentence."""
    notes = ""
    for sentence in passage.sentences:
        if notes and len(notes) + len(sentence) > _MAX_NOTES_CHARS:
            break
        notes = f"{notes} {sentence}".strip()
    return PassagePrompt(f"Notes on {passage.title}: {notes[:_MAX_NOTES_CHARS]}\n\n{_INSTRUCTIONS}")
