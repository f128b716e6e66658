"""Runs the stt-service."""

from service_kit.service import main

from stt_service.app import build

main(build)
