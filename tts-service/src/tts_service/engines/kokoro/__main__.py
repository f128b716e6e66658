"""Entry point of the worker process; sockets are forbidden before any other code is imported."""

from service_kit.engines.isolation import forbid_sockets

isolated = forbid_sockets()

from tts_service.engines.kokoro.worker import run  # noqa: E402

run(isolated)
