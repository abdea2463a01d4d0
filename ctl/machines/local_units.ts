/**
 * Whether the status and journal of a unit on this machine are read here, by systemd's own programs.
 *
 * @module
 */

import type { ApiClient } from "../api/client.ts";
import type { Context } from "../cli/command.ts";

/** Whether servers run units on the systemd of a user, asked for once in a command. */
const userServers = new WeakMap<ApiClient, Promise<boolean>>();

/**
 * True if the machine is this one and its units are on the system's systemd. A daemon that runs units on its user's own
 * systemd has to be asked: programs that are run here read the journal of the system, or of another user.
 */
export async function isReadHere({ client, hosts }: Context, machine: string): Promise<boolean> {
  if (machine === "" || machine !== await hosts.localMachineId()) return false;
  const asked = userServers.get(client) ??
    client.health().then(({ isUser }) => isUser === true, () => false);
  userServers.set(client, asked);
  return !await asked;
}
