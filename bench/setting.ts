/**
 * What every measurement is made on: a lab with fleet on it, a client of its API, and systemd of each machine.
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
  /** Speaks to the first machine, over its unix socket. */
  readonly client: ApiClient;
  readonly floors: ReadonlyMap<Machine, Floor>;
}

/** What the units of all measurements do: as little as a process can. */
export const unitText = "[Service]\nExecStart=/bin/sleep infinity\n";

/** The same as the API wants it, for a certain machine where one is named. */
export function unitOptions(machine?: Machine): UnitOptionEntity[] {
  const service = { section: "Service", name: "ExecStart", value: "/bin/sleep infinity" };
  return machine ? [service, { section: "X-Fleet", name: "MachineID", value: machine.id }] : [service];
}

/** Runs `work` on a fresh lab of three machines with fleet, all of them present, and takes it down. */
export async function withSetting<T>(dist: string, work: (setting: Setting) => Promise<T>): Promise<T> {
  return await withLab({ machines: 3, fleet: { dist } }, async (lab) => {
    const { machines } = lab;
    await using client = await until("the API to answer", () => ApiClient.open(apiSocket(machines[0] as Machine)));
    const everybody = () => machines.every(({ id }) => client.machines.has(id)) || undefined;
    await until("all machines to be present", () => Promise.resolve(everybody()));
    const floors = new Map<Machine, Floor>();
    try {
      for (const machine of machines) floors.set(machine, await Floor.open(machine));
      return await work({ lab, client, floors });
    } finally {
      for (const floor of floors.values()) floor[Symbol.dispose]();
    }
  });
}

/** Nothing happens for so long. */
export function pause(duration_ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration_ms));
}

/** How long `work` takes, in milliseconds; where it gives a time by performance.now(), until then. */
export async function timed(work: () => Promise<number | void>): Promise<number> {
  const start_ms = performance.now();
  const end_ms = await work();
  return (end_ms ?? performance.now()) - start_ms;
}
