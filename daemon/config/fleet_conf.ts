/**
 * Parses fleet.conf, the INI dialect of fleet 1.0. Pure. ADR 2 says why no library does it.
 *
 * @module
 */

/** The value of an option and its source. */
export interface Setting {
  readonly value: string;
  /** `FILE:LINE`, or the name of a variable. */
  readonly source: string;
}

/** The options of a file, and its likely mistakes. */
export interface Settings {
  /** Keys are in lower case; the last of equal keys wins. */
  readonly settings: ReadonlyMap<string, Setting>;
  readonly warnings: readonly string[];
  /** Lines that cannot be understood. */
  readonly problems: readonly string[];
}

/** Reports a configuration that cannot be used. Each problem names the option, its value and source, and the expected form. */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly problems: readonly string[];
  /** Further mistakes, with which the configuration could be used. */
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
  constructor(
    problems: string | readonly string[],
    { faults = [], warnings = [], ...options }: ErrorOptions & {
      readonly faults?: readonly string[];
      readonly warnings?: readonly string[];
    } = {},
  ) {
    const all = typeof problems === "string" ? [problems] : problems;
    super(all.join("; "), options);
    this.problems = all;
    this.faults = faults;
    this.warnings = warnings;
  }
}

/** Reads the `key = value` lines before any `[section]`; lines in sections must be well-formed, but set nothing. */
export function readSettings(path: string, text: string): Settings {
  const settings = new Map<string, Setting>();
  const warnings: string[] = [];
  const problems: string[] = [];
  const lines = text.split("\n");
  let section: string | undefined;
  for (let at = 0; at < lines.length; at++) {
    const source = `${path}:${at + 1}`;
    let line = lines[at]!.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    while (line.endsWith("\\")) {
      const next = lines[++at];
      if (next === undefined || (next === "" && at === lines.length - 1)) {
        problems.push(`${source}: nothing follows the "\\" at the end of the line`);
        return { settings, warnings, problems };
      }
      line = line.slice(0, -1) + next.trim();
    }
    if (line === "") continue;
    if (line.startsWith("[") && line.endsWith("]")) {
      section = line;
      continue;
    }
    const match = /^([^\s=]+)[ \t]*=[ \t]*(.*)$/s.exec(line);
    // The message leaves the line out: it may hold a password.
    if (!match) {
      problems.push(`${source}: expected OPTION=VALUE, a comment or [SECTION] in this line`);
      continue;
    }
    const key = match[1]!.toLowerCase();
    if (section !== undefined) {
      warnings.push(
        `${source}: ${key} is ignored because it is in section ${section}: options have to be before any section`,
      );
      continue;
    }
    const { value, cut, open } = readValue(match[2]!);
    if (open !== undefined) {
      problems.push(
        `${source}: the quote (${open}) that begins the value of ${key} is never closed: ` +
          "close it, or put a value that begins with a quote in quotes of the other kind",
      );
      continue;
    }
    if (cut) {
      warnings.push(`${source}: the value of ${key} ends before "${cut}": put it in quotes if the rest belongs to it`);
    }
    settings.set(key, { value, source });
  }
  return { settings, warnings, problems };
}

/**
 * Reads a value. In quotes `#` and `;` are literal, and a remark may follow. Otherwise the value ends at the first of them;
 * `cut` is that character if no blank before it shows that a remark was meant. `open` is a quote that is never closed.
 */
function readValue(text: string): { readonly value: string; readonly cut?: string; readonly open?: string } {
  const quoted = /^(?:"([^"]*)"|'([^']*)')\s*(?:[#;].*)?$/s.exec(text);
  if (quoted) return { value: quoted[1] ?? quoted[2]! };
  const [open] = /^(?:"[^"]*|'[^']*)$/s.exec(text) ?? [];
  if (open !== undefined) return { value: open, open: open[0]! };
  const end = text.search(/[#;]/);
  if (end < 0) return { value: text.trim() };
  const value = text.slice(0, end).trim();
  return end > 0 && text[end - 1]!.trim() !== "" ? { value, cut: text[end]! } : { value };
}
