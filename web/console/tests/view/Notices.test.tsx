// @vitest-environment happy-dom
import { expect, test } from "vitest";
import type { Conversation } from "../../src/conversation_state";
import { ConsoleStore } from "../../src/store";
import { Notices } from "../../src/view/Notices";
import * as script from "../script";
import { play, playFrom } from "../script";
import { rendered } from "./rendered";

const store = new ConsoleStore("ws://anchor/ws/audio", { getItem: () => null, setItem: () => undefined }, {});
const notices = (conversation: Conversation) =>
  [
    ...rendered(<Notices store={store} conversation={conversation} />).querySelectorAll("[role=status].notice-service"),
  ].map(({ textContent }) => textContent);
const both = play(
  script.serviceNotice("stt.unavailable", true, "stt: connection refused"),
  script.serviceNotice("memory.small_voice", true, "a smaller voice speaks"),
);

test("active service notices show the console's text, or else the server's message", () => {
  expect(notices(both)).toEqual(["The anchor cannot hear you at the moment. Writing works.", "a smaller voice speaks"]);
});

test("an ended notice leaves the other ones on the page", () => {
  expect(notices(playFrom(both, script.serviceNotice("stt.unavailable", false)))).toEqual(["a smaller voice speaks"]);
});

test("a degradation in the system status and in a notice shows once", () => {
  const degraded = [{ code: "memory.small_voice", message: "a smaller voice speaks" }];
  expect(notices(playFrom(both, script.systemStatus({ degraded })))).toEqual([
    "a smaller voice speaks",
    "The anchor cannot hear you at the moment. Writing works.",
  ]);
});

test("without a connection nothing is known to be impaired", () => {
  const lost = { kind: "connection", connection: { state: "reconnecting", code: "", retryInMs: 300 } } as const;
  expect(notices(playFrom(both, lost))).toEqual([]);
});
