"""Phonemes for Kokoro: its vocabulary, and eSpeak's real IPA mapped to it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tts_service.engines.espeak.engine import WORKER
from tts_service.engines.kokoro.phonemes import VOCABULARY, map_ipa, to_phonemes, to_tokens
from tts_service.engines.phrase_worker.client import PhraseWorker

SENTENCES = {
    "ef_dora": "¿Qué tiempo hará? El sábado llueve, y el domingo «hay sol».",
    "ff_siwis": "Bonsoir, voici les nouvelles du soir… à neuf heures !",
    "if_sara": "Buonasera; ecco le notizie: oggi piove.",
    "pf_dora": "Boa noite, estas são as notícias de hoje.",
    "hf_alpha": "नमस्ते, आज का मौसम अच्छा है।",
    "af_heart": "Good evening, Dr. Smith! The judge chose a nature show (again).",
    "bm_george": "Good evening, here are the boys from the theatre.",
}


@pytest.fixture
async def phonemizer() -> AsyncIterator[PhraseWorker]:
    worker = PhraseWorker(WORKER)
    async with worker.running():
        yield worker


async def phonemes_of(text: str, voice: str, worker: PhraseWorker) -> str:
    async def phonemize(texts: list[str], espeak_voice: str) -> list[str]:
        return await worker.phonemize({"texts": texts, "voice": espeak_voice})

    return await to_phonemes(text, voice, phonemize)


def test_vocabulary_is_that_of_the_model_hibari_was_made_from() -> None:
    spec = importlib.util.find_spec("hibari")
    assert spec is not None
    assert spec.origin is not None
    published = json.loads(Path(spec.origin).with_name("assets").joinpath("vocab.json").read_text("utf-8"))
    assert published == VOCABULARY


async def test_every_phoneme_of_every_language_has_a_token(phonemizer: PhraseWorker) -> None:
    for voice, sentence in SENTENCES.items():
        phonemes = await phonemes_of(sentence, voice, phonemizer)
        unknown = {character for character in phonemes if character not in VOCABULARY}
        assert not unknown, (voice, phonemes)
        assert len(to_tokens(phonemes)) == len(phonemes) > 20


async def test_punctuation_stays_where_it_was(phonemizer: PhraseWorker) -> None:
    phonemes = await phonemes_of("Sí, claro. ¿Y tú? «Bien»", "ef_dora", phonemizer)
    assert "".join(character for character in phonemes if character in ",.?“”") == ",.?“”"
    assert "¿" not in phonemes
    assert "  " not in phonemes


@pytest.mark.parametrize("number", ["1.500", "3,5", "10:30"])
async def test_number_is_read_as_one(number: str, phonemizer: PhraseWorker) -> None:
    (whole,) = await phonemizer.phonemize({"texts": [number], "voice": "es"})
    assert await phonemes_of(f"{number}.", "ef_dora", phonemizer) == f"{map_ipa(whole, 'ef_dora')}."


async def test_text_without_words_has_no_phonemes(phonemizer: PhraseWorker) -> None:
    assert await phonemes_of("", "ef_dora", phonemizer) == ""
    assert to_tokens(await phonemes_of("¿?", "ef_dora", phonemizer)) == to_tokens("?")


@pytest.mark.parametrize(
    ("ipa", "voice", "expected"),
    [
        ("nˈot^ʃes", "ef_dora", "nˈoʧes"),
        ("(en)wˈiːkɛnd(es)", "ef_dora", "wˈiːkɛnd"),
        ("le- nuvˈɛl", "ff_siwis", "le nuvˈɛl"),
        # misaki's own table for American and British English.
        ("nˈe^ɪt^ʃɚ", "af_heart", "nˈAʧəɹ"),
        ("bˈɑːɾə^l", "af_heart", "bˈɑTᵊl"),
        ("ɡˈo^ʊ", "af_heart", "ɡˈO"),
        ("ɡˈə^ʊ", "bm_george", "ɡˈQ"),
    ],
)
def test_ipa_is_mapped_as_the_training_data_was(ipa: str, voice: str, expected: str) -> None:
    assert map_ipa(ipa, voice) == expected


async def test_an_unknown_espeak_voice_is_an_error(phonemizer: PhraseWorker) -> None:
    with pytest.raises(Exception, match="no voice"):
        await phonemizer.phonemize({"texts": ["x"], "voice": "zz"})
