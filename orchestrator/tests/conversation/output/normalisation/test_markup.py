"""Markdown, HTML, links, code, tables, citations and pictographs become plain sentences."""

from __future__ import annotations

import pytest
from orchestrator.conversation.output.normalisation.normaliser import normalise_text

CODE = "Some code."
LONG = "https://example.org/" + "a1b2-" * 400


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("plain text, 3.5 °C & 10 €", "plain text, 3.5 °C & 10 euros"),
        ("**bold** and *soft* and `code` and ~~gone~~", "bold and soft and code and gone"),
        ("snake_case and _it_ and __b__", "snake case and it and b"),
        ("# Title\n- one\n* two\n> three\n1. four", "Title\none\ntwo\nthree\n1. four"),
        ("- [x] done\n- [ ] open", "done\nopen"),
        ("One\n---\nTwo\n***\nThree", "One\nTwo\nThree"),
        ("\\*not\\* bold", "*not* bold"),
        # Links and addresses.
        ("See https://example.org/search?q=ferry+times&lang=en today.", "See example.org today."),
        (f"See [the timetable]({LONG}) now, {LONG}. Bye.", "See the timetable now, example.org. Bye."),
        ("[a](https://e.org/x_(y)) and [b][ref] and <https://www.e.org/x>", "a and b and e.org"),
        ('[it](/x "its title"), ![a map](map.png)', "it, a map"),
        ("see https://www.example.com/a/b.html?x=1.", "see example.com."),
        ("(www.example.com/a)", "(example.com)"),
        ("https://user:password@host.org:8080/x!", "host.org!"),
        ("Read example.org/x/y?z=1, then 24/7 and/or km/h.", "Read example.org, then 24/7 and/or km/h."),
        ("[ref]: https://example.org/x\nDone.", "Done."),
        # Citations.
        ("So it is [1], twice [2][3].[^4]", "So it is, twice."),
        ("It is so 【4†source】.", "It is so."),
        ("[Anna] said [so].", "[Anna] said [so]."),
        # Tables.
        ("| City | Rain |\n|---|:-:|\n| Rome | 2 |\n\nEnd.", "City, Rain\nRome, 2\n\nEnd."),
        # HTML.
        ("one<br>two&nbsp;&amp; <b>three</b>", "one\ntwo & three"),
        ('<p class="x">Hi</p><a href="https://e.org">there</a>', "Hi\nthere"),
        (f'<img src="data:{LONG}" alt="">Hi', "Hi"),
        ("<script>alert(1)</script>Hi<!-- no -->!", "Hi!"),
        ("a < b, R&D, AT&T &unknown;", "a is less than b, R&D, AT&T &unknown;"),
        # Pictographs and control characters.
        ("sun ☀️ and 👩‍🚀!", "sun and!"),
        ("one 1️⃣ and 🇩🇪", "one 1 and"),
        ("क्‍ष", "क्‍ष"),
        ("a\x00b\x07c\u200b", "a b c"),
        ("🎉", ""),
        ("", ""),
        # The tag of a voice is for the engine that knows it.
        ("[SPEAKER1] Hi.", "[SPEAKER1] Hi."),
    ],
)
def test_markup_is_read_as_a_person_reads_it(written: str, spoken: str) -> None:
    assert normalise_text(written, "en", CODE) == spoken


@pytest.mark.parametrize(
    "block",
    [
        "```python\nfor x in range(3):\n    print(x)\n```",
        "````\n```\nx\n```\n````",
        "~~~\nx\n~~~",
        "<pre><code>x = 1</code></pre>",
        '<pre class="x">x</pre>',
    ],
)
def test_a_block_of_code_is_named_or_left_out_by_choice(block: str) -> None:
    written = f"Try this:\n{block}\nThen stop."
    assert normalise_text(written, "en", CODE).split("\n") == ["Try this:", "", CODE, "Then stop."] or (
        normalise_text(written, "en", CODE).split() == ["Try", "this:", "Some", "code.", "Then", "stop."]
    )
    assert normalise_text(written, "en", "").split() == ["Try", "this:", "Then", "stop."]


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        (r"So \(x^2 = 4\).", "So x squared equals 4."),
        (r"\[\frac{1}{2} \times 8 = 4\]", "1 divided by 2 times 8 equals 4"),
        ("$$a + b = c$$", "a plus b equals c"),
        (r"With $\sqrt{9} = 3$ it is.", "With square root of 9 equals 3 it is."),
        (r"\boxed{42}", "42"),
        ("I paid $5 and $6.", "I paid 5 dollars and 6 dollars."),
    ],
)
def test_formulae_are_read_aloud(written: str, spoken: str) -> None:
    assert normalise_text(written, "en") == spoken
