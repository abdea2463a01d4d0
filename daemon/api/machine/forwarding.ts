/**
 * What routes share that forward requests to the daemons of other machines.
 *
 * @module
 */

import type { Clock } from "../../../runtime/clock.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";
import type { Cluster, MachineId, UnitName } from "../../../registry/model.ts";
import { optionsOf } from "../../../systemd/unit_file.ts";
import { isQuadlet } from "../../../systemd/unit_name.ts";
import { generatedService } from "../../../systemd/unit_quadlet.ts";
import { versionOn } from "../../policy/globals.ts";
import type { ErrorEntity } from "../v1/types.ts";

/** Time limit for systemctl, and for the beginning of another daemon's response. */
export const answer_ms = 10_000;

/** The header of a forwarded request: the daemon that gets it must answer it, and not forward it again. */
export const forwardedHeader = "Fleet-Passed-On";

/** A program or another daemon took too long, or the client did not wait for it. */
export class NotInTimeError extends Error {
  override name = "NotInTimeError";
}

/**
 * Returns the result of a task. Rejects with {@link NotInTimeError}, and aborts the task's signal, when the task takes
 * longer than `limit_ms` or the client closes its connection.
 */
export async function inTime<T>(
  clock: Clock,
  request: Request,
  task: (signal: AbortSignal) => Promise<T>,
  limit_ms = answer_ms,
): Promise<T> {
  const over = new AbortController();
  const done = new AbortController();
  void clock.sleep(limit_ms, done.signal).then(() => {
    if (!done.signal.aborted) over.abort(new NotInTimeError(`no answer within ${limit_ms / 1000} seconds`));
  });
  const stopWaiting = onceAborted(
    [request.signal],
    () => over.abort(new NotInTimeError("the client has closed its connection")),
  );
  try {
    return await task(over.signal);
  } finally {
    stopWaiting();
    done.abort();
  }
}

const noReason = "it gives no reason";

/** Returns the message of an error entity, or the text itself if it is none. */
export function messageIn(body: string): string {
  try {
    return (JSON.parse(body) as ErrorEntity).error.message.trim() || noReason;
  } catch {
    return body.trim() || noReason;
  }
}

/** Returns the name of a unit in systemd, which of a Quadlet file is that of its service. `text`: its file. */
export function nameInSystemd(unit: UnitName, text = ""): string {
  return isQuadlet(unit) ? generatedService(unit, optionsOf(text)) : unit;
}

/** Returns the name in systemd of a unit of the cluster, which depends on the version of its file that the machine runs. */
export function clusterNameInSystemd(
  { units, files }: Pick<Cluster, "units" | "files">,
  name: UnitName,
  machine: MachineId,
): string {
  const unit = units.get(name);
  return nameInSystemd(name, unit && files.get(versionOn(unit, machine).hash)?.text);
}
