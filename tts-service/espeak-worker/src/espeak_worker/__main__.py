"""The worker's process."""

from espeak_worker.worker import main

main()
