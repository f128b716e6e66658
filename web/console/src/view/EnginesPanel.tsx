import { ServiceHealth, type ServiceStatus } from "@ai-anchor/client";

const HEALTH: Readonly<Record<number, string>> = {
  [ServiceHealth.UNSPECIFIED]: "unknown",
  [ServiceHealth.READY]: "ready",
  [ServiceHealth.LOADING]: "loading",
  [ServiceHealth.DOWN]: "down",
};

// Tooltips that explain the services' names.
const PURPOSE: Readonly<Record<string, string>> = {
  "vad-service": "Listens for speech and pauses",
  "stt-service": "Turns speech into text",
  "tts-service": "Speaks",
  "gpu-monitor": "Watches the GPU",
};

interface EnginesProps {
  services: readonly ServiceStatus[];
  /** Language model of the last reply; empty before the first. */
  languageModel: string;
  /** Whether the session is open: otherwise nothing is known. */
  isConnected: boolean;
}

export function EnginesPanel({ services, languageModel, isConnected }: EnginesProps) {
  return (
    <section class="card" aria-label="Engines">
      <h2>Engines</h2>
      {services.length === 0 && <p class="empty">The services report once the session is open.</p>}
      <ul class="rows">
        {services.map((service) => {
          const health = HEALTH[service.health] ?? "unknown";
          return (
            <li class="row engine" key={service.service} title={PURPOSE[service.service]}>
              <span class={`health health-${health}`} />
              <span class="row-name">{service.service}</span>
              <span class="engine-words">
                <span>{service.engine || health}</span>
                <span class="engine-model">{[service.model, service.version].filter(Boolean).join(" · ")}</span>
              </span>
              <span class="visually-hidden">{health}</span>
            </li>
          );
        })}
        {languageModel && (
          <li class="row engine" title="Wrote the last answer">
            <span class={isConnected ? "health health-ready" : "health health-unknown"} />
            <span class="row-name">answers</span>
            <span class="engine-words">{languageModel}</span>
          </li>
        )}
      </ul>
    </section>
  );
}
