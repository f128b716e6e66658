"""Turn-taking policy: endpointing, speculation, barge-in. Pure: no I/O, no clock."""
