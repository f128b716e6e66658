// @vitest-environment happy-dom
import { GpuPressure, GpuStatusSchema, ServiceHealth, ServiceStatusSchema } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { type ComponentChild, render } from "preact";
import { afterEach, describe, expect, test } from "vitest";
import { AnchorDesk } from "../src/desk";
import { type Conversation, INITIAL } from "../src/state";
import { Announcer } from "../src/view/Announcer";
import { Captions } from "../src/view/Captions";
import { EnginesPanel } from "../src/view/EnginesPanel";
import { GpuPanel } from "../src/view/GpuPanel";
import { Notices } from "../src/view/Notices";
import { SidePanel } from "../src/view/SidePanel";
import { Waterfall } from "../src/view/Waterfall";
import * as say from "./script";
import { after, following } from "./script";

function drawn(what: ComponentChild): HTMLElement {
  render(what, document.body);
  return document.body;
}

afterEach(() => {
  render(null, document.body);
});

test("the GPU panel shows memory against plan, pressure and temperature", () => {
  const gpu = create(GpuStatusSchema, {
    present: true,
    memoryTotalMib: 24_576,
    memoryUsedMib: 12_288,
    pressure: GpuPressure.HIGH,
    temperatureCelsius: 61,
    services: [
      { service: "stt-service", usedMib: 3072, plannedMib: 2048 },
      { service: "tts-service", usedMib: 1024 },
    ],
  });
  const text = drawn(<GpuPanel gpu={gpu} />).textContent;
  expect(text).toContain("12.0 GiB of 24.0 GiB61 °Cmemory is short");
  expect(text).toContain("stt-service3.0 GiB of 2.0 GiB planned");
  expect(text).toContain("tts-service1.0 GiB");
  expect(document.querySelectorAll(".row-over")).toHaveLength(1);
});

test("the GPU panel says why there is none", () => {
  const gpu = create(GpuStatusSchema, { unavailableReason: "no driver" });
  expect(drawn(<GpuPanel gpu={gpu} />).textContent).toContain("No GPU: no driver");
  expect(drawn(<GpuPanel gpu={null} />).textContent).toContain("No word from the GPU monitor");
});

test("the engines are shown with model and version, and one that is down as down", () => {
  const services = [
    create(ServiceStatusSchema, {
      service: "stt-service",
      health: ServiceHealth.READY,
      engine: "whisper",
      model: "small",
      version: "1.2",
    }),
    create(ServiceStatusSchema, { service: "tts-service", health: ServiceHealth.DOWN }),
  ];
  const page = drawn(<EnginesPanel services={services} answers="ollama" />);
  expect(page.textContent).toContain("stt-servicewhispersmall · 1.2ready");
  expect(page.textContent).toContain("tts-servicedown");
  expect(page.textContent).toContain("ollama");
  expect(page.querySelector(".health-down")).not.toBeNull();
});

test("the waterfall tells its steps to those who do not see it, and marks what came too late", () => {
  const latency = say.waterfall({ turnCommittedMs: 400, firstFrameSentMs: 2400, budgetMs: 2000 });
  const svg = drawn(<Waterfall latency={latency} />).querySelector("svg");
  expect(svg?.getAttribute("aria-label")).toBe(
    "After the end of speech: turn over 400 ms, sent 2.40 s. Budget 2.00 s.",
  );
  expect(document.querySelectorAll(".stage-late")).toHaveLength(1);
});

test("the monitor shows the last, the median and the slow answers", () => {
  const timed = [400, 600, 2600].map((firstFrameSentMs, index) => ({
    case: "latencyWaterfall" as const,
    value: say.waterfall({ turnId: index + 1, firstFrameSentMs, budgetMs: 2000 }),
  }));
  const figures = drawn(<SidePanel conversation={after(...timed)} onClose={() => undefined} />).querySelectorAll("dd");
  expect([...figures].map(({ textContent }) => textContent)).toEqual(["2.60 s", "600 ms", "2.60 s"]);
});

test("captions part what was heard from what was cut off", () => {
  const state = after(
    say.committed(1, "hello"),
    say.replying(1),
    say.words(1, "Good evening."),
    say.finished(1, { heardText: "Good", heardMs: 300, interrupted: true }),
  );
  const page = drawn(<Captions conversation={state} mode="open" />);
  expect(page.querySelector(".heard")?.textContent).toBe("Good");
  expect(page.querySelector("s")?.textContent).toBe(" evening.");
});

test("before the first turn the page says what to do", () => {
  expect(drawn(<Captions conversation={INITIAL} mode="open" />).textContent).toContain("Press the button and speak");
  expect(drawn(<Captions conversation={INITIAL} mode="push" />).textContent).toContain("Hold the button");
});

test("a screen reader is told settled words only", () => {
  const script = [say.partial(1, "hel"), say.replying(1), say.words(1, "Good evening.")];
  expect(drawn(<Announcer conversation={after(...script)} />).textContent).toBe("");
  const whole = [...script, say.committed(1, "hello"), say.finished(1, { heardText: "Good evening.", heardMs: 900 })];
  expect(drawn(<Announcer conversation={after(...whole)} />).textContent).toBe("You: helloAnchor: Good evening.");
});

describe("active service notices", () => {
  const desk = new AnchorDesk("ws://anchor/ws/audio", { getItem: () => null, setItem: () => undefined }, {});
  const notices = (conversation: Conversation) =>
    [
      ...drawn(<Notices desk={desk} conversation={conversation} />).querySelectorAll("[role=status].notice-service"),
    ].map(({ textContent }) => textContent);
  const both = after(
    say.serviceNotice("stt.unavailable", true, "stt: connection refused"),
    say.serviceNotice("memory.small_voice", true, "a smaller voice speaks"),
  );

  test("show in plain words, or in the server's where there are none plainer", () => {
    expect(notices(both)).toEqual([
      "The anchor cannot hear you at the moment. Writing works.",
      "a smaller voice speaks",
    ]);
  });

  test("stay on the page when another one ends", () => {
    expect(notices(following(both, say.serviceNotice("stt.unavailable", false)))).toEqual(["a smaller voice speaks"]);
  });

  test("show once when the system status lists them too", () => {
    const degraded = [{ code: "memory.small_voice", message: "a smaller voice speaks" }];
    expect(notices(following(both, say.status({ degraded })))).toEqual([
      "a smaller voice speaks",
      "The anchor cannot hear you at the moment. Writing works.",
    ]);
  });
});
