/**
 * From a command line to an exit status.
 *
 * @module
 */

import { editDistance } from "../registry/spelling.ts";
import type { ApiClient } from "./api.ts";
import {
  Flags,
  flagsByName,
  flagsFromEnvironment,
  type FlagSpec,
  type FlagValue,
  splitWords,
  UsageError,
  type Words,
} from "./args.ts";
import { type Command, type Context, exitFailure, exitUsage } from "./command.ts";
import { commands } from "./commands/mod.ts";
import { ClientSetupError } from "./endpoint.ts";
import { expandPatterns } from "./globs.ts";
import { globalFlags } from "./global_flags.ts";
import { commandHelp, rootHelp } from "./help.ts";
import type { Hosts } from "./hosts.ts";
import { complain, type Io, ReaderGoneError, reasonOf, say } from "./io.ts";
import { MachineBook } from "./machines.ts";
import { version } from "./version.ts";

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
    return refuseUsage(quiet, error, argv);
  }
  const { command, flags } = line;
  if (!command || flags.on("help")) {
    quiet.out(command ? commandHelp(command) : rootHelp(commands));
    return 0;
  }
  if (command.name === "help") return help(quiet, line.args);
  if (command.deprecated !== undefined) {
    complain(quiet, `Command "${command.name}" is deprecated, ${command.deprecated}`);
  }
  return await runCommand(command, line, start.io(flags.on("debug")), start);
}

async function runCommand(command: Command, line: CommandLine, io: Io, start: Start): Promise<number> {
  let client: ApiClient;
  try {
    client = await start.client(line.flags, io);
  } catch (error) {
    if (!(error instanceof ClientSetupError)) throw error;
    complain(io, `Unable to initialize client: ${error.message}`);
    return exitFailure;
  }
  const { flags } = line;
  const hosts = start.hosts(flags, io);
  try {
    const args = command.takesUnits ? await expandPatterns(line.args, client) : line.args;
    const context: Context = { client, io, flags, args, machines: new MachineBook(client, io), hosts };
    return await command.run(context);
  } catch (error) {
    if (error instanceof ReaderGoneError) throw error;
    complain(io, reasonOf(error));
    return exitFailure;
  } finally {
    client.close();
    hosts.close();
  }
}

interface CommandLine {
  readonly command: Command | undefined;
  readonly flags: Flags;
  readonly args: readonly string[];
}

function readCommandLine(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): CommandLine {
  const given = flagsFromEnvironment(globalFlags, env);
  const words = splitWords(argv, [...globalFlags, ...commands.flatMap((command) => command.flags)]);
  const [name, ...args] = words.positionals;
  const command = name === undefined ? undefined : findCommand(name);
  const specs = [...globalFlags, ...command?.flags ?? []];
  checkFlags(words, specs);
  for (const { spec, value } of words.flags) given.set(spec.name, value);
  return { command, args, flags: new Flags(specs, given as ReadonlyMap<string, FlagValue>) };
}

/** Flags of other commands are as unknown as any. */
function checkFlags(words: Words, specs: readonly FlagSpec[]): void {
  const known = flagsByName(specs);
  const stranger = words.flags.find(({ as }) => !known.has(as.replace(/^--?/, "")));
  if (stranger) throw new UsageError(`unknown flag: ${stranger.as}`);
}

/** The command of that name, or the only one whose name begins so, the only old one if new ones do too. Throws {@link UsageError}. */
function findCommand(name: string): Command {
  const exact = commands.find((command) => command.name === name);
  if (exact) return exact;
  const starting = commands.filter((command) => name !== "" && command.name.startsWith(name));
  if (starting.length === 1) return starting[0] as Command;
  const old = starting.filter((command) => !command.isNew);
  if (old.length === 1) return old[0] as Command;
  throw new UnknownCommandError(name);
}

class UnknownCommandError extends UsageError {
  override name = "UnknownCommandError";
  readonly similar: readonly string[];

  constructor(name: string) {
    super(`unknown command ${JSON.stringify(name)} for "fleetctl"`);
    this.similar = commands.filter((command) => command.deprecated === undefined).map((command) => command.name)
      .filter((candidate) => (name !== "" && candidate.startsWith(name)) || editDistance(name, candidate) <= 2);
  }
}

function refuseUsage(io: Io, error: UsageError, argv: readonly string[]): number {
  complain(io, `Error: ${error.message}`);
  if (error instanceof UnknownCommandError) {
    if (error.similar.length > 0) {
      complain(io, `\nDid you mean this?\n${error.similar.map((name) => `\t${name}\n`).join("")}`);
    }
    complain(io, "Run 'fleetctl --help' for usage.");
  } else {
    const command = commands.find(({ name }) => argv.includes(name));
    io.out(command ? commandHelp(command) : rootHelp(commands));
  }
  complain(io, `cannot execute cmdFleet: ${error.message}`);
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
    complain(io, `Unknown help topic [${topics.map((topic) => "`" + topic + "`").join(" ")}].`);
    io.out(rootHelp(commands));
    return exitUsage;
  }
}
