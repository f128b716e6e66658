// @vitest-environment happy-dom
import { GpuPressure, GpuStatusSchema } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { GpuPanel } from "../../src/view/GpuPanel";
import { rendered } from "./rendered";

test("the panel shows memory against plan, pressure and temperature", () => {
  const gpu = create(GpuStatusSchema, {
    present: true,
    memoryTotalMib: 24_576,
    memoryUsedMib: 12_288,
    pressure: GpuPressure.HIGH,
    temperatureCelsius: 61,
    services: [
      { service: "stt-service", usedMib: 3072, plannedMib: 2048 },
      { service: "tts-service", usedMib: 1024, leaking: true },
    ],
  });
  const text = rendered(<GpuPanel gpu={gpu} />).textContent;
  expect(text).toContain("12.0 GiB of 24.0 GiB61 °Cmemory is short");
  expect(text).toContain("stt-service3.0 GiB of 2.0 GiB planned");
  expect(text).toContain("tts-service1.0 GiB, grows steadily");
  expect(document.querySelectorAll(".row-over")).toHaveLength(1);
});

test("the panel shows that parked models would not fit", () => {
  const gpu = create(GpuStatusSchema, { present: true, pressure: GpuPressure.ELEVATED });
  expect(rendered(<GpuPanel gpu={gpu} />).textContent).toContain("not enough memory to wake what is parked");
});

test("without a GPU the panel says why", () => {
  const gpu = create(GpuStatusSchema, { unavailableReason: "no driver" });
  expect(rendered(<GpuPanel gpu={gpu} />).textContent).toContain("No GPU: no driver");
  expect(rendered(<GpuPanel gpu={null} />).textContent).toContain("The GPU monitor has not reported yet");
});
