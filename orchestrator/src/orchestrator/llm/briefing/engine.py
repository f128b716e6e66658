"""A responder that needs no language model: it tells what stands in the knowledge folder, in the anchor's phrases.

It says nothing of its own making. A question that fits no passage well enough is answered by saying so.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from orchestrator.conversation.model.ports import Prompt
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.index import Match, PassageIndex
from orchestrator.knowledge.passages import Kind, Passage, split_sentences
from orchestrator.knowledge.stop_words import topic_words
from orchestrator.llm.briefing.calendar import spoken_date, spoken_time
from orchestrator.llm.briefing.intents import Intent, intent_of

# Chosen on the questions and the misheard speech of the tests; see `test_briefing_retrieval.py`.
MIN_SCORE = 3.5
MAX_WORDS = 70

_TOPICS_OFFERED = 3
# A shorter reading other than the best is too easily a mishearing to be taken for a command.
_MIN_COMMAND_WORDS = 3
_PLAIN_PHRASES = {
    Intent.GREETING: "greeting",
    Intent.THANKS: "thanks",
    Intent.GOODBYE: "goodbye",
    Intent.WHO_ARE_YOU: "who_are_you",
}


@dataclass(frozen=True, slots=True)
class _ToldPassage:
    """What of a passage has been heard: sentences `first` up to, not including, `next`."""

    passage: Passage
    first: int
    next: int


class Briefing:
    """Answers from the passages; implements `LanguageModel`. Shared by all sessions; keeps nothing between replies."""

    name = "briefing"

    def __init__(
        self,
        knowledge: KnowledgeFolder,
        min_score: float = MIN_SCORE,
        max_words: int = MAX_WORDS,
        clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        """Passages below `min_score` are not told; about `max_words` are spoken at a time, and whole sentences.

        `clock` tells the time of the place where the listeners are.
        """
        self._knowledge = knowledge
        self._min_score = min_score
        self._max_words = max_words
        self._clock = clock

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """The reply, word by word."""
        text = self._answer(prompt, await self._knowledge.index())
        words = text.split()
        for word in words[:-1]:
            yield f"{word} "
        for word in words[-1:]:
            yield word

    async def prefill(self, prompt: Prompt) -> None:
        """Nothing: the knowledge is indexed already."""

    def _answer(self, prompt: Prompt, index: PassageIndex) -> str:
        intent = _intent(prompt)
        if intent in _PLAIN_PHRASES:
            return _phrase(prompt, _PLAIN_PHRASES[intent])
        match intent:
            case Intent.TIME:
                return _phrase(prompt, "time_is", time=spoken_time(self._clock(), _language(prompt)))
            case Intent.DATE:
                return _phrase(prompt, "date_is", date=spoken_date(self._clock(), _language(prompt)))
            case Intent.TOPICS:
                return _joined(_phrase(prompt, "what_can_you_do"), _topics(prompt, index))
            case Intent.REPEAT:
                return self._repeat(prompt, index)
            case Intent.MORE:
                return self._more(prompt, index)
            case _:
                return self._inform(prompt, index)

    def _inform(self, prompt: Prompt, index: PassageIndex) -> str:
        """The best passage, or that there is none."""
        readings = (prompt.text, *prompt.alternatives)
        if not any(topic_words(reading, _language(prompt)) for reading in readings):
            return _phrase(prompt, "did_not_catch")
        matches = index.search(readings, _language(prompt))
        if matches and matches[0].score >= self._min_score:
            return self._tell(prompt, matches[0].passage)
        return _joined(_phrase(prompt, "nothing_known"), _topics(prompt, index, matches))

    def _tell(self, prompt: Prompt, passage: Passage) -> str:
        announcement = "" if passage.kind is Kind.ABOUT else _phrase(prompt, passage.kind.value, title=passage.title)
        return _joined(announcement, self._sentences(passage, 0))

    def _sentences(self, passage: Passage, first: int) -> str:
        """Sentences of a passage from `first` on, as many as may be spoken at a time, and at least one."""
        spoken: list[str] = []
        count = 0
        for sentence in passage.sentences[first:]:
            count += len(sentence.split())
            if spoken and count > self._max_words:
                break
            spoken.append(sentence)
        return " ".join(spoken)

    def _more(self, prompt: Prompt, index: PassageIndex) -> str:
        """The rest of the passage that was told last, then the next best passage for the same question."""
        told = list(_told_passages(prompt, index))
        if told and told[-1].next < len(told[-1].passage.sentences):
            return self._sentences(told[-1].passage, told[-1].next)
        heard = {entry.passage.id for entry in told}
        for match in index.search(_last_question(prompt), _language(prompt)):
            if match.score >= self._min_score and match.passage.id not in heard:
                return self._tell(prompt, match.passage)
        return _joined(_phrase(prompt, "nothing_more"), _topics(prompt, index))

    def _repeat(self, prompt: Prompt, index: PassageIndex) -> str:
        """What the anchor said last; whole, if it is a passage that was cut off."""
        last = next((message.text for message in reversed(prompt.history) if message.role == "anchor"), "")
        if not last.strip():
            return _phrase(prompt, "nothing_to_repeat")
        told = _told_in(last, index)
        return self._sentences(told.passage, told.first) if told else last


def _intent(prompt: Prompt) -> Intent | None:
    """What was meant by the best reading, or by another one that is long enough to trust."""
    readings = [prompt.text, *(text for text in prompt.alternatives if len(text.split()) >= _MIN_COMMAND_WORDS)]
    intents = (intent_of(reading, _language(prompt), prompt.persona.name) for reading in readings)
    return next((intent for intent in intents if intent), None)


def _told_passages(prompt: Prompt, index: PassageIndex) -> Iterator[_ToldPassage]:
    """The passages that the anchor told, oldest first."""
    for message in prompt.history:
        if message.role == "anchor" and (told := _told_in(message.text, index)):
            yield told


def _told_in(heard: str, index: PassageIndex) -> _ToldPassage | None:
    """The passage of which sentences were heard; None when no whole sentence of one was."""
    found = [place for sentence in split_sentences(" ".join(heard.split())) if (place := index.find(sentence))]
    if not found:
        return None
    passage, last = found[-1]
    return _ToldPassage(passage, min(number for other, number in found if other is passage), last + 1)


def _last_question(prompt: Prompt) -> list[str]:
    """What the user last asked for, apart from more of it; empty when there was nothing."""
    asked = (message.text for message in reversed(prompt.history) if message.role == "user")
    return [text for text in asked if intent_of(text, _language(prompt), prompt.persona.name) is None][:1]


def _topics(prompt: Prompt, index: PassageIndex, near: Iterable[Match] = ()) -> str:
    """An offer of a few topics: those that came near, then others, different ones at every turn."""
    language = _language(prompt)
    others = [entry for entry in index.passages if entry.language == language and entry.kind is not Kind.ABOUT]
    start = len(prompt.history) * _TOPICS_OFFERED % max(1, len(others))
    titles = [match.passage.title for match in near if match.passage.kind is not Kind.ABOUT]
    titles += [passage.title for passage in others[start:] + others[:start]]
    offered = list(dict.fromkeys(titles))[:_TOPICS_OFFERED]
    if not offered:
        return ""
    either = f" {_phrase(prompt, 'or')} ".join(part for part in (", ".join(offered[:-1]), offered[-1]) if part)
    return _phrase(prompt, "topics", topics=either)


def _phrase(prompt: Prompt, name: str, **places: str) -> str:
    phrase = prompt.persona.phrase(name, _language(prompt))
    for place, text in places.items():
        phrase = phrase.replace(f"{{{place}}}", text)
    return phrase


def _language(prompt: Prompt) -> str:
    return prompt.language or "en"


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
