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

const closeButtons = () => [...document.querySelectorAll<HTMLButtonElement>("[aria-label='Close this notice']")];
const frame = () => new Promise((done) => setTimeout(done, 20));

test("a closed notice stays away until its cause has ended and returned", async () => {
  notices(both);
  closeButtons()[0]?.click();
  await frame();
  expect(notices(both)).toEqual(["a smaller voice speaks"]);
  const ended = playFrom(both, script.serviceNotice("stt.unavailable", false));
  notices(ended);
  await frame();
  expect(notices(playFrom(ended, script.serviceNotice("stt.unavailable", true, "stt: gone")))).toHaveLength(2);
});

test("the last error can be closed", () => {
  const dismissed: string[] = [];
  const closing = { soundSupport: "ready", dismissNotice: () => dismissed.push("once") };
  const state = play(script.error("x.y", "something"));
  const page = rendered(<Notices store={closing as unknown as ConsoleStore} conversation={state} />);
  expect(page.querySelector("[role=alert]")?.textContent).toBe("something");
  closeButtons()[0]?.click();
  expect(dismissed).toEqual(["once"]);
});

const GERMAN = [
  script.systemStatus({ services: [{ service: "stt-service", engine: "pocketsphinx", languages: ["en"] }] }),
  { case: "sessionUpdated", value: { language: "de", voice: "", persona: "anchor", patience: 1 } },
] as const;
const texts = (state: Conversation) => {
  const page = rendered(<Notices store={store} conversation={state} />);
  return [...page.querySelectorAll(".notice-closable p")].map(({ textContent }) => textContent);
};

test("a language that cannot be heard is told as long as it is chosen, once", () => {
  const chosen = playFrom(both, ...GERMAN);
  expect(texts(chosen)[0]).toMatch(/^Deutsch works in writing only: speech is understood here in English\./);
  const refused = playFrom(chosen, script.error("stt.language_unsupported", "en-us does not support 'de'"));
  const written = playFrom(refused, script.turnCommitted(1, "hallo"));
  expect(texts(refused)).toEqual(texts(chosen));
  expect(texts(written)).toEqual(texts(chosen));
  const english = playFrom(refused, {
    case: "sessionUpdated",
    value: { language: "en", voice: "", persona: "anchor", patience: 1 },
  });
  expect(texts(english)).toHaveLength(2);
  expect(english.notice).toBe("");
});
