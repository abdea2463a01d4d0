/**
 * What a command is.
 *
 * @module
 */

import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import type { Flags, FlagSpec } from "./argv.ts";
import type { ApiClient } from "../api/client.ts";
import type { PatternScope } from "../units/select.ts";
import type { Hosts } from "../ssh/remote.ts";
import type { Io } from "../terminal/port.ts";
import type { MachineCache } from "../machines/format.ts";

/** What a command works with. */
export interface Context {
  readonly client: ApiClient;
  readonly io: Io;
  /** Its own flags and the global ones. */
  readonly flags: Flags;
  /** Its arguments, without flags, and with units in place of patterns. */
  readonly args: readonly string[];
  /** The units that only patterns have named: a command may leave out those to which it does not apply. */
  readonly matched: ReadonlyMap<string, UnitEntity>;
  readonly machines: MachineCache;
  /** The way to the machines themselves. */
  readonly hosts: Hosts;
  /** Makes a client of its own for other global flags; `io` replaces the terminal. Throws {@link ClientSetupError}. */
  connect(flags: Flags, io: Io): Promise<ApiClient>;
}

/** How a command takes units. */
export interface UnitArguments {
  /** What a pattern stands for. */
  readonly scope: PatternScope;
  /** True if it is no failure that there is no such unit. */
  readonly absentIsFine?: boolean;
  /** What happens to units: asked on a terminal before it happens to those that a pattern matches. */
  readonly confirm?: {
    /** For example `destroy`. */
    readonly what: string;
    /** True of a unit to which it would happen. */
    readonly concerns: (unit: UnitEntity) => boolean;
  };
}

/** One command of fleetctl. To add one is to write it and to name it in `commands/mod.ts`. */
export interface Command {
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Everything behind `fleetctl` on its usage line. */
  readonly usage: string;
  /** Paragraphs for its own help page. */
  readonly description?: string;
  readonly flags: readonly FlagSpec[];
  /** Set if every argument names a unit of the cluster, or a pattern of such names. */
  readonly units?: UnitArguments;
  /** True if it takes no arguments. */
  readonly takesNothing?: boolean;
  /** True if what follows its first argument, or `--machine` or `--unit`, is a command line for another machine. */
  readonly runsRemotely?: boolean;
  /** True if fleet 1.0 has no such command: an abbreviation that may mean an old one does. */
  readonly isNew?: boolean;
  /** True if it needs no cluster: no connection is made for it, also where the environment names a tunnel. */
  readonly isOffline?: boolean;
  /** True if only scripts call it: it is left out of lists. */
  readonly isHidden?: boolean;
  /** Does it and returns the exit status. What it throws is printed; the exit status is 2 for a {@link UsageError}, else 1. */
  run(context: Context): Promise<number>;
}

/** Exit status of a command line that makes no sense. */
export const exitUsage = 2;

/** Exit status of a command that failed. */
export const exitFailure = 1;
