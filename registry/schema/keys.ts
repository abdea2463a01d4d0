/**
 * The key space of the store, below the configured prefix. docs/internals/design.md lists the keys.
 *
 * @module
 */

import type { MachineId, UnitName } from "../model.ts";

/** Keys without a parameter. */
export const clusterKey = "cluster";
export const leaderKey = "leader";
export const writtenKey = "written";
/** The machines that are missing after a mass loss. While there is also a {@link lossWaitKey}, the engine waits for them. */
export const lossKey = "loss";
/** Bound to a lease, so that the store itself ends the wait, whichever engine leads by then. */
export const lossWaitKey = "loss-wait";

/** The fence of a writer, see `writes/fence.ts`. */
export const fenceKey = (writer: string): string => `fence/${writer}`;
export const fileKey = (hash: string): string => `file/${hash}`;
export const unitKey = (name: UnitName): string => `unit/${name}`;
export const globalKey = (name: UnitName): string => `global/${name}`;
export const targetKey = (name: UnitName): string => `target/${name}`;
export const assignKey = (machine: MachineId, name: UnitName): string => `assign/${machine}/${name}`;
export const machineKey = (machine: MachineId): string => `machine/${machine}`;
/** Marks a machine that has left the cluster ("stopped" or, in older versions, "") or was given up ("lost"). Bound to a lease. */
export const departedKey = (machine: MachineId): string => `departed/${machine}`;
export const metadataKey = (machine: MachineId, key: string): string => `metadata/${machine}/${key}`;
export const stateKey = (machine: MachineId, name: UnitName): string => `state/${machine}/${name}`;

/** The lock of a unit that may run only once in the cluster. Bound to the lease of the machine that has it. */
export const lockKey = (name: UnitName): string => `lock/${name}`;

/** Prefixes of the keys of all machines, or of one. */
export const globalPrefix = "global/";
export const targetPrefix = "target/";
export const lockPrefix = "lock/";
export const assignPrefix = (machine: MachineId): string => `assign/${machine}/`;
export const metadataPrefix = (machine: MachineId): string => `metadata/${machine}/`;
export const statePrefix = (machine: MachineId): string => `state/${machine}/`;

/** A parsed key. */
export type ParsedKey =
  | { readonly kind: "cluster" | "leader" | "written" | "loss" | "loss-wait" }
  | { readonly kind: "fence"; readonly writer: string }
  | { readonly kind: "file"; readonly hash: string }
  | { readonly kind: "unit" | "global" | "target" | "lock"; readonly name: UnitName }
  | { readonly kind: "machine" | "departed"; readonly machine: MachineId }
  | { readonly kind: "assign" | "state"; readonly machine: MachineId; readonly name: UnitName }
  | { readonly kind: "metadata"; readonly machine: MachineId; readonly key: string };

/** The characters of unit names (systemd.unit(5)). Names from the store become file names and arguments of programs. */
const unitName = /^[A-Za-z0-9:_.\\@-]+$/;

/** Parses a key; undefined if it is not one of fleet's. Only a metadata key may contain slashes. */
export function parseKey(key: string): ParsedKey | undefined {
  const slash = key.indexOf("/");
  const kind = slash < 0 ? key : key.slice(0, slash);
  const rest = slash < 0 ? "" : key.slice(slash + 1);
  const second = rest.indexOf("/");
  switch (kind) {
    case "cluster":
    case "leader":
    case "written":
    case "loss":
    case "loss-wait":
      return slash < 0 ? { kind } : undefined;
    case "fence":
      return rest && second < 0 ? { kind, writer: rest } : undefined;
    case "file":
      return rest && second < 0 ? { kind, hash: rest } : undefined;
    case "unit":
    case "global":
    case "target":
    case "lock":
      return unitName.test(rest) ? { kind, name: rest } : undefined;
    case "machine":
    case "departed":
      return rest && second < 0 ? { kind, machine: rest } : undefined;
    case "assign":
    case "state": {
      const name = rest.slice(second + 1);
      return second > 0 && unitName.test(name) ? { kind, machine: rest.slice(0, second), name } : undefined;
    }
    case "metadata": {
      const key = rest.slice(second + 1);
      return second > 0 && key ? { kind, machine: rest.slice(0, second), key } : undefined;
    }
    default:
      return undefined;
  }
}
