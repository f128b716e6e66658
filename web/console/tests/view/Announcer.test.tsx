// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { Announcer } from "../../src/view/Announcer";
import * as script from "../script";
import { OPEN, play, playFrom } from "../script";
import { rendered } from "./rendered";

test("screen readers get finished turns only", () => {
  const unfinished = play(
    OPEN,
    script.partialTranscript(1, "hel"),
    script.replyStarted(1),
    script.replyText(1, "Good."),
  );
  expect(rendered(<Announcer conversation={unfinished} phase="thinking" />).textContent).toBe("");
  const finished = playFrom(
    unfinished,
    script.turnCommitted(1, "hello"),
    script.replyFinished(1, { heardText: "Good.", heardMs: 900 }),
  );
  expect(rendered(<Announcer conversation={finished} phase="idle" />).textContent).toBe("You: helloAnchor: Good.Ready");
});
