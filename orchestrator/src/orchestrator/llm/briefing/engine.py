"""A responder without a language model: it speaks passages of the knowledge folder and the persona's phrases.

It generates no text. When no passage matches a question well enough, it says so.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from orchestrator.conversation.messages.server import ReplySource
from orchestrator.conversation.model.ports import Prompt, ReplyPiece
from orchestrator.knowledge.index import PassageIndex
from orchestrator.knowledge.language_names import language_name
from orchestrator.knowledge.passages import Passage, PassageKind, split_sentences
from orchestrator.knowledge.retriever import Retriever
from orchestrator.knowledge.stop_words import topic_words
from orchestrator.llm.briefing.calendar import spoken_date, spoken_time
from orchestrator.llm.briefing.intents import Intent, detect_intent
from orchestrator.llm.fixed_answers import answer_before_search

MAX_WORDS = 70

_TOPICS_OFFERED = 3
# The bounds of `reply_sources`, in characters.
_MAX_SOURCE_TITLE = 200
_MAX_SOURCE_TEXT = 4000
# Shorter hypotheses other than the best are too often misrecognitions to count as commands.
_MIN_COMMAND_WORDS = 3
_PLAIN_PHRASES = {
    Intent.GREETING: "greeting",
    Intent.THANKS: "thanks",
    Intent.GOODBYE: "goodbye",
    Intent.WHO_ARE_YOU: "who_are_you",
}


@dataclass(frozen=True, slots=True)
class _HeardPassage:
    """The part of a passage that the user heard: sentences `first` up to, not including, `next`."""

    passage: Passage
    first: int
    next: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """Text in the prompt's language, and what follows it in another one."""

    text: str
    other_text: str = ""
    other_language: str = ""
    # The passage that the text is taken from, if any.
    passage: Passage | None = None


