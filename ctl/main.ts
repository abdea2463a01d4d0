/**
 * fleetctl, the command line: puts the adapters together and ends the process.
 *
 * @module
 */

import type { Cluster } from "../registry/model.ts";
import { type ApiClient, createApiClient } from "./api/client.ts";
import type { Flags } from "./cli/argv.ts";
import { runFleetctl, type Start } from "./cli/run.ts";
import { type ClientSettings, connect, readTls } from "./api/http.ts";
import { ClientSetupError } from "./api/endpoint.ts";
import { apiTimeout_s, timeoutFlagName } from "./cli/global_flags.ts";
import { InterruptedError, type Io, type LogLevel, ReaderGoneError, reasonOf } from "./terminal/port.ts";
import type { ForwardedSockets } from "./ssh/socket_forward.ts";
import type { SshHosts } from "./ssh/hosts.ts";
import type { SshConnection } from "./ssh/port.ts";
import { LazyHosts } from "./ssh/lazy.ts";
import { interrupted, terminal } from "./terminal/deno.ts";
import { version } from "./version.ts";

// The API and etcd are asked directly, as fleet 1.0 did: neither fetch nor gRPC may find a proxy in the environment.
for (const name of ["http_proxy", "https_proxy", "all_proxy", "grpc_proxy"]) {
  Deno.env.delete(name);
  Deno.env.delete(name.toUpperCase());
}

let latest: { readonly flags: Flags; readonly hosts: LazyHosts<SshHosts> } | undefined;
const waysOf = (flags: Flags, io: Io) => {
  if (latest?.flags === flags) return latest.hosts;
  const hosts = new LazyHosts(async () => new (await import("./ssh/hosts.ts")).SshHosts(flags, io));
  latest = { flags, hosts };
  return hosts;
};

const start: Start = {
  io: terminal,
  hosts: waysOf,
  async client(flags, io) {
    const driver = flags.text("driver");
    if (driver === "etcd" || !flags.on("experimental-api")) return await etcdClient(flags, io);
    if (driver !== "API") throw new ClientSetupError(`unrecognized driver ${JSON.stringify(driver)}`);
    return await connect({
      endpoint: flags.text("endpoint"),
      timeout_ms: 1000 * requestTimeout_s(flags),
      ...tlsFiles(flags),
      token: await tokenOf(flags, io),
      ...(flags.text("tunnel") === "" ? {} : { tunnel: await tunnelled(flags, io) }),
    }, io);
  },
};

/** How long one request to the API may take: not much longer than the command as a whole may wait. */
function requestTimeout_s(flags: Flags): number {
  if (flags.given("request-timeout")) return flags.number("request-timeout");
  const wait_s = flags.given(timeoutFlagName) ? flags.number(timeoutFlagName) : 0;
  return wait_s > 0 ? Math.min(apiTimeout_s, Math.max(wait_s, shortestTimeout_s)) : apiTimeout_s;
}

/** A daemon that is busy gets this long for a request, however short the command's own limit is. */
const shortestTimeout_s = 3;

/** Where etcd is when nobody says otherwise. */
const defaultEtcd = "http://127.0.0.1:2379";

/**
 * Without a daemon: the API's own routes, in this process, over the store. What a daemon alone can do (journals, unit
 * states of its own) is not to be had.
 */
