/**
 * Sets up what every measurement needs: a lab with fleet on it, a client of its API, and systemd of each machine.
 *
 * @module
 */

import type { UnitOptionEntity } from "../daemon/api/v1/types.ts";
import { apiSocket } from "../tests/lab/fleet.ts";
import { type Lab, withLab } from "../tests/lab/lab.ts";
import type { Machine } from "../tests/lab/machine.ts";
import { until } from "../tests/lab/process.ts";
import { ApiClient } from "./api_client.ts";
import { Floor } from "./floor.ts";

/** A lab, ready to be measured. */
export interface Setting {
  readonly lab: Lab;
  /** Client of the first machine's API, over its unix socket. */
  readonly client: ApiClient;
  readonly floors: ReadonlyMap<Machine, Floor>;
}

/** The file of all measured units: a process that sleeps. */
export const unitText = "[Service]\nExecStart=/bin/sleep infinity\n";

/** The same file as options for the API, bound to `machine` if given. */
export function unitOptions(machine?: Machine): UnitOptionEntity[] {
  const service = { section: "Service", name: "ExecStart", value: "/bin/sleep infinity" };
  return machine ? [service, { section: "X-Fleet", name: "MachineID", value: machine.id }] : [service];
}

/** Runs `work` on a fresh lab of three machines with fleet, all of them present, and takes it down. */
export async function withSetting<T>(dist: string, work: (setting: Setting) => Promise<T>): Promise<T> {
  return await withLab({ machines: 3, fleet: { dist } }, async (lab) => {
    const { machines } = lab;
    await using client = await until("the API to answer", () => ApiClient.open(apiSocket(machines[0] as Machine)));
    const allPresent = () => machines.every(({ id }) => client.machines.has(id)) || undefined;
    await until("all machines to be present", () => Promise.resolve(allPresent()));
    const floors = new Map<Machine, Floor>();
    try {
      for (const machine of machines) floors.set(machine, await Floor.open(machine));
      return await work({ lab, client, floors });
    } finally {
      for (const floor of floors.values()) floor[Symbol.dispose]();
    }
  });
}

/** Waits, so that the machines are idle before the next command. */
export function pause(duration_ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration_ms));
}

/**
 * Returns the duration of `work` in milliseconds. It ends at the time that `work` returns, by performance.now(), or else
 * when `work` resolves.
 */
export async function timed(work: () => Promise<number | void>): Promise<number> {
  const start_ms = performance.now();
  const end_ms = await work();
  return (end_ms ?? performance.now()) - start_ms;
}
