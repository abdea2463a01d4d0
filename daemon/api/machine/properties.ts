/**
 * The format of `systemctl show`. Pure.
 *
 * @module
 */

/** Parses the output about one unit. Several lines of one property (`ExecStartPre=`, timers) become one value. */
export function parseProperties(text: string): Record<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^([A-Za-z0-9]+)=(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before}\n${value}`);
  }
  return Object.fromEntries(values);
}
