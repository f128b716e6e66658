"""All Prometheus metrics of the orchestrator; `docs/metrics.md` lists them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# Sessions and turns
SEGMENT_CHUNKS_REFUSED = Counter(
    "anchor_segment_audio_refused_total", "Chunks of speech refused because a segment was too long."
)
MICROPHONE_CHUNKS_DROPPED = Counter(
    "anchor_microphone_dropped_chunks_total", "Audio that turn detection was too far behind to hear."
)
STAGE_SECONDS = Histogram(
    "anchor_turn_stage_seconds",
    "Time from the end of the user's speech until a stage of the turn was reached.",
    ["stage"],
    buckets=(0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
)
BARGE_INS = Counter(
    "anchor_barge_ins_total", "Sounds of users over replies, by what they turned out to be.", ["verdict"]
)
OVER_BUDGET = Counter("anchor_turns_over_budget_total", "Turns whose first frame was sent later than MAX_LATENCY_MS.")
SPEECH_WASTED_MS = Histogram(
    "anchor_speech_wasted_ms",
    "Speech of a reply that was made and never heard, in milliseconds.",
    buckets=(0, 250, 500, 1_000, 2_000, 4_000, 6_000, 8_000, 12_000, 20_000),
)
UNDERRUNS = Counter("anchor_playout_underruns_total", "Silences in mid-reply because speech was late.")
UNDERRUN_MS = Counter("anchor_playout_underrun_ms_total", "How long they lasted, in milliseconds.")
TTS_FAILURES = Counter(
    "anchor_voice_failures_total",
    "Voices that broke in mid-reply, by what was tried then: again, another, captions.",
    ["then"],
)
LLM_PREFILLS = Counter(
    "anchor_llm_warmings_total",
    "Prompts read ahead while the user spoke: finished, cut off by the real request, or failed.",
    ["outcome"],
)
SESSIONS_OPEN = Gauge("anchor_sessions_open", "Sessions under way.")
LLM_CIRCUIT_OPEN = Gauge("anchor_llm_given_up", "Whether the main language model is given up for now (1) or asked (0).")
LLM_FAILURES = Counter("anchor_llm_failures_total", "Replies that a language model failed at.", ["engine", "code"])
LLM_FALLBACKS = Counter(
    "anchor_llm_fallbacks_total", "Replies given by another model in the main one's place.", ["engine"]
)
LLM_FIRST_TOKEN_SECONDS = Histogram(
    "anchor_llm_first_token_seconds",
    "From the request to the first token.",
    ["engine"],
    buckets=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30),
)
LLM_REPLIES_CUT_SHORT = Counter(
    "anchor_llm_replies_cut_short_total", "Replies ended for being too long to listen to.", ["engine"]
)
LLM_LOADED = Gauge("anchor_llm_loaded", "Whether the model server holds the language model in memory (1) or not (0).")
LLM_CPU_BYTES = Gauge(
    "anchor_llm_cpu_bytes", "How much of the language model lies in the processor's memory, not the GPU's."
)
MEMORY_STEPS_TAKEN = Gauge("anchor_memory_steps_taken", "Steps that are taken for want of the GPU's memory.")
MEMORY_STEPS = Counter("anchor_memory_steps_total", "Steps for want of the GPU's memory.", ["step", "outcome"])
ENGINE_PARKED = Gauge("anchor_engine_parked", "Whether an engine has given its memory back (1) or not (0).", ["engine"])
ENGINE_MOVES = Counter(
    "anchor_engine_moves_total", "Engines parked and woken, by what came of it.", ["engine", "move", "code"]
)
