/**
 * Files of unix sockets, and explanations of sockets that cannot be opened. An adapter.
 *
 * @module
 */

import { chmod, lstat, unlink } from "node:fs/promises";
import { describeListen, type ListenSpec } from "./listen.ts";

/** The folders in and below which fleetd may create files; compile.sh grants them. */
export const socketFolders = ["/run/fleet", "/run/user", "/var/lib/fleet"] as const;

/** Returns an error that says why a socket cannot be opened, and what to do about it. */
export async function explainListen(spec: ListenSpec, cause: unknown): Promise<Error> {
  const address = describeListen(spec);
  const code = nodeErrorCode(cause);
  if (spec.kind === "unix" && cause instanceof Deno.errors.NotCapable) {
    const folders = `${socketFolders.slice(0, -1).join(", ")} and ${socketFolders.at(-1)}`;
    return new Error(
      `cannot listen on ${address}: fleetd may create sockets only in and below ${folders}: name a path there`,
    );
  }
  if (spec.kind === "unix" && code === "EADDRINUSE") {
    const why = !await isSocket(spec.path)
      ? "the path is a file, and not a socket: name another path, or remove the file"
      : "another program listens there: stop it, or name another path";
    return new Error(`cannot listen on ${address}: ${why}`, { cause });
  }
  if (code === "EADDRINUSE") {
    return new Error(`cannot listen on ${address}: another program listens there: stop it, or name another address`, {
      cause,
    });
  }
  if (spec.kind === "fd") {
    const advice = "systemd passes the sockets of a .socket unit, which must be of a kind that ListenStream= creates";
    return new Error(`cannot serve on file descriptor ${spec.fd}: ${advice}`, { cause });
  }
  return new Error(`cannot listen on ${address}`, { cause });
}

/** True if no process accepts connections at a socket file. */
export async function isAbandoned(path: string): Promise<boolean> {
  if (!await isSocket(path)) return false;
  try {
    using _probe = await Deno.connect({ transport: "unix", path });
    return false;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionRefused;
  }
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSocket();
  } catch (error) {
    if (nodeErrorCode(error) === "ENOENT") return false;
    throw error;
  }
}

/** Lets only the owner of a socket file connect, whatever the umask was. */
export async function restrictToOwner(path: string): Promise<void> {
  await chmod(path, 0o600);
}

/** Removes a file, if it exists. */
export async function removeSocketFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (nodeErrorCode(error) !== "ENOENT") throw error;
  }
}

/** Returns the code of a Node error, such as `ENOENT` or `EADDRINUSE`. */
export function nodeErrorCode(error: unknown): string | undefined {
  return (error as { code?: string } | null)?.code;
}
