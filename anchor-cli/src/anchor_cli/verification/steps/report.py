"""Step 9: the report on one page."""

from __future__ import annotations

from anchor_cli.verification.outcome import Outcome, require
from anchor_cli.verification.page import render_page
from anchor_cli.verification.workbench import Workbench


async def verify_report(bench: Workbench) -> Outcome:
    """Write the page beside the results; it names what failed, and ends with what only a listener can say."""
    others = [record for name, record in bench.records.items() if name != "report"]
    page = render_page(
        bench.subject,
        others,
        bench.lock_rows,
        bench.sound_name(""),
        rehearsal=bench.equipment.rehearsal,
    )
    bench.page.parent.mkdir(parents=True, exist_ok=True)
    bench.page.write_text(page, "utf-8")
    written = f"{bench.page.name}, {len(page.splitlines())} lines"
    return Outcome((require("page", bool(others), written, "Run the other steps first."),))
