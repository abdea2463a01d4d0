/**
 * Names of units: what is allowed, what they are made of, and patterns over them. Pure. See systemd.unit(5).
 *
 * @module
 */

/** Longest unit name, in bytes. */
export const maxNameBytes = 256;

const types = [
  ..."automount busname device mount path scope service slice snapshot socket swap target timer".split(" "),
];
const templateTypes = ["path", "service", "socket", "target", "timer"];

/** Suffixes that fleetctl takes as they are; anything else gets `.service` appended. */
const recognisedSuffixes = new Set(["service", "socket", "timer", "path", "device", "mount", "automount"]);

/** What a unit name is made of. */
export interface UnitNameParts {
  /** All before the last dot. */
  readonly base: string;
  /** All before the first `@`, or {@link base}. */
  readonly prefix: string;
  /** Between `@` and the last dot; undefined where there is no `@`. */
  readonly instance?: string;
  /** All behind the last dot. */
  readonly type: string;
}

/** Takes a name apart; undefined where it has no dot. */
export function parseUnitName(name: string): UnitNameParts | undefined {
  const dot = name.lastIndexOf(".");
  if (dot < 0) return undefined;
  const base = name.slice(0, dot);
  const type = name.slice(dot + 1);
  const at = base.indexOf("@");
  if (at < 0) return { base, prefix: base, type };
  return { base, prefix: base.slice(0, at), instance: base.slice(at + 1), type };
}

/** Whether the name is a template's: `p@.service`. */
export function isTemplate(name: string): boolean {
  return parseUnitName(name)?.instance === "";
}

/** The name of an instance's template: `p@.service` for `p@i.service`; undefined for any other unit. */
export function templateOf(name: string): string | undefined {
  const parts = parseUnitName(name);
  return parts?.instance ? `${parts.prefix}@.${parts.type}` : undefined;
}

/** Why a name is not allowed; undefined if it is. The first failing rule of API v1 wins. */
export function validateUnitName(name: string): string | undefined {
  if (name === "") return "unit name cannot be empty";
  if (new TextEncoder().encode(name).length > maxNameBytes) {
    return `unit name exceeds maximum length (${maxNameBytes})`;
  }
  const parts = parseUnitName(name);
  if (!parts) return `unit name must contain "."`;
  if (parts.type === "") return `unit name cannot end in "."`;
  if (!types.includes(parts.type)) return `invalid unit type: "${parts.type}"`;
  if (parts.instance !== undefined && !templateTypes.includes(parts.type)) {
    return `invalid unit type for template: "${parts.type}"`;
  }
  const bad = [...parts.base].find((char) => !/[0-9A-Za-z:\-_.\\@]/.test(char));
  if (bad !== undefined) return `invalid character '${bad}' in unit name`;
  if (name.startsWith("@")) return `unit name cannot start in "@"`;
  return undefined;
}

/** The unit that an argument of fleetctl names: its last path segment, with `.service` if it has no known suffix. */
export function mangleUnitName(argument: string): string {
  const name = argument.slice(argument.lastIndexOf("/") + 1);
  const type = parseUnitName(name)?.type;
  return type !== undefined && recognisedSuffixes.has(type) ? name : `${name}.service`;
}

/** Replaces `%n`, `%N`, `%p` and `%i`, in that order, by parts of the name. A name without a dot has no parts. */
export function expandSpecifiers(value: string, name: string): string {
  const parts = parseUnitName(name);
  if (!parts || !value.includes("%")) return value;
  return value.replaceAll("%n", name).replaceAll("%N", parts.base).replaceAll("%p", parts.prefix)
    .replaceAll("%i", parts.instance ?? "");
}

const globs = new Map<string, RegExp | undefined>();
const maxGlobs = 4096;

/**
 * Whether a glob matches the whole name: `*` any run without `/`, `?` one character, `[a-z]`, `[^a-z]`, `\` escapes. A
 * malformed glob matches nothing.
 */
export function globMatch(glob: string, name: string): boolean {
  if (!globs.has(glob)) {
    if (globs.size >= maxGlobs) globs.clear();
    globs.set(glob, compileGlob(glob));
  }
  return globs.get(glob)?.test(name) ?? false;
}

function compileGlob(glob: string): RegExp | undefined {
  let source = "";
  for (let at = 0; at < glob.length; at++) {
    const char = glob[at]!;
    if (char === "*") {
      while (glob[at + 1] === "*") at++;
      source += "[^/]*";
    } else if (char === "?") source += "[^/]";
    else if (char === "\\") {
      if (++at === glob.length) return undefined;
      source += literal(glob[at]!);
    } else if (char === "[") {
      const end = classEnd(glob, at);
      if (end === undefined) return undefined;
      source += glob.slice(at, end).replace(/\[(?!$)/g, (bracket, offset) => offset === 0 ? bracket : "\\[");
      at = end - 1;
    } else source += literal(char);
  }
  try {
    return new RegExp(`^${source}$`, "s");
  } catch {
    return undefined;
  }
}

/** Index behind the `]` that closes the class opened at `at`. */
function classEnd(glob: string, at: number): number | undefined {
  let from = at + 1;
  if (glob[from] === "^") from++;
  for (let i = from; i < glob.length; i++) {
    if (glob[i] === "\\") i++;
    else if (glob[i] === "]") return i > from ? i + 1 : undefined;
  }
  return undefined;
}

function literal(char: string): string {
  return /[\w]/.test(char) ? char : `\\u{${char.codePointAt(0)!.toString(16)}}`.replace(/^\\u\{(\w+)\}$/, (_, hex) =>
    `\\u${hex.padStart(4, "0")}`);
}
