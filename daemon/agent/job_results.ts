/**
 * Meaning of the results of systemd's jobs. Pure.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";
import type { JobResult } from "../../systemd/port.ts";

/**
 * True if systemd itself restarts a failed unit of this type when its file asks for that: `Restart=` is for services alone,
 * systemd.service(5). A socket, a timer or a mount that could not be started stays failed until it is started again.
 */
export function startsAgain(unit: UnitName): boolean {
  return unit.endsWith(".service");
}

/**
 * True if a start that has ended with a failure is not repeated: `Restart=` of a service decides whether systemd tries
 * again. podman makes services of containers and pods. One whose volume or image failed is tried again with that.
 */
export function isLeftToSystemd(unit: UnitName, result: JobResult): boolean {
  return startsAgain(unit) || /\.(container|kube|pod)$/.test(unit) && result !== "dependency";
}

/** Results of jobs that were canceled, or whose result is not known. */
export const withdrawn: readonly JobResult[] = ["canceled", "unknown", "collected"];

/** Returns the error message for a start job's result; undefined if it succeeded or its result is not known. */
export function jobError(kind: "start" | "restart", result: JobResult): string | undefined {
  if (withdrawn.includes(result)) return undefined;
  switch (result) {
    case "done":
      return undefined;
    case "dependency":
      return `systemd's ${kind} job failed: a unit it depends on failed`;
    case "skipped":
      return `systemd skipped the ${kind} job: a condition was not met`;
    default:
      return `systemd's ${kind} job ended with "${result}"`;
  }
}
