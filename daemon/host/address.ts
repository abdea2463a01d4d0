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
  for (const [family, names] of [["IPv4", ipv4Defaults(ipv4)], ["IPv6", ipv6Defaults(ipv6)]] as const) {
    for (const name of names) {
      const found = candidates.find((one) => one.family === family && one.name === name);
      if (found) return found.address;
    }
  }
  return undefined;
}

/** Flags of a route (linux/route.h): the route is usable; packets are rejected. */
const up = 0x1;
const reject = 0x200;

interface DefaultRoute {
  readonly name: string;
  readonly metric: number;
}

/** Parses lines `Iface Destination Gateway Flags RefCnt Use Metric Mask …` below a line of titles (proc(5)). */
function ipv4Defaults(table: string): string[] {
  return byMetric(
    table.split("\n").flatMap((line) => {
      const [name, destination, , flags, , , metric, mask] = line.trim().split(/\s+/);
      if (name === undefined || destination !== "00000000" || mask !== "00000000") return [];
      return usable(flags) ? [{ name, metric: parseInt(metric!, 10) }] : [];
    }),
  );
}

/** Parses lines `destination length source length next-hop metric references use flags interface`, all hexadecimal (proc(5)). */
function ipv6Defaults(table: string): string[] {
  return byMetric(
    table.split("\n").flatMap((line) => {
      const [destination, length, , , , metric, , , flags, name] = line.trim().split(/\s+/);
      if (name === undefined || length !== "00" || !/^0{32}$/.test(destination!)) return [];
      return usable(flags) ? [{ name, metric: parseInt(metric!, 16) }] : [];
    }),
  );
}

function usable(flags: string | undefined): boolean {
  const bits = parseInt(flags ?? "", 16);
  return (bits & up) !== 0 && (bits & reject) === 0;
}

function byMetric(routes: readonly DefaultRoute[]): string[] {
  return [...routes].sort((a, b) => a.metric - b.metric).map(({ name }) => name);
}
