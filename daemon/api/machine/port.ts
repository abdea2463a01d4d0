/**
 * The machine that serves the API, as far as the API needs it. Interface only.
 *
 * @module
 */

import type { MachineId, UnitName } from "../../../registry/model.ts";

/** How journalctl(1) is asked for lines. */
export interface JournalQuery {
  readonly unit: UnitName;
  readonly lines: number;
  /** Goes on until the stream is cancelled. */
  readonly follow: boolean;
  readonly output: string;
}

/** The machine that this daemon runs on, and the way to others'. */
export interface Host {
  /** True if its units are on the systemd of the user that the daemon runs as. */
  readonly isUser?: boolean;
  /** Undefined while it is not a member of the cluster. */
  readonly machine: () => MachineId | undefined;
  /** What journalctl prints. Cancelling it ends journalctl. */
  journal(query: JournalQuery): ReadableStream<Uint8Array>;
  /** What `systemctl status` prints. Ends systemctl, and rejects with the signal's reason, when that aborts. */
  statusText(unit: UnitName, signal: AbortSignal): Promise<string>;
  /** What `systemctl show` prints, by property, several values of one a line each; as for {@link statusText}. */
  statusProperties(unit: UnitName, signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /** Asks the daemon at a base URL; its body may have no end. Rejects when it does not answer. */
  ask(base: string, path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response>;
}

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
