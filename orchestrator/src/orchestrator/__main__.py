from service_kit.service import main

from orchestrator.app import build

main(build)
