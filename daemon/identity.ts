/**
 * Who this machine is. 🚪
 *
 * @module
 */

import { createSocket } from "node:dgram";
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
 * The address that the default route would use: IPv4, else IPv6, else "". No packet is sent: a connected datagram
 * socket's local address is what the kernel's routing would choose.
 */
export async function detectAddress(): Promise<string> {
  // Documentation addresses (RFC 5737, RFC 3849): routed by the default route wherever there is one.
  return await localAddressTowards("udp4", "192.0.2.1") || await localAddressTowards("udp6", "2001:db8::1");
}

function localAddressTowards(family: "udp4" | "udp6", address: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(family);
    const end = (found: string) => {
      socket.close();
      resolve(found);
    };
    // No route: this family has no address to offer.
    socket.once("error", () => end(""));
    socket.connect(9, address, () => {
      const { address } = socket.address();
      end(address === "0.0.0.0" || address === "::" ? "" : address);
    });
  });
}
