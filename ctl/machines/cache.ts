/**
 * Caches the machines of the cluster.
 *
 * @module
 */

import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import type { ApiClient } from "../api/client.ts";
import { type Io, reasonOf } from "../terminal/port.ts";

/** The machines of the cluster, requested at the first use and cached for the rest of the command. */
export class MachineCache {
  #response: Promise<readonly MachineEntity[] | Error> | undefined;
  #machines: ReadonlyMap<string, MachineEntity> | undefined;

  constructor(private readonly client: ApiClient, private readonly io: Io) {}

  /** Sends the request, so that a later {@link all} waits less. */
  prefetch(): void {
    this.#response ??= this.client.machines().catch((cause) => new Error(reasonOf(cause), { cause }));
  }

  /** Returns a machine by its full ID; undefined if it is not in the cluster, or the request failed (which is logged). */
  async find(id: string): Promise<MachineEntity | undefined> {
    return (await this.all()).get(id);
  }

  /** Returns every machine by its ID; none if the request failed (which is logged). */
  async all(): Promise<ReadonlyMap<string, MachineEntity>> {
    this.prefetch();
    const response = await this.#response as readonly MachineEntity[] | Error;
    if (this.#machines) return this.#machines;
    if (response instanceof Error) this.io.log("WARN", `cannot list the machines: ${response.message}`);
    this.#machines = new Map(response instanceof Error ? [] : response.map((machine) => [machine.id, machine]));
    return this.#machines;
  }
}
