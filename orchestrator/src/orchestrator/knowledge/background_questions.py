"""Questions and requests about things that a knowledge folder seldom holds: small talk, commands, general knowledge.

A question that is no nearer to a passage than to one of these is probably not about the passage. Speaker verification
calls this a background model. The list has about one utterance for each kind of request that voice assistants are asked
for; in English, since the embeddings compare languages.
"""

from __future__ import annotations

from importlib.resources import files

BACKGROUND_QUESTIONS = tuple(
    files("orchestrator.knowledge").joinpath("background_questions.txt").read_text("utf-8").splitlines()
)
