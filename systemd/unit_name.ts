/**
 * Unit names: their rules, their parts, and the specifiers that refer to them. Pure.
 *
 * @module
 */

import { nearest } from "../runtime/spelling.ts";

/** The parts of a unit name, for example of `log@eu.1.service`. */
export interface UnitNameParts {
  /** Everything before the last dot: `log@eu.1`. */
  readonly name: string;
  /** Everything before the first `@` of {@link name}: `log`. */
  readonly prefix: string;
  /** Everything after that `@`: `eu.1`; "" for a template; undefined without `@`. */
  readonly instance: string | undefined;
  /** Everything after the last dot: `service`. */
  readonly type: string;
  /** The name of the template: `log@.service`, also for the template itself; undefined without `@`. */
  readonly template: string | undefined;
}

/** Splits a name, without validating it; undefined if it has no dot. */
export function parseUnitName(name: string): UnitNameParts | undefined {
  const dot = name.lastIndexOf(".");
  if (dot < 0) return undefined;
  const base = name.slice(0, dot);
  const type = name.slice(dot + 1);
  const at = base.indexOf("@");
  if (at < 0) return { name: base, prefix: base, instance: undefined, type, template: undefined };
  const prefix = base.slice(0, at);
  return { name: base, prefix, instance: base.slice(at + 1), type, template: `${prefix}@.${type}` };
}

/** True for the name of a template, such as `log@.service`. */
export function isTemplate(name: string): boolean {
  return parseUnitName(name)?.instance === "";
}

/** Returns the template of an instance; undefined for any other name. */
export function templateOf(name: string): string | undefined {
  const parts = parseUnitName(name);
  return parts?.instance ? parts.template : undefined;
}

/** True for the name of a Quadlet file, such as `web.container`. */
export function isQuadlet(name: string): boolean {
  return quadletTypes.includes(parseUnitName(name)?.type ?? "");
}

/** The limit of fleet 1.0. systemd's is one less, see {@link unrunnableName}. */
const maxName_bytes = 256;

/** Types of Quadlet files, of which podman's generator makes services: podman-systemd.unit(5). */
export const quadletTypes: readonly string[] = ["build", "container", "image", "kube", "network", "pod", "volume"];

const unitTypes = new Set([
  ..."automount busname device mount path scope service slice snapshot socket swap target timer".split(" "),
  ...quadletTypes,
]);
const templateTypes = new Set([..."path service socket target timer".split(" "), ...quadletTypes]);

/** Returns why a unit name is invalid, in the words of fleet 1.0; undefined if it is valid. Rules: systemd.unit(5). */
export function validateUnitName(name: string): string | undefined {
  if (name === "") return "unit name cannot be empty";
  if (new TextEncoder().encode(name).length > maxName_bytes) {
    return `unit name exceeds maximum length (${maxName_bytes})`;
  }
  const parts = parseUnitName(name);
  if (parts === undefined) return 'unit name must contain "."';
  if (parts.type === "") return 'unit name cannot end in "."';
  if (!unitTypes.has(parts.type)) return `invalid unit type: ${quote(parts.type)}`;
  if (name.includes("@") && !templateTypes.has(parts.type)) {
    return `invalid unit type for template: ${quote(parts.type)}`;
  }
  for (const char of parts.name) {
    if (!/[A-Za-z0-9:\-_.\\@]/.test(char)) return `invalid character ${quote(char, "'")} in unit name`;
  }
  return name.startsWith("@") ? 'unit name cannot start in "@"' : undefined;
}

/** The types that fleetctl recognizes at the end of a unit name. */
export const recognizedTypes: readonly string[] = [...unitTypes];

/** True for the name of a file that is that of a unit: it ends in a type of unit, and is not hidden. */
export function isUnitFileName(name: string): boolean {
  const type = /^[^./][^/]*\.([^./]+)$/.exec(name)?.[1];
  return type !== undefined && recognizedTypes.includes(type);
}

/** A shorter ending is similar to too many types. */
const minTypeLength = 4;

