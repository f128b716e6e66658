"""Entry point of the worker process."""

from espeak_worker.worker import main

main()
