/**
 * Fields for the options of actions, in the dialog that asks for confirmation. Their values are read as form data.
 *
 * @module
 */

/** An option that is on or off. */
export const Switch = ({ name, label, isOn = false }: {
  readonly name: string;
  readonly label: string;
  readonly isOn?: boolean;
}) => (
  <label class="switch">
    <input type="checkbox" name={name} defaultChecked={isOn} /> {label}
  </label>
);

/** An option with a text. `isFree`: the plan does not depend on it. */
export const TextOption = ({ name, label, value = "", placeholder, pattern, hint, isFree = false }: {
  readonly name: string;
  readonly label: string;
  readonly value?: string;
  readonly placeholder?: string;
  readonly pattern?: string;
  /** The form that the pattern expects, for the browser's message. */
  readonly hint?: string;
  readonly isFree?: boolean;
}) => (
  <label class="option">
    <span>{label}</span>
    <input
      name={name}
      defaultValue={value}
      placeholder={placeholder}
      pattern={pattern}
      title={hint}
      autocomplete="off"
      onInput={isFree ? (event) => event.stopPropagation() : undefined}
    />
  </label>
);

/** Returns the text of an option without spaces around it. */
export const textOf = (options: FormData, name: string): string => String(options.get(name) ?? "").trim();

/** Returns a number of 1 or more; undefined if the field is empty. Throws if it is anything else. */
export function countOf(options: FormData, name: string, label: string): number | undefined {
  const text = textOf(options, name);
  if (text === "") return undefined;
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`${label}: expected a number such as 10, not "${text}".`);
  return Number(text);
}

const seconds: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600 };

/** Returns a time such as `10m` in seconds; undefined if the field is empty. Throws if it is anything else. */
export function secondsOf(options: FormData, name: string, label: string): number | undefined {
  const text = textOf(options, name);
  if (text === "") return undefined;
  const [, number, unit] = /^([1-9]\d{0,5})\s*([smh]?)$/.exec(text) ?? [];
  if (number === undefined) throw new Error(`${label}: expected a time such as 30s, 10m or 2h, not "${text}".`);
  return Number(number) * seconds[unit!]!;
}
