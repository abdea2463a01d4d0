import { parseEndpoint } from "../api/endpoint.ts";
import { type Flags, type FlagValue, switchFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context } from "../cli/command.ts";
import { readContexts, selectedContext } from "../contexts/apply.ts";
import type { Contexts, ContextSettings } from "../contexts/contexts.ts";
import {
  type Columns,
  documentText,
  formatOf,
  type List,
  listFlags,
  listView,
  printList,
  textColumn,
} from "../output/list.ts";
import { printLine } from "../terminal/port.ts";

interface Row {
  readonly name: string;
  readonly settings: ContextSettings;
  readonly isCurrent: boolean;
}

const setting = (name: string) => textColumn<Row>(({ settings }) => settings.get(name)?.toString());

const columns: Columns<Row> = {
  current: { text: ({ isCurrent }) => isCurrent ? "*" : "", json: ({ isCurrent }) => isCurrent },
  name: textColumn(({ name }) => name),
  endpoint: setting("endpoint"),
  tunnel: setting("tunnel"),
  access: textColumn(({ settings }) =>
    ["token", "token-file"].some((name) => settings.has(name))
      ? "token"
      : settings.has("cert-file")
      ? "certificate"
      : undefined
  ),
};

const list: List<Row> = { columns, defaultFields: "current,name,endpoint,tunnel,access", key: ["name"] };

/** The words that may follow `fleetctl context`, each with its function. */
const actions: Readonly<Record<string, (context: Context, names: readonly string[]) => Promise<number>>> = {
  list: listContexts,
  use,
  add,
  remove,
  show,
};

/** The actions that `fleetctl context` knows. */
export const contextActions: readonly string[] = Object.keys(actions);

/** `fleetctl context`: names clusters, and chooses one of them. */
export const context: Command = {
  name: "context",
  isNew: true,
  isOffline: true,
  group: "client",
  summary: "Name clusters, and choose one of them",
  usage: "context list|use NAME|add NAME [GLOBAL OPTIONS]|remove NAME...|show [NAME]",
  description:
    `A context is the name of a cluster together with the global options that reach it: endpoint, tunnel, token or
certificates and others. add stores those that are given, by options or by variables, and --use also makes
the context the current one. show prints the settings of the context that would be used, without its token.

A command uses the context of --context or FLEETCTL_CONTEXT, else the current one of context use. Options
on the command line take precedence over variables, and both over the context. If --endpoint, --tunnel or
--driver is given and no context is named, the current context is not used.

Contexts are in $XDG_CONFIG_HOME/fleet/config.toml (~/.config/fleet/config.toml).`,
  examples: [
    {
      title: "Name a cluster that is reached by TLS, and use it from now on",
      line:
        "fleetctl context add --use prod --endpoint=https://10.0.0.5:49153 --ca-file=ca.pem --cert-file=me.pem --key-file=me.key",
    },
    { title: "Name a cluster that is reached by SSH", line: "fleetctl context add lab --tunnel=10.77.0.11" },
    { title: "Choose a cluster", line: "fleetctl context use lab" },
    { title: "See which cluster a command would reach", line: "fleetctl context show" },
  ],
  flags: [
    ...listFlags(list),
    switchFlag("use", "add: make it the current context"),
    switchFlag("replace", "add: replace a context of this name"),
  ],
  async run(context) {
    const [action = "", ...names] = context.args;
    const run = Object.hasOwn(actions, action) ? actions[action] : undefined;
    if (!run) {
      const expected = `expected ${contextActions.slice(0, -1).join(", ")} or ${contextActions.at(-1)}`;
      throw new UsageError(
        action === "" ? expected : `unknown command ${JSON.stringify(`context ${action}`)}: ${expected}`,
      );
    }
    return await run(context, names);
  },
};

const none: Contexts = { contexts: new Map() };

async function listContexts(context: Context, names: readonly string[]): Promise<number> {
  if (names.length > 0) throw new UsageError(`unexpected argument ${JSON.stringify(names[0])}`);
  const { contexts, current } = await readContexts(context.contexts) ?? none;
  const rows = [...contexts].map(([name, settings]) => ({ name, settings, isCurrent: name === current }));
  await printList(context, listView(context, list), rows);
  return 0;
}

