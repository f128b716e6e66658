// @vitest-environment happy-dom
import { expect, test } from "vitest";
import type { Conversation } from "../../src/conversation_state";
import { LatencyCard } from "../../src/view/LatencyCard";
import * as script from "../script";
import { play, playFrom, SPEAKING } from "../script";
import { rendered } from "./rendered";

const heard = (turnId: number, firstSampleHeardMs: number) => ({
  case: "latencyWaterfall" as const,
  value: script.latencyWaterfall({ turnId, firstFrameSentMs: firstSampleHeardMs - 80, firstSampleHeardMs }),
});
const last = (conversation: Conversation): string | null | undefined =>
  rendered(<LatencyCard conversation={conversation} />).querySelector(".figures dd")?.textContent;

test("the figures of a reply are shown while it plays", () => {
  const playing = play(...SPEAKING, script.playback(1, 100), heard(1, 640));
  expect(playing.anchor).toBe("speaking");
  expect(last(playing)).toBe("640 ms");
  expect(document.querySelectorAll(".waterfall")).toHaveLength(1);
});

test("the figures of an older turn are not shown as the newest turn's", () => {
  const before = play(...SPEAKING, heard(1, 640));
  const asked = playFrom(before, script.turnCommitted(2, "and now"));
  expect(last(asked)).toBe("–");
  expect(document.querySelector(".waterfall")).toBeNull();
  // What is said by the way ("mhm") and never committed leaves the figures.
  expect(last(playFrom(before, script.partialTranscript(2, "mhm")))).toBe("640 ms");
  expect(last(playFrom(asked, script.replyStarted(2), heard(2, 410)))).toBe("410 ms");
});

test("p50 and p95 are those of turns of the newest one's kind, and the table has each kind apart", () => {
  const spoken = (turnId: number, firstSampleHeardMs: number) => ({
    case: "latencyWaterfall" as const,
    value: script.latencyWaterfall({ turnId, speechEndMs: 900, turnCommittedMs: 400, firstSampleHeardMs }),
  });
  const conversation = play(
    spoken(1, 1300),
    heard(2, 160),
    script.replyStarted(3, "phrase"),
    spoken(3, 500),
    spoken(4, 700),
    spoken(5, 900),
  );
  const page = rendered(<LatencyCard conversation={conversation} />);
  const figures = [...page.querySelectorAll(".figures dd")].map(({ textContent }) => textContent);
  expect(figures).toEqual(["900 ms", "900 ms", "1.30 s"]);
  expect(page.querySelector(".figures-of")?.textContent).toBe("Spoken: 3 turns");
  const rows = [...page.querySelectorAll(".latency-table tr")].map((row) =>
    [...row.children].map(({ textContent }) => textContent),
  );
  expect(rows).toEqual([
    ["", "Spoken", "Written", "Fixed phrase"],
    ["turns", "3", "1", "1"],
    ["p50", "900 ms", "160 ms", "500 ms"],
    ["p95", "1.30 s", "160 ms", "500 ms"],
    ["turn over", "400 ms", "–", "400 ms"],
    ["sent", "–", "80 ms", "–"],
    ["heard", "900 ms", "160 ms", "500 ms"],
  ]);
});
