from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from orchestrator.conversation.messages.server import ReplySource
from orchestrator.conversation.model.ports import LanguageModel, Message, Persona, Prompt, ReplyPiece
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.passages import Passage
from orchestrator.knowledge.personas import load_personas
from orchestrator.knowledge.retriever import Retriever, Similarities
from orchestrator.llm.briefing.engine import BriefingModel, reply_source

PERSONAS = Path(__file__).parents[4] / "content" / "personas"
FERRY = "One sentence of just six words. Two sentences are a little longer. Three makes a crowd. Four is the end."


class Dialogue:
    """A dialogue with the briefing in which the user hears every reply in full, unless `heard` says otherwise."""

    def __init__(self, briefing: BriefingModel, persona: Persona) -> None:
        self._briefing = briefing
        self._persona = persona
        self.history: list[Message] = []

    async def ask(self, text: str, *alternatives: str, language: str = "en", heard: str | None = None) -> str:
        prompt = Prompt(text, language, self._persona, tuple(self.history), alternatives)
        reply = "".join([piece async for piece in self._briefing.reply(prompt)])
        self.history += [Message("user", text), Message("anchor", reply if heard is None else heard, heard is not None)]
        return reply


def write(folder: Path, name: str, front_matter: str, text: str) -> None:
    (folder / f"{name}.md").write_text(f"---\n{front_matter}\n---\n{text}\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "ferry", "title: the ferry\nkeywords: boat, harbor\nkind: news", FERRY)
    write(tmp_path, "boats", "title: painting boats\nkeywords: paint\nkind: guide", "Take a brush. Paint.")
    write(tmp_path, "cat", "title: the cat\nkind: about", "I like the cat.")
    write(tmp_path, "note", "title: the cellar key", "It hangs on the nail.")
    write(tmp_path, "wetter", "title: das Wetter\nlanguage: de\nkind: news", "Es regnet in Strömen.")
    return tmp_path


@pytest.fixture
def briefing(folder: Path) -> BriefingModel:
    knowledge = KnowledgeFolder(folder, rescan_s=0)
    knowledge.load()
    noon = datetime(2026, 11, 21, 16, 5, tzinfo=ZoneInfo("Europe/Berlin"))
    return BriefingModel(Retriever(knowledge, min_score=0.5), max_words=14, clock=lambda: noon)


@pytest.fixture
def talk(briefing: BriefingModel) -> Dialogue:
    return Dialogue(briefing, load_personas(PERSONAS)["anchor"])


async def test_question_is_answered_from_its_passage(talk: Dialogue):
    told = await talk.ask("when does the ferry go")
    assert told == (
        "Here is the latest on the ferry. One sentence of just six words. Two sentences are a little longer."
    )


async def test_passages_are_announced_by_their_kind(talk: Dialogue):
    assert await talk.ask("painting") == "Here is painting boats. Take a brush. Paint."
    assert await talk.ask("a cat") == "I like the cat."
    assert await talk.ask("where is the cellar key") == "This is what I have on the cellar key. It hangs on the nail."


async def test_another_hypothesis_finds_the_passage(talk: Dialogue):
    assert "the ferry" in await talk.ask("when does the fairy go", "when does the ferry go")


async def test_reply_streams_word_by_word(briefing: BriefingModel):
    persona = load_personas(PERSONAS)["anchor"]
    assert [piece async for piece in briefing.reply(Prompt("thanks", "en", persona))] == ["You ", "are ", "welcome."]


async def test_more_continues_the_passage(talk: Dialogue):
    await talk.ask("the ferry please")
    assert await talk.ask("tell me more") == "Three makes a crowd. Four is the end."


async def test_more_after_a_barge_in_continues_with_unheard_sentences(talk: Dialogue):
    await talk.ask(
        "the ferry please", heard="Here is the latest on the ferry. One sentence of just six words. Two sent"
    )
    assert (await talk.ask("go on")).startswith("Two sentences are a little longer. Three makes a crowd.")


async def test_more_after_a_barge_in_within_the_first_sentence_restarts(talk: Dialogue):
    await talk.ask("the ferry please", heard="Here is the")
    assert (await talk.ask("go on")).startswith("Here is the latest on the ferry. One sentence")


async def test_more_after_a_whole_passage_is_the_next_best_one(talk: Dialogue):
    assert await talk.ask("what about boats") == "Here is painting boats. Take a brush. Paint."
    assert (await talk.ask("more")).startswith("Here is the latest on the ferry. One sentence")
    assert (await talk.ask("more")).startswith("Three makes a crowd.")
    assert (await talk.ask("more")).startswith("That is all I have on that. You can ask me about ")


async def test_more_without_a_passage_offers_topics(talk: Dialogue):
    assert "You can ask me about" in await talk.ask("tell me more")


async def test_repeat_speaks_the_whole_last_passage(talk: Dialogue):
    whole = await talk.ask("the ferry please", heard="Here is the latest on the ferry. One sentence of just six words.")
    assert await talk.ask("say that again") == whole.removeprefix("Here is the latest on the ferry. ")


async def test_repeat_speaks_the_last_phrase(talk: Dialogue):
    said = await talk.ask("what time is it")
    assert await talk.ask("pardon?") == said


async def test_repeat_without_a_reply_says_so(talk: Dialogue):
    assert await talk.ask("repeat that") == "I have not said anything yet."


async def test_time_and_date_come_from_the_clock(talk: Dialogue):
    assert await talk.ask("What time is it?") == "It is 4:05 PM."
    assert await talk.ask("what day is it today") == "Today is Saturday, November 21st."
    assert await talk.ask("Wie spät ist es?", language="de") == "Es ist 16 Uhr 5."
    assert await talk.ask("Quel jour sommes-nous ?", language="fr") == "Nous sommes le samedi 21 novembre."


async def test_small_talk_is_answered_with_persona_phrases(talk: Dialogue):
    assert await talk.ask("Hello Nora!") == "Hello, I am Nora. What would you like to know?"
    assert await talk.ask("Thank you very much.") == "You are welcome."
    assert await talk.ask("who are you") == (
        "I am Nora, the anchor. I am a computer voice, and I tell you what stands in my notes."
    )
    assert await talk.ask("good bye") == "Goodbye, and thank you for listening."


async def test_command_in_another_hypothesis_counts_if_long_enough(talk: Dialogue):
    assert (await talk.ask("what lime is it", "what time is it")).startswith("It is 4:05")
    assert "nothing on that" in await talk.ask("moor", "more")


async def test_topics_are_offered_on_request(talk: Dialogue):
    offer = await talk.ask("what can you do")
    assert offer.endswith("You can ask me about painting boats, the ferry or the cellar key.")


async def test_unknown_topic_is_admitted(talk: Dialogue):
    reply = await talk.ask("who invented the telephone")
    assert reply.startswith("I have nothing on that, I am afraid. You can ask me about ")


async def test_near_matches_are_offered_first(talk: Dialogue):
    reply = await talk.ask("the nail of uncle telephone purple giraffe nonsense banana")
    assert "ask me about the cellar key" in reply


async def test_despair_and_silence_get_no_passage(talk: Dialogue, folder: Path):
    write(folder, "stop", "title: how to stop me, or kill myself with work", "Say stop.")
    assert "someone you trust" in await talk.ask("I want to kill myself")
    assert await talk.ask("stop") == "All right."


async def test_stop_words_alone_are_not_understood(talk: Dialogue):
    assert await talk.ask("of the and", "what to the") == "Sorry, I did not catch that. Could you say it again?"
    assert (await talk.ask("")).startswith("Sorry, I did not catch that.")


async def test_questions_are_answered_in_their_language(talk: Dialogue):
    assert (
        await talk.ask("Wie wird das Wetter?", language="de")
        == "Hier ist das Neueste: das Wetter. Es regnet in Strömen."
    )
    assert (await talk.ask("Wer bist du?", language="de")).startswith("Ich bin Nora")
    assert await talk.ask("Quel temps ?", language="fr") == "Je n'ai rien là-dessus, je suis désolée."


async def test_question_without_a_language_is_english(talk: Dialogue):
    assert "the ferry" in await talk.ask("the ferry", language="")


async def test_added_knowledge_file_is_spoken(talk: Dialogue, folder: Path):
    assert "nothing on that" in await talk.ask("tell me about the volcano")
    write(folder, "volcano", "title: the volcano\nkind: news", "It sleeps.")
    assert await talk.ask("tell me about the volcano") == "Here is the latest on the volcano. It sleeps."


async def test_sentence_longer_than_a_reply_is_spoken_whole(folder: Path, briefing: BriefingModel, talk: Dialogue):
    write(folder, "long", "title: the saga\nkind: about", " ".join(["word"] * 40) + ". Short end.")
    assert len((await talk.ask("the saga")).split()) == 40


async def test_empty_folder_is_admitted(tmp_path_factory: pytest.TempPathFactory):
    empty: LanguageModel = BriefingModel(Retriever(KnowledgeFolder(tmp_path_factory.mktemp("empty"))))
    prompt = Prompt("the ferry", "en", load_personas(PERSONAS)["anchor"])
    assert "".join([piece async for piece in empty.reply(prompt)]) == "I have nothing on that, I am afraid."


class NearPassage:
    """Cosines by which one passage is near to every question."""

    def __init__(self, near: str) -> None:
        self._near = near

    async def similarities(self, question: str, passages: Sequence[Passage]) -> Similarities:
        cosines = {passage.id: 0.95 if passage.id == self._near else 0.78 for passage in passages}
        return Similarities(cosines, background=0.78)


@pytest.fixture
def foreign_talk(folder: Path) -> Dialogue:
    knowledge = KnowledgeFolder(folder, rescan_s=0)
    knowledge.load()
    briefing = BriefingModel(Retriever(knowledge, NearPassage("ferry")), max_words=14)
    return Dialogue(briefing, load_personas(PERSONAS)["anchor"])


async def test_answer_in_another_language_says_so(foreign_talk: Dialogue):
    told = await foreign_talk.ask("Wann legt das Boot ab?", language="de")
    assert told == (
        "Das habe ich nur auf Englisch. Here is the latest on the ferry. "
        "One sentence of just six words. Two sentences are a little longer."
    )
    assert await foreign_talk.ask("mehr", language="de") == "Three makes a crowd. Four is the end."


async def test_pieces_carry_the_language_that_differs(folder: Path):
    knowledge = KnowledgeFolder(folder, rescan_s=0)
    knowledge.load()
    briefing = BriefingModel(Retriever(knowledge, NearPassage("ferry")), max_words=14)
    prompt = Prompt("Wann legt das Boot ab?", "de", load_personas(PERSONAS)["anchor"])
    pieces = [piece async for piece in briefing.reply(prompt)]
    assert [ReplyPiece.of(piece).language for piece in pieces] == [""] * 6 + ["en"] * (len(pieces) - 6)


class Sources(Dialogue):
    """A dialogue that keeps the titles of the sources of the last reply, which only its first piece may have."""

    async def ask(self, text: str, *alternatives: str, language: str = "en", heard: str | None = None) -> str:
        prompt = Prompt(text, language, self._persona, tuple(self.history), alternatives)
        pieces = [ReplyPiece.of(piece) async for piece in self._briefing.reply(prompt)]
        assert not any(piece.sources for piece in pieces[1:])
        self.titles = [source.title for source in pieces[0].sources]
        return await super().ask(text, *alternatives, language=language, heard=heard)


async def test_reply_from_a_passage_names_it(briefing: BriefingModel):
    talk = Sources(briefing, load_personas(PERSONAS)["anchor"])
    for text, titles in (
        ("when does the ferry go", ["the ferry"]),
        ("tell me more", ["the ferry"]),
        ("say that again", ["the ferry"]),
        ("what time is it", []),
        ("say that again", []),
        ("who invented the telephone", []),
        ("hello", []),
    ):
        await talk.ask(text)
        assert talk.titles == titles, text


def test_source_is_the_passage_within_bounds():
    ferry = Passage("news/ferry", "the ferry", ("It sails at six.", "It is red."), language="en")
    assert reply_source(ferry) == ReplySource("the ferry", "news/ferry.md", "It sails at six. It is red.", "en")
    long = reply_source(Passage("saga", "t" * 300, ("x" * 50_000,)))
    assert (len(long.title), len(long.text), long.text[-2:]) == (200, 4000, "x…")
    exact = reply_source(Passage("saga", "t" * 200, ("x" * 4000,)))
    assert (exact.title, exact.text) == ("t" * 200, "x" * 4000)


async def test_unknown_topic_offers_topics_of_the_language(foreign_talk: Dialogue, folder: Path):
    (folder / "ferry.md").unlink()
    told = await foreign_talk.ask("Wer ist Bundeskanzler?", language="de")
    assert "das Wetter" in told
    assert "the cellar key" not in told
