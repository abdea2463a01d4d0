/**
 * The part of a {@link ClusterView} about the maintenance of machines: cordons, drains, and units that are about to move.
 *
 * @module
 */

import {
  type Assignment,
  type Cluster,
  type Cordon,
  type Drain,
  type Machine,
  type MachineId,
  type Rebalance,
  successorId,
} from "../model.ts";
import { decodeAssignment } from "../schema/codec.ts";
import type { ParsedKey } from "../schema/keys.ts";
import { decodeCordon, decodeDrain, decodeRebalance } from "../schema/maintenance.ts";
import { unreadableAssignment } from "../schema/unreadable.ts";
import type { KeyKind } from "./key_kind.ts";
import { SharedMap } from "./shared_map.ts";

type Kinds = {
  readonly [Kind in "cordon" | "drain" | "successor" | "rebalance"]: KeyKind<ParsedKey & { kind: Kind }>;
};

export class MaintenanceView {
  readonly #cordons = new SharedMap<MachineId, Cordon>();
  readonly #drains = new SharedMap<MachineId, Drain>();
  readonly #successors = new SharedMap<string, Assignment>();
  #rebalance: Rebalance | undefined;

  /** `changed` is called when the result of {@link of} may have changed. */
  constructor(private readonly changed: (machine: MachineId) => void) {}

  readonly kinds: Kinds = {
    cordon: {
      put: ({ machine }, kv) => this.#set(this.#cordons, machine, decodeCordon(kv)),
      delete: ({ machine }) => this.#set(this.#cordons, machine, undefined),
      // The key itself says that the machine takes no new units.
      standIn: ({ machine }, { revision, why }) => this.#set(this.#cordons, machine, { revision, why }),
    },
    drain: {
      put: ({ machine }, kv) => this.#set(this.#drains, machine, decodeDrain(machine, kv)),
      delete: ({ machine }) => this.#set(this.#drains, machine, undefined),
      standIn: ({ machine }, { revision, why }) =>
        this.#set(this.#drains, machine, {
          ...{ machine, maxParallel: 1, total: 0, status: "moving", revision },
          unreadable: why,
        }),
    },
    successor: {
      put: ({ machine, name }, kv) =>
        this.#successors.set(successorId(machine, name), decodeAssignment(machine, name, kv)),
      delete: ({ machine, name }) => this.#successors.delete(successorId(machine, name)),
      standIn: ({ machine, name }, unreadable) =>
        this.#successors.set(successorId(machine, name), unreadableAssignment(name, machine, unreadable)),
    },
    rebalance: {
      put: (_, kv) => this.#rebalance = decodeRebalance(kv),
      delete: () => this.#rebalance = undefined,
      standIn: () => this.#rebalance = undefined,
    },
  };

  clear(): void {
    this.#cordons.clear();
    this.#drains.clear();
    this.#successors.clear();
    this.#rebalance = undefined;
  }

  /** Returns the fields of a cluster; those that would be empty are left out. */
  fields(): Pick<Cluster, "cordons" | "drains" | "successors" | "rebalance"> {
    return {
      ...this.#cordons.size > 0 && { cordons: this.#cordons.share() },
      ...this.#drains.size > 0 && { drains: this.#drains.share() },
      ...this.#successors.size > 0 && { successors: this.#successors.share() },
      ...this.#rebalance && { rebalance: this.#rebalance },
    };
  }

  /** Returns the fields of a machine. */
  of(machine: MachineId): Pick<Machine, "cordon" | "stopsGlobals"> {
    const drain = this.#drains.get(machine);
    const cordon = this.#cordons.get(machine) ?? (drain && cordonOf(drain));
    return { ...cordon && { cordon }, ...drain && stopsGlobals(drain) && { stopsGlobals: true } };
  }

  #set<V>(map: SharedMap<MachineId, V>, machine: MachineId, value: V | undefined): void {
    if (value === undefined) map.delete(machine);
    else map.set(machine, value);
    this.changed(machine);
  }
}

/** A drain keeps new units away also if the cordon that came with it was deleted by hand. */
function cordonOf({ changed, revision }: Drain): Cordon {
  return { ...changed && { changed }, why: "it is being drained", revision };
}

/** True if a drain keeps global units off its machine. */
export function stopsGlobals({ status, keepsGlobals }: Drain): boolean {
  return status !== "moving" && keepsGlobals !== true;
}