/** Returns the mistake in the name of a file whose type is almost one of units, such as `web.servic`; undefined if there is none. */
export function misspelledType(name: string): string | undefined {
  const type = /^[^.].*\.([^.]+)$/.exec(name)?.[1];
  // Editors keep the former text of a file under its name with "~".
  if (type === undefined || type.length < minTypeLength || type.endsWith("~")) return undefined;
  const meant = recognizedTypes.includes(type) ? undefined : nearest(type, storableTypes);
  return meant === undefined ? undefined : `".${type}" is not a type of unit: did you mean ".${meant}"?`;
}

/** Returns the unit that a command line argument names: the last part of its path, with `.service` if it has no type. */
export function mangleUnitName(argument: string): string {
  const name = argument.split("/").findLast((part) => part !== "") ?? "";
  return recognizedTypes.some((type) => name.endsWith(`.${type}`)) ? name : `${name}.service`;
}

/**
 * Replaces `%n` (full name), `%N` (name without type), `%p` (prefix) and `%i` (instance), in this order and without an
 * escape. With a name that has no type, nothing is replaced.
 */
export function expandSpecifiers(value: string, name: string): string {
  const parts = parseUnitName(name);
  if (parts === undefined || !value.includes("%")) return value;
  return value
    .replaceAll("%n", () => name)
    .replaceAll("%N", () => parts.name)
    .replaceAll("%p", () => parts.prefix)
    .replaceAll("%i", () => parts.instance ?? "");
}

/** Returns the words of a text that blanks separate. */
export function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

const escapes: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
};

/** Types whose units systemd does not start from a file, with the reason. Such a unit would wait forever. */
const notFromFiles: Readonly<Record<string, string>> = {
  scope: "systemd creates scopes for running processes, not from files",
  snapshot: "systemd no longer has such units",
  busname: "systemd no longer has such units",
};

/** The types of units that can be stored and run. */
export const storableTypes: readonly string[] = [...unitTypes].filter((type) => !Object.hasOwn(notFromFiles, type));

/** Returns why units of a name's type cannot run, for any file; undefined if they can. See systemd.unit(5). */
export function unrunnableType(name: string): string | undefined {
  const type = parseUnitName(name)?.type ?? "";
  const why = Object.hasOwn(notFromFiles, type) ? notFromFiles[type] : undefined;
  return why && `a unit of type ${quote(type)} cannot be run: ${why}`;
}

/** The longest name that systemd accepts (UNIT_NAME_MAX includes the final NUL), and that a file can have. */
const maxRunnableName_bytes = 255;

/** Units that systemd creates at its start and never stops. */
const perpetual = new Set(["-.mount", "-.slice"]);

/**
 * Units that fleet depends on: a unit of such a name would take the machine out of the cluster. systemd creates the
 * slices and most of the mounts without files.
 */
const essential: readonly RegExp[] = [
  /^fleet-health-/,
  /^(fleet|dbus|dbus-broker|systemd-.*)\.(service|socket)$/,
  /^(system|user)\.slice$/,
  /^(bin|dev|etc|lib|lib64|proc|run|sbin|sys|usr)\.(mount|automount)$/,
  /^(run-(dbus|fleet|systemd)|sys-fs-cgroup)(-.*)?\.(mount|automount)$/,
];

/** Returns why a unit with this valid name cannot run or must not run; undefined if it may. */
export function unrunnableName(name: string): string | undefined {
  const why = name.startsWith(".")
    ? "systemd ignores files whose names begin with a dot"
    : name.length > maxRunnableName_bytes
    ? `systemd accepts names of at most ${maxRunnableName_bytes} bytes`
    : perpetual.has(name)
    ? "systemd creates this unit itself and never stops it"
    : essential.some((pattern) => pattern.test(name))
    ? "fleet depends on the machine's unit of that name"
    : undefined;
  return why && `a unit of the name ${quote(name)} cannot be run: ${why}`;
}

/** Quotes a text as messages of fleet 1.0 do (Go's %q): control characters become escapes. */
export function quote(text: string, mark: '"' | "'" = '"'): string {
  const quoted = [...text].map((char) => {
    if (char === mark) return `\\${char}`;
    if (char in escapes) return escapes[char];
    if (/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(char)) return char;
    const hex = char.codePointAt(0)!.toString(16);
    if (hex.length <= 2 && char < "\x80") return `\\x${hex.padStart(2, "0")}`;
    return hex.length <= 4 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
  });
  return mark + quoted.join("") + mark;
}
