import assert from "node:assert/strict";
import { defaultRouteAddress, globalAddresses, type InterfaceAddress } from "./address.ts";

const reachable: readonly { name: string; addresses: readonly string[]; want: readonly string[] }[] = [
  { name: "none", addresses: [], want: [] },
  { name: "loopback and link-local alone", addresses: ["127.0.0.1", "169.254.1.1", "::1", "fe80::1"], want: [] },
  {
    name: "IPv4 before IPv6",
    addresses: ["::1", "2001:db8::1", "127.0.0.1", "10.0.0.1"],
    want: ["10.0.0.1", "2001:db8::1"],
  },
  { name: "several, in order", addresses: ["10.0.0.2", "10.0.0.1"], want: ["10.0.0.2", "10.0.0.1"] },
];

for (const { name, addresses, want } of reachable) {
  Deno.test(`addresses of this machine: ${name}`, () => {
    const interfaces = addresses.map((address) => {
      return { family: address.includes(":") ? "IPv6" : "IPv4", address } as const;
    });
    assert.deepEqual(globalAddresses(interfaces).map(({ address }) => address), want);
  });
}

const titles = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
const subnet = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
const v4 = (name: string, metric = 0, flags = "0003") =>
  `${name}\t00000000\t010200C0\t${flags}\t0\t0\t${metric}\t00000000\t0\t0\t0\n`;
const zeros = "0".repeat(32);
const v6 = (name: string, metric = "00000400", flags = "00450003") =>
  `${zeros} 00 ${zeros} 00 fe800000000000000000000000000001 ${metric} 00000001 00000000 ${flags}     ${name}\n`;
const v6subnet =
  `20010db8000000000000000000000000 40 ${zeros} 00 ${zeros} 00000100 00000001 00000000 00000001     eth0\n`;
/** The line of the kernel if there is no route. */
const v6none = `${zeros} 00 ${zeros} 00 ${zeros} ffffffff 00000001 00000000 00200200       lo\n`;

/** The interfaces of a host with containers, whose bridge comes first. */
const addresses: readonly InterfaceAddress[] = [
  { name: "lo", family: "IPv4", address: "127.0.0.1" },
  { name: "docker0", family: "IPv4", address: "172.17.0.1" },
  { name: "eth0", family: "IPv4", address: "192.0.2.2" },
  { name: "eth0", family: "IPv4", address: "192.0.2.3" },
  { name: "eth1", family: "IPv4", address: "10.0.0.2" },
  { name: "lo", family: "IPv6", address: "::1" },
  { name: "eth0", family: "IPv6", address: "fe80::2" },
  { name: "eth0", family: "IPv6", address: "2001:db8::2" },
  { name: "wg0", family: "IPv6", address: "fd00::2" },
];

const cases: readonly { name: string; ipv4?: string; ipv6?: string; want: string | undefined }[] = [
  { name: "one default route", ipv4: subnet + v4("eth0"), want: "192.0.2.2" },
  { name: "the second of two networks", ipv4: subnet + v4("eth1"), want: "10.0.0.2" },
  { name: "two default routes", ipv4: v4("eth0", 200) + v4("eth1", 100), want: "10.0.0.2" },
  { name: "IPv4 and IPv6", ipv4: v4("eth1"), ipv6: v6("eth0"), want: "10.0.0.2" },
  { name: "IPv6 alone, beside a bridge of IPv4", ipv4: subnet, ipv6: v6subnet + v6("eth0"), want: "2001:db8::2" },
  { name: "two of IPv6", ipv6: v6("eth0", "00000400") + v6("wg0", "00000040"), want: "fd00::2" },
  { name: "a default route without an address", ipv4: v4("ppp0") + v4("eth1", 9), want: "10.0.0.2" },
  { name: "a default route that is down", ipv4: v4("eth0", 0, "0002") + v4("eth1", 9), want: "10.0.0.2" },
  { name: "a default route that rejects packets", ipv4: v4("eth0", 0, "0201"), want: undefined },
  {
    name: "half of the Internet through a tunnel",
    ipv4: v4("docker0").replace(/00000000\t0\t0\t0/, "00000080\t0\t0\t0"),
    want: undefined,
  },
  { name: "no default route", ipv4: subnet, ipv6: v6subnet + v6none, want: undefined },
  { name: "no tables", want: undefined },
  { name: "tables that cannot be understood", ipv4: "a b c\n\n00000000", ipv6: "00\nz", want: undefined },
];

for (const { name, ipv4 = "", ipv6 = "", want } of cases) {
  Deno.test(`the address of the default route: ${name}`, () => {
    assert.equal(defaultRouteAddress(addresses, { ipv4: titles + ipv4, ipv6 }), want);
  });
}
