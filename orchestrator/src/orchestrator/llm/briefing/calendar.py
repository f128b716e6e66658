"""Spoken times and dates in each language of the briefing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class _Calendar:
    """Weekday names from Monday on, month names, and the spoken format of a date."""

    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    date: str


def _calendar(weekdays: str, months: str, date: str) -> _Calendar:
    return _Calendar(tuple(weekdays.split()), tuple(months.split()), date)


_CALENDARS = {
    "en": _calendar(
        "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
        "January February March April May June July August September October November December",
        "{weekday}, {month} {ordinal}",
    ),
    "es": _calendar(
        "lunes martes miércoles jueves viernes sábado domingo",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "{weekday}, {day} de {month}",
    ),
    "fr": _calendar(
        "lundi mardi mercredi jeudi vendredi samedi dimanche",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "{weekday} {day} {month}",
    ),
    "pt": _calendar(
        "segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "{weekday}, {day} de {month}",
    ),
    "hi": _calendar(
        "सोमवार मंगलवार बुधवार गुरुवार शुक्रवार शनिवार रविवार",
        "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
        "{weekday}, {day} {month}",
    ),
    "de": _calendar(
        "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "{weekday}, der {day}. {month}",
    ),
    "nl": _calendar(
        "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
        "januari februari maart april mei juni juli augustus september oktober november december",
        "{weekday} {day} {month}",
    ),
    "it": _calendar(
        "lunedì martedì mercoledì giovedì venerdì sabato domenica",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "{weekday} {day} {month}",
    ),
}


def spoken_time(now: datetime, language: str) -> str:
    """Format the time of day, such as "4:05 PM" or "16 Uhr 5"; in English for an unknown language."""
    if language == "de":
        return f"{now.hour} Uhr {now.minute}" if now.minute else f"{now.hour} Uhr"
    if language in _CALENDARS and language != "en":
        return f"{now.hour}:{now.minute:02}"
    return f"{now.hour % 12 or 12}:{now.minute:02} {'AM' if now.hour < 12 else 'PM'}"


def spoken_date(now: datetime, language: str) -> str:
    """Format weekday, day and month; in English for an unknown language."""
    calendar = _CALENDARS.get(language, _CALENDARS["en"])
    return calendar.date.format(
        weekday=calendar.weekdays[now.weekday()],
        month=calendar.months[now.month - 1],
        day=now.day,
        ordinal=_ordinal(now.day),
    )


def _ordinal(day: int) -> str:
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"
