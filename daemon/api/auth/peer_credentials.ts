/**
 * Which process is at the other end of a unix socket, as the kernel knows it (`SO_PEERCRED`, unix(7)). An adapter.
 *
 * Deno has no call for it, so that it is asked of the C library: the only thing that fleetd calls outside the runtime.
 *
 * @module
 */

import type { Socket } from "node:net";
import { type Log, messageOf } from "../../../runtime/log.ts";
import type { PeerCredentials } from "../context.ts";

/** Where distributions have the C library; the permission to open it names the same paths. */
const libraries = [
  `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

/** Of Linux on x86-64 and arm64 (asm-generic/socket.h). */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

const declarations = {
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
} as const;

/** Knows who has opened which connection. */
export interface PeerCredentialsReader extends Disposable {
  /** Undefined where it cannot be told. The kernel is asked once a connection. */
  of(socket: Socket): PeerCredentials | undefined;
}

/** Where there is no such library, or no permission to call it, it is logged why, and nobody is known. */
export function openPeerCredentials(log: Log): PeerCredentialsReader {
  let library = openLibrary(log);
  const known = new WeakMap<Socket, PeerCredentials>();
  // struct ucred { pid_t pid; uid_t uid; gid_t gid; }, socklen_t
  const ucred = new Uint32Array(3);
  const length = new Uint32Array(1);
  const ask = (socket: Socket): PeerCredentials | undefined => {
    length[0] = ucred.byteLength;
    const failed = library?.symbols.getsockopt(descriptorOf(socket), SOL_SOCKET, SO_PEERCRED, ucred, length) ?? -1;
    if (failed !== 0) return undefined;
    const [pid, uid, gid] = ucred as unknown as [number, number, number];
    const credentials = { pid, uid, gid };
    known.set(socket, credentials);
    return credentials;
  };
  return {
    of: (socket) => known.get(socket) ?? ask(socket),
    [Symbol.dispose]: () => {
      library?.close();
      library = undefined;
    },
  };
}

/** The number of a socket's file; -1, which is none, once it is closed. */
function descriptorOf(socket: Socket): number {
  return (socket as { readonly _handle?: { readonly fd?: number } | null })._handle?.fd ?? -1;
}

function openLibrary(log: Log): Deno.DynamicLibrary<typeof declarations> | undefined {
  const problems: string[] = [];
  for (const path of libraries) {
    try {
      return Deno.dlopen(path, declarations);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  log("warn", "the log cannot tell which process speaks on a unix socket", { error: problems.join("; ") });
  return undefined;
}
