/**
 * Runs a command line: reads it, finds the command, connects to the cluster, and returns the exit status.
 *
 * @module
 */

import { counted } from "../../runtime/counted.ts";
import { editDistance, nearest } from "../../runtime/spelling.ts";
import { versionText } from "../../runtime/version.ts";
import { ApiClient } from "../api/client.ts";
import {
  Flags,
  flagsByName,
  flagsFromEnvironment,
  type FlagSpec,
  type FlagValue,
  splitWords,
  UnknownFlagError,
  UsageError,
  type Words,
} from "./argv.ts";
import { type Command, type Context, exitFailure, exitUsage } from "./command.ts";
import { commands } from "../commands/index.ts";
import { nothingDone, yesFlag } from "../units/set_state.ts";
import { withContext } from "../contexts/apply.ts";
import { type ContextFile, ContextFileError } from "../contexts/port.ts";
import { ClientSetupError } from "../api/endpoint.ts";
import { expandPatterns } from "../units/select.ts";
import { globalFlags } from "./global_flags.ts";
import { commandHelp, rootHelp, seeHelp } from "./help.ts";
import type { Hosts } from "../ssh/remote.ts";
import { type Io, printError, printLine, ReaderGoneError, reasonOf } from "../terminal/port.ts";
import { MachineCache } from "../machines/cache.ts";

/** Creates the adapters that commands use. */
export interface Start {
  /** Returns the terminal, which prints `DEBUG` lines only if `debug`. */
  io(debug: boolean): Io;
  /** Connects to the API. Throws {@link ClientSetupError}. */
  client(flags: Flags, io: Io): Promise<ApiClient>;
  /** The file of contexts. */
  readonly contexts: ContextFile;
  /** Returns the connections to the machines, the same at every call. */
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
    printLine(quiet, `fleetctl version ${versionText}`);
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
  const { contexts } = start;
  let { flags } = line;
  let client: ApiClient;
  try {
    if (!command.isOffline) flags = await withContext(flags, contexts, io);
    client = command.isOffline ? noClient(flags) : await start.client(flags, io);
  } catch (error) {
    if (!(error instanceof ClientSetupError || error instanceof ContextFileError)) throw error;
    printError(io, `Unable to initialize client: ${error.message}`);
    return exitFailure;
  }
  const hosts = start.hosts(flags, io);
  try {
    const { units } = command;
    const { args, matched, unmatched } = await expandPatterns(line.args, client, units?.scope);
    for (const why of unmatched) printError(io, why);
    const missing = unmatched.length > 0 && !units?.absentIsFine?.(flags) ? exitFailure : 0;
    if (unmatched.length > 0 && args.length === 0) return missing;
    await confirm(units, matched, flags, io);
    const connect = async (other: Flags, otherIo: Io) =>
      await start.client(await withContext(other, contexts, otherIo), otherIo);
    const machines = new MachineCache(client, io);
    const context: Context = {
      ...{ client, io, flags, given: line.flags, args, words: line.args, matched },
      ...{ machines, hosts, contexts, connect },
    };
    return await command.run(context) || missing;
  } catch (error) {
    if (error instanceof ReaderGoneError) throw error;
    if (error instanceof UsageError) return refuseUsage(io, error, command);
    for (const each of error instanceof AggregateError ? error.errors : [error]) printError(io, reasonOf(each));
    return exitFailure;
  } finally {
    client.close();
    hosts.close();
  }
}

/** Most names that a question lists. */
const maxNamesAsked = 10;

/** Asks on a terminal before a command changes units that patterns match. Throws if the answer is not yes. */
async function confirm(units: Command["units"], matched: Context["matched"], flags: Flags, io: Io): Promise<void> {
  if (!units?.confirm || flags.on(yesFlag.name)) return;
  const { verb, concerns } = units.confirm;
  const names = [...matched.values()].filter(concerns).map(({ name }) => name);
  if (names.length === 0) return;
  const more = names.length > maxNamesAsked ? ` and ${names.length - maxNamesAsked} more` : "";
  const shown = `${names.slice(0, maxNamesAsked).join(", ")}${more}`;
  const question = `About to ${verb} ${counted(names.length, "unit")}: ${shown}. Continue?`;
  if (await io.confirm(question) === false) throw new Error(nothingDone);
}

