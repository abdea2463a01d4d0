/**
 * Requests for a reload whose sender waits for the outcome (`ExecReload=` of fleet.service), as files. An adapter.
 *
 * The sender writes a random ID to `reload-request` and sends SIGHUP. After the reload, `reload-outcome` holds that ID,
 * and on a second line why the configuration was refused; the line is empty if it is in force.
 *
 * @module
 */

import { type Log, messageOf } from "../../runtime/log.ts";
import { read, write } from "../state/atomic_file.ts";

/**
 * Opens the requests in a directory; none where there is no directory. The function that is returned reads the request,
 * and returns one that writes its outcome. Failures are logged.
 */
export function openReloadRequests(
  directory: string | undefined,
  log: Log,
): () => Promise<(refusal: string | undefined) => Promise<void>> {
  if (directory === undefined) return () => Promise.resolve(() => Promise.resolve());
  const failed = (error: unknown) => log("warn", `systemctl reload does not learn its outcome: ${messageOf(error)}`);
  return async () => {
    const id = (await read(`${directory}/reload-request`).catch(failed))?.trim();
    return async (refusal = "") => {
      if (!id) return;
      // The shell's echo and read take backslashes and lines as their own.
      const line = refusal.replace(/\s+/g, " ");
      await write(`${directory}/reload-outcome`, `${id}\n${line}`).catch(failed);
    };
  };
}
