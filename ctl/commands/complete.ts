import type { ApiClient } from "../api/client.ts";
import { flagsByName, type FlagSpec, type FlagValue, flagValue, splitFlag } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { globalFlags } from "../cli/global_flags.ts";
import { contextActions } from "./context.ts";
import { oldClusterFlags } from "../import/old_cluster.ts";
import { readContexts } from "../contexts/apply.ts";
import { machineActions, planActions } from "./plan.ts";
import { rolloutActions } from "./rollout.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import { type Io, reasonOf } from "../terminal/port.ts";

/** The kinds of names that the cluster completes. */
type Kind = "unit" | "template" | "machine" | "app";

/** The kinds of names among the arguments of each command. */
const argumentsOf: Readonly<Record<string, readonly Kind[]>> = {
  ...Object.fromEntries(
    [
      ...["cat", "destroy", "events", "explain", "import", "journal", "load", "logs"],
      ...["plan", "restart", "start", "status", "stop", "unload", "wait"],
    ].map((name) => [name, ["unit"] as const]),
  ),
  scale: ["template"],
  history: ["unit", "app"],
  rollback: ["unit", "app"],
  rollout: ["app"],
  apps: ["app"],
  ssh: ["machine", "unit"],
  machine: ["machine"],
  cordon: ["machine"],
  drain: ["machine"],
  undrain: ["machine"],
  uncordon: ["machine"],
};

/** The kinds of names among the values of each flag. */
const valuesOf: Readonly<Record<string, readonly Kind[]>> = {
  ...{ unit: ["unit"], machine: ["machine"], app: ["app"] },
};

/** Longest time that a user who pressed TAB waits. */
const timeout_ms = 2000;

/** `fleetctl complete`, which completion scripts call: prints the completions of the last word, one a line. */
export function complete(commands: () => readonly Command[]): Command {
  return {
    name: "complete",
    isNew: true,
    isHidden: true,
    isOffline: true,
    group: "client",
    summary: "Print the completions of a command line",
    usage: "complete -- WORD...",
    examples: [
      { title: "Complete a command", line: "fleetctl complete -- sta" },
    ],
    flags: [],
    async run(context) {
      const typed = context.args.at(-1) ?? "";
      const candidates = await candidatesFor(context, commands(), context.args.slice(0, -1), typed);
      for (const candidate of [...new Set(candidates)].filter((text) => text.startsWith(typed)).sort()) {
        context.io.out(candidate + "\n");
      }
      return 0;
    },
  };
}

async function candidatesFor(
  context: Context,
  commands: readonly Command[],
  earlier: readonly string[],
  typed: string,
): Promise<readonly string[]> {
  const line = readEarlier(earlier, [...globalFlags, ...commands.flatMap(({ flags }) => flags)]);
  const [name = "", ...rest] = line.positionals;
  const command = commands.find((each) => each.name === name);
  const flags = flagsByName([...globalFlags, ...commands.flatMap(({ flags }) => flags), ...command?.flags ?? []]);
  const [, dashes = "", flag = "", value] = /^(--?)([^=]+)=(.*)$/s.exec(typed) ?? [];
  const pending = line.pending && flags.get(line.pending.name) || (value === undefined ? undefined : flags.get(flag));
  if (pending) {
    const values = await valuesFor(context, line.flags, pending, value ?? typed);
    return value === undefined ? values : values.map((each) => `${dashes}${flag}=${each}`);
  }
  if (typed.startsWith("-")) return [...globalFlags, ...command?.flags ?? []].map((flag) => `--${flag.name}`);
  if (line.positionals.length === 0) {
    return commands.filter(({ isHidden }) => !isHidden).map((each) => each.name);
  }
  if (name === "completion") return ["bash", "fish", "zsh"];
  if (name === "help") return commands.filter(({ isHidden }) => !isHidden).map((each) => each.name);
  if (name === "machine" && rest.length === 0) return ["label"];
  if (name === "top" && rest.length === 0) return ["machines", "units"];
  // Labels are not in the cluster before the user has set them.
  if (name === "machine" && rest.length > 1) return [];
  if (name === "context") return rest.length === 0 ? contextActions : await contextNames(context);
  if (name === "plan" && rest.length === 0) return planActions;
  if (name === "rollout" && rest.length === 0) return rolloutActions;
  const kinds = name === "plan" && machineActions.has(rest[0] ?? "") ? ["machine" as const] : argumentsOf[name] ?? [];
  return await fromCluster(context, line.flags, kinds);
}

