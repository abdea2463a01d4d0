/**
 * Who this machine is. 🚪
 *
 * @module
 */

import type { MachineId } from "../registry/model.ts";

/** Reads machine-id(5). Throws an error that names the path when there is none. */
export async function readMachineId(path = "/etc/machine-id"): Promise<MachineId> {
  let text: string;
  try {
    text = (await Deno.readTextFile(path)).trim();
  } catch (error) {
    const why = (error as Error).message;
    throw new Error(`unable to determine local machine ID: cannot read ${path}: ${why}`, { cause: error });
  }
  if (!/^[0-9a-f]{32}$/.test(text)) {
    throw new Error(`unable to determine local machine ID: ${path} holds "${text}", expected 32 hexadecimal digits`);
  }
  return text;
}

/**
 * The address at which others reach this machine: the only global one it has; where there are several, the one from
 * which the kernel reaches the store, else the first. IPv4 before IPv6; "" where there is none. (The routing table
 * itself cannot be read without giving the daemon every permission there is.)
 */
export async function detectAddress(storeEndpoints: readonly string[]): Promise<string> {
  const candidates = globalAddresses(Deno.networkInterfaces());
  if (candidates.length < 2) return candidates[0] ?? "";
  for (const endpoint of storeEndpoints) {
    const local = await localAddressTowards(endpoint);
    if (local !== undefined && candidates.includes(local)) return local;
  }
  return candidates[0]!;
}

/** Addresses that another machine could use, IPv4 first, in the order of the interfaces. */
export function globalAddresses(
  interfaces: readonly Pick<Deno.NetworkInterfaceInfo, "family" | "address">[],
): string[] {
  const of = (family: "IPv4" | "IPv6", local: RegExp) =>
    interfaces.filter((one) => one.family === family && !local.test(one.address)).map((one) => one.address);
  // Loopback, link-local and unspecified addresses: RFC 1122, RFC 3927, RFC 4291.
  return [...of("IPv4", /^(127\.|169\.254\.|0\.)/), ...of("IPv6", /^(::1?$|fe[89ab])/i)];
}

async function localAddressTowards(endpoint: string): Promise<string | undefined> {
  const { hostname, port } = new URL(endpoint);
  try {
    using connection = await Deno.connect({ hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 80) });
    return (connection.localAddr as Deno.NetAddr).hostname;
  } catch {
    // The store is away: that is said elsewhere, and says nothing of our address.
    return undefined;
  }
}
