"""Detects intents other than a question about a topic, by regular expressions for each language.

A pattern must match the whole utterance, after a leading greeting, thank-you and the anchor's name. So "what time is
it" asks for the time, while "what time is the ferry" does not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import Enum, auto

from orchestrator.knowledge.stop_words import split_words


class Intent(Enum):
    """The intent of an utterance that asks about no topic."""

    GREETING = auto()
    THANKS = auto()
    GOODBYE = auto()
    TIME = auto()
    DATE = auto()
    WHO_ARE_YOU = auto()
    TOPICS = auto()
    REPEAT = auto()
    MORE = auto()


# Patterns apply to lowercase words without punctuation, separated by one blank; an apostrophe becomes a blank.
_RULES: Mapping[str, Mapping[Intent, str]] = {
    "en": {
        Intent.GREETING: r"hello|hi|hey|good (?:morning|afternoon|evening|day)|greetings",
        Intent.THANKS: r"(?:thank you|thanks|many thanks)(?: very much| so much| a lot)?",
        Intent.GOODBYE: r"good ?bye|bye(?: bye)?|see you(?: later| soon| tomorrow)?|good night|farewell",
        Intent.TIME: r"(?:(?:can you )?tell me |do you know )?(?:what time (?:it is|is it)|(?:what (?:s|is) )?the time)"
        r"(?: now| right now)?",
        Intent.DATE: r"(?:(?:can you )?tell me |do you know )?(?:(?:what|which) day (?:is it|it is|is today|is this)"
        r"|(?:what (?:s|is) )?(?:the|today s) date)(?: today| now)?",
        Intent.WHO_ARE_YOU: r"(?:who|what) are you|who am i (?:talking|speaking) (?:to|with)|what (?:s|is) your name"
        r"|introduce yourself|(?:tell me )?(?:something )?about yourself|do you have a name",
        Intent.TOPICS: r"what can you do|what (?:all )?do you know(?: about)?|what can i ask(?: you)?(?: about)?"
        r"|what can you (?:tell me|talk)(?: about)?|(?:which|what) topics(?: .*)?|help(?: me)?|what (?:s|is) new"
        r"|(?:(?:what (?:s|is)|what are|tell me|give me|any) )?(?:the )?(?:latest )?(?:news|headlines)(?: today)?",
        Intent.REPEAT: r"(?:can you |could you |would you )?(?:repeat|say)(?: that| it)?(?: again| once more)"
        r"|(?:can you |could you )?repeat(?: that| it)|repeat|once more|again|pardon(?: me)?|come again"
        r"|what did you (?:just )?say|i (?:didn t|did not) (?:hear|catch|get) (?:that|it|you)",
        Intent.MORE: r"(?:(?:can you )?(?:tell|give) me |i want |say )?(?:some )?more(?: about (?:that|this|it))?"
        r"|go on|continue|carry on|keep going|(?:and )?what else|anything else|next",
    },
    "es": {
        Intent.GREETING: r"hola|buenos días|buenas(?: tardes| noches)?|qué tal",
        Intent.THANKS: r"(?:muchas )?gracias",
        Intent.GOODBYE: r"adiós|hasta (?:luego|mañana|pronto)|chao",
        Intent.TIME: r"qué hora es|(?:me )?(?:dices|dime|puede decirme) la hora",
        Intent.DATE: r"qué día es(?: hoy)?|qué fecha es(?: hoy)?|a qué (?:día )?estamos",
        Intent.WHO_ARE_YOU: r"quién (?:eres|es usted)|cómo (?:te llamas|se llama)(?: usted)?|preséntate",
        Intent.TOPICS: r"qué (?:puedes|puede) (?:hacer|contar(?:me)?)|qué sabes?|ayuda|(?:las )?noticias"
        r"|qué hay de nuevo|de qué puedes hablar",
        Intent.REPEAT: r"repite(?: eso)?|repítelo|otra vez|cómo has dicho|puedes? repetir(?:lo)?|qué has dicho",
        Intent.MORE: r"(?:dime |cuéntame )?(?:algo )?más|sigue|continúa|qué más",
    },
    "fr": {
        Intent.GREETING: r"bonjour|bonsoir|salut|coucou",
        Intent.THANKS: r"merci(?: beaucoup| bien)?",
        Intent.GOODBYE: r"au revoir|à bientôt|à demain|bonne nuit|adieu",
        Intent.TIME: r"quelle heure est il|il est quelle heure|(?:dis moi |donnez moi )?l heure",
        Intent.DATE: r"quel jour sommes nous|on est quel jour|quelle est la date(?: d aujourd hui)?",
        Intent.WHO_ARE_YOU: r"qui (?:es tu|êtes vous)|tu es qui|comment (?:t appelles tu|vous appelez vous)"
        r"|présente toi",
        Intent.TOPICS: r"que (?:sais tu|savez vous)(?: faire)?|que peux tu (?:faire|raconter)|aide"
        r"|(?:les )?(?:nouvelles|actualités)"
        r"|quoi de neuf|de quoi peux tu parler",
        Intent.REPEAT: r"répète|répétez|encore une fois|pardon|(?:tu peux|pouvez vous) répéter|qu as tu dit",
        Intent.MORE: r"(?:dis moi |dites moi )?(?:en )?(?:dis )?plus|continue|continuez|quoi d autre|et encore",
    },
    "pt": {
        Intent.GREETING: r"olá|oi|bom dia|boa (?:tarde|noite)",
        Intent.THANKS: r"(?:muito )?obrigad[oa]",
        Intent.GOODBYE: r"adeus|tchau|até (?:logo|amanhã|mais)",
        Intent.TIME: r"que horas são|(?:me )?(?:diga|diz) as horas",
        Intent.DATE: r"que dia é hoje|qual é a data(?: de hoje)?|hoje é que dia",
        Intent.WHO_ARE_YOU: r"quem é você|quem és tu|qual é o seu nome|como você se chama",
        Intent.TOPICS: r"o que você (?:sabe|pode)(?: fazer| contar)?|ajuda|(?:as )?notícias|quais são as notícias"
        r"|o que há de novo|sobre o que você pode falar",
        Intent.REPEAT: r"repita|repete|de novo|outra vez|pode repetir|o que você disse",
        Intent.MORE: r"(?:me )?(?:conte |diga |fale )?mais|continue|continua|e o que mais|o que mais",
    },
    "hi": {
        Intent.GREETING: r"नमस्ते|नमस्कार|हैलो|हेलो|सुप्रभात",
        Intent.THANKS: r"(?:बहुत )?(?:धन्यवाद|शुक्रिया)",
        Intent.GOODBYE: r"अलविदा|फिर मिलेंगे|शुभ रात्रि",
        Intent.TIME: r"(?:अभी )?(?:समय क्या है|क्या समय है|कितने बजे हैं|कितना बजा है|क्या बजा है)",
        Intent.DATE: r"आज (?:कौन सा दिन|कौन सी तारीख|क्या तारीख|क्या दिन) है",
        Intent.WHO_ARE_YOU: r"(?:तुम|आप) कौन (?:हो|हैं)|(?:आपका|तुम्हारा) नाम क्या है",
        Intent.TOPICS: r"(?:तुम|आप) क्या (?:जानती|जानते|बता सकती|कर सकती) (?:हो|हैं)|मदद|समाचार|ख़बरें|क्या ख़बर है",
        Intent.REPEAT: r"फिर से(?: कहो| कहिए| बोलो| बोलिए)?|दोबारा(?: कहो| कहिए| बोलिए)?|क्या कहा",
        Intent.MORE: r"(?:और|आगे)(?: बताओ| बताइए| बोलिए| सुनाओ)?|जारी रखो|जारी रखिए",
    },
    "de": {
        Intent.GREETING: r"hallo|hi|hey|guten (?:morgen|tag|abend)|grüß gott|moin|servus",
        Intent.THANKS: r"(?:vielen |herzlichen )?dank(?:e)?(?: schön| sehr)?|dankeschön",
        Intent.GOODBYE: r"tschüss|tschüß|auf wieder(?:sehen|hören)|bis (?:bald|morgen|später)|gute nacht|ciao",
        Intent.TIME: r"wie spät ist es|wie viel uhr ist es|wieviel uhr ist es|(?:sag mir )?die uhrzeit",
        Intent.DATE: r"welcher tag ist(?: es)? heute|welches datum (?:ist|haben wir)(?: heute)?|der wievielte ist heute"
        r"|was ist heute für ein tag",
        Intent.WHO_ARE_YOU: r"wer (?:bist du|sind sie)|wie (?:heißt du|heißen sie)|stell dich vor",
        Intent.TOPICS: r"was (?:kannst du|können sie|weißt du|wissen sie)(?: alles)?(?: erzählen)?|hilfe"
        r"|(?:die )?nachrichten"
        r"|was gibt(?: es|s) neues|worüber kannst du (?:reden|sprechen)",
        Intent.REPEAT: r"(?:bitte )?(?:wiederhole|wiederholen sie|wiederhol)(?: das)?|noch ?mal|wie bitte"
        r"|was hast du gesagt"
        r"|sag das noch ?mal",
        Intent.MORE: r"(?:erzähl mir |erzähle mir |sag mir )?mehr(?: davon| dazu)?|weiter|mach weiter|was noch"
        r"|und weiter",
    },
    "nl": {
        Intent.GREETING: r"hallo|hoi|dag|goede(?:morgen|middag|avond)|goeden(?:dag|avond)",
        Intent.THANKS: r"(?:dank je|dank u|bedankt)(?: wel)?|hartelijk dank",
        Intent.GOODBYE: r"tot ziens|doei|tot (?:later|morgen)|welterusten|goedenacht",
        Intent.TIME: r"hoe laat is het(?: nu)?",
        Intent.DATE: r"welke dag is het(?: vandaag)?|wat is de datum(?: van vandaag)?"
        r"|de hoeveelste is het(?: vandaag)?",
        Intent.WHO_ARE_YOU: r"wie (?:ben je|ben jij|bent u)|hoe heet (?:je|u)|stel je voor",
        Intent.TOPICS: r"wat (?:kun je|kunt u|weet je|weet u)(?: allemaal)?(?: vertellen)?|help|(?:het )?nieuws"
        r"|waarover kun je praten",
        Intent.REPEAT: r"herhaal(?: dat)?|nog een keer|nog eens|wat zei je|zeg dat nog eens",
        Intent.MORE: r"(?:vertel (?:me )?)?meer|ga door|ga verder|verder|wat nog meer",
    },
    "it": {
        Intent.GREETING: r"ciao|salve|buon ?giorno|buona ?sera",
        Intent.THANKS: r"grazie(?: mille| tante)?",
        Intent.GOODBYE: r"arrivederci|addio|a (?:presto|domani|dopo)|buona ?notte",
        Intent.TIME: r"che or[ae] (?:è|sono)|(?:mi )?(?:dici|dica) l ora",
        Intent.DATE: r"che giorno è(?: oggi)?|qual è la data(?: di oggi)?|quanti ne abbiamo(?: oggi)?",
        Intent.WHO_ARE_YOU: r"chi (?:sei|è lei)|come (?:ti chiami|si chiama)|presentati",
        Intent.TOPICS: r"(?:che )?cosa (?:sai|puoi)(?: fare| raccontare| dire)?|aiuto|(?:le )?notizie"
        r"|che (?:cosa )?c è di nuovo"
        r"|di che cosa puoi parlare",
        Intent.REPEAT: r"ripeti|ripeta|ancora una volta|di nuovo|puoi ripetere|che cosa hai detto|come hai detto",
        Intent.MORE: r"(?:dimmi |raccontami )?(?:di più|altro|ancora)|continua|vai avanti|che altro",
    },
}
_COMPILED = {
    language: {intent: re.compile(unicodedata.normalize("NFC", pattern)) for intent, pattern in rules.items()}
    for language, rules in _RULES.items()
}
_OPENINGS = {
    language: re.compile(rf"(?:({rules[Intent.GREETING]})|({rules[Intent.THANKS]}))(?: |$)")
    for language, rules in _RULES.items()
}
_COURTESIES = {
    "en": {"please", "ok", "okay", "so", "well", "um", "uh", "and", "anchor"},
    "es": {"por", "favor", "bueno", "y"},
    "fr": {"svp", "alors", "et"},
    "pt": {"por", "favor", "bem", "e"},
    "hi": {"कृपया", "अच्छा", "तो"},
    "de": {"bitte", "also", "und", "ok"},
    "nl": {"alstublieft", "alsjeblieft", "en", "oké"},
    "it": {"per", "favore", "allora", "e"},
}


def detect_intent(text: str, language: str, name: str) -> Intent | None:
    """Return the intent of `text`, said to an anchor called `name`; None for a question about a topic."""
    language = language if language in _RULES else "en"
    skipped = _COURTESIES[language] | set(split_words(name))
    remainder = _strip_courtesies(list(split_words(text)), skipped)
    opening = None
    while match := _OPENINGS[language].match(remainder):
        opening = Intent.GREETING if match[1] else Intent.THANKS
        remainder = _strip_courtesies(remainder[match.end() :].split(), skipped)
    if not remainder:
        return opening
    return next((intent for intent, pattern in _COMPILED[language].items() if pattern.fullmatch(remainder)), None)


def _strip_courtesies(spoken: list[str], skipped: set[str]) -> str:
    """Join the words without leading and trailing `skipped` ones."""
    while spoken and spoken[0] in skipped:
        spoken = spoken[1:]
    while spoken and spoken[-1] in skipped:
        spoken = spoken[:-1]
    return " ".join(spoken)