async function use(context: Context, names: readonly string[]): Promise<number> {
  const name = oneName(names);
  const all = await readContexts(context.contexts) ?? none;
  await existing(all, [name], context);
  await write(context, { ...all, current: name });
  printLine(context.io, `The current context is ${name}.`);
  return 0;
}

async function add(context: Context, names: readonly string[]): Promise<number> {
  const { flags, io, contexts: file } = context;
  const name = oneName(names);
  const { contextFlags, isPathFlag, wrongContextName } = await import("../contexts/contexts.ts");
  const wrong = wrongContextName(name);
  if (wrong !== undefined) throw new UsageError(wrong);
  const settings = new Map<string, FlagValue>();
  for (const spec of contextFlags.filter((spec) => flags.given(spec.name))) {
    const value = spec.kind === "switch"
      ? flags.on(spec.name)
      : spec.kind === "text"
      ? flags.text(spec.name)
      : flags.number(spec.name);
    settings.set(spec.name, isPathFlag(spec.name) ? file.onCommandLine(String(value)) : value);
  }
  if (settings.size === 0) throw new UsageError("name at least one global option, such as --endpoint or --tunnel");
  checkEndpoints(flags);
  const all = await readContexts(file) ?? none;
  if (all.contexts.has(name) && !flags.on("replace")) {
    throw new Error(`There is a context ${name} already: use --replace to replace it.`);
  }
  const current = flags.on("use") ? name : all.current;
  await write(context, { contexts: new Map([...all.contexts, [name, settings]]), ...(current ? { current } : {}) });
  printLine(io, `Context ${name} is stored in ${file.path}.`);
  if (current === name) printLine(io, `The current context is ${name}.`);
  return 0;
}

/** Refuses endpoints that no client could use. Throws {@link ClientSetupError}. */
function checkEndpoints(flags: Flags): void {
  if (!flags.given("endpoint") || flags.text("driver") === "etcd") return;
  for (const endpoint of flags.text("endpoint").split(",")) parseEndpoint(endpoint);
}

async function remove(context: Context, names: readonly string[]): Promise<number> {
  if (names.length === 0) throw new UsageError("name at least one context");
  const all = await readContexts(context.contexts) ?? none;
  await existing(all, names, context);
  const contexts = new Map([...all.contexts].filter(([name]) => !names.includes(name)));
  const { current } = all;
  await write(context, { contexts, ...(current && contexts.has(current) ? { current } : {}) });
  for (const name of new Set(names)) printLine(context.io, `Context ${name} is removed.`);
  if (current && !contexts.has(current)) printLine(context.io, "There is no current context now.");
  return 0;
}

async function show(context: Context, names: readonly string[]): Promise<number> {
  const { flags, io, contexts: file } = context;
  const format = formatOf(context, ["table", "json", "yaml"]);
  const all = await readContexts(file) ?? none;
  const named = names.length > 0 ? oneName(names) : undefined;
  if (named !== undefined) await existing(all, [named], context);
  const name = named ?? await selectedContext(flags, all, file);
  const settings = [...name === undefined ? [] : all.contexts.get(name)!]
    .map(([name, value]) => [name, name === "token" ? "(hidden)" : value] as const);
  if (format !== "table") {
    const shown = name === undefined ? null : { name, ...Object.fromEntries(settings) };
    io.out(await documentText(shown, format as "json" | "yaml"));
  } else if (name !== undefined) {
    printLine(io, `name: ${name}`);
    for (const [name, value] of settings) printLine(io, `${name}: ${value}`);
  } else {
    const why = all.current === undefined
      ? "there is no current one"
      : `${all.current} is the current one, but a cluster is named by a flag or a variable`;
    printLine(io, `No context is used: ${why}.`);
  }
  return 0;
}

function oneName(names: readonly string[]): string {
  const [name] = names;
  if (name === undefined || names.length > 1) throw new UsageError("name one context");
  return name;
}

/** Throws if one of the contexts does not exist. */
async function existing({ contexts }: Contexts, names: readonly string[], context: Context): Promise<void> {
  const missing = names.find((name) => !contexts.has(name));
  if (missing === undefined) return;
  const { similar } = await import("../contexts/contexts.ts");
  throw new Error(
    `There is no context ${missing} in ${context.contexts.path}${similar(missing, [...contexts.keys()])}.`,
  );
}

async function write({ contexts: file }: Context, all: Contexts): Promise<void> {
  const { contextsText } = await import("../contexts/contexts.ts");
  await file.write(contextsText(all));
}
