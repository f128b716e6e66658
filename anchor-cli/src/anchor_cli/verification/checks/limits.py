"""The limits of `anchor verify-gpu`, each with its source."""

from __future__ import annotations

MIB, GIB = 2**20, 2**30

# --- machine ---
# The least driver is the doctor's: `MIN_DRIVER`, by the CUDA generation of the pinned torch and vLLM.
# Models 36 GB, images 42 GB (docs/full-anchor.md has the sum), the rest to build and unpack.
LEAST_DISK_GB = 100.0

# --- files ---
# 1024 codes, and two for start and end: higgs-audio's configuration.
CODES_PER_BOOK = 1026
# The codec has 0.2 billion weights; larger files in its place are copies of the language model (10 GB).
MOST_CODEC_BYTES = 10**9

# --- voice ---
GREEDY_ROWS = 60
# In bf16, our step and the library's differ from fp32 by 3.45 % each (measured with random weights at full width).
MOST_LOGIT_ERROR = 0.05
# Mean distance of log-mel spectra, in natural logarithms. A codec of 2 kbit/s stays below 1; noise is above 2.
MOST_LOG_MEL_DISTANCE = 1.0
# "The sun rises in the east and sets in the west.": eleven words, at 110 to 260 words a minute.
LEAST_SENTENCE_S, MOST_SENTENCE_S = 2.5, 6.0
# Speech as the playout expects it; below is a whisper, above clips.
LEAST_LEVEL_DBFS, MOST_LEVEL_DBFS = -30.0, -12.0
# The sentence has no pause; `SilenceGuard` ends a phrase after a longer silence.
MOST_SILENCE_S = 1.0
# Windows decoded one by one against one decoding, relative to the rms: 2e-5 in fp32 at full size (measured).
MOST_STREAMED_ERROR = 1e-3
# docs/gpu-performance.md computes the floors from the memory bandwidth; a GPU kernel reaches about 0.6 of it.
MOST_TIMES_FLOOR = 1.6
# Faster than real time.
MOST_REALTIME_FACTOR = 1.0
# Mean HuBERT features of two sentences of one speaker; of two speakers they are below.
LEAST_LIKENESS = 0.9
# The plan's own tolerance: relative, or this many bytes where that is more.
PLAN_TOLERANCE, PLAN_TOLERANCE_BYTES = 0.05, 256 * MIB

# --- language model ---
# A reply is spoken at about 3 words a second, 5 tokens with what is not spoken; twice that leaves room for two.
LEAST_TOKENS_PER_S = 10.0
# Of the latency budget of 2 s (MAX_LATENCY_MS), what recognition and speech leave.
MOST_FIRST_TOKEN_S = 1.0
# Tokens around a message in the chat template.
TEMPLATE_TOKENS = 32
# Of the time that Ollama reports for a prompt, what is no reading: launches, and copying its cache. Reading a history
# of 1500 tokens again takes ten times as long.
PROMPT_OVERHEAD_S = 0.1

# --- recognition ---
MOST_QUESTION_ERRORS = 0.15
# Of the latency budget of 2 s.
MOST_FINAL_S = 1.0
# vLLM frees a cancelled request at its next step; `num_requests_running` follows within a second.
MOST_CANCEL_S = 2.0
# Voxtral's weights in bf16 are 8.7 GiB; sleeping moves them to host memory.
LEAST_FREED_BYTES = 8 * GIB

# --- round trip ---
MOST_MEDIAN_ERRORS, MOST_SENTENCE_ERRORS = 0.10, 0.30

# --- together and memory ---
# Memory in use after waking, against before parking.
MOST_WAKE_DIFFERENCE_BYTES = 256 * MIB
TURNS_S = 600.0
MOST_GROWTH_BYTES = 64 * MIB
