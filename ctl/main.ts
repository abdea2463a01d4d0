/**
 * The program fleetctl: connects the commands to the adapters and ends the process.
 *
 * @module
 */

import type { Cluster } from "../registry/model.ts";
import { ApiClient } from "./api/client.ts";
import type { Flags } from "./cli/argv.ts";
import { runFleetctl, type Start } from "./cli/run.ts";
import { type ClientSettings, connect, readTls } from "./api/http.ts";
import { ClientSetupError } from "./api/endpoint.ts";
import { apiTimeout_s, timeoutFlagName } from "./cli/global_flags.ts";
import { InterruptedError, type Io, type LogLevel, ReaderGoneError, reasonOf } from "./terminal/port.ts";
import type { ForwardedSockets } from "./ssh/socket_forward.ts";
import { SshHosts } from "./ssh/hosts.ts";
import type { SshConnection } from "./ssh/port.ts";
import { userContextFile } from "./contexts/disk.ts";
import { interrupted, terminal } from "./terminal/deno.ts";
import { version } from "../runtime/version.ts";

// The API and etcd are reached directly, as in fleet 1.0: neither fetch nor gRPC may find a proxy in the environment.
for (const name of ["http_proxy", "https_proxy", "all_proxy", "grpc_proxy"]) {
  Deno.env.delete(name);
  Deno.env.delete(name.toUpperCase());
}

let latest: { readonly flags: Flags; readonly hosts: SshHosts } | undefined;
const hostsFor = (flags: Flags, io: Io): SshHosts => {
  if (latest?.flags !== flags) latest = { flags, hosts: new SshHosts(flags, io) };
  return latest.hosts;
};

const start: Start = {
  io: terminal,
  contexts: userContextFile(),
  hosts: hostsFor,
  async client(flags, io) {
    const driver = flags.text("driver");
    if (driver === "etcd" || !flags.on("experimental-api")) return await etcdClient(flags, io);
    if (driver !== "API") throw new ClientSetupError(`unrecognized driver ${JSON.stringify(driver)}`);
    return await connect({
      endpoint: flags.text("endpoint"),
      timeout_ms: 1000 * requestTimeout_s(flags),
      ...tlsFiles(flags),
      token: await tokenOf(flags, io),
      ...(flags.text("tunnel") === "" ? {} : { tunnel: await tunneled(flags, io) }),
    }, io);
  },
};

/** Returns the time limit of one request to the API: not much longer than that of the whole command. */
function requestTimeout_s(flags: Flags): number {
  if (flags.given("request-timeout")) return flags.number("request-timeout");
  const wait_s = flags.given(timeoutFlagName) ? flags.number(timeoutFlagName) : 0;
  return wait_s > 0 ? Math.min(apiTimeout_s, Math.max(wait_s, minRequestTimeout_s)) : apiTimeout_s;
}

/** Shortest time limit of a request, for a busy daemon, even if that of the command is shorter. */
const minRequestTimeout_s = 3;

/** The endpoint of etcd by default. */
const defaultEtcd = "http://127.0.0.1:2379";

/**
 * Returns a client that needs no daemon: it runs the routes of the API in this process, on the store. It cannot read
 * journals or the status of units on machines, which needs a daemon.
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
    // A name for all clients: with one for each, a client that loses an answer would leave a key behind.
    writer: () => Promise.resolve("fleetctl"),
    // This client takes no lease, so that the times have no effect.
    agentTtl_s: 30,
    leaderTtl_s: 10,
  });
  const close = async () => {
    await registry.close();
    await store.close();
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
  return new ApiClient(endpoint, (path, { method, body }) => {
    const content = body === undefined ? {} : { body, headers: { "content-type": "application/json" } };
    return handle(new Request("http://localhost" + path, { method, ...content }));
  }, () => void close());
}

/** Warns if fleetctl is older than the daemons of the cluster. A failure of the check is only logged. */
async function warnIfOld(registry: { read(): Promise<Cluster> }, io: Io): Promise<void> {
  try {
    const { machines } = await registry.read();
    const { olderThanCluster } = await import("./api/version_skew.ts");
    const warning = olderThanCluster(version, [...machines.values()].map((machine) => machine.version));
    if (warning !== undefined) io.err(warning);
  } catch (error) {
    io.log("ERROR", `cannot compare the version of fleetctl with the cluster: ${reasonOf(error)}`);
  }
}

function tlsFiles(flags: Flags): Pick<ClientSettings, "caFile" | "certFile" | "keyFile"> {
  return { caFile: flags.text("ca-file"), certFile: flags.text("cert-file"), keyFile: flags.text("key-file") };
}

/** Returns the function that sends requests through `--tunnel`, which it connects. Throws {@link ClientSetupError}. */
async function tunneled(flags: Flags, io: Io): Promise<NonNullable<ClientSettings["tunnel"]>> {
  const [{ tunnelledFetch }, tunnel] = await Promise.all([
    import("./ssh/tunnel.ts"),
    connectTunnel(flags, io),
  ]);
  return (socket, tls) => tunnelledFetch(tunnel, socket, tls, io);
}

/** Returns the forwarded sockets of etcd through `--tunnel`, which it connects. Throws {@link ClientSetupError}. */
async function forwardedSockets(flags: Flags, io: Io): Promise<ForwardedSockets> {
  const { ForwardedSockets } = await import("./ssh/socket_forward.ts");
  return new ForwardedSockets(await connectTunnel(flags, io));
}

async function connectTunnel(flags: Flags, io: Io): Promise<() => Promise<SshConnection>> {
  const hosts = hostsFor(flags, io);
  try {
    await hosts.tunnel();
  } catch (cause) {
    throw new ClientSetupError(`failed initializing SSH client: ${reasonOf(cause)}`, { cause });
  }
  return () => hosts.tunnel();
}

async function tokenOf(flags: Flags, io: Io): Promise<string> {
  const path = flags.text("token-file");
  if (flags.text("token") !== "" || path === "") return checkToken(flags.text("token"), "--token");
  const text = await io.readFile(path).catch((cause) => {
    throw new ClientSetupError(`cannot read ${path}: ${reasonOf(cause)}`, { cause });
  });
  if (text === undefined) throw new ClientSetupError(`cannot read ${path}: no such file`);
  return checkToken(text.trim(), path);
}

/** Refuses what is no token: `fetch` would quote it in its error, and it is secret. */
function checkToken(token: string, source: string): string {
  if (/^[!-~]*$/.test(token)) return token;
  throw new ClientSetupError(`${source} must contain one token and nothing else`);
}

/** Exit status of a program whose output pipe was closed: that of a shell for SIGPIPE. */
const exitBrokenPipe = 141;

/** Exit status after ^C: that of a shell for SIGINT. */
const exitInterrupted = 130;

/** Writes the last message to standard error. Without a reader, the exit status must do. */
function lastWords(text: string): void {
  try {
    terminal(false).err(text);
  } catch {
    // A stack trace could not be read either.
  }
}

let status: number;
try {
  status = await Promise.race([runFleetctl(Deno.args, Deno.env.toObject(), start), interrupted]);
} catch (error) {
  if (error instanceof ReaderGoneError) Deno.exit(exitBrokenPipe);
  if (error instanceof InterruptedError) {
    lastWords(`\n${error.message}\n`);
    Deno.exit(exitInterrupted);
  }
  lastWords(`fleetctl: ${reasonOf(error)}\n`);
  Deno.exit(1);
}
Deno.exit(status);
