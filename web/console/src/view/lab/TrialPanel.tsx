import "../../style/lab.css";
import { formatDuration } from "../../format";
import { latencyStatistics, turnKind } from "../../latency_statistics";
import {
  MIN_WORDS_CHOICES,
  PATIENCE_CHOICES,
  STOP_MS_CHOICES,
  TRIAL_SLOTS,
  type TrialSlot,
  type TrialValues,
  trialValues,
} from "../../trial";
import type { Turn } from "../../turn";
import { useStore } from "../../use_store";
import { LatencyTable } from "../LatencyTable";
import { SelectField } from "../SelectField";
import type { DrawerContentProps } from "./Drawer";

/** Two settings of turn-taking to try, and the figures of the turns that were spoken under each. */
export default function TrialPanel({ store }: DrawerContentProps) {
  const { conversation } = useStore(store);
  const { settings, trial, turns } = conversation;
  if (!settings) return <p class="empty">The settings appear once the session is open.</p>;
  const values = trialValues(settings);
  const change = (changed: Partial<TrialValues>) => {
    store.tryOut({ ...values, ...changed });
  };
  return (
    <>
      <fieldset class="trial-slots">
        <legend>In force</legend>
        {TRIAL_SLOTS.map((slot) => (
          <label key={slot}>
            <input
              type="radio"
              name="trial-slot"
              checked={slot === trial.slot}
              onChange={() => {
                if (slot !== trial.slot) store.switchTrial();
              }}
            />
            Setting {slot}
          </label>
        ))}
      </fieldset>
      <div class="trial-values">
        <SelectField
          name="Wait for the end of a turn"
          value={String(values.patience)}
          options={choices(PATIENCE_CHOICES, values.patience, (patience) => `${patience} × as long`)}
          onChoose={(patience) => {
            change({ patience: Number(patience) });
          }}
        />
        <SelectField
          name="Speech that stops a reply"
          value={String(values.stopMs)}
          options={choices(STOP_MS_CHOICES, values.stopMs, formatDuration)}
          onChoose={(stopMs) => {
            change({ stopMs: Number(stopMs) });
          }}
        />
        <SelectField
          name="Fewest words that stop it"
          value={String(values.minWords)}
          options={choices(MIN_WORDS_CHOICES, values.minWords, String)}
          onChoose={(minWords) => {
            change({ minWords: Number(minWords) });
          }}
        />
      </div>
      <LatencyTable
        columns={TRIAL_SLOTS.map((slot) => ({
          name: `Setting ${slot}`,
          statistics: latencyStatistics(spokenUnder(turns, slot)),
        }))}
      />
      <p class="hint">
        Spoken turns only, each under the setting in force when it was over. A change applies from the next silence, and
        from the next sound over a reply. The figures of both settings stay until the conversation is closed.
      </p>
    </>
  );
}

function spokenUnder(turns: readonly Turn[], slot: TrialSlot): Turn[] {
  return turns.filter((turn) => turn.latency && turn.setting?.slot === slot && turnKind(turn) === "spoken");
}

// The session may have a value that is not offered, set elsewhere.
function choices(
  offered: readonly number[],
  current: number,
  name: (value: number) => string,
): { value: string; name: string }[] {
  const values = offered.includes(current) ? offered : [...offered, current].sort((a, b) => a - b);
  return values.map((value) => ({ value: String(value), name: value === 0 ? "Server’s default" : name(value) }));
}
