/**
 * Chooses the address of a machine that other machines use. Pure.
 *
 * @module
 */

/** An address of an interface, as `Deno.networkInterfaces()` returns it. */
export interface InterfaceAddress {
  readonly name: string;
  readonly family: "IPv4" | "IPv6";
  readonly address: string;
}

/** The kernel's routing tables: the texts of /proc/net/route and /proc/net/ipv6_route. */
export interface RoutingTables {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Loopback, link-local and unspecified addresses: RFC 1122, RFC 3927, RFC 4291. */
const local = { IPv4: /^(127\.|169\.254\.|0\.)/, IPv6: /^(::1?$|fe[89ab])/i } as const;

/** Returns the addresses that another machine could use, IPv4 first, in the order of the interfaces. */
export function globalAddresses<Address extends Pick<InterfaceAddress, "family" | "address">>(
  addresses: readonly Address[],
): Address[] {
  const of = (family: "IPv4" | "IPv6") =>
    addresses.filter((one) => one.family === family && !local[family].test(one.address));
  return [...of("IPv4"), ...of("IPv6")];
}

/**
 * Returns the first global address of the interface with the default route, IPv4 before IPv6, as fleet 1.0 does; undefined if
 * no default route has one. Of several default routes the kernel uses the one with the lowest metric.
 */
export function defaultRouteAddress(
  addresses: readonly InterfaceAddress[],
  { ipv4, ipv6 }: RoutingTables,
): string | undefined {
  const candidates = globalAddresses(addresses);
  for (const [family, text] of [["IPv4", ipv4], ["IPv6", ipv6]] as const) {
    for (const name of defaultRoutes(text, tables[family])) {
      const found = candidates.find((one) => one.family === family && one.name === name);
      if (found) return found.address;
    }
  }
  return undefined;
}

/** Flags of a route (linux/route.h): the route is usable; packets are rejected. */
const up = 0x1;
const reject = 0x200;

/** The columns of the kernel's tables (proc(5)) that are read, and whether a line is about the default route. */
const tables = {
  /** Lines `Iface Destination Gateway Flags RefCnt Use Metric Mask …` below a line of titles. */
  IPv4: {
    ...{ name: 0, flags: 3, metric: 6, radix: 10 },
    isDefault: (columns: readonly string[]) => columns[1] === "00000000" && columns[7] === "00000000",
  },
  /** Lines `destination length source length next-hop metric references use flags interface`, all hexadecimal. */
  IPv6: {
    ...{ name: 9, flags: 8, metric: 5, radix: 16 },
    isDefault: (columns: readonly string[]) => columns[1] === "00" && /^0{32}$/.test(columns[0]!),
  },
} as const;

/** Returns the interfaces of the default routes that are usable, lowest metric first. */
function defaultRoutes(text: string, { name, flags, metric, radix, isDefault }: (typeof tables)["IPv4" | "IPv6"]) {
  return text.split("\n").map((line) => line.trim().split(/\s+/)).filter((columns) => {
    const bits = parseInt(columns[flags] ?? "", 16);
    return columns.length > name && isDefault(columns) && (bits & up) !== 0 && (bits & reject) === 0;
  }).sort((a, b) => parseInt(a[metric]!, radix) - parseInt(b[metric]!, radix)).map((columns) => columns[name]!);
}
