/**
 * Decides whether the status and journal of a unit on this machine are read locally, by systemd's own programs.
 *
 * @module
 */

import type { ApiClient } from "../api/client.ts";
import type { Context } from "../cli/command.ts";

/** True for servers that run units on the systemd of a user; requested once in a command. */
const userServers = new WeakMap<ApiClient, Promise<boolean>>();

/**
 * True if the machine is this one and runs its units on the system's systemd. The units of a daemon that uses the systemd
 * of its user are read by the API: local programs would read the journal of the system, or of another user.
 */
export async function isReadLocally({ client, hosts }: Context, machine: string): Promise<boolean> {
  if (machine === "" || machine !== await hosts.localMachineId()) return false;
  const isUser = userServers.get(client) ??
    client.health().then(({ isUser }) => isUser === true, () => false);
  userServers.set(client, isUser);
  return !await isUser;
}
