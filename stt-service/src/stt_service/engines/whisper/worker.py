"""The main program of a transcription process: it loads one model and transcribes the clips of its standard input.

It exits at the end of its input. `python -m stt_service.engines.whisper.worker SPEC`, with a `WorkerSpec` as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from stt_service.engines.whisper.worker_spec import WorkerSpec


def main() -> None:
    """Serve on stdin and stdout."""
    # Ctrl-C signals the whole process group; the parent ends this process by closing its stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec = WorkerSpec(**json.loads(sys.argv[1]))
    os.nice(spec.nice)
    # Read by the libraries when they are loaded: with more threads than a clip's they would wait in a spinning loop.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if spec.threads:
        os.environ["OMP_NUM_THREADS"] = str(spec.threads)
    from stt_service.engines.whisper.serving import serve_clips

    # Redirect stdout to stderr: output of a library must not mix with the frames.
    output = os.dup(1)
    os.dup2(2, 1)
    with open(0, "rb") as source, open(output, "wb", buffering=0) as sink:  # noqa: PTH123 - a descriptor
        serve_clips(spec, source, sink)


if __name__ == "__main__":
    main()
