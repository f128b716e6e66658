// @vitest-environment happy-dom
import { ServiceHealth, ServiceStatusSchema } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { EnginesPanel } from "../../src/view/EnginesPanel";
import { OPEN, play, systemStatus } from "../script";
import { rendered } from "./rendered";

test("engines show model, version and health", () => {
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
  const page = rendered(<EnginesPanel services={services} languageModel="ollama" isConnected />);
  expect(page.textContent).toContain("stt-servicewhispersmall · 1.2ready");
  expect(page.textContent).toContain("tts-servicedown");
  expect(page.textContent).toContain("ollama");
  expect(page.querySelector(".health-down")).not.toBeNull();
});

test("without a connection no light is green", () => {
  const services = [create(ServiceStatusSchema, { service: "stt-service", health: ServiceHealth.READY })];
  const lost = { kind: "connection", connection: { state: "reconnecting", code: "", retryInMs: 300 } } as const;
  const state = play(OPEN, systemStatus({ services }), lost);
  const page = rendered(<EnginesPanel services={state.services} languageModel="ollama" isConnected={false} />);
  expect(page.querySelectorAll(".health-unknown")).toHaveLength(2);
  expect(page.querySelector(".health-ready")).toBeNull();
  expect(page.textContent).toContain("unknown");
});
