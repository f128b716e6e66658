"""supervisord, tied to the life of the process that started it: `python -m anchor_cli.mesh.supervised -c FILE`."""

from __future__ import annotations

import sys
import warnings

from supervisor import supervisord

from anchor_cli.mesh.processes import stop_with_parent


def main() -> None:
    """Run supervisord; when the parent dies, however it dies, stop as on SIGTERM."""
    # The supervisor uses what Python deprecates; where warnings are errors, its socket would answer nobody.
    warnings.simplefilter("ignore")
    stop_with_parent(int(sys.argv[1]))
    supervisord.main(sys.argv[2:])


if __name__ == "__main__":
    main()
