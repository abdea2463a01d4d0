/**
 * Reads a command line: flags anywhere, `--` ends them. `parseArgs` of node:util accepts neither `--flag=false` nor the
 * single-dash `-full`, both of which scripts for fleet 1.0 use.
 *
 * @module
 */

import { parseDuration_s } from "./duration.ts";

/** A declared flag: `text` takes any value, `count` whole numbers, `seconds` durations, `switch` none. */
export interface FlagSpec {
  readonly name: string;
  readonly kind: "switch" | "text" | "count" | "seconds";
  readonly fallback: FlagValue;
  /** One line in the imperative. */
  readonly help: string;
  /** A placeholder for the value, `FILE` for example; by default one that fits the kind. */
  readonly value?: string;
  /** A one-letter form, accepted as `-x` and `--x`. */
  readonly letter?: string;
  /** Values, or beginnings of values, that are completed. Where the flag takes a list, each part is. */
  readonly values?: readonly string[];
  /** True if the flag may be given several times: its texts are joined by commas. */
  readonly repeats?: boolean;
  /** True if a count may be negative. */
  readonly isSigned?: boolean;
  /** Old names of the same flag. */
  readonly aliases?: readonly string[];
}

/** Declares a switch, off by default. */
export function switchFlag(name: string, help: string, letter?: string): FlagSpec {
  return { name, kind: "switch", fallback: false, help, ...(letter ? { letter } : {}) };
}

/** Declares a flag with a text, "" by default. `value` is its placeholder. */
export function textFlag(name: string, value: string, help: string, more: Partial<FlagSpec> = {}): FlagSpec {
  return { name, kind: "text", fallback: "", value, help, ...more };
}

/** Declares a flag with a whole number. */
export function countFlag(name: string, fallback: number, help: string, letter?: string): FlagSpec {
  return { name, kind: "count", fallback, help, ...(letter ? { letter } : {}) };
}

/** Declares a flag with a duration, whose value is in seconds. */
export function secondsFlag(name: string, fallback: number, help: string): FlagSpec {
  return { name, kind: "seconds", fallback, help };
}

/** The value of a flag. */
export type FlagValue = boolean | string | number;

/** A command line that cannot be understood. The message is printed between `Error: ` and a reference to the help. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A flag that no command declares, or not the command of the line; `typed` is its spelling, `--replcae` for example. */
export class UnknownFlagError extends UsageError {
  override name = "UnknownFlagError";

  constructor(readonly typed: string) {
    super(`unknown flag ${typed}`);
  }
}

/** The values of a set of declared flags. */
export class Flags {
  readonly #specs: ReadonlyMap<string, FlagSpec>;

