/**
 * The addresses on which the API listens. Pure.
 *
 * @module
 */

/** A socket to serve on. */
export type ListenSpec =
  /** A socket that is already listening, by its file descriptor. */
  | { readonly kind: "fd"; readonly fd: number }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** The first file descriptor that systemd passes (sd_listen_fds(3), SD_LISTEN_FDS_START). */
const firstFd = 3;

/** A limit far above any real number of passed sockets. */
const maxFds = 64;

/**
 * Returns the sockets that systemd passed to process `pid` (sd_listen_fds(3)): none if they are meant for another process.
 * Throws when the variables are malformed.
 */
export function passedSockets(
  { LISTEN_PID, LISTEN_FDS }: { readonly LISTEN_PID?: string | undefined; readonly LISTEN_FDS?: string | undefined },
  pid: number,
): ListenSpec[] {
  if (LISTEN_PID === undefined || LISTEN_FDS === undefined || Number(LISTEN_PID) !== pid) return [];
  const count = Number(LISTEN_FDS);
  if (!/^\d+$/.test(LISTEN_FDS) || count > maxFds) {
    throw new Error(`LISTEN_FDS must be a number from 0 to ${maxFds}, not ${JSON.stringify(LISTEN_FDS)}`);
  }
  return Array.from({ length: count }, (_, index) => ({ kind: "fd", fd: firstFd + index }));
}

/** Parses `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. Throws for any other text. */
export function listenSpec(text: string): ListenSpec {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    if (path !== "") return { kind: "unix", path };
  } else {
    const [, ipv6, name, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text) ?? [];
    const port = Number(digits);
    if (port <= 0xffff) return { kind: "tcp", host: ipv6 ?? name ?? "", port };
  }
  throw new Error(`cannot listen on ${JSON.stringify(text)}: expect HOST:PORT or unix:PATH`);
}

/** Returns an address as {@link listenSpec} reads it, or `fd:N`. */
export function describeListen(spec: ListenSpec): string {
  switch (spec.kind) {
    case "fd":
      return `fd:${spec.fd}`;
    case "tcp":
      return `${spec.host.includes(":") ? `[${spec.host}]` : spec.host}:${spec.port}`;
    case "unix":
      return `unix:${spec.path}`;
  }
}

/** True for an address that only this machine can reach (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3). */
export function isLoopback(address: string): boolean {
  return /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(address) || address === "::1";
}

/** The bound address of a TCP socket that other machines can reach; `0.0.0.0` or `::` for all addresses of the machine. */
export interface NetworkAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Returns the URL by which other machines reach one of these sockets; undefined if there is none. `ip`: this machine's
 * public address.
 */
export function urlFor(ip: string, addresses: readonly NetworkAddress[], encrypted: boolean): string | undefined {
  const isWildcard = ({ host }: NetworkAddress) => host === "0.0.0.0" || host === "::";
  const best = addresses.find(({ host }) => host === ip) ?? addresses.find(isWildcard) ?? addresses[0];
  if (!best) return undefined;
  const host = isWildcard(best) ? ip : best.host;
  if (host === "") return undefined;
  return `${encrypted ? "https" : "http"}://${describeListen({ kind: "tcp", host, port: best.port })}`;
}
