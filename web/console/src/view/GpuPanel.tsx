import { GpuPressure, type GpuServiceMemory, type GpuStatus } from "@ai-anchor/client";
import { formatGibibytes } from "../format";

const PRESSURE: Readonly<Record<number, string>> = {
  [GpuPressure.UNSPECIFIED]: "unknown",
  [GpuPressure.NONE]: "enough memory",
  [GpuPressure.ELEVATED]: "not enough memory to wake what is parked",
  [GpuPressure.HIGH]: "memory is short",
  [GpuPressure.CRITICAL]: "memory is almost full",
};

const WITH_A_GPU = "A GPU adds a large language model and more expressive voices.";

export function GpuPanel({ gpu }: { gpu: GpuStatus | null }) {
  return (
    <section class="card" aria-label="GPU">
      <h2>GPU</h2>
      {gpu?.present ? <GpuMemory gpu={gpu} /> : <p class="empty">{unavailableText(gpu)}</p>}
      {gpu?.present === false && <p class="empty">{WITH_A_GPU}</p>}
    </section>
  );
}

function unavailableText(gpu: GpuStatus | null): string {
  if (!gpu) return "The GPU monitor has not reported yet.";
  return gpu.unavailableReason ? `No GPU: ${gpu.unavailableReason}` : "No GPU. Everything runs on the processor.";
}

function GpuMemory({ gpu }: { gpu: GpuStatus }) {
  const level =
    gpu.pressure === GpuPressure.CRITICAL ? "critical" : gpu.pressure === GpuPressure.HIGH ? "high" : "none";
  return (
    <>
      <p class="gpu-line">
        <b>{formatGibibytes(gpu.memoryUsedMib)}</b> of {formatGibibytes(gpu.memoryTotalMib)}
        {gpu.temperatureCelsius !== undefined && <span class="gpu-heat">{gpu.temperatureCelsius} °C</span>}
        <span class={`pressure pressure-${level}`}>{PRESSURE[gpu.pressure] ?? "unknown"}</span>
      </p>
      <span
        class={`plan gauge gauge-${level}`}
        role="meter"
        aria-label="Memory in use"
        aria-valuemin={0}
        aria-valuemax={gpu.memoryTotalMib}
        aria-valuenow={gpu.memoryUsedMib}
        aria-valuetext={formatGibibytes(gpu.memoryUsedMib)}
      >
        <span class="plan-used" style={{ width: percent(gpu.memoryUsedMib, gpu.memoryTotalMib) }} />
      </span>
      <ul class="rows">
        {gpu.services.map((service) => (
          <ServiceMemory key={service.service} memory={service} totalMib={gpu.memoryTotalMib} />
        ))}
      </ul>
    </>
  );
}

function ServiceMemory({ memory, totalMib }: { memory: GpuServiceMemory; totalMib: number }) {
  const { service, usedMib, plannedMib, leaking } = memory;
  const over = usedMib !== undefined && plannedMib !== undefined && usedMib > plannedMib;
  const used = usedMib === undefined ? "unknown" : formatGibibytes(usedMib);
  return (
    <li class={over ? "row row-over" : "row"}>
      <span class="row-name">{service}</span>
      <span class="row-figure">
        {plannedMib === undefined ? used : `${used} of ${formatGibibytes(plannedMib)} planned`}
        {leaking && ", grows steadily"}
      </span>
      <span class="plan" aria-hidden="true">
        <span class="plan-given" style={{ width: percent(plannedMib ?? 0, totalMib) }} />
        <span class="plan-used" style={{ width: percent(usedMib ?? 0, totalMib) }} />
      </span>
    </li>
  );
}

function percent(mib: number, ofMib: number): string {
  return `${Math.min(100, (mib / Math.max(1, ofMib)) * 100)}%`;
}