/** Returns the client of commands that need no cluster, which refuses every request. */
function noClient(flags: Flags): ApiClient {
  const refuse = () => Promise.reject(new Error("a command without a connection has sent a request"));
  return new ApiClient(flags.text("endpoint"), refuse, () => {});
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
  const typed = new Map<string, FlagValue>();
  const own = flagsByName(specs);
  for (const { as, value } of words.flags) {
    // A letter may stand for another flag of another command.
    const spec = own.get(as.replace(/^--?/, ""))!;
    const earlier = spec.repeats ? typed.get(spec.name) : undefined;
    typed.set(spec.name, earlier === undefined ? value : `${earlier},${value}`);
  }
  for (const [name, value] of typed) given.set(name, value);
  const flags = new Flags(specs, given as ReadonlyMap<string, FlagValue>);
  if (command?.takesNothing && args.length > 0 && !flags.on("help")) {
    throw new UsageError(`unexpected argument ${JSON.stringify(args[0])}`);
  }
  if (command?.units && !command.units.areOptional && args.length === 0 && !flags.on("help")) {
    throw new UsageError("no units given");
  }
  return { command, args, flags };
}

function allFlags(): FlagSpec[] {
  return [...globalFlags, ...commands.flatMap((command) => command.flags)];
}

/** True once a command line for another machine has begun, whose words are not flags of fleetctl. */
function isRemoteCommand({ positionals: [name, ...args], flags }: Words): boolean {
  const command = name === undefined ? undefined : commandOf(name);
  if (!command?.runsRemotely) return false;
  const isTargetFlag = flags.some(({ spec }) => spec.name === "machine" || spec.name === "unit");
  return args.length > (isTargetFlag ? 0 : 1);
}

/** Refuses flags of other commands. */
function checkFlags(words: Words, specs: readonly FlagSpec[]): void {
  const known = flagsByName(specs);
  const unknown = words.flags.find(({ as }) => !known.has(as.replace(/^--?/, "")));
  if (unknown) throw new UnknownFlagError(unknown.as);
}

/** Returns the command of a line that cannot be understood as a whole. */
function commandIn(argv: readonly string[]): Command | undefined {
  const known = flagsByName(allFlags());
  const takesNext = (word: string | undefined) => {
    const kind = word?.startsWith("-") ? known.get(word.replace(/^--?/, ""))?.kind : undefined;
    return kind !== undefined && kind !== "switch";
  };
  const name = argv.find((word, index) => !word.startsWith("-") && !takesNext(argv[index - 1]));
  return name === undefined ? undefined : commandOf(name);
}

/** Returns the command of that name. Throws {@link UsageError}. */
function findCommand(name: string): Command {
  const command = commandOf(name);
  if (!command) throw new UnknownCommandError(name);
  return command;
}

/** Returns the command of that name, or the only one whose name begins so; among several, the only one of fleet 1.0. */
function commandOf(name: string): Command | undefined {
  const exact = commands.find((command) => command.name === name);
  if (exact) return exact;
  const starting = commands.filter((command) => name !== "" && command.name.startsWith(name));
  if (starting.length === 1) return starting[0] as Command;
  const old = starting.filter((command) => !command.isNew);
  return old.length === 1 ? old[0] : undefined;
}

/** Commands that users of other programs try, and the command of fleetctl that does the same. */
const otherNames: Readonly<Record<string, string>> = { ls: "list-units", ps: "list-units", get: "list-units" };

class UnknownCommandError extends UsageError {
  override name = "UnknownCommandError";

  constructor(name: string) {
    const other = otherNames[name];
    const similar = other !== undefined ? [other] : commands.filter(({ isHidden }) => !isHidden).map(({ name }) => name)
      .filter((candidate) =>
        (name !== "" && candidate.startsWith(name)) || editDistance(name, candidate) <= Math.min(2, name.length - 1)
      );
    const question = similar.length === 0 ? "" : ` (did you mean ${similar.join(" or ")}?)`;
    super(`unknown command ${JSON.stringify(name)}${question}`);
  }
}

/** Prints the error of a command line in one line, with a reference to the help. */
function refuseUsage(io: Io, error: UsageError, command: Command | undefined): number {
  const question = error instanceof UnknownFlagError ? similarFlag(error.typed, command) : "";
  printError(io, `Error: ${error.message}${question}; ${seeHelp(command)}`);
  return command?.usageStatus ?? exitUsage;
}

/** Returns ` (did you mean --x?)` for a flag that the command does not have, "" if none of its flags is similar. */
function similarFlag(typed: string, command: Command | undefined): string {
  const names = [...globalFlags, ...command?.flags ?? []].map(({ name }) => name);
  const similar = nearest(typed.replace(/^--?/, ""), names);
  return similar === undefined ? "" : ` (did you mean --${similar}?)`;
}

function help(io: Io, topics: readonly string[]): number {
  const [topic] = topics;
  try {
    io.out(topic === undefined ? rootHelp(commands) : commandHelp(findCommand(topic)));
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return refuseUsage(io, error, undefined);
  }
}
