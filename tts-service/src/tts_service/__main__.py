"""Entry point of the tts-service process."""

from service_kit.service import main

from tts_service.app import build

main(build)
