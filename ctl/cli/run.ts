/**
 * From a command line to an exit status.
 *
 * @module
 */

import { editDistance } from "../../runtime/spelling.ts";
import { type ApiClient, createApiClient } from "../api/client.ts";
import {
  Flags,
  flagsByName,
  flagsFromEnvironment,
  type FlagSpec,
  type FlagValue,
  splitWords,
  UsageError,
  type Words,
} from "./argv.ts";
import { type Command, type Context, exitFailure, exitUsage } from "./command.ts";
import { commands } from "../commands/index.ts";
import { yesFlag } from "../units/set_state.ts";
import { ClientSetupError } from "../api/endpoint.ts";
import { expandPatterns, type Expansion } from "../units/select.ts";
import { globalFlags } from "./global_flags.ts";
import { commandHelp, rootHelp, usageLine } from "./help.ts";
import type { Hosts } from "../ssh/remote.ts";
import { complain, type Io, ReaderGoneError, reasonOf, say } from "../terminal/port.ts";
import { MachineCache } from "../machines/format.ts";
import { version } from "../version.ts";

/** Builds what commands need from the global flags. Throws {@link ClientSetupError}. */
export interface Start {
  /** The terminal; `debug` says whether `DEBUG` lines are wanted. */
  io(debug: boolean): Io;
  /** A way to the API. */
  client(flags: Flags, io: Io): Promise<ApiClient>;
  /** The way to the machines; the same at every call. */
  hosts(flags: Flags, io: Io): Hosts;
}

