"""The nine steps, in their order."""

from __future__ import annotations

from anchor_cli.verification.runner import Step, StepName
from anchor_cli.verification.steps.files import verify_files
from anchor_cli.verification.steps.language_model import verify_language_model
from anchor_cli.verification.steps.machine import verify_machine
from anchor_cli.verification.steps.memory import verify_memory
from anchor_cli.verification.steps.recognition import verify_recognition
from anchor_cli.verification.steps.report import verify_report
from anchor_cli.verification.steps.round_trip import verify_round_trip
from anchor_cli.verification.steps.together import verify_together
from anchor_cli.verification.steps.voice import verify_voice

STEPS = (
    Step(
        StepName.MACHINE,
        "driver, memory, disks, and containers that see the card",
        (),
        "Run `anchor doctor`, which names what the machine lacks.",
        verify_machine,
    ),
    Step(
        StepName.FILES,
        "the models: fetched, whole, and what their names say",
        (),
        "Run `anchor pull gpu` and see what it reports.",
        verify_files,
    ),
    Step(
        StepName.VOICE,
        "the voice alone on the card",
        (StepName.MACHINE, StepName.FILES),
        "Read run/verify/voice_check.log; `make verify-gpu` installs the environment with torch.",
        verify_voice,
    ),
    Step(
        StepName.LANGUAGE_MODEL,
        "the language model alone on the card",
        (StepName.MACHINE,),
        "Read `docker compose logs ollama-gpu`.",
        verify_language_model,
    ),
    Step(
        StepName.RECOGNITION,
        "recognition, beside voice and language model",
        (StepName.MACHINE, StepName.FILES),
        "Read `docker compose logs voxtral stt-service`.",
        verify_recognition,
    ),
    Step(
        StepName.ROUND_TRIP,
        "spoken sentences, recognised",
        (StepName.VOICE, StepName.RECOGNITION),
        "Read `docker compose logs tts-service stt-service`.",
        verify_round_trip,
    ),
    Step(
        StepName.TOGETHER,
        "a turn of the whole mesh, then everything at once",
        (StepName.VOICE, StepName.LANGUAGE_MODEL, StepName.RECOGNITION),
        "Read `docker compose logs`, and run `docker compose ps` to see which container is unhealthy.",
        verify_together,
    ),
    Step(
        StepName.MEMORY,
        "the memory table, parking, and ten minutes of turns",
        (StepName.TOGETHER,),
        "Read `docker compose logs gpu-monitor orchestrator`.",
        verify_memory,
    ),
    Step(StepName.REPORT, "the report on one page", (), "Check that the folder run can be written.", verify_report),
)
