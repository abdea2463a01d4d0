/**
 * Machines as commands print them.
 *
 * @module
 */

import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import type { ApiClient } from "../api/client.ts";
import { type Io, reasonOf } from "../terminal/port.ts";

/** A machine's ID, shortened to 8 characters and an ellipsis unless `full`. */
export function machineIdLegend(id: string, full: boolean): string {
  return full ? id : id.slice(0, 8) + "...";
}

/** A machine's ID and, if known, its address. */
export function machineLegend(machine: MachineEntity, full: boolean): string {
  const id = machineIdLegend(machine.id, full);
  return machine.primaryIP ? `${id}/${machine.primaryIP}` : id;
}

/** The machines of the cluster, asked for when first needed and remembered for the rest of the command. */
export class MachineCache {
  readonly #client: ApiClient;
  readonly #io: Io;
  #answer: Promise<readonly MachineEntity[] | Error> | undefined;
  #machines: ReadonlyMap<string, MachineEntity> | undefined;

  constructor(client: ApiClient, io: Io) {
    this.#client = client;
    this.#io = io;
  }

  /** Asks, so that a later {@link all} need not wait as long. */
  ask(): void {
    this.#answer ??= this.#client.machines().catch((cause) => new Error(reasonOf(cause), { cause }));
  }

  /** A machine by its full ID; undefined if it is away, or the list could not be had (which is said on the log). */
  async find(id: string): Promise<MachineEntity | undefined> {
    return (await this.all()).get(id);
  }

  /** Every machine by its ID; none if the list could not be had (which is said on the log). */
  async all(): Promise<ReadonlyMap<string, MachineEntity>> {
    this.ask();
    const answer = await this.#answer as readonly MachineEntity[] | Error;
    if (this.#machines) return this.#machines;
    if (answer instanceof Error) this.#io.log("WARN", `no list of machines: ${answer.message}`);
    this.#machines = new Map(answer instanceof Error ? [] : answer.map((machine) => [machine.id, machine]));
    return this.#machines;
  }
}
