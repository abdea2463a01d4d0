/**
 * Contexts: clusters that have a name, each with the global flags that reach it, as TOML. Pure. Loaded only if there are
 * contexts: the package would slow down every other command.
 *
 * @module
 */

import { parse, stringify, TomlError } from "smol-toml";
import { nearest } from "../../runtime/spelling.ts";
import { type FlagSpec, type FlagValue, flagValue } from "../cli/argv.ts";
import { globalFlags } from "../cli/global_flags.ts";
import { reasonOf } from "../terminal/port.ts";
import { ContextFileError } from "./port.ts";

/** The settings of a context: values of global flags by the names of the flags. */
export type ContextSettings = ReadonlyMap<string, FlagValue>;

/** The contents of the file. */
export interface Contexts {
  /** The name of the context that is used if no other is named. */
  readonly current?: string;
  readonly contexts: ReadonlyMap<string, ContextSettings>;
}

/** Global flags that are no settings of a cluster. */
const otherFlags = new Set(["context", "debug", "experimental-api", "help", "version"]);

/** The flags that a context can set. */
export const contextFlags: readonly FlagSpec[] = globalFlags.filter(({ name }) => !otherFlags.has(name));

/** True if the value of a flag is the path of a file. */
export function isPathFlag(name: string): boolean {
  return name.endsWith("-file") || name === "ssh-identity";
}

/** Names that contexts can have. */
const contextName = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Returns why a text is no name of a context; undefined if it is one. */
export function wrongContextName(name: string): string | undefined {
  if (contextName.test(name)) return undefined;
  return `${JSON.stringify(name)} cannot name a context: use letters, digits, ".", "_" and "-"`;
}

/** Reads the file. Throws {@link ContextFileError}. */
export function parseContexts(text: string, path: string): Contexts {
  let document: Record<string, unknown>;
  try {
    document = parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const why = cause.message.split("\n")[0]!.replace("Invalid TOML document: ", "");
    throw new ContextFileError(`${path}:${cause.line}: ${why}`, { cause });
  }
  const refuse = (table: string, key: string, why: string) => {
    const line = lineOf(text, table, key);
    return new ContextFileError(`${path}${line === undefined ? "" : `:${line}`}: ${why}`);
  };
  const { current, contexts = {}, ...others } = document;
  const [other] = Object.keys(others);
  if (other !== undefined) {
    throw refuse("", other, `unknown key ${JSON.stringify(other)}${similar(other, ["current", "contexts"])}`);
  }
  if (current !== undefined && typeof current !== "string") {
    throw refuse("", "current", "current must be the name of a context");
  }
  if (!isTable(contexts)) throw refuse("", "contexts", "contexts must be a table: write [contexts.NAME]");
  const read = new Map<string, ContextSettings>();
  for (const [name, settings] of Object.entries(contexts)) {
    const table = `contexts.${name}`;
    const wrong = wrongContextName(name) ?? (isTable(settings) ? undefined : `${table} must be a table`);
    if (wrong !== undefined) throw refuse("contexts", name, wrong);
    const values = Object.entries(settings as Record<string, unknown>).map(([key, value]) => {
      try {
        return [key, settingOf(key, value)] as const;
      } catch (error) {
        throw refuse(table, key, reasonOf(error));
      }
    });
    read.set(name, new Map(values));
  }
  if (current !== undefined && current !== "" && !read.has(current)) {
    throw refuse("", "current", `there is no context ${JSON.stringify(current)}${similar(current, [...read.keys()])}`);
  }
  return { ...(current ? { current } : {}), contexts: read };
}

/** Returns the value of a setting. Throws if there is no such flag, or it cannot have this value. */
function settingOf(key: string, value: unknown): FlagValue {
  const spec = contextFlags.find(({ name }) => name === key);
  if (!spec) {
    throw new Error(`unknown setting ${JSON.stringify(key)}${similar(key, contextFlags.map(({ name }) => name))}`);
  }
  const text = Array.isArray(value) ? value.join(",") : String(value);
  const isFitting = ["string", "number", "boolean"].includes(typeof value) ||
    (Array.isArray(value) && value.every((each) => typeof each === "string"));
  if (!isFitting) throw new Error(`${key} must be a text, a number, or true or false`);
  return flagValue(spec, key, text);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Returns a question with the most similar known name, "" if none is similar. */
export function similar(name: string, known: readonly string[]): string {
  const found = nearest(name, known);
  return found === undefined ? "" : ` (did you mean ${found}?)`;
}

/** Returns the number of the line on which a key of a table stands, if it is written in the usual form. */
function lineOf(text: string, table: string, key: string): number | undefined {
  let current = "";
  for (const [index, line] of text.split("\n").entries()) {
    const header = /^\s*\[+\s*([^\]]*?)\s*\]/.exec(line)?.[1]?.replaceAll(/["'\s]/g, "");
    if (header !== undefined) {
      current = header;
      if (header === `${table}.${key}`.replace(/^\./, "")) return index + 1;
    } else if (current === table && /^\s*["']?([^"'=\s]+)/.exec(line)?.[1] === key) return index + 1;
  }
  return undefined;
}

/** Returns the text of the file. */
export function contextsText({ current, contexts }: Contexts): string {
  const tables = [...contexts].map(([name, settings]) => [name, Object.fromEntries(settings)] as const);
  const comment = "# Clusters of fleetctl, see fleetctl context --help.\n";
  return comment + stringify({ ...(current ? { current } : {}), contexts: Object.fromEntries(tables) }).trimEnd() +
    "\n";
}
