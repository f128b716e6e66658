"""Abbreviations: words whose full stop does not end a sentence. Used for the first phrase, cut without look-ahead."""

from __future__ import annotations

# Lower case, without the full stop. After the first phrase, sentencex finds the sentences; it has its own lists.
_WORDS = {
    "en": """mr mrs ms dr prof st gen rep sen gov col capt lt sgt maj rev hon pres jr sr vs etc approx vol fig dept
        est inc ltd co corp mt ft jan feb apr jun jul aug sep sept oct nov dec""",
    "es": "sr sra srta dr dra dña prof gral av avda ud uds vd vds pág núm tel ej aprox",
    "fr": "mm mme mlle dr pr me st ste av bd env art chap ex tél",
    "pt": "sr sra srta dr dra prof profa av eng gen min pres pág núm tel ex aprox",
    "hi": "डॉ श्री श्रीमती प्रो पं",
    "de": "hr fr dr prof st nr str bzw ca vgl usw evtl ggf inkl mio mrd tel abs art bd hrsg jh geb",
    "nl": "dhr mevr mw dr drs ir mr ing prof st nr ca bijv enz evt incl excl jl blz tel",
    "it": "sig sigg dott prof avv ing arch on gen col cap pag tel ecc ca es rag geom",
}
ABBREVIATIONS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
# Parts of addresses: a full stop or a colon after them is no pause either.
ADDRESS_WORDS = frozenset(("www", "http", "https"))
# Languages in which a number with a full stop is an ordinal: "am 3. Mai".
ORDINAL_LANGUAGES = frozenset(("de",))


def is_abbreviation(word: str, language: str) -> bool:
    """Whether a full stop after `word` is part of the word: `Dr`, an initial, `U.S`."""
    bare = word.strip("\"'“”„«»()[]").lower()
    return (
        (len(bare) == 1 and bare.isalpha())
        or "." in bare
        or bare in ADDRESS_WORDS
        or bare in ABBREVIATIONS.get(language, frozenset())
    )
