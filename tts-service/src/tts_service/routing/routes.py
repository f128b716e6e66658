"""Routing plan: which engine speaks which language. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from service_kit.errors import InvalidRequest
from service_kit.settings import Profile

from tts_service.engine import Voice
from tts_service.routing.kokoro_use import ENGINE as KOKORO
from tts_service.routing.kokoro_use import kokoro_languages
from tts_service.settings import TtsSettings
from tts_service.voices.catalogue import qualify_voice

# ISO 639-1, without extinct languages.
_CODES = """
    aa ab af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cs cv cy da de dv dz ee el en eo es et
    eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ig ii ik io is it iu ja jv ka kg ki
    kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl
    nn no nr nv ny oc oj om or os pa pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv
    sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"""
_LANGUAGES = frozenset(_CODES.split())


@dataclass(frozen=True, slots=True)
class RoutingPlan:
    """The engines of one service: `routes` by language, `main` for all other languages, then `fallbacks` in order."""

    main: str
    routes: Mapping[str, str] = field(default_factory=dict[str, str])
    fallbacks: tuple[str, ...] = ()

    @property
    def engines(self) -> tuple[str, ...]:
        """All engine names, without duplicates."""
        return tuple(dict.fromkeys((self.main, *self.routes.values(), *self.fallbacks)))

    def engine_order(self, language: str, chosen: str = "") -> tuple[str, ...]:
        """The engines for `language`, first choice first; the engine of a `chosen` voice comes before all."""
        names = (chosen, self.routes.get(language, ""), self.main, *self.fallbacks)
        return tuple(name for name in dict.fromkeys(names) if name in self.engines)


# The engines of each profile. The last fallback is part of every installation; the others may need a setup step.
# In `embedded`, `kokoro` takes those of its languages for which the machine is fast enough.
PROFILES: Mapping[Profile, RoutingPlan] = {
    "embedded": RoutingPlan("espeak", {"en": "hibari"}),
    "cpu": RoutingPlan("pocket-tts", {"hi": "piper"}, ("espeak",)),
    # The authors of higgs list en, de, zh and ko; its Spanish is not evaluated.
    "gpu": RoutingPlan("higgs", {"hi": "piper", "es": "pocket-tts"}, ("pocket-tts", "espeak")),
}
# The engine of `ANCHOR_MODELS=minimal`.
MINIMAL = RoutingPlan("espeak")


def build_plan(settings: TtsSettings, registered: Collection[str]) -> RoutingPlan:
    """Build the plan of the settings, or of the profile where the settings name no main engine.

    Routes and fallbacks in the settings replace those of the profile. Raises `InvalidRequest` for unknown names.
    """
    plan = RoutingPlan(settings.engine) if settings.engine else _profile_plan(settings)
    plan = replace(
        plan,
        routes=settings.routes or plan.routes,
        fallbacks=settings.fallback_engines or plan.fallbacks,
    )
    for language in plan.routes:
        if language not in _LANGUAGES:
            raise InvalidRequest("tts.unknown_language", f"TTS_ROUTES: {language!r} is not an ISO 639-1 language code")
    for name in plan.engines:
        if name not in registered:
            known = ", ".join(sorted(registered))
            raise InvalidRequest("engine.unknown", f"unknown engine {name!r}; known engines: {known}")
    return plan


def _profile_plan(settings: TtsSettings) -> RoutingPlan:
    plan = PROFILES[settings.profile]
    if settings.profile != "embedded":
        return plan
    if settings.models == "minimal":
        return MINIMAL
    return replace(plan, routes={**plan.routes, **dict.fromkeys(kokoro_languages(settings), KOKORO)})


def merge_voices(plan: RoutingPlan, voices: Mapping[str, Sequence[Voice]]) -> list[Voice]:
    """The voices of all engines, with qualified ids; a language's first voice belongs to its leading engine.

    A voice that comes before the leading engine's voices, because of another of its languages, is not listed for the
    language.
    """
    languages = dict.fromkeys(language for known in voices.values() for language in _languages(known))
    leaders = {language: _leading_engine(plan, voices, language) for language in (*plan.routes, *languages)}
    routed = [
        (leaders[language], voice)
        for language in plan.routes
        for voice in voices.get(leaders[language], ())
        if language in voice.languages
    ]
    unrouted = [(engine, voice) for engine in plan.engines for voice in voices.get(engine, ())]
    listed: list[Voice] = []
    # Languages whose leading engine has a voice in the list.
    covered: set[str] = set()
    for engine, voice in dict.fromkeys((*routed, *unrouted)):
        codes = tuple(code for code in voice.languages if code in covered or leaders[code] == engine)
        covered.update(codes)
        if codes:
            listed.append(replace(qualify_voice(voice, engine), languages=codes))
    return listed


def _languages(voices: Sequence[Voice]) -> Iterator[str]:
    return (language for voice in voices for language in voice.languages)


def _leading_engine(plan: RoutingPlan, voices: Mapping[str, Sequence[Voice]], language: str) -> str:
    """The first engine in the order of `language` that has a voice for it, else any engine that has one."""
    candidates = (*plan.engine_order(language), *plan.engines)
    return next((engine for engine in candidates if language in _languages(voices.get(engine, ()))), "")
