"""Stop words of each language, and the extraction of a text's topic words."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_STOP_WORDS = {
    "en": """a about again ago all almost already alright also am an and another any anything are around as ask at away
        back be because been before being but by call can cannot come coming could d day did different do
        does doing don done down each eight either else ever every everything far few find first five for
        four from get give go goes going gonna good got had half happen happened happening happens has have
        having he hello help her here hers hey hi him his how hundred i if in into is isn it its just keep
        kind know last latest let like little living ll long look looking lot m make man many may maybe me
        mean might mind mine mister more most mr much must my need never new news next nice nine no nor not
        nothing now o of off oh ok okay old on once one only onto or other our out over own please pretty
        probably put quite re real really right s said same say saying see seven she should show since six
        so some somebody someone something soon sounds still such sure t take talk tell ten than thank
        thanks that the their them then there these they thing things think this those though thought
        thousand three through time times to today tonight too turn two uh um under until up upon us use used
        using ve very want wants was way we well went were what when where which while who whom whose why
        will wish with without would wrong yeah yes yesterday yet you your yours yourself zero""",
    "es": """a al algo algún alguna ante antes aquí así aún con contra cómo como cual cuál cuando cuándo cuánto cuánta
        de decir del desde dime donde dónde e el ella ellas ellos en entre era es esa ese eso esta está están
        estar este esto estos favor fue ha hacer hará hay he hola la las le les lo los me mi mis mucho muy
        más nada ni no nos o otra otro para pero poco por porque puede puedo que qué quien quién quiero
        saber se ser si sí sin sobre son soy su sus también te tengo ti tiene todo tu tus tú un una uno unos
        va vas y ya yo""",
    "fr": """a ai ainsi alors as au aucun aura aussi autre aux avec avez avoir bien bonjour c ce cela ces cet cette ceux
        chez comme comment d dans de des dire dis dit donc du elle elles en entre es est et eu fait fera
        faire faut ici il ils j je l la le les leur leurs lui m ma mais me mes moi mon n ne ni non nos notre
        nous on ont ou où par parle pas peu peut peux plus pour pourquoi qu quand que quel quelle quelles
        quels qui quoi s sa sais sans se ses si son sont sous suis sur t ta te tes toi ton tous tout toute
        tu un une va vais veux vos votre vous y""",
    "pt": """a ao aos aquela aquele aqui as até bem com como da das de dela dele depois desde diga dizer do dos e ela
        elas ele eles em entre era essa esse esta estar está estou eu fala falar favor foi há isso isto já
        lhe mais mas me meu minha muito na nada nas nem no nos nossa nosso não num numa o olá onde os ou
        para pela pelo por porque posso pode preciso qual quais quando quanto que quem quero saber se ser
        será seu seus sim sobre sou sua suas também te tem tenho ter teu tua tudo um uma umas uns vai vão
        você vocês à às é""",
    "hi": """अगर अब अपना अपनी अपने आज आप आपका आपकी आपके इन इस इसका इसकी इसके उन उस उसका उसकी उसके एक और कब कर करना करने
        करता करती करते कल का कि कितना कितनी कितने किस की कुछ कृपया के कैसा कैसी कैसे को कौन क्या क्यों गया
        गई गए चाहिए जब जाए जो तक तब तुम तुम्हारा तो था थी थे दो नहीं ने पर फिर बता बताइए बताओ बताएँ बारे
        बहुत भी मुझे मुझको में मेरा मेरी मेरे मैं यदि यह यहाँ या ये रहा रही रहे रहेगा रहेगी लिए वह वहाँ वे
        सब से हम हमारा ही हुआ हुई हुए हूँ है हैं हो होगा होगी होता होती होते नमस्ते""",
    "de": """aber alle alles als also am an auch auf aus bei bin bis bist bitte da dann das dass dein deine dem den denn
        der des dich die dies diese dieser dieses dir doch du ein eine einem einen einer eines er erzähl
        erzähle es etwas euch für gegen gibt hab habe haben hallo hast hat heute hier ich ihm ihn ihnen ihr
        ihre im in ist ja jetzt kann kannst kein keine können könnte mal man mehr mein meine mich mir mit
        morgen muss nach nein nicht nichts noch nun nur ob oder sag sage sagen sehr sein seine sich sie sind
        so soll sollte über um und uns unser unter viel vom von vor wann war warum was weil welche welcher
        welches wenn wer werden wie wieder will wir wird wissen wo wozu wurde zu zum zur""",
    "nl": """aan al alle alles als alstublieft ben bent bij dan dat de deze die dit doe doen door dus een eens en er et
        ga gaan gaat geen goed had hallo heb hebben heeft heel het hier hij hoe hun iets ik in is ja jij jou
        jouw je jullie kan kun kunnen maar me meer men met mij mijn moet na naar nee niet niets nog nu of om
        omdat onder ons onze ook op over te toch tot u uit uw van vandaag vanuit veel vertel voor waar
        waarom wanneer was wat we weer welk welke weten wel werd wie wij wil worden wordt zal ze zeg zeggen
        zei zich zij zijn zo zou""",
    "it": """a ad ai al alla alle allo anche ancora avere c che chi ci ciao come con cosa cui d da dai dal dalla dalle
        dei del della delle dello di dice dimmi dire dove e ed era essere fa fare farà favore fra gli ha hai
        hanno ho i il in io l la le lei li lo loro lui ma me mi mia mio molto ne nei nel nella nelle nello
        no noi non nostra nostro o oggi ogni per perché perfavore più poco posso puoi può qual quale quali
        quando quanto quel quella quello questa questo qui s sa sai se sei si sia sono sta stai su sua sul
        sulla suo tra tu tua tuo tutto un una uno va vi voglio voi è""",
}
STOP_WORDS = {
    language: frozenset(unicodedata.normalize("NFC", listed).split()) for language, listed in _STOP_WORDS.items()
}


def split_words(text: str) -> Iterator[str]:
    """Split a text into lowercase NFC words. Combining vowel signs count as letters, which Hindi needs."""
    composed = unicodedata.normalize("NFC", text.lower())
    kept = (char if unicodedata.category(char)[0] in "LMN" else " " for char in composed)
    return iter("".join(kept).split())


def topic_words(text: str, language: str) -> tuple[str, ...]:
    """Return the distinct words of a text that are not stop words, in order."""
    stop_words = STOP_WORDS.get(language, frozenset())
    return tuple(dict.fromkeys(word for word in split_words(text) if word not in stop_words))