/** Returns the values of a flag: those that it declares, or names of the cluster or of contexts. */
async function valuesFor(
  context: Context,
  given: ReadonlyMap<string, FlagValue>,
  { name, values, value = "" }: FlagSpec,
  typed: string,
): Promise<readonly string[]> {
  if (name === "context") return await contextNames(context);
  if (!values) return await fromCluster(context, given, valuesOf[name] ?? []);
  // The last part of a list is completed.
  const before = value.endsWith(",...") ? typed.slice(0, typed.lastIndexOf(",") + 1) : "";
  return values.map((each) => before + each);
}

/** Returns the names of contexts; none if their file cannot be read. */
async function contextNames({ contexts, io }: Context): Promise<readonly string[]> {
  try {
    return [...(await readContexts(contexts))?.contexts.keys() ?? []];
  } catch (error) {
    io.log("DEBUG", `no contexts to complete: ${reasonOf(error)}`);
    return [];
  }
}

/** The words before the one that is completed. */
interface Earlier {
  readonly positionals: readonly string[];
  readonly flags: ReadonlyMap<string, FlagValue>;
  /** The flag whose value is completed, if the value is a word of its own. */
  readonly pending?: FlagSpec;
}

/** Reads the words of an unfinished command line and leaves out those that cannot be understood yet. */
function readEarlier(words: readonly string[], specs: readonly FlagSpec[]): Earlier {
  const known = flagsByName(specs);
  const positionals: string[] = [];
  const flags = new Map<string, FlagValue>();
  let pending: FlagSpec | undefined;
  const take = (spec: FlagSpec, text: string) => {
    try {
      flags.set(spec.name, flagValue(spec, spec.name, text));
    } catch {
      // The command itself refuses the value with a reason.
    }
  };
  for (const [index, word] of words.entries()) {
    if (pending) {
      take(pending, word);
      pending = undefined;
    } else if (word === "--") {
      positionals.push(...words.slice(index + 1));
      break;
    } else if (word.startsWith("-") && word !== "-") {
      const { name, value } = splitFlag(word);
      const spec = known.get(name);
      if (spec && value !== undefined) take(spec, value);
      else if (spec && spec.kind === "switch") flags.set(spec.name, true);
      else if (spec) pending = spec;
    } else positionals.push(word);
  }
  return { positionals, flags, ...(pending ? { pending } : {}) };
}

/** Returns names of the cluster that the flags of the line select; none if it does not answer in time. Asks no question. */
async function fromCluster(
  context: Context,
  given: ReadonlyMap<string, FlagValue>,
  kinds: readonly Kind[],
): Promise<readonly string[]> {
  if (kinds.length === 0) return [];
  const { io } = context;
  const globals = new Map([...given].filter(([name]) => globalFlags.some((flag) => flag.name === name)));
  const timeout_s = Math.min(timeout_ms / 1000, Number(globals.get("request-timeout") ?? Infinity));
  // The units and machines that fleetctl import names are those of the old cluster, which gets no token.
  const from = given.get("from");
  const flags = from === undefined
    ? context.flags.with(new Map([...globals, ["request-timeout", timeout_s]]))
    : oldClusterFlags(String(from), given, timeout_s);
  const silent: Io = Object.assign(Object.create(io), { ask: () => Promise.resolve(undefined) });
  const late = new AbortController();
  let client: ApiClient | undefined;
  const asking = (async () => {
    client = await context.connect(flags, silent);
    return (await Promise.all(kinds.map((kind) => namesOf(client as ApiClient, kind)))).flat();
  })();
  try {
    return await Promise.race([asking, io.sleep(timeout_ms, late.signal).then(() => [])]);
  } catch (error) {
    io.log("DEBUG", `nothing to complete from the cluster: ${reasonOf(error)}`);
    return [];
  } finally {
    late.abort();
    asking.catch(() => {});
    client?.close();
  }
}

const requests: Readonly<Record<Kind, (client: ApiClient) => Promise<readonly string[]>>> = {
  unit: async (client) => (await client.units()).map(({ name }) => name),
  template: async (client) => (await client.units()).map(({ name }) => name).filter(isTemplate),
  machine: async (client) =>
    (await client.machines()).flatMap(({ id, metadata }) => [id, ...(metadata?.name ? [metadata.name] : [])]),
  app: async (client) => (await client.apps()).map(({ name }) => name),
};

async function namesOf(client: ApiClient, kind: Kind): Promise<string[]> {
  const names = await requests[kind](client);
  // The shell prints each line that it reads as a candidate: a name with control characters is left out.
  return names.filter((name) => /^[\x21-\x7e\u00a1-\u{10ffff}]+$/u.test(name));
}