/** Runs fleetctl and returns its exit status: 0 for success, 1 for failure, 2 for wrong usage, or the command's own. */
export async function runFleetctl(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  start: Start,
): Promise<number> {
  const quiet = start.io(false);
  if (argv[0] === "--version" || argv[0] === "-v") {
    say(quiet, `fleetctl version ${version}`);
    return 0;
  }
  let line: CommandLine;
  try {
    line = readCommandLine(argv, env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return refuseUsage(quiet, error, commandIn(argv));
  }
  const { command, flags } = line;
  if (!command || flags.on("help")) {
    quiet.out(command ? commandHelp(command) : rootHelp(commands));
    return 0;
  }
  if (command.name === "help") return help(quiet, line.args);
  return await runCommand(command, line, start.io(flags.on("debug")), start);
}

async function runCommand(command: Command, line: CommandLine, io: Io, start: Start): Promise<number> {
  let client: ApiClient;
  try {
    client = command.isOffline ? noClient(line.flags) : await start.client(line.flags, io);
  } catch (error) {
    if (!(error instanceof ClientSetupError)) throw error;
    complain(io, `Unable to initialize client: ${error.message}`);
    return exitFailure;
  }
  const { flags } = line;
  const hosts = start.hosts(flags, io);
  try {
    const everything: Expansion = { args: line.args, matched: new Map(), unmatched: [] };
    const { units } = command;
    const { args, matched, unmatched } = units ? await expandPatterns(line.args, client, units.scope) : everything;
    for (const why of unmatched) complain(io, why);
    const missing = unmatched.length > 0 && !units?.absentIsFine ? exitFailure : 0;
    if (unmatched.length > 0 && args.length === 0) return missing;
    if (!await isConfirmed(units, matched, flags, io)) return exitFailure;
    const connect = (other: Flags, otherIo: Io) => start.client(other, otherIo);
    const machines = new MachineCache(client, io);
    const context: Context = { client, io, flags, args, matched, machines, hosts, connect };
    return await command.run(context) || missing;
  } catch (error) {
    if (error instanceof ReaderGoneError) throw error;
    if (error instanceof UsageError) return refuseUsage(io, error, command);
    complain(io, reasonOf(error));
    return exitFailure;
  } finally {
    client.close();
    hosts.close();
  }
}

/** Names that a question shows. */
const namesAsked = 10;

/** True if what happens to the units that patterns match may happen; the user is asked if there is a terminal. */
async function isConfirmed(
  units: Command["units"],
  matched: Context["matched"],
  flags: Flags,
  io: Io,
): Promise<boolean> {
  if (!units?.confirm || flags.on(yesFlag.name)) return true;
  const { what, concerns } = units.confirm;
  const names = [...matched.values()].filter(concerns).map(({ name }) => name);
  if (names.length === 0) return true;
  const more = names.length > namesAsked ? ` and ${names.length - namesAsked} more` : "";
  const count = names.length === 1 ? "1 unit" : `${names.length} units`;
  if (
    await io.confirm(`About to ${what} ${count}: ${names.slice(0, namesAsked).join(", ")}${more}. Go on?`) !== false
  ) {
    return true;
  }
  complain(io, `Nothing was done. (--${yesFlag.name} does it without a question.)`);
  return false;
}

/** The client of commands that need no cluster: it refuses every request. */
function noClient(flags: Flags): ApiClient {
  const refuse = () => Promise.reject(new Error("a command without a connection has sent a request"));
  return createApiClient(flags.text("endpoint"), refuse, () => {});
}

interface CommandLine {
  readonly command: Command | undefined;
  readonly flags: Flags;
  readonly args: readonly string[];
}

function readCommandLine(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): CommandLine {
  const given = flagsFromEnvironment(globalFlags, env);
  const words = splitWords(argv, allFlags(), isRemoteCommand);
  const [name, ...args] = words.positionals;
  const command = name === undefined ? undefined : findCommand(name);
  const specs = [...globalFlags, ...command?.flags ?? []];
  checkFlags(words, specs);
  for (const { spec, value } of words.flags) given.set(spec.name, value);
  const flags = new Flags(specs, given as ReadonlyMap<string, FlagValue>);
  if (command?.takesNothing && args.length > 0 && !flags.on("help")) {
    throw new UsageError(`unexpected argument ${JSON.stringify(args[0])}`);
  }
  return { command, args, flags };
}

function allFlags(): FlagSpec[] {
  return [...globalFlags, ...commands.flatMap((command) => command.flags)];
}

/** True once a command line for another machine has begun: what follows is not read for flags. */
function isRemoteCommand({ positionals: [name, ...args], flags }: Words): boolean {
  const command = name === undefined ? undefined : commandOf(name);
  if (!command?.runsRemotely) return false;
  const isTargetFlag = flags.some(({ spec }) => spec.name === "machine" || spec.name === "unit");
  return args.length > (isTargetFlag ? 0 : 1);
}

/** Flags of other commands are as unknown as any. */
function checkFlags(words: Words, specs: readonly FlagSpec[]): void {
  const known = flagsByName(specs);
  const unknown = words.flags.find(({ as }) => !known.has(as.replace(/^--?/, "")));
  if (unknown) throw new UsageError(`unknown flag: ${unknown.as}`);
}

/** The command that a line begins with, however wrong the rest is. */
function commandIn(argv: readonly string[]): Command | undefined {
  const known = flagsByName(allFlags());
  const takesNext = (word: string | undefined) => {
    const kind = word?.startsWith("-") ? known.get(word.replace(/^--?/, ""))?.kind : undefined;
    return kind !== undefined && kind !== "switch";
  };
  const name = argv.find((word, index) => !word.startsWith("-") && !takesNext(argv[index - 1]));
  return name === undefined ? undefined : commandOf(name);
}

/** The command of that name. Throws {@link UsageError}. */
function findCommand(name: string): Command {
  const command = commandOf(name);
  if (!command) throw new UnknownCommandError(name);
  return command;
}

/** The command of that name, or the only one whose name begins so, the only old one if new ones do too. */
function commandOf(name: string): Command | undefined {
  const exact = commands.find((command) => command.name === name);
  if (exact) return exact;
  const starting = commands.filter((command) => name !== "" && command.name.startsWith(name));
  if (starting.length === 1) return starting[0] as Command;
  const old = starting.filter((command) => !command.isNew);
  return old.length === 1 ? old[0] : undefined;
}

/** Commands of other programs for what a fleetctl command does. */
const otherNames: Readonly<Record<string, string>> = { ls: "list-units", ps: "list-units", get: "list-units" };

class UnknownCommandError extends UsageError {
  override name = "UnknownCommandError";

  constructor(name: string) {
    const other = otherNames[name];
    const similar = other !== undefined ? [other] : commands.filter(({ isHidden }) => !isHidden).map(({ name }) => name)
      .filter((candidate) => (name !== "" && candidate.startsWith(name)) || editDistance(name, candidate) <= 2);
    const question = similar.length === 0 ? "" : `; did you mean ${similar.join(" or ")}?`;
    super(`unknown command ${JSON.stringify(name)} for "fleetctl"${question}`);
  }
}

/** Says in two lines what is wrong and how it is right. */
function refuseUsage(io: Io, error: UsageError, command: Command | undefined): number {
  complain(io, error.isWhole ? error.message : `Error: ${error.message}`);
  complain(io, usageLine(command));
  return exitUsage;
}

function help(io: Io, topics: readonly string[]): number {
  if (topics.length === 0) {
    io.out(rootHelp(commands));
    return 0;
  }
  try {
    io.out(commandHelp(findCommand(topics[0] as string)));
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return refuseUsage(
      io,
      new UsageError(`Unknown help topic [${topics.map((topic) => "`" + topic + "`").join(" ")}].`, true),
      undefined,
    );
  }
}
