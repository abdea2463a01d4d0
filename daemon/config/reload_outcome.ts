/**
 * Requests for a reload whose sender waits for the outcome (`ExecReload=` of fleet.service), as files. An adapter.
 *
 * The sender writes a random ID to `reload-request` and sends SIGHUP. After the reload, `reload-outcome` holds that ID,
 * and on a second line the reason why the configuration was refused, or nothing if it is in force.
 *
 * @module
 */

import { type Log, messageOf } from "../../runtime/log.ts";
import { visible } from "../../runtime/visible.ts";
import { read, write } from "../state/atomic_file.ts";

/**
 * Opens the requests in a directory; without a directory there are none. The returned function reads a request, and returns
 * another one that writes its outcome. Failures are logged.
 */
export function openReloadRequests(
  directory: string | undefined,
  log: Log,
): () => Promise<(refusal: string | undefined) => Promise<void>> {
  if (directory === undefined) return () => Promise.resolve(() => Promise.resolve());
  const failed = (error: unknown) =>
    log("warn", `the outcome of the reload cannot be passed to systemctl reload: ${messageOf(error)}`);
  return async () => {
    const id = (await read(`${directory}/reload-request`).catch(failed))?.trim();
    return async (refusal = "") => {
      if (!id) return;
      // The shell's `read` ends at a line feed.
      const line = visible(refusal.replace(/\s+/g, " "));
      await write(`${directory}/reload-outcome`, `${id}\n${line}`).catch(failed);
    };
  };
}
