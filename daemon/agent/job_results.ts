/**
 * What the results of systemd's jobs mean for a unit. Pure.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";
import type { JobResult } from "../../systemd/port.ts";

/**
 * Whether systemd itself sees to it that a unit is started again where its file asks for that: `Restart=` is for services
 * alone, systemd.service(5). A socket, a timer or a mount that could not be started stays so until somebody tries again.
 */
export function startsAgain(unit: UnitName): boolean {
  return unit.endsWith(".service");
}

/** Results of jobs that somebody else took back, or that nothing is known of. */
export const withdrawn: readonly JobResult[] = ["canceled", "unknown", "collected"];

/** What a start's job result means to a person; undefined if all is well, or nothing can be said. */
export function jobError(kind: "start" | "restart", result: JobResult): string | undefined {
  switch (result) {
    case "done":
    case "canceled":
    case "unknown":
    case "collected":
      return undefined;
    case "dependency":
      return `systemd's ${kind} job failed: a unit it depends on failed`;
    case "skipped":
      return `systemd skipped the ${kind} job: a condition was not met`;
    default:
      return `systemd's ${kind} job ended with "${result}"`;
  }
}
