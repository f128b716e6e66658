from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from orchestrator.conversation.model.ports import LanguageModel, Message, Persona, Prompt
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.personas import load_personas
from orchestrator.llm.briefing.engine import Briefing

PERSONAS = Path(__file__).parents[4] / "content" / "personas"
FERRY = "One sentence of just six words. Two sentences are a little longer. Three makes a crowd. Four is the end."


class Talk:
    """A conversation with the briefing; what it says is what is heard."""

    def __init__(self, briefing: Briefing, persona: Persona) -> None:
        self._briefing = briefing
        self._persona = persona
        self.history: list[Message] = []

    async def say(self, text: str, *alternatives: str, language: str = "en", heard: str | None = None) -> str:
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
def briefing(folder: Path) -> Briefing:
    knowledge = KnowledgeFolder(folder, rescan_s=0)
    knowledge.load()
    noon = datetime(2026, 11, 21, 16, 5, tzinfo=ZoneInfo("Europe/Berlin"))
    return Briefing(knowledge, min_score=0.5, max_words=14, clock=lambda: noon)


@pytest.fixture
def talk(briefing: Briefing) -> Talk:
    return Talk(briefing, load_personas(PERSONAS)["anchor"])


async def test_a_question_is_answered_from_its_passage(talk: Talk):
    told = await talk.say("when does the ferry go")
    assert told == (
        "Here is the latest on the ferry. One sentence of just six words. Two sentences are a little longer."
    )


async def test_passages_are_announced_by_their_kind(talk: Talk):
    assert await talk.say("painting") == "Here is painting boats. Take a brush. Paint."
    assert await talk.say("a cat") == "I like the cat."
    assert await talk.say("where is the cellar key") == "This is what I have on the cellar key. It hangs on the nail."


async def test_another_reading_brings_the_topic(talk: Talk):
    assert "the ferry" in await talk.say("when does the fairy go", "when does the ferry go")


async def test_the_reply_comes_word_by_word(briefing: Briefing):
    persona = load_personas(PERSONAS)["anchor"]
    assert [piece async for piece in briefing.reply(Prompt("thanks", "en", persona))] == ["You ", "are ", "welcome."]


async def test_more_goes_on_where_the_anchor_stopped(talk: Talk):
    await talk.say("the ferry please")
    assert await talk.say("tell me more") == "Three makes a crowd. Four is the end."


async def test_more_after_a_barge_in_goes_on_with_what_was_not_heard(talk: Talk):
    await talk.say(
        "the ferry please", heard="Here is the latest on the ferry. One sentence of just six words. Two sent"
    )
    assert (await talk.say("go on")).startswith("Two sentences are a little longer. Three makes a crowd.")


async def test_more_after_a_barge_in_before_the_first_sentence_begins_anew(talk: Talk):
    await talk.say("the ferry please", heard="Here is the")
    assert (await talk.say("go on")).startswith("Here is the latest on the ferry. One sentence")


async def test_when_a_passage_is_told_more_is_the_next_best_one(talk: Talk):
    assert await talk.say("what about boats") == "Here is painting boats. Take a brush. Paint."
    assert (await talk.say("more")).startswith("Here is the latest on the ferry. One sentence")
    assert (await talk.say("more")).startswith("Three makes a crowd.")
    assert (await talk.say("more")).startswith("That is all I have on that. You can ask me about ")


async def test_more_of_nothing_offers_topics(talk: Talk):
    assert "You can ask me about" in await talk.say("tell me more")


async def test_repeat_tells_the_last_passage_again_and_whole(talk: Talk):
    whole = await talk.say("the ferry please", heard="Here is the latest on the ferry. One sentence of just six words.")
    assert await talk.say("say that again") == whole.removeprefix("Here is the latest on the ferry. ")


async def test_repeat_says_again_what_was_no_passage(talk: Talk):
    said = await talk.say("what time is it")
    assert await talk.say("pardon?") == said


async def test_there_is_nothing_to_repeat_at_first(talk: Talk):
    assert await talk.say("repeat that") == "I have not said anything yet."


async def test_time_and_date_are_those_of_the_clock(talk: Talk):
    assert await talk.say("What time is it?") == "It is 4:05 PM."
    assert await talk.say("what day is it today") == "Today is Saturday, November 21st."
    assert await talk.say("Wie spät ist es?", language="de") == "Es ist 16 Uhr 5."
    assert await talk.say("Quel jour sommes-nous ?", language="fr") == "Nous sommes le samedi 21 novembre."


async def test_small_talk_is_answered_in_the_personas_phrases(talk: Talk):
    assert await talk.say("Hello Nora!") == "Hello, I am Nora. What would you like to know?"
    assert await talk.say("Thank you very much.") == "You are welcome."
    assert await talk.say("who are you") == (
        "I am Nora, the anchor. I am a computer voice, and I tell you what stands in my notes."
    )
    assert await talk.say("good bye") == "Goodbye, and thank you for listening."


async def test_a_command_in_another_reading_counts_when_it_is_long_enough(talk: Talk):
    assert (await talk.say("what lime is it", "what time is it")).startswith("It is 4:05")
    assert "nothing on that" in await talk.say("moor", "more")


async def test_the_topics_are_offered_when_asked_for(talk: Talk):
    offer = await talk.say("what can you do")
    assert offer.endswith("You can ask me about painting boats, the ferry or the cellar key.")


async def test_what_is_not_known_is_said_so(talk: Talk):
    reply = await talk.say("who invented the telephone")
    assert reply.startswith("I have nothing on that, I am afraid. You can ask me about ")


async def test_topics_that_came_near_are_offered_first(talk: Talk):
    reply = await talk.say("the nail of uncle telephone purple giraffe nonsense banana")
    assert "ask me about the cellar key" in reply


async def test_words_that_mean_nothing_were_not_caught(talk: Talk):
    assert await talk.say("of the and", "what to the") == "Sorry, I did not catch that. Could you say it again?"
    assert (await talk.say("")).startswith("Sorry, I did not catch that.")


async def test_questions_are_answered_in_their_language(talk: Talk):
    assert (
        await talk.say("Wie wird das Wetter?", language="de")
        == "Hier ist das Neueste: das Wetter. Es regnet in Strömen."
    )
    assert (await talk.say("Wer bist du?", language="de")).startswith("Ich bin Nora")
    assert await talk.say("Quel temps ?", language="fr") == "Je n'ai rien là-dessus, je suis désolée."


async def test_a_question_without_a_language_is_english(talk: Talk):
    assert "the ferry" in await talk.say("the ferry", language="")


async def test_a_knowledge_file_added_while_running_gets_spoken(talk: Talk, folder: Path):
    assert "nothing on that" in await talk.say("tell me about the volcano")
    write(folder, "volcano", "title: the volcano\nkind: news", "It sleeps.")
    assert await talk.say("tell me about the volcano") == "Here is the latest on the volcano. It sleeps."


async def test_a_sentence_longer_than_a_reply_is_said_whole(folder: Path, briefing: Briefing, talk: Talk):
    write(folder, "long", "title: the saga\nkind: about", " ".join(["word"] * 40) + ". Short end.")
    assert len((await talk.say("the saga")).split()) == 40


async def test_an_empty_folder_is_said_so(tmp_path_factory: pytest.TempPathFactory):
    empty: LanguageModel = Briefing(KnowledgeFolder(tmp_path_factory.mktemp("empty")))
    prompt = Prompt("the ferry", "en", load_personas(PERSONAS)["anchor"])
    assert "".join([piece async for piece in empty.reply(prompt)]) == "I have nothing on that, I am afraid."
