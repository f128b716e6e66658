"""Step 4: the language model alone on the card."""

from __future__ import annotations

from dataclasses import asdict

from anchor_cli.verification.checks.language_model import LanguageModelFigures, Reading, check_language_model
from anchor_cli.verification.clients.ollama_client import ChatResult, Message, chat, find_loaded
from anchor_cli.verification.equipment.equipment import OllamaServer
from anchor_cli.verification.outcome import Outcome
from anchor_cli.verification.workbench import Workbench

_TURNS = 4
_HISTORY_SENTENCES = 120
# About one token for four characters, as Mistral's tokenizer has for English.
_CHARACTERS_PER_TOKEN = 4
_QUESTION = "Say in one sentence what you would like to know about it."


async def verify_language_model(bench: Workbench) -> Outcome:
    """Measure speed, memory and what is read again."""
    async with bench.equipment.language_model() as server:
        warm = await chat(server, [_user("Name five fruits, and say one sentence about each.")], 200)
        cold = await chat(server, _history("north"), 16)
        repeated = await chat(server, _history("north"), 16)
        turns = await _take_turns(server)
        loaded = await find_loaded(server)
    figures = LanguageModelFigures(
        size_bytes=loaded.size_bytes,
        size_vram_bytes=loaded.size_vram_bytes,
        context_tokens=loaded.context_tokens,
        planned_context_tokens=server.context_tokens,
        tokens_per_s=warm.tokens_per_s,
        first_token_s=repeated.first_token_s,
        cold_tokens_per_s=cold.prompt_tokens_per_s,
        repeated=Reading(0, repeated.prompt_s),
        turns=tuple(turns),
    )
    return Outcome(check_language_model(figures), asdict(figures))


async def _take_turns(server: OllamaServer) -> list[Reading]:
    """Two sessions with long histories, in turns; the readings of the turns after each one's first."""
    sessions = {name: _history(name) for name in ("east", "west")}
    readings: list[Reading] = []
    for turn in range(_TURNS):
        for name, messages in sessions.items():
            question = f"Turn {turn} of {name}: {_QUESTION}"
            messages.append(_user(question))
            answer: ChatResult = await chat(server, messages, 16)
            if turn:
                # The last reply and the question are new; generated tokens stand in the cache already.
                readings.append(Reading(len(question) // _CHARACTERS_PER_TOKEN, answer.prompt_s))
            messages.append({"role": "assistant", "content": answer.text or "Yes."})
    return readings


def _history(name: str) -> list[Message]:
    """A long beginning that no other session shares."""
    text = " ".join(f"The {name} gate has {number} stones in its arch." for number in range(_HISTORY_SENTENCES))
    return [{"role": "system", "content": f"You guard the {name} gate. Answer briefly."}, _user(text)]


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
