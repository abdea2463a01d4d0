/**
 * The requests of {@link import("./client.ts").ApiClient} about the maintenance of machines.
 *
 * @module
 */

import type {
  CordonEntity,
  CordonsEntity,
  DrainEntity,
  DrainRequest,
  DrainsEntity,
  RebalanceEntity,
  RebalanceRequest,
} from "../../daemon/api/v1/types.ts";
import { type ErrorResponse, isMissing, isUnknownRoute } from "./refusal.ts";

/** The way to the API. */
interface Transport {
  /** Returns the response to a request; undefined if it is refused by an error that `isNone` accepts. */
  ask(
    path: string,
    request: { readonly method: string; readonly body?: string },
    isNone?: (refusal: ErrorResponse) => boolean,
  ): Promise<Response | undefined>;
  json<T>(answer: Response): Promise<T>;
}

export class MaintenanceClient {
  constructor(private readonly transport: Transport) {}

  /** Returns the machines that take no new units; undefined if the server does not support it. */
  async cordons(): Promise<readonly CordonEntity[] | undefined> {
    return (await this.#get<CordonsEntity>("/fleet/v1/cordons", isUnknownRoute))?.cordons;
  }

  /** Has a machine take no new units. */
  async cordon(machine: string, why: string): Promise<void> {
    const body = JSON.stringify(why === "" ? {} : { why });
    await this.#change(`/fleet/v1/machines/${encodeURIComponent(machine)}/cordon`, { method: "PUT", body });
  }

  /** Has a machine take new units again. Returns false if it was not cordoned. */
  async uncordon(machine: string): Promise<boolean> {
    const path = `/fleet/v1/machines/${encodeURIComponent(machine)}/cordon`;
    return await this.#change(path, { method: "DELETE" }, isMissing);
  }

  /** Returns the machines that are drained; undefined if the server does not support it. */
  async drains(): Promise<readonly DrainEntity[] | undefined> {
    return (await this.#get<DrainsEntity>("/fleet/v1/drains", isUnknownRoute))?.drains;
  }

  /** Begins to drain machines or, with `dryRun`, returns what would happen; undefined if the server does not support it. */
  async drain(request: DrainRequest): Promise<readonly DrainEntity[] | undefined> {
    const body = JSON.stringify(request);
    const answer = await this.transport.ask("/fleet/v1/drains", { method: "POST", body }, isUnknownRoute);
    return answer && (await this.transport.json<DrainsEntity>(answer)).drains;
  }

  /** Ends the drain of a machine. Returns false if it is not drained. */
  async undrain(machine: string, keepCordon: boolean): Promise<boolean> {
    const path = `/fleet/v1/drains/${encodeURIComponent(machine)}${keepCordon ? "?keepCordon=true" : ""}`;
    return await this.#change(path, { method: "DELETE" }, isMissing);
  }

  /** Returns moves that would even out the load; undefined if the server does not support it. */
  rebalance(maxMoves: number): Promise<RebalanceEntity | undefined> {
    return this.#get<RebalanceEntity>(`/fleet/v1/rebalance?maxMoves=${maxMoves}`, isUnknownRoute);
  }

  /** Requests moves. */
  async requestMoves(request: RebalanceRequest): Promise<void> {
    await this.#change("/fleet/v1/rebalance", { method: "POST", body: JSON.stringify(request) });
  }

  /** Cancels requested moves. Returns false if there are none. */
  cancelMoves(): Promise<boolean> {
    return this.#change("/fleet/v1/rebalance", { method: "DELETE" }, isMissing);
  }

  async #get<T>(path: string, isNone?: (refusal: ErrorResponse) => boolean): Promise<T | undefined> {
    const answer = await this.transport.ask(path, { method: "GET" }, isNone);
    return answer && await this.transport.json<T>(answer);
  }

  async #change(
    path: string,
    request: { readonly method: string; readonly body?: string },
    isNone?: (refusal: ErrorResponse) => boolean,
  ): Promise<boolean> {
    const answer = await this.transport.ask(path, request, isNone);
    await answer?.body?.cancel();
    return answer !== undefined;
  }
}
