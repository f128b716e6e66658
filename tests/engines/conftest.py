"""Real engine code on tiny random weights: what they say is noise, how they say it is what counts.

`make test-engines` runs these in an environment of their own. Nothing is fetched from a model hub.
"""

from __future__ import annotations

import os

# Read by the libraries when they are imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
# Tiny matrices are slower on many threads: 60 s instead of 4 on two shared cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
