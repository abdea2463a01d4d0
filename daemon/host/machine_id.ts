/**
 * Reads the machine's ID and finds its address. An adapter.
 *
 * @module
 */

import type { MachineId } from "../../registry/model.ts";
import { defaultRouteAddress, globalAddresses } from "./address.ts";

/** Reads the ID of machine-id(5). Throws an error that names the path when there is none. */
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

/** The time limit of a connection to a store that cannot be reached. */
const connectLimit_ms = 1_000;

/**
 * Finds the address at which other machines reach this one. Of several global addresses it is that of the interface with the
 * default route; without a default route, the one from which the kernel reaches the store; else the first. IPv4 comes before
 * IPv6. Returns "" if there is no global address.
 */
export async function detectAddress(storeEndpoints: readonly string[]): Promise<string> {
  const interfaces = Deno.networkInterfaces();
  const candidates = globalAddresses(interfaces).map(({ address }) => address);
  if (candidates.length < 2) return candidates[0] ?? "";
  const routed = defaultRouteAddress(interfaces, {
    ipv4: await readProcFile("/proc/net/route"),
    ipv6: await readProcFile("/proc/net/ipv6_route"),
  });
  if (routed !== undefined) return routed;
  for (const endpoint of storeEndpoints) {
    const local = await localAddressTowards(endpoint);
    if (local !== undefined && candidates.includes(local)) return local;
  }
  return candidates[0]!;
}

/**
 * Reads a file below /proc by cat(1), because Deno itself would need all permissions for that. Returns "" if there is no such
 * file or `cat` may not run: an address can be found without a routing table. Rejects on an error that may pass, such as too
 * little memory: an empty routing table would give the machine another address until the next read.
 */
export async function readProcFile(path: string, cat = "cat"): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(cat, { args: [path], env: { LC_ALL: "C" } }).output();
  } catch (cause) {
    const { NotFound, NotCapable, PermissionDenied } = Deno.errors;
    if ([NotFound, NotCapable, PermissionDenied].some((kind) => cause instanceof kind)) return "";
    throw new Error(`cannot run ${cat} to read ${path}: ${(cause as Error).message}`, { cause });
  }
  if (output.signal !== null) throw new Error(`cannot read ${path}: ${cat} was ended by ${output.signal}`);
  if (output.success) return new TextDecoder().decode(output.stdout);
  const stderr = new TextDecoder().decode(output.stderr).trim();
  if (/No such file|Permission denied/.test(stderr)) return "";
  throw new Error(`cannot read ${path}: ${cat} ended with ${output.code}: ${stderr}`);
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
    // The store cannot be reached, which is logged elsewhere. The address is found without it.
    return undefined;
  }
}
