"""Retrieval over the shipped content: questions find their topic, and other speech finds none."""

import random
import tomllib
from pathlib import Path

import pytest
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.index import PassageIndex
from orchestrator.knowledge.retriever import MIN_SCORE
from orchestrator.knowledge.stop_words import split_words

CONTENT = Path(__file__).parents[4] / "content"
RIGHT = 0.95
ACCEPTED_SALAD = 0.10

# Another wording for each topic.
PARAPHRASES = [
    ("weekend-weather", "do you think it will be sunny"),
    ("weekend-weather", "what's the forecast"),
    ("tide-times", "when does the sea come in"),
    ("tide-times", "is it safe to walk to seal island"),
    ("ferry-timetable", "how do I get to the islands"),
    ("harbor-wall", "what are they doing down at the harbour"),
    ("herring-catch", "any news about the fishing"),
    ("lighthouse-lamp", "tell me something about the lighthouse"),
    ("library-nights", "where can I borrow a novel"),
    ("tram-works", "what is wrong with the trams"),
    ("bakery-prize", "who makes the best bread in town"),
    ("saturday-market", "where do I buy fresh vegetables"),
    ("pancake-recipe", "pancake recipe please"),
    ("soup-recipe", "I want to cook a soup tonight"),
    ("coffee-brewing", "my coffee is bitter"),
    ("burn-first-aid", "I spilled hot water over my hand"),
    ("nosebleed-first-aid", "my son has a bloody nose"),
    ("rose-pruning", "when do I cut the roses in my garden"),
    ("compost-heap", "my compost heap stinks"),
    ("house-plants", "my fern has brown leaves"),
    ("honey-harvest", "tell me about the bees"),
    ("whale-sighting", "what about those whales"),
    ("town-hall-cat", "who is the cat in the town hall"),
    ("lost-property", "I think I lost my glasses"),
    ("football-final", "what was the football result"),
    ("swimming-pool", "can I go for a swim on sunday"),
    ("city-marathon", "where does the marathon start"),
    ("chess-champion", "tell me about chess"),
    ("comet-night", "what can I see in the night sky"),
    ("film-festival", "any good movies on"),
    ("orchestra-concert", "is there a concert in the park"),
    ("dinosaur-museum", "what is on at the museum"),
    ("castle-tower", "tell me about the secret room in the castle"),
    ("council-election", "who can I vote for"),
    ("power-cut", "why is there no electricity tonight"),
    ("water-pipe", "can I drink the tap water"),
    ("recycling-days", "when is the garbage picked up"),
    ("wind-farm", "how many wind turbines are there"),
    ("river-bridge", "is the bridge still closed"),
    ("night-train", "how do I get to the capital by night"),
    ("cycle-repair", "I have a flat tire on my bike"),
    ("knife-sharpening", "my kitchen knife is blunt"),
    ("bowline-knot", "show me a good knot"),
    ("better-sleep", "I can't sleep at night"),
    ("hospital-ward", "what's new in the hospital"),
    ("school-kitchen", "what is for lunch at the school"),
    ("shipyard-jobs", "are there jobs at the shipyard"),
    ("mushroom-season", "are there mushrooms in the forest"),
    ("new-apartments", "I need a new flat"),
    ("post-office", "I want to send a letter"),
    ("studio-tour", "can I come and see the newsroom"),
    ("about-the-anchor", "are you human"),
    ("how-this-works", "how do you work"),
    ("interrupting", "may I interrupt you"),
    ("privacy", "are you recording me"),
    ("add-knowledge", "can I teach you things"),
]
OTHER_LANGUAGES = [
    ("es", "es-tiempo", "¿Lloverá mucho o hará sol?"),
    ("es", "es-presentadora", "¿Eres humana?"),
    ("fr", "fr-meteo", "La pluie, c'est pour dimanche ?"),
    ("fr", "fr-presentatrice", "Es-tu une machine ?"),
    ("pt", "pt-tempo", "Domingo vai fazer sol?"),
    ("pt", "pt-apresentadora", "Você é uma máquina?"),
    ("hi", "hi-mausam", "रविवार का मौसम बताइए"),
    ("hi", "hi-parichay", "तुम मशीन हो?"),
    ("de", "de-wetter", "Scheint am Sonntag die Sonne?"),
    ("de", "de-moderatorin", "Bist du eine Maschine?"),
    ("nl", "nl-weer", "Schijnt zondag de zon?"),
    ("nl", "nl-presentatrice", "Ben je een machine?"),
    ("it", "it-tempo", "Domenica ci sarà il sole?"),
    ("it", "it-conduttrice", "Sei una macchina?"),
]


@pytest.fixture
async def index() -> PassageIndex:
    folder = KnowledgeFolder(CONTENT / "knowledge")
    folder.load()
    return await folder.current_index()


def topic(index: PassageIndex, question: str, language: str = "en") -> str | None:
    matches = index.search([question], language)
    return matches[0].passage.id if matches and matches[0].score >= MIN_SCORE else None


def test_typed_questions_find_their_topic(index: PassageIndex):
    shipped = tomllib.loads((CONTENT / "questions" / "questions.toml").read_text("utf-8"))["question"]
    asked = [*PARAPHRASES, *((question["topic"], question["text"]) for question in shipped)]
    missed = [
        (wanted, question, topic(index, question)) for wanted, question in asked if topic(index, question) != wanted
    ]
    assert 1 - len(missed) / len(asked) >= RIGHT, missed


@pytest.mark.parametrize(("language", "wanted", "question"), OTHER_LANGUAGES)
def test_typed_questions_in_other_languages_find_their_topic(
    index: PassageIndex, language: str, wanted: str, question: str
):
    assert topic(index, question, language) == wanted


def test_every_passage_is_found_by_its_own_title_and_questions(index: PassageIndex):
    for passage in index.passages:
        for asked in (passage.title, *passage.questions):
            matches = index.search([asked], passage.language)
            assert passage.id in [match.passage.id for match in matches[:2]], (passage.id, asked)


def test_random_known_words_seldom_match_a_passage(index: PassageIndex):
    """Misrecognised speech is simulated by known words in random order."""
    english = [passage for passage in index.passages if passage.language == "en"]
    vocabulary = sorted({word for passage in english for text in passage.sentences for word in split_words(text)})
    salad = random.Random(11)
    bowls = [" ".join(salad.choices(vocabulary, k=8)) for _ in range(400)]
    accepted = [bowl for bowl in bowls if topic(index, bowl)]
    assert len(accepted) / len(bowls) <= ACCEPTED_SALAD, accepted


@pytest.mark.parametrize(
    "question",
    [
        "who invented the telephone",
        "what is the capital of France",
        "how do I file my taxes",
        "sing me a song about elephants",
        "what is seven times eight",
        "the purple committee was marching gently",
    ],
)
def test_questions_about_other_things_find_nothing(index: PassageIndex, question: str):
    assert topic(index, question) is None