async function etcdClient(flags: Flags, io: Io): Promise<ApiClient> {
  const [{ openEtcdStore }, { ClusterRegistry }, { createHandler }] = await Promise.all([
    import("../registry/store/etcd/store.ts"),
    import("../registry/cluster_registry.ts"),
    import("../daemon/api/handler.ts"),
  ]);
  const clock = {
    now_ms: io.wall_ms,
    monotonic_ms: io.now_ms,
    sleep: (duration_ms: number, signal?: AbortSignal) => io.sleep(duration_ms, signal),
    random: () => Math.random(),
  };
  const log = (level: "debug" | "info" | "warn" | "error", text: string) =>
    io.log(level.toUpperCase() as LogLevel, text);
  const endpoint = flags.given("endpoint") ? flags.text("endpoint") : defaultEtcd;
  const { caCerts: [ca] = [], cert, key } = await readTls(tlsFiles(flags), io) ?? {};
  const forwarded = flags.text("tunnel") === "" ? undefined : await forwardedSockets(flags, io);
  const store = await openEtcdStore({
    endpoints: endpoint.split(","),
    prefix: flags.text("etcd-key-prefix"),
    requestTimeout_ms: 1000 * flags.number("request-timeout"),
    ...(forwarded ? { through: (host, port) => forwarded.open(host, port) } : {}),
    ...(ca || cert ? { tls: { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) } } : {}),
  });
  const registry = new ClusterRegistry({
    store,
    clock,
    log,
    // One for all, or each that loses an answer would leave a key behind.
    writer: () => Promise.resolve("fleetctl"),
    // Nobody joins here, so no lease is taken for these times.
    agentTtl_s: 30,
    leaderTtl_s: 10,
  });
  const close = async () => {
    await registry.close();
    forwarded?.close();
  };
  try {
    await registry.open(undefined);
  } catch (cause) {
    await close();
    const why = forwarded?.latestError === undefined ? "" : `. Through the tunnel: ${forwarded.latestError}`;
    throw new ClientSetupError(`cannot use the store at ${endpoint}: ${reasonOf(cause)}${why}`, { cause });
  }
  await warnIfOld(registry, io);
  const handle = createHandler({ registry, status: () => ({ ready: true }), log, clock, pageSize: 1000, version });
  return createApiClient(endpoint, (path, { method, body }) => {
    const content = body === undefined ? {} : { body, headers: { "content-type": "application/json" } };
    return handle(new Request("http://localhost" + path, { method, ...content }));
  }, () => void close());
}

/** The work goes on even if this cannot be known. */
async function warnIfOld(registry: { read(): Promise<Cluster> }, io: Io): Promise<void> {
  try {
    const { machines } = await registry.read();
    const { olderThanCluster } = await import("./api/version_skew.ts");
    const warning = olderThanCluster(version, [...machines.values()].map((machine) => machine.version));
    if (warning !== undefined) io.err(warning);
  } catch (error) {
    io.log("ERROR", `cannot tell whether fleetctl is older than the cluster: ${reasonOf(error)}`);
  }
}

function tlsFiles(flags: Flags): Pick<ClientSettings, "caFile" | "certFile" | "keyFile"> {
  return { caFile: flags.text("ca-file"), certFile: flags.text("cert-file"), keyFile: flags.text("key-file") };
}

/** What sends requests through `--tunnel`, once it stands. Throws {@link ClientSetupError} if it does not. */
async function tunnelled(flags: Flags, io: Io): Promise<NonNullable<ClientSettings["tunnel"]>> {
  const [{ tunnelledFetch }, tunnel] = await Promise.all([
    import("./ssh/tunnel.ts"),
    standingTunnel(flags, io),
  ]);
  return (socket, tls) => tunnelledFetch(tunnel, socket, tls, io);
}

/** What leads to etcd through `--tunnel`, once it stands. Throws {@link ClientSetupError} if it does not. */
async function forwardedSockets(flags: Flags, io: Io): Promise<ForwardedSockets> {
  const { ForwardedSockets } = await import("./ssh/socket_forward.ts");
  return new ForwardedSockets(await standingTunnel(flags, io));
}

async function standingTunnel(flags: Flags, io: Io): Promise<() => Promise<SshConnection>> {
  const ways = await waysOf(flags, io).real();
  try {
    await ways.tunnel();
  } catch (cause) {
    throw new ClientSetupError(`failed initializing SSH client: ${reasonOf(cause)}`, { cause });
  }
  return () => ways.tunnel();
}

async function tokenOf(flags: Flags, io: Io): Promise<string> {
  const path = flags.text("token-file");
  if (flags.text("token") !== "" || path === "") return flags.text("token");
  const text = await io.readFile(path).catch((cause) => {
    throw new ClientSetupError(`cannot read ${path}: ${reasonOf(cause)}`, { cause });
  });
  if (text === undefined) throw new ClientSetupError(`cannot read ${path}: no such file`);
  return text.trim();
}

/** Exit status of a program whose reader went away, as a shell counts SIGPIPE. */
const exitBrokenPipe = 141;

/** Exit status after ^C, as a shell counts SIGINT. */
const exitInterrupted = 130;

let status: number;
try {
  status = await Promise.race([runFleetctl(Deno.args, Deno.env.toObject(), start), interrupted]);
} catch (error) {
  if (error instanceof ReaderGoneError) Deno.exit(exitBrokenPipe);
  if (error instanceof InterruptedError) {
    terminal(false).err(`\n${error.message}\n`);
    Deno.exit(exitInterrupted);
  }
  terminal(false).err(`fleetctl: ${reasonOf(error)}\n`);
  Deno.exit(1);
}
Deno.exit(status);