class BriefingModel:
    """Answers from the passages; implements `LanguageModel`. Shared by all sessions; stateless between replies."""

    name = "briefing"

    def __init__(
        self,
        retriever: Retriever,
        max_words: int = MAX_WORDS,
        clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        """Speak whole sentences of about `max_words` words per reply; `clock` returns the local time of the users."""
        self._retriever = retriever
        self._max_words = max_words
        self._clock = clock

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the reply word by word; the first piece has the passage as its source."""
        answer = await self._answer(prompt, await self._retriever.knowledge.current_index())
        words = [(word, "") for word in answer.text.split()]
        words += [(word, answer.other_language) for word in answer.other_text.split()]
        sources = (reply_source(answer.passage),) if answer.passage else ()
        for number, (word, language) in enumerate(words, 1):
            piece = word if number == len(words) else f"{word} "
            yield ReplyPiece(piece, language, sources if number == 1 else ())

    async def prefill(self, prompt: Prompt) -> None:
        """Do nothing: the knowledge is already indexed."""

    async def _answer(self, prompt: Prompt, index: PassageIndex) -> _Answer:
        if fixed := answer_before_search(prompt):
            return _Answer(fixed)
        intent = prompt_intent(prompt)
        if intent in _PLAIN_PHRASES:
            return _Answer(_phrase(prompt, _PLAIN_PHRASES[intent]))
        match intent:
            case Intent.TIME:
                return _Answer(_phrase(prompt, "time_is", time=spoken_time(self._clock(), _language(prompt))))
            case Intent.DATE:
                return _Answer(_phrase(prompt, "date_is", date=spoken_date(self._clock(), _language(prompt))))
            case Intent.TOPICS:
                return _Answer(_join(_phrase(prompt, "what_can_you_do"), _topics(prompt, index)))
            case Intent.REPEAT:
                return self._repeat_last_reply(prompt, index)
            case Intent.MORE:
                return await self._continue_passage(prompt, index)
            case _:
                return await self._answer_topic(prompt, index)

    async def _answer_topic(self, prompt: Prompt, index: PassageIndex) -> _Answer:
        """Return the best passage, or a phrase that there is none."""
        hypotheses = (prompt.text, *prompt.alternatives)
        if not any(topic_words(hypothesis, _language(prompt)) for hypothesis in hypotheses):
            return _Answer(_phrase(prompt, "did_not_catch"))
        found = await self._retriever.find(hypotheses, _language(prompt))
        if found.answer is not None:
            return self._announce_passage(prompt, found.answer)
        near = (match.passage for match in found.matches)
        return _Answer(_join(_phrase(prompt, "nothing_known"), _topics(prompt, index, near)))

    def _announce_passage(self, prompt: Prompt, passage: Passage) -> _Answer:
        announcement = ""
        if passage.kind is not PassageKind.ABOUT:
            phrase = prompt.persona.phrase(passage.kind.value, passage.language)
            announcement = phrase.replace("{title}", passage.title)
        text = _join(announcement, self._sentences(passage, 0))
        if passage.language == _language(prompt):
            return _Answer(text, passage=passage)
        name = language_name(passage.language, _language(prompt))
        return _Answer(_phrase(prompt, "other_language", language=name), text, passage.language, passage)

    def _sentences(self, passage: Passage, first: int) -> str:
        """Return a passage's sentences from `first` on, up to the maximum number of words, and at least one."""
        spoken: list[str] = []
        count = 0
        for sentence in passage.sentences[first:]:
            count += len(sentence.split())
            if spoken and count > self._max_words:
                break
            spoken.append(sentence)
        return " ".join(spoken)

    async def _continue_passage(self, prompt: Prompt, index: PassageIndex) -> _Answer:
        """Return the rest of the last passage; after its end, the next best passage for the same question."""
        heard = list(_heard_passages(prompt, index))
        if heard and heard[-1].next < len(heard[-1].passage.sentences):
            return _in_its_language(prompt, heard[-1].passage, self._sentences(heard[-1].passage, heard[-1].next))
        heard_ids = {entry.passage.id for entry in heard}
        found = await self._retriever.find(_last_question(prompt), _language(prompt))
        for match in found.matches:
            if match.confident and match.passage.id not in heard_ids:
                return self._announce_passage(prompt, match.passage)
        return _Answer(_join(_phrase(prompt, "nothing_more"), _topics(prompt, index)))

    def _repeat_last_reply(self, prompt: Prompt, index: PassageIndex) -> _Answer:
        """Return the last reply; if it was an interrupted passage, from its beginning."""
        last = next((message.text for message in reversed(prompt.history) if message.role == "anchor"), "")
        if not last.strip():
            return _Answer(_phrase(prompt, "nothing_to_repeat"))
        heard = _passage_heard_in(last, index)
        if heard is None:
            return _Answer(last)
        return _in_its_language(prompt, heard.passage, self._sentences(heard.passage, heard.first))


def _in_its_language(prompt: Prompt, passage: Passage, text: str) -> _Answer:
    if passage.language == _language(prompt):
        return _Answer(text, passage=passage)
    return _Answer("", text, passage.language, passage)


def reply_source(passage: Passage) -> ReplySource:
    """Return the passage as the source of a reply; a long title or text is cut and ends with an ellipsis."""
    text = _cut(" ".join(passage.sentences), _MAX_SOURCE_TEXT)
    return ReplySource(_cut(passage.title, _MAX_SOURCE_TITLE), f"{passage.id}.md", text, passage.language)


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"


def prompt_intent(prompt: Prompt) -> Intent | None:
    """Detect the intent of the best hypothesis, or of another that is long enough to trust."""
    hypotheses = [prompt.text, *(text for text in prompt.alternatives if len(text.split()) >= _MIN_COMMAND_WORDS)]
    intents = (detect_intent(hypothesis, _language(prompt), prompt.persona.name) for hypothesis in hypotheses)
    return next((intent for intent in intents if intent), None)


def _heard_passages(prompt: Prompt, index: PassageIndex) -> Iterator[_HeardPassage]:
    """Yield the passages that the user heard, oldest first."""
    for message in prompt.history:
        if message.role == "anchor" and (heard := _passage_heard_in(message.text, index)):
            yield heard


def _passage_heard_in(text: str, index: PassageIndex) -> _HeardPassage | None:
    """Return the part of a passage in `text`; None when `text` contains no whole sentence of one."""
    sentences = split_sentences(" ".join(text.split()))
    found = [place for sentence in sentences if (place := index.find_sentence(sentence))]
    if not found:
        return None
    passage, last = found[-1]
    return _HeardPassage(passage, min(number for other, number in found if other is passage), last + 1)


def _last_question(prompt: Prompt) -> list[str]:
    """Return the user's last question, skipping commands such as "tell me more"; empty when there is none."""
    asked = (message.text for message in reversed(prompt.history) if message.role == "user")
    return [text for text in asked if detect_intent(text, _language(prompt), prompt.persona.name) is None][:1]


def _topics(prompt: Prompt, index: PassageIndex, near: Iterable[Passage] = ()) -> str:
    """Offer a few topics: those in `near`, then others, which vary from turn to turn; all in the prompt's language."""
    language = _language(prompt)
    others = [entry for entry in index.passages if _is_topic(entry, language)]
    start = len(prompt.history) * _TOPICS_OFFERED % max(1, len(others))
    titles = [passage.title for passage in near if _is_topic(passage, language)]
    titles += [passage.title for passage in others[start:] + others[:start]]
    offered = list(dict.fromkeys(titles))[:_TOPICS_OFFERED]
    if not offered:
        return ""
    either = f" {_phrase(prompt, 'or')} ".join(part for part in (", ".join(offered[:-1]), offered[-1]) if part)
    return _phrase(prompt, "topics", topics=either)


def _is_topic(passage: Passage, language: str) -> bool:
    return passage.language == language and passage.kind is not PassageKind.ABOUT


def _phrase(prompt: Prompt, name: str, **placeholders: str) -> str:
    phrase = prompt.persona.phrase(name, _language(prompt))
    for placeholder, text in placeholders.items():
        phrase = phrase.replace(f"{{{placeholder}}}", text)
    return phrase


def _language(prompt: Prompt) -> str:
    return prompt.language or "en"


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
