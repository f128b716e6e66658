// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { Announcer } from "../../src/view/Announcer";
import * as script from "../script";
import { play } from "../script";
import { rendered } from "./rendered";

test("screen readers get finished turns only", () => {
  const unfinished = [script.partialTranscript(1, "hel"), script.replyStarted(1), script.replyText(1, "Good evening.")];
  expect(rendered(<Announcer conversation={play(...unfinished)} />).textContent).toBe("");
  const finished = [
    ...unfinished,
    script.turnCommitted(1, "hello"),
    script.replyFinished(1, { heardText: "Good evening.", heardMs: 900 }),
  ];
  expect(rendered(<Announcer conversation={play(...finished)} />).textContent).toBe("You: helloAnchor: Good evening.");
});
