import { expect, test } from "vitest";
import { captionLines, type CaptionMessage, updateCaptions } from "../src/caption_lines";

const ASKED: CaptionMessage = {
  type: "caption",
  turn_id: 1,
  user_text: "how long does it take",
  user_language: "en",
  user_final: true,
  speaker: "",
  reply_text: "",
  reply_language: "",
  spoken_chars: 0,
  over: false,
  removed: false,
};
const REPLY = "Twenty minutes. It leaves at six.";
const ANSWERED: CaptionMessage = { ...ASKED, speaker: "Nora", reply_text: REPLY, reply_language: "en" };

const texts = (...captions: CaptionMessage[]) => captionLines(captions).map(({ kind, text }) => [kind, text]);

test.each([
  ["the question, until the reply sounds", [ANSWERED], [["user", "how long does it take"]]],
  ["the words that have sounded", [{ ...ANSWERED, spoken_chars: 6 }], [["anchor", "Twenty"]]],
  ["the sentence that sounds, not the one before", [{ ...ANSWERED, spoken_chars: 25 }], [["anchor", "It leaves"]]],
  [
    "who speaks over a reply, below it",
    [
      { ...ANSWERED, spoken_chars: 6 },
      { ...ASKED, turn_id: 2, user_text: "and now" },
    ],
    [
      ["anchor", "Twenty"],
      ["user", "and now"],
    ],
  ],
  [
    "the next question instead of the reply before",
    [
      { ...ANSWERED, spoken_chars: 33, over: true },
      { ...ASKED, turn_id: 2, user_text: "and now" },
    ],
    [["user", "and now"]],
  ],
  [
    "a reply that is over, until something follows",
    [{ ...ANSWERED, spoken_chars: 33, over: true }],
    [["anchor", "It leaves at six."]],
  ],
  ["nothing", [], []],
])("the page shows %s", (_, captions, lines) => {
  expect(texts(...captions)).toEqual(lines);
});

test("a caption replaces the one before of its turn, and one that was removed is gone", () => {
  const shown = [1, 2, 3, 4].reduce<CaptionMessage[]>(
    (before, id) => updateCaptions(before, { ...ASKED, turn_id: id }),
    [],
  );
  expect(shown.map(({ turn_id: id }) => id)).toEqual([2, 3, 4]);
  const changed = updateCaptions(shown, { ...ANSWERED, turn_id: 3 });
  expect(changed.map(({ speaker }) => speaker)).toEqual(["", "Nora", ""]);
  expect(updateCaptions(changed, { ...ASKED, turn_id: 4, removed: true }).map(({ turn_id: id }) => id)).toEqual([2, 3]);
});

test("characters outside the basic plane count as one character", () => {
  expect(texts({ ...ANSWERED, reply_text: "🎙🎙 on", spoken_chars: 2 })).toEqual([["anchor", "🎙🎙"]]);
});
