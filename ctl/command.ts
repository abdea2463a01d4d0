/**
 * What a command is.
 *
 * @module
 */

import type { Flags, FlagSpec } from "./args.ts";
import type { ApiClient } from "./api.ts";
import type { Hosts } from "./hosts.ts";
import type { Io } from "./io.ts";
import type { MachineBook } from "./machines.ts";

/** What a command works with. */
export interface Context {
  readonly client: ApiClient;
  readonly io: Io;
  /** Its own flags and the global ones. */
  readonly flags: Flags;
  /** Its arguments, without flags. */
  readonly args: readonly string[];
  readonly machines: MachineBook;
  /** The way to the machines themselves. */
  readonly hosts: Hosts;
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
  /** True if every argument names a unit of the cluster, or a pattern of such names. */
  readonly takesUnits?: boolean;
  /** True if fleet 1.0 has no such command: an abbreviation that may mean an old one does. */
  readonly isNew?: boolean;
  /** True if only scripts call it: it is left out of lists. */
  readonly isHidden?: boolean;
  /** Set if the command is no more; the text follows `Command "x" is deprecated, `. It is left out of lists. */
  readonly deprecated?: string;
  /** Does it and returns the exit status. What it throws is printed, and the exit status is 1. */
  run(context: Context): Promise<number>;
}

/** Exit status of a command line that makes no sense. */
export const exitUsage = 2;

/** Exit status of a command that failed. */
export const exitFailure = 1;
