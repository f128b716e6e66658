import pytest
from orchestrator.knowledge.index import MAX_QUERY_WORDS, PassageIndex
from orchestrator.knowledge.passages import Passage

FERRY = Passage("ferry", "the ferry", ("The ferry sails at six.", "It carries cars."), keywords=("boat", "harbor"))
ROSES = Passage("roses", "how to prune roses", ("Cut above a bud.",), questions=("When do I cut my roses?",))
WEATHER = Passage("weather", "the weather", ("Rain will fall on the ferry.",), keywords=("forecast",))
WETTER = Passage("wetter", "das Wetter", ("Es regnet in Zürich.",), keywords=("Regen",), language="de")
TEMPO = Passage("tempo", "o tempo", ("Chove muito.",), language="pt")


@pytest.fixture
def index() -> PassageIndex:
    return PassageIndex((FERRY, ROSES, WEATHER, WETTER, TEMPO))


def ids(index: PassageIndex, *readings: str, language: str = "en") -> list[str]:
    return [match.passage.id for match in index.search(readings, language)]


def test_word_in_the_title_outweighs_one_in_the_text(index: PassageIndex):
    assert ids(index, "tell me about the ferry") == ["ferry", "weather"]


def test_keywords_and_inflected_words_are_found(index: PassageIndex):
    assert ids(index, "any boats?") == ["ferry"]
    assert ids(index, "pruning") == ["roses"]


def test_accents_are_ignored(index: PassageIndex):
    assert ids(index, "zurich", language="de") == ["wetter"]


def test_only_passages_in_the_language_are_found(index: PassageIndex):
    assert ids(index, "regen wetter", language="de") == ["wetter"]
    assert ids(index, "regen wetter", language="pt") == []
    assert ids(index, "regen wetter", language="xx") == []


def test_words_are_never_query_operators(index: PassageIndex):
    assert set(ids(index, 'ferry" OR "roses')) == {"ferry", "roses", "weather"}
    assert ids(index, "NEAR(ferry, 2) AND NOT title:*") != []


def test_empty_question_finds_nothing(index: PassageIndex):
    assert ids(index, "") == []
    assert ids(index, "what is the") == []
    assert ids(index) == []
    assert ids(PassageIndex(()), "ferry") == []


def test_uncovered_words_lower_the_score(index: PassageIndex):
    clear = index.search(["the boat"], "en")[0].score
    muddled = index.search(["the boat of uncle telephone purple nonsense"], "en")[0].score
    assert muddled < clear / 2


def test_another_hypothesis_may_find_the_topic(index: PassageIndex):
    assert ids(index, "the fairy", "the ferry")[0] == "ferry"


def test_passage_matched_by_both_hypotheses_ranks_first(index: PassageIndex):
    assert ids(index, "cut my boat roses", "bring my roses")[0] == "roses"


def test_long_speech_is_searched_by_its_first_words(index: PassageIndex):
    chatter = " ".join(f"chatter{number}" for number in range(MAX_QUERY_WORDS))
    assert ids(index, f"{chatter} ferry") == []
    assert ids(index, f"ferry {chatter}") == ["ferry", "weather"]


def test_sentence_is_found_in_its_passage(index: PassageIndex):
    assert index.find_sentence("It carries cars.") == (FERRY, 1)
    assert index.find_sentence("It carries horses.") is None


@pytest.mark.parametrize("size", [1, 5, 100])
def test_score_is_independent_of_the_folder_size(size: int):
    others = (Passage(str(number), f"topic {number}", ("Something else.",)) for number in range(size))
    score = PassageIndex((FERRY, *others)).search(["the ferry"], "en")[0].score
    assert 5 < score < 15
