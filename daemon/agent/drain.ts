/**
 * Removes units from a machine whose daemon is not in the cluster: it was asked to stop before it had joined.
 *
 * @module
 */

import { Agent, type AgentOptions } from "./agent.ts";
import { Notifier } from "../../runtime/notifier.ts";
import { aborted } from "../../runtime/on_abort.ts";

/** Dependencies of {@link drainAlone}. */
export type AloneOptions = Pick<AgentOptions, "systemd" | "memory" | "clock" | "log" | "safetyNet_ms">;

/** Removes every unit that an earlier daemon has left on this machine; resolves when none is left. Publishes no state. */
export async function drainAlone(options: AloneOptions): Promise<void> {
  const over = new AbortController();
  const record = {
    id: "",
    ip: "",
    incarnation: "",
    staticMetadata: {},
    capabilities: { disableEngine: true },
    version: "",
  };
  const agent = new Agent({
    ...options,
    machine: () => record,
    membership: {
      publish: () => Promise.resolve(),
      lease: "",
      // Every unit is stopped anyway.
      ttl_ms: Infinity,
      renewedAt_ms: Infinity,
      renewals: new Notifier(),
      renewEvery: () => {},
      locks: {
        take: () => Promise.resolve({ kind: "outdated" }),
        release: () => Promise.resolve(),
        held: () => Promise.resolve([]),
      },
    },
    registry: {
      // deno-lint-ignore require-yield -- it never sees the cluster
      async *watchMachine(_machine, signal) {
        await aborted(signal);
      },
      file: () => Promise.resolve(undefined),
    },
    seen: () => {},
  });
  const running = agent.run(over.signal);
  try {
    await Promise.race([agent.drain(), running]);
  } finally {
    over.abort();
    await running;
  }
}
