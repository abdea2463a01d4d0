/**
 * The grammar of fleet.conf: the INI dialect of fleet 1.0. Pure.
 *
 * @module
 */

/** One option as it was set. */
export interface Setting {
  readonly value: string;
  /** `FILE:LINE`, or the name of a variable. */
  readonly source: string;
}

/**
 * Reads `key = value` lines before any `[section]`, by lower-cased key; the last of equal keys wins. Throws a
 * `SyntaxError` that names file and line.
 */
export function readSettings(path: string, text: string): ReadonlyMap<string, Setting> {
  const settings = new Map<string, Setting>();
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const source = `${path}:${at + 1}`;
    let line = lines[at]!.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    while (line.endsWith("\\")) {
      if (++at >= lines.length) throw new SyntaxError(`${source}: nothing follows the "\\" at the end of the line`);
      line = line.slice(0, -1) + lines[at]!.trim();
    }
    if (line.startsWith("[")) break;
    const match = /^([^\s=]+)[ \t]*=[ \t]*(.*)$/s.exec(line);
    if (!match) throw new SyntaxError(`${source}: expected OPTION=VALUE, found "${line}"`);
    settings.set(match[1]!.toLowerCase(), { value: readValue(match[2]!), source });
  }
  return settings;
}

/** In quotes, `#` and `;` are literal, and a remark may follow; without, the value ends at the first of them. */
function readValue(text: string): string {
  const quoted = /^(["'])(.*?)\1\s*(?:[#;].*)?$/s.exec(text);
  if (quoted) return quoted[2]!;
  return text.replace(/[#;].*$/s, "").trim();
}
