"""Runs the vad-service."""

from service_kit.service import main

from vad_service.app import build

main(build)
