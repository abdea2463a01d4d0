/**
 * Reads from the kernel which process is at the other end of a unix socket (`SO_PEERCRED`, unix(7)). An adapter.
 *
 * Deno has no call for it, so the C library is called: the only foreign function that fleetd uses.
 *
 * @module
 */

import type { Socket } from "node:net";
import { type Log, messageOf } from "../../../runtime/log.ts";
import type { PeerCredentials } from "../context.ts";

/** The paths of the C library in distributions; the permission to open it names the same paths. */
const libraries = [
  `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

/** Constants of Linux on x86-64 and arm64 (asm-generic/socket.h). */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

const declarations = {
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
} as const;

/** Reads the credentials of the processes that have opened connections. */
export interface PeerCredentialsReader extends Disposable {
  /** Returns undefined where the kernel does not say. It is asked once per connection. */
  of(socket: Socket): PeerCredentials | undefined;
}

/** Opens the C library. If that fails, the reason is logged, and no process is known. */
export function openPeerCredentials(log: Log): PeerCredentialsReader {
  let library = openLibrary(log);
  const known = new WeakMap<Socket, PeerCredentials | undefined>();
  // struct ucred { pid_t pid; uid_t uid; gid_t gid; }, socklen_t
  const ucred = new Uint32Array(3);
  const length = new Uint32Array(1);
  const ask = (socket: Socket): PeerCredentials | undefined => {
    length[0] = ucred.byteLength;
    const failed = library?.symbols.getsockopt(descriptorOf(socket), SOL_SOCKET, SO_PEERCRED, ucred, length) ?? -1;
    if (failed !== 0) return undefined;
    const [pid, uid, gid] = ucred as unknown as [number, number, number];
    return { pid, uid, gid };
  };
  return {
    of: (socket) => known.getOrInsertComputed(socket, ask),
    [Symbol.dispose]: () => {
      library?.close();
      library = undefined;
    },
  };
}

/** Returns the file descriptor of a socket; -1 once it is closed. */
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
  log("warn", "the log cannot name the processes that use the API over its unix socket", {
    error: problems.join("; "),
  });
  return undefined;
}
