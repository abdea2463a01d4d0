/**
 * Reads a cluster of fleet 1.0 by its API.
 *
 * @module
 */

import type { MachineEntity, UnitEntity, UnitStateEntity } from "../../daemon/api/v1/types.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";
import { ApiClient } from "../api/client.ts";
import { apiTimeout_s, globalFlags } from "../cli/global_flags.ts";
import { Flags, type FlagValue, UsageError } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { rethrowAs } from "../terminal/port.ts";
import { optionsOf } from "../units/resolve_source.ts";

/** A unit of the old cluster. */
export interface OldUnit {
  readonly name: string;
  readonly options: readonly UnitOption[];
  readonly desiredState: string;
  /** The state that its machine has reached; it may lag. */
  readonly currentState: string;
  /** The machine that the unit is placed on; undefined if there is none, or the unit is global. */
  readonly machineID?: string;
  readonly isGlobal: boolean;
  /** systemd's states of the unit, one for each machine that has it loaded. */
  readonly states: readonly UnitStateEntity[];
}

/** The old cluster as it was read. */
export interface OldCluster {
  readonly units: readonly OldUnit[];
  readonly machines: readonly MachineEntity[];
}

/** Flags of the command line by which fleetctl logs in to hosts, which serve the old cluster, too. */
const sshFlags = ["known-hosts-file", "ssh-identity", "ssh-timeout", "ssh-username", "strict-host-key-checking"];

/** The socket of fleet 1.0's API on its machines. */
const oldSocket = "/var/run/fleet.sock";

/**
 * Returns the flags that reach the old cluster at `from`. Tokens, certificates and tunnels of the command line are those of
 * the new cluster: the old one gets none of them. Throws {@link UsageError}.
 */
export function oldClusterFlags(from: string, given: ReadonlyMap<string, FlagValue>, timeout_s: number): Flags {
  if (from === "") throw new UsageError("name the API of the old cluster by --from");
  const values = new Map<string, FlagValue>([["endpoint", from], ["request-timeout", timeout_s]]);
  if (/^ssh:/i.test(from)) {
    const [, host, path] = /^ssh:\/\/([^/,?#]+)(\/[^,?#]*)?$/i.exec(from) ?? [];
    if (host === undefined) throw new UsageError(`--from=${from} is not ssh://[USER@]HOST[:PORT][/SOCKET]`);
    values.set("tunnel", host).set("endpoint", `unix://${path || oldSocket}`);
    for (const name of sshFlags) if (given.has(name)) values.set(name, given.get(name)!);
  }
  return new Flags(globalFlags, values);
}

/** Returns the first words of a command line for the old cluster. */
export function oldFleetctl(from: string): string[] {
  const flags = oldClusterFlags(from, new Map(), apiTimeout_s);
  const tunnel = flags.text("tunnel");
  return ["fleetctl", ...tunnel === "" ? [] : [`--tunnel=${tunnel}`], `--endpoint=${flags.text("endpoint")}`];
}

/** Connects to the API of the old cluster. */
export async function connectOld({ connect, flags, io }: Context, from: string): Promise<ApiClient> {
  const timeout_s = flags.given("request-timeout") ? flags.number("request-timeout") : apiTimeout_s;
  const client = await connect(oldClusterFlags(from, flags.values, timeout_s), io);
  // At the end of a tunnel, the path of a socket names no cluster.
  return /^ssh:/i.test(from) ? new ApiClient(from, client.send, client.close) : client;
}

/** Reads units with their states, and machines. */
export async function readOldCluster(client: ApiClient): Promise<OldCluster> {
  const machines = await client.machines().catch(failedTo("machines", client));
  return { units: await readOldUnits(client), machines };
}

/**
 * Reads units with their states. fleet 1.0 counts pages by units: of one that was created or destroyed in between,
 * another may come twice.
 */
export async function readOldUnits(client: ApiClient): Promise<readonly OldUnit[]> {
  const units = await client.units().catch(failedTo("units", client));
  const states = await client.states().catch(failedTo("unit states", client));
  const byUnit = Map.groupBy(states, ({ name }) => name);
  return [...new Map(units.map((unit) => [unit.name, toOldUnit(unit, byUnit.get(unit.name) ?? [])])).values()];
}

function failedTo(what: string, { endpoint }: ApiClient): (cause: unknown) => never {
  return rethrowAs(`Error retrieving the ${what} of the old cluster at ${endpoint}`);
}

function toOldUnit(unit: UnitEntity, states: readonly UnitStateEntity[]): OldUnit {
  const { name, desiredState = "inactive", currentState = "inactive", machineID } = unit;
  const options = optionsOf(unit.options);
  return {
    ...{ name, options, desiredState, currentState, states },
    ...machineID && { machineID },
    isGlobal: parseRequirements(name, options).global,
  };
}
