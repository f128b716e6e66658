// @vitest-environment happy-dom
import { ServiceHealth, ServiceStatusSchema } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { EnginesPanel } from "../../src/view/EnginesPanel";
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
  const page = rendered(<EnginesPanel services={services} languageModel="ollama" />);
  expect(page.textContent).toContain("stt-servicewhispersmall · 1.2ready");
  expect(page.textContent).toContain("tts-servicedown");
  expect(page.textContent).toContain("ollama");
  expect(page.querySelector(".health-down")).not.toBeNull();
});
