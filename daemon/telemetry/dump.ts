/**
 * Prints a daemon's state as one JSON line, for debugging. The first three keys are those of fleet 1.0. Pure.
 *
 * @module
 */

import type { DesiredState, MachineRecord, UnitName, UnitState } from "../../registry/model.ts";
import type { StoreMemory } from "../../registry/mod.ts";
import type { Status } from "../lifecycle/join_loop.ts";

/** The daemon's present state. `agent` is undefined while this machine is not a member of the cluster. */
export interface DumpFacts {
  readonly version: string;
  readonly uptime_s: number;
  readonly status: Status;
  readonly store: StoreMemory | undefined;
  readonly storeEndpoints: string;
  /** The effective configuration, without secrets. */
  readonly config: string;
  readonly machine: MachineRecord | undefined;
  readonly lease: string | undefined;
  readonly agent: {
    readonly wanted: ReadonlyMap<UnitName, { readonly desiredState: DesiredState }>;
    readonly states: ReadonlyMap<UnitName, UnitState>;
  } | undefined;
}

/** Returns the line, without a line feed. */
export function dumpText(facts: DumpFacts): string {
  const { agent, status, store } = facts;
  const states = [...agent?.states.values() ?? []];
  const targets = Object.fromEntries(
    Array.from(agent?.wanted ?? [], ([name, { desiredState }]) => [name, desiredState]),
  );
  const cache = Object.fromEntries(states.map((state) => [state.unit, {
    LoadState: state.load,
    ActiveState: state.active,
    SubState: state.sub,
    MachineID: state.machine,
    UnitHash: state.hash,
    UnitName: state.unit,
  }]));
  return JSON.stringify({
    Agent: { Cache: { TargetStates: targets } },
    UnitStatePublisher: { Cache: cache, ToPublish: {} },
    UnitStateGenerator: { Subscribed: states.map(({ unit }) => unit) },
    Server: {
      Version: facts.version,
      UptimeSeconds: Math.round(facts.uptime_s),
      Ready: status.ready,
      ...(status.reason !== undefined && { Reason: status.reason }),
      Machine: facts.machine ?? null,
      Lease: facts.lease ?? null,
      Store: { Endpoints: facts.storeEndpoints, ID: store?.id ?? null, Revision: store?.revision ?? null },
      Config: facts.config.trimEnd().split("\n"),
      Units: states.map(({ unit, commanded, restart, result, error, since_ms }) => ({
        ...{ unit, commanded, restart, since_ms },
        ...(result !== undefined && { result }),
        ...(error !== undefined && { error }),
      })),
    },
  });
}
