/**
 * The shape of a command: its place in the help, its flags, and the function that carries it out.
 *
 * @module
 */

import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import type { ApiClient } from "../api/client.ts";
import type { Hosts } from "../ssh/remote.ts";
import type { ContextFile } from "../contexts/port.ts";
import type { Io } from "../terminal/port.ts";
import type { MachineCache } from "../machines/cache.ts";
import type { PatternScope } from "../units/select.ts";
import type { Flags, FlagSpec } from "./argv.ts";

/** The objects that a command works with. */
export interface Context {
  readonly client: ApiClient;
  readonly io: Io;
  /** The flags of the command and the global ones. */
  readonly flags: Flags;
  /** The same flags, without the settings of a context. */
  readonly given: Flags;
  /** The arguments without flags, and with units in place of patterns. */
  readonly args: readonly string[];
  /** The arguments as they were typed. */
  readonly words: readonly string[];
  /** The units that only patterns have named: a command may leave out those to which it does not apply. */
  readonly matched: ReadonlyMap<string, UnitEntity>;
  readonly machines: MachineCache;
  /** The connections to the machines themselves. */
  readonly hosts: Hosts;
  /** The file of contexts. */
  readonly contexts: ContextFile;
  /** Creates a client for other global flags; `io` replaces the terminal. Throws {@link ClientSetupError}. */
  connect(flags: Flags, io: Io): Promise<ApiClient>;
}

/** The meaning of units, and of patterns, among the arguments of a command. */
export interface UnitArguments {
  /** The units that a pattern matches. */
  readonly scope: PatternScope;
  /** True if the command without units means all of them. */
  readonly areOptional?: boolean;
  /** True if a unit that does not exist is no failure, with these flags. */
  readonly absentIsFine?: (flags: Flags) => boolean;
  /** The question that is asked on a terminal before the command changes units that a pattern matches. */
  readonly confirm?: {
    /** A verb, for example `destroy`. */
    readonly verb: string;
    /** True for a unit that the command would change. */
    readonly concerns: (unit: UnitEntity) => boolean;
  };
}

/** The groups in which help and reference list the commands, by their headings and in this order. */
export const commandGroups = {
  units: "Units",
  apps: "Applications",
  observe: "Observe",
  machines: "Machines",
  cluster: "Cluster",
  client: "Client",
} as const;

/** A command line that shows a use of a command. */
export interface Example {
  /** Says what the command line does, in the imperative. */
  readonly title: string;
  readonly line: string;
}

/** One command of fleetctl. A new one is written in a file of its own and listed in `commands/index.ts`. */
export interface Command {
  readonly name: string;
  readonly group: keyof typeof commandGroups;
  /** One line in the imperative. */
  readonly summary: string;
  /** The usage line behind `fleetctl`. */
  readonly usage: string;
  /** Paragraphs for the help page of the command. */
  readonly description?: string;
  readonly examples: readonly Example[];
  readonly flags: readonly FlagSpec[];
  /** Set if every argument names a unit of the cluster, or a pattern of such names. */
  readonly units?: UnitArguments;
  /** True if the command takes no arguments. */
  readonly takesNothing?: boolean;
  /** True if a command line for another machine follows the first argument, `--machine` or `--unit`. */
  readonly runsRemotely?: boolean;
  /** True if fleet 1.0 has no such command. An abbreviation of an old command and of new ones means the old one. */
  readonly isNew?: boolean;
  /** True if the command needs no cluster: no connection is made, even where the environment names a tunnel. */
  readonly isOffline?: boolean;
  /** The exit status of a command line that cannot be understood, where {@link exitUsage} has another meaning. */
  readonly usageStatus?: number;
  /** True if only scripts call the command: it is left out of lists. */
  readonly isHidden?: boolean;
  /** Returns the exit status. An error that is thrown is printed; the status is 2 for a {@link UsageError}, else 1. */
  run(context: Context): Promise<number>;
}

/** Exit status of a command line that cannot be understood. */
export const exitUsage = 2;

/** Exit status of a command that failed. */
export const exitFailure = 1;
