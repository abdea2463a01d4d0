/**
 * The failures of units with OnFailure=move that the agent keeps across restarts of its daemon.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";

/** The failures of one unit, as the next daemon goes on counting them. */
export interface SavedFailures {
  /** The file and the request for a restart that fail. */
  readonly of: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly at_ms: readonly number[];
  /** systemd's time of the last one. */
  readonly since_ms: number;
}

/** Storage of failures. */
export interface FailureMemory {
  load(): Promise<ReadonlyMap<UnitName, SavedFailures>>;
  save(failures: ReadonlyMap<UnitName, SavedFailures>): Promise<void>;
}
