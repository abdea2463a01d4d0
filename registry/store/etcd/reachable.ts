/**
 * Finds out when an address that was cut off can be connected to again. An adapter: it opens sockets and sets timers.
 *
 * @module
 */

import { connect } from "node:net";
import { sleep } from "../../../runtime/sleep.ts";

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * A connection attempt whose first packet was lost sleeps for seconds (RFC 6298, section 5.5), so each attempt is short,
 * and the next one follows soon.
 */
const attempt = { limit_ms: 250, pause_ms: 100 } as const;

/** Resolves when a connection can be opened, or `signal` aborts. True if that was not possible at first. */
export async function untilReachable(address: Address, signal: AbortSignal): Promise<boolean> {
  for (let failures = 0; !signal.aborted; failures++) {
    if (await opens(address, signal)) return failures > 0 && !signal.aborted;
    await sleep(attempt.pause_ms, signal);
  }
  return false;
}

function opens({ host, port }: Address, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (opened: boolean) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      socket.destroy();
      resolve(opened);
    };
    const abort = () => end(false);
    const timer = setTimeout(abort, attempt.limit_ms);
    signal.addEventListener("abort", abort, { once: true });
    socket.on("connect", () => end(true));
    socket.on("error", () => end(false));
  });
}
