/**
 * Object paths and interfaces of units. Rules: org.freedesktop.systemd1(5) and sd_bus_path_encode(3).
 *
 * @module
 */

/** The prefix of the object paths of units. */
export const unitPathPrefix = "/org/freedesktop/systemd1/unit/";

/**
 * Returns the object path of a unit: every byte that is no letter or digit, and a leading digit, becomes `_` and two lower-case
 * hexadecimal digits.
 */
export function unitObjectPath(name: string): string {
  if (name === "") return `${unitPathPrefix}_`;
  let label = "";
  for (const byte of new TextEncoder().encode(name)) {
    const char = String.fromCharCode(byte);
    const plain = /[A-Za-z]/.test(char) || (label !== "" && /[0-9]/.test(char));
    label += plain ? char : `_${byte.toString(16).padStart(2, "0")}`;
  }
  return unitPathPrefix + label;
}

/** Returns the interface with the `Result` property of a unit's type; undefined for types without it. */
export function resultInterface(name: string): string | undefined {
  const [, type] = /\.(service|socket|mount|automount|swap|timer|path|scope)$/.exec(name) ?? [];
  return type && `org.freedesktop.systemd1.${type.charAt(0).toUpperCase()}${type.slice(1)}`;
}
