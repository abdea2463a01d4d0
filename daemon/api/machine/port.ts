/**
 * The port of the API to the machine that it runs on. Interface only.
 *
 * @module
 */

import type { MachineId, UnitName } from "../../../registry/model.ts";
import type { MachineUsageEntity } from "../v1/types.ts";

/** The arguments of journalctl(1). */
export interface JournalQuery {
  readonly unit: UnitName;
  /** The number of latest lines. */
  readonly lines: number;
  /** True to continue with new lines until the stream is canceled. */
  readonly follow: boolean;
  /** One of {@link outputs}. */
  readonly output: string;
  /** The times of the first and the last entry, milliseconds since the epoch. */
  readonly since_ms?: number;
  readonly until_ms?: number;
  /** A regular expression of PCRE2 that messages must match. */
  readonly grep?: string;
}

/** The machine that this daemon runs on. */
export interface LocalMachine {
  /** True if its units run under the systemd instance of the user that the daemon runs as. */
  readonly isUser?: boolean;
  /** The machine's ID; undefined while it is not a member of the cluster. */
  readonly id: () => MachineId | undefined;
  /** Returns the output of journalctl. Canceling the stream ends journalctl. */
  journal(query: JournalQuery): ReadableStream<Uint8Array>;
  /** Returns the output of `systemctl status`. An abort ends systemctl, and rejects with the signal's reason. */
  statusText(unit: UnitName, signal: AbortSignal): Promise<string>;
  /** Returns the output of `systemctl show` by property, several values of one a line each; as {@link statusText}. */
  statusProperties(unit: UnitName, signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /**
   * Returns what the machine and units use; as {@link statusText}. `units`: the name in systemd of each, by its name in the
   * result.
   */
  usage(units: ReadonlyMap<UnitName, string>, signal: AbortSignal): Promise<Omit<MachineUsageEntity, "machineID">>;
  /**
   * Returns the standard error of `systemd-analyze verify` about unit files, by name, and of podman's generator about
   * Quadlet files, up to a limit; as {@link statusText}. Undefined if the machine has no such program. One call at a time.
   */
  verify(files: ReadonlyMap<UnitName, string>, signal: AbortSignal): Promise<string | undefined>;
  /** Sends a GET request to another machine's daemon. Its body may be endless. Rejects if there is no response. */
  fetchPeer: PeerFetch;
}

/** Sends a GET request with this machine's credentials to a path below the base URL of another machine's API. */
export type PeerFetch = (
  baseUrl: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<Response>;

/** Formats of journalctl(1) that are lines of text, or a JSON object a line. */
export const outputs = [
  "short",
  "short-full",
  "short-iso",
  "short-precise",
  "short-monotonic",
  "cat",
  "with-unit",
  "json",
];
