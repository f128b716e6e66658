import type { Option } from "../talk_choices";

interface OptionSelectProps {
  name: string;
  value: string;
  options: readonly Option[];
  disabled?: boolean;
  onChoose: (value: string) => void;
}

/** A choice of one of some options, without its visible label. */
export function OptionSelect({ name, value, options, disabled = false, onChoose }: OptionSelectProps) {
  return (
    <select
      aria-label={name}
      value={value}
      disabled={disabled}
      onChange={(change) => {
        onChoose(change.currentTarget.value);
      }}
    >
      {options.map((option) => (
        <option key={option.value} value={option.value} lang={option.lang} selected={option.value === value}>
          {option.name}
        </option>
      ))}
    </select>
  );
}

/** The same as a labelled field, with an explanation below it. */
export function SelectField({ hint, ...choice }: OptionSelectProps & { hint?: string | undefined }) {
  return (
    <label class="field">
      <span class="field-name">{choice.name}</span>
      <OptionSelect {...choice} />
      {hint && <span class="hint">{hint}</span>}
    </label>
  );
}
