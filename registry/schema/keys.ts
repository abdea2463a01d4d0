/**
 * The key space of the store, below the configured prefix. docs/internals/design.md lists the keys.
 *
 * @module
 */

import { isAppName } from "../apps.ts";
import { type ContentName, isContentHash } from "../attached_files.ts";
import type { AppName, MachineId, UnitName } from "../model.ts";

/** Keys without a parameter. */
export const clusterKey = "cluster";
export const leaderKey = "leader";
export const writtenKey = "written";
/** The moves that an operator has accepted for balance. */
export const rebalanceKey = "rebalance";
/** The machines that are missing after a mass loss. While there is also a {@link lossWaitKey}, the engine waits for them. */
export const lossKey = "loss";
/** Bound to a lease, so that the store itself ends the wait, whichever engine leads by then. */
export const lossWaitKey = "loss-wait";

/** The fence of a writer, see `writes/fence.ts`. */
export const fenceKey = (writer: string): string => `fence/${writer}`;
export const fileKey = (hash: string): string => `file/${hash}`;
/** The bytes of attached files in base64. The size is part of the key: readers of all keys do not read the values. */
export const contentKey = ({ hash, size_bytes }: ContentName): string => `${contentPrefix}${hash}/${size_bytes}`;
export const unitKey = (name: UnitName): string => `unit/${name}`;
export const globalKey = (name: UnitName): string => `global/${name}`;
export const targetKey = (name: UnitName): string => `target/${name}`;
export const assignKey = (machine: MachineId, name: UnitName): string => `assign/${machine}/${name}`;
export const machineKey = (machine: MachineId): string => `machine/${machine}`;
/** Marks a machine that has left the cluster ("stopped" or, in older versions, "") or was given up ("lost"). Bound to a lease. */
export const departedKey = (machine: MachineId): string => `departed/${machine}`;
/** Marks a machine that takes no new jobs. */
export const cordonKey = (machine: MachineId): string => `cordon/${machine}`;
/** A request to move every unit off a machine. */
export const drainKey = (machine: MachineId): string => `drain/${machine}`;
/** The instruction to one machine's agent to run a second copy of a unit, which is about to move there. */
export const successorKey = (machine: MachineId, name: UnitName): string => `successor/${machine}/${name}`;
export const metadataKey = (machine: MachineId, key: string): string => `metadata/${machine}/${key}`;
export const stateKey = (machine: MachineId, name: UnitName): string => `state/${machine}/${name}`;

/** The lock of a unit that may run only once in the cluster. Bound to the lease of the machine that has it. */
export const lockKey = (name: UnitName): string => `lock/${name}`;

/** The history of an app. */
export const appKey = (app: AppName): string => `app/${app}`;
/** The latest roll-out of an app, which never changes, and beside it how far it has come. */
export const rolloutKey = (app: AppName): string => `rollout/${app}`;
export const progressKey = (app: AppName): string => `progress/${app}`;

export const contentPrefix = "content/";
/** The first key after those with {@link contentPrefix}. */
export const afterContents = "content0";
export const globalPrefix = "global/";
export const targetPrefix = "target/";
export const lockPrefix = "lock/";
export const successorPrefix = (machine: MachineId): string => `successor/${machine}/`;
export const assignPrefix = (machine: MachineId): string => `assign/${machine}/`;
export const metadataPrefix = (machine: MachineId): string => `metadata/${machine}/`;
export const statePrefix = (machine: MachineId): string => `state/${machine}/`;

/** A parsed key. */
export type ParsedKey =
  | { readonly kind: "cluster" | "leader" | "written" | "rebalance" | "loss" | "loss-wait" }
  | { readonly kind: "fence"; readonly writer: string }
  | { readonly kind: "file"; readonly hash: string }
  | ContentName & { readonly kind: "content" }
  | { readonly kind: "unit" | "global" | "target" | "lock"; readonly name: UnitName }
  | { readonly kind: "machine" | "departed" | "cordon" | "drain"; readonly machine: MachineId }
  | { readonly kind: "app" | "rollout" | "progress"; readonly app: AppName }
  | { readonly kind: "assign" | "state" | "successor"; readonly machine: MachineId; readonly name: UnitName }
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
    case "rebalance":
    case "loss":
    case "loss-wait":
      return slash < 0 ? { kind } : undefined;
    case "fence":
      return rest && second < 0 ? { kind, writer: rest } : undefined;
    case "file":
      return rest && second < 0 ? { kind, hash: rest } : undefined;
    case "content": {
      const [hash, size] = [rest.slice(0, second), rest.slice(second + 1)];
      const isContent = second > 0 && isContentHash(hash) && /^\d{1,9}$/.test(size);
      return isContent ? { kind, hash, size_bytes: Number(size) } : undefined;
    }
    case "unit":
    case "global":
    case "target":
    case "lock":
      return unitName.test(rest) ? { kind, name: rest } : undefined;
    case "machine":
    case "departed":
    case "cordon":
    case "drain":
      return rest && second < 0 ? { kind, machine: rest } : undefined;
    case "app":
    case "rollout":
    case "progress":
      return isAppName(rest) ? { kind, app: rest } : undefined;
    case "assign":
    case "state":
    case "successor": {
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
