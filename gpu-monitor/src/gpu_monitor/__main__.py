from service_kit.service import main

from gpu_monitor.app import build

main(build)
