/**
 * Probes an address until it accepts connections. An adapter: it opens sockets and sets timers.
 *
 * @module
 */

import { connect } from "node:net";
import { onceAborted } from "../../../runtime/on_abort.ts";
import { sleep } from "../../../runtime/sleep.ts";

/** The address of a server. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * Time limit of an attempt, and pause before the next one. Both are short, because an attempt whose first packet was lost
 * would wait for seconds (RFC 6298, section 5.5).
 */
const attempt = { limit_ms: 250, pause_ms: 100 } as const;

/** Resolves when a connection can be opened, or `signal` aborts. Returns true if the first attempt had failed. */
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
      stopListening();
      socket.destroy();
      resolve(opened);
    };
    const abort = () => end(false);
    const timer = setTimeout(abort, attempt.limit_ms);
    const stopListening = onceAborted([signal], abort);
    socket.on("connect", () => end(true));
    socket.on("error", () => end(false));
  });
}