  constructor(specs: readonly FlagSpec[], readonly values: ReadonlyMap<string, FlagValue> = new Map()) {
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]));
  }

  /** True if the flag was given, on the command line or in the environment. */
  given(name: string): boolean {
    return this.values.has(name);
  }

  /** Returns the same flags with other values for some. */
  with(values: ReadonlyMap<string, FlagValue>): Flags {
    return new Flags([...this.#specs.values()], new Map([...this.values, ...values]));
  }

  /** Value of a switch. */
  on(name: string): boolean {
    return this.#value(name) === true;
  }

  /** Value of a flag of kind `text`. */
  text(name: string): string {
    return String(this.#value(name));
  }

  /** Value of a flag of kind `count` or `seconds`. */
  number(name: string): number {
    return Number(this.#value(name));
  }

  #value(name: string): FlagValue {
    const spec = this.#specs.get(name);
    if (!spec) throw new Error(`flag --${name} is read but not declared`);
    return this.values.get(name) ?? spec.fallback;
  }
}

/** A command line split into flags and other words, before its command is known. */
export interface Words {
  /** The words that are not flags, in order; the first is the command. */
  readonly positionals: readonly string[];
  /** Each flag with the spelling that was typed and its value. */
  readonly flags: readonly { readonly spec: FlagSpec; readonly as: string; readonly value: FlagValue }[];
}

/**
 * Splits a command line. `specs` holds the flags of every command, since a flag may stand before the command it belongs
 * to: all flags of one name must be of one kind. Once `isVerbatim` returns true for the words so far, all others are
 * positionals. Throws {@link UsageError}.
 */
export function splitWords(
  argv: readonly string[],
  specs: readonly FlagSpec[],
  isVerbatim: (words: Words) => boolean = () => false,
): Words {
  const known = flagsByName(specs);
  const positionals: string[] = [];
  const flags: { spec: FlagSpec; as: string; value: FlagValue }[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    const isRest = isVerbatim({ positionals, flags });
    if (isRest || word === "--") {
      positionals.push(...argv.slice(isRest ? i : i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      positionals.push(word);
      continue;
    }
    const { typed, name, value } = splitLetter(word, known) ?? splitFlag(word);
    const spec = known.get(name);
    if (!spec) throw new UnknownFlagError(typed);
    let text = value;
    if (text === undefined && spec.kind !== "switch") {
      text = argv[++i];
      if (text === undefined) throw new UsageError(`flag ${word} needs a value`);
    }
    flags.push({ spec, as: typed, value: flagValue(spec, typed, text ?? "true") });
  }
  return { positionals, flags };
}

/** Splits `--name=value` or `-name`; `typed` is the part before the equals sign. */
export function splitFlag(word: string): { readonly typed: string; readonly name: string; readonly value?: string } {
  return /^(?<typed>--?(?<name>[^=]*))(?:=(?<value>.*))?$/s.exec(word)!.groups as ReturnType<typeof splitFlag>;
}

/** Splits `-xVALUE`, a letter and its value in one word; undefined if the word is anything else. */
function splitLetter(word: string, known: ReadonlyMap<string, FlagSpec>): ReturnType<typeof splitFlag> | undefined {
  const [, typed = "", name = "", value = ""] = /^(-([^-=]))([^=].*)$/s.exec(word) ?? [];
  const spec = known.get(name);
  if (!spec || spec.letter !== name || spec.kind === "switch" || known.has(splitFlag(word).name)) return undefined;
  return { typed, name, value };
}

/** Returns every flag by its name, its letter and its old names. */
export function flagsByName(specs: readonly FlagSpec[]): Map<string, FlagSpec> {
  const known = new Map<string, FlagSpec>();
  for (const spec of specs) {
    for (const name of [spec.name, ...(spec.letter ? [spec.letter] : []), ...(spec.aliases ?? [])]) {
      known.set(name, spec);
    }
  }
  return known;
}

const yes = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const no = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/** Reads a flag's value. Throws {@link UsageError} naming the flag as `as`. */
export function flagValue(spec: FlagSpec, as: string, text: string): FlagValue {
  const refuse = (expected: string) => new UsageError(`invalid value ${JSON.stringify(text)} for ${as}: ${expected}`);
  switch (spec.kind) {
    case "text":
      return text;
    case "switch":
      if (yes.has(text)) return true;
      if (no.has(text)) return false;
      throw refuse("expected true or false");
    case "count":
      if (!/^[+-]?\d{1,9}$/.test(text)) throw refuse("expected a whole number");
      if (text.startsWith("-") && !spec.isSigned) throw refuse("expected 0 or more");
      return Number(text);
    case "seconds": {
      const duration_s = parseDuration_s(text);
      if (duration_s === undefined) throw refuse("expected a number of seconds, or a time such as 30s or 5m");
      return duration_s;
    }
  }
}

/**
 * Returns the global flags that the environment sets: `FLEETCTL_` and the name of the flag in capitals, `-` as `_`. An
 * empty variable counts as unset. Throws {@link UsageError}.
 */
export function flagsFromEnvironment(
  specs: readonly FlagSpec[],
  env: Readonly<Record<string, string | undefined>>,
): Map<string, FlagValue> {
  const given = new Map<string, FlagValue>();
  for (const spec of specs) {
    for (const name of [...(spec.aliases ?? []), spec.name]) {
      const variable = "FLEETCTL_" + name.toUpperCase().replaceAll("-", "_");
      const text = env[variable];
      if (text) given.set(spec.name, flagValue(spec, variable, text));
    }
  }
  return given;
}
