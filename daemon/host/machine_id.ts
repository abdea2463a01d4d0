/**
 * Who this machine is. An adapter.
 *
 * @module
 */

import type { MachineId } from "../../registry/model.ts";
import { defaultRouteAddress, globalAddresses } from "./address.ts";

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

/** A store that is away does not hold up for longer than this whoever wants to know an address. */
const connectLimit_ms = 1_000;

/**
 * The address at which others reach this machine: the only global one it has; where there are several, that of the
 * default route's interface; where there is no default route, the one from which the kernel reaches the store, else the
 * first. IPv4 before IPv6; "" where there is none.
 */
export async function detectAddress(storeEndpoints: readonly string[]): Promise<string> {
  const interfaces = Deno.networkInterfaces();
  const candidates = globalAddresses(interfaces).map(({ address }) => address);
  if (candidates.length < 2) return candidates[0] ?? "";
  const routed = defaultRouteAddress(interfaces, {
    ipv4: await readRoutingTable("/proc/net/route"),
    ipv6: await readRoutingTable("/proc/net/ipv6_route"),
  });
  if (routed !== undefined) return routed;
  for (const endpoint of storeEndpoints) {
    const local = await localAddressTowards(endpoint);
    if (local !== undefined && candidates.includes(local)) return local;
  }
  return candidates[0]!;
}

/**
 * A table of the kernel's; "" where there is none, or no right to run `cat`: there are other ways to find an address. Deno
 * itself reads nothing below /proc without every permission there is, so cat(1) does. Rejects when that fails by chance,
 * for want of memory for example, lest the machine be known by another address until it is read again.
 */
export async function readRoutingTable(path: string, cat = "cat"): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(cat, { args: [path], env: { LC_ALL: "C" } }).output();
  } catch (cause) {
    const { NotFound, NotCapable, PermissionDenied } = Deno.errors;
    if ([NotFound, NotCapable, PermissionDenied].some((kind) => cause instanceof kind)) return "";
    throw new Error(`cannot run ${cat} to read ${path}: ${(cause as Error).message}`, { cause });
  }
  if (output.signal !== null) throw new Error(`cannot read ${path}: ${cat} was ended by ${output.signal}`);
  const [said, told] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes)) as [
    string,
    string,
  ];
  if (output.success) return said;
  if (/No such file|Permission denied/.test(told)) return "";
  throw new Error(`cannot read ${path}: ${cat} ended with ${output.code}: ${told.trim()}`);
}

async function localAddressTowards(endpoint: string): Promise<string | undefined> {
  const { hostname, port } = new URL(endpoint);
  const signal = AbortSignal.timeout(connectLimit_ms);
  try {
    using connection = await Deno.connect({
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port || 80),
      signal,
    });
    return (connection.localAddr as Deno.NetAddr).hostname;
  } catch {
    // The store is away: that is said elsewhere, and says nothing of our address.
    return undefined;
  }
}
