/**
 * fleetd. 🚪 Wires everything; the only place that knows all rooms.
 *
 * @module
 */

import { ClusterRegistry } from "../registry/cluster_registry.ts";
import type { EtcdOptions } from "../registry/etcd/connection.ts";
import { openEtcdStore } from "../registry/etcd/store.ts";
import { type Log, messageOf } from "../registry/log.ts";
import type { MachineRecord } from "../registry/model.ts";
import type { Registry } from "../registry/mod.ts";
import type { Store } from "../registry/store.ts";
import { openSystemd } from "../systemd/dbus/mod.ts";
import type { Systemd } from "../systemd/mod.ts";
import { Agent } from "./agent/agent.ts";
import { readCredentials } from "./api/credentials.ts";
import { createHandler } from "./api/routes.ts";
import { inheritedSockets, listenSpec, serve, type Server } from "./api/server.ts";
import { parseArguments, usage } from "./arguments.ts";
import { systemClock } from "./clock.ts";
import { type Config, ConfigError, parseConfig } from "./config.ts";
import { runEngine } from "./engine/engine.ts";
import { detectAddress, readMachineId } from "./identity.ts";
import { live, type Member, type Status } from "./life.ts";
import { openLog } from "./log.ts";
import { type Memory, openMemory } from "./memory.ts";
import { openNotify } from "./notify.ts";
import { together } from "./reconcile.ts";
import { refreshIdentity } from "./refresh.ts";
import { shutDown, within } from "./shutdown.ts";
import { version } from "./version.ts";

const defaultConfig = "/etc/fleet/fleet.conf";

/** How often loops look again although nothing has changed. */
const safetyNet_ms = 60_000;

/** What "no limit" is taken for. */
const longestRequest_ms = 60_000;

const limits = { drain_ms: 60_000, leave_ms: 5_000, end_ms: 1_000 } as const;

/** Everything a running daemon holds. */
interface House {
  readonly config: Config;
  readonly log: Log;
  readonly registry: Registry;
  readonly systemd: Systemd;
  readonly memory: Memory;
  server?: Server;
  agent?: Agent;
  member?: Member;
}

if (import.meta.main) Deno.exit(await main(Deno.args));

/** Runs the daemon; resolves with its exit code. */
async function main(args: readonly string[]): Promise<number> {
  const wish = parseArguments("fleetd", args);
  if (wish.kind === "version") return say(`fleetd version ${version}\n`);
  if (wish.kind === "help") return say(usage);
  if (wish.kind === "wrong") {
    complain(`${wish.message}\n${usage}`);
    return wish.code;
  }
  let verbosity = 0;
  const log = openLog({ verbosity: () => verbosity, journal: Deno.env.get("JOURNAL_STREAM") !== undefined });
  try {
    log("info", `Starting fleetd version ${version}`);
    const config = await readConfig(wish.config, log);
    verbosity = config.verbosity;
    await run(config, wish.listen, log);
    return 0;
  } catch (error) {
    log("error", `${messageOf(error)}${permissionHint(error)}`);
    return 1;
  }
}

/** What to do about something that the flags of this build forbid; "" for any other error. */
function permissionHint(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) continue;
    return "; the permissions that this fleetd was built with forbid what its configuration asks for:" +
      " use the usual path or address, or build it with others (see compile.sh)";
  }
  return "";
}

async function readConfig(path: string | undefined, log: Log): Promise<Config> {
  const text = await readConfigFile(path ?? defaultConfig, path !== undefined);
  if (text === undefined) log("info", "No provided or default config file found - proceeding without");
  const file = text === undefined ? {} : { file: { path: path ?? defaultConfig, text } };
  const { config, warnings } = parseConfig({ ...file, env: Deno.env.toObject() });
  for (const warning of warnings) log("warn", warning);
  return config;
}

async function readConfigFile(path: string, mustExist: boolean): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (!mustExist && error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.IsADirectory) {
      throw new ConfigError(`Provided config ${path} is a directory, not a file`);
    }
    throw new ConfigError(`Unable to use config file ${path}: ${(error as Error).message}`);
  }
}

/** Serves from the first moment, lives, and ends when a signal says so. */
async function run(config: Config, listen: readonly string[], log: Log): Promise<void> {
  const notify = openNotify(Deno.env.get("NOTIFY_SOCKET"));
  const house = await build(config, log);
  let status: Status = { ready: false, reason: "fleetd is starting" };
  const tell = (text: string) => notify(text).catch((error) => log("warn", `sd_notify: ${messageOf(error)}`));
  const stop = new AbortController();
  const unhook = onSignals(log, () => stop.abort());
  let server: Server | undefined;
  try {
    server = await openApi(house, listen, () => status);
    await tell(`READY=1\nSTATUS=${status.reason}`);
    const ending = new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
    const life = new AbortController();
    const lived = live({
      registry: house.registry,
      memory: house.memory,
      clock: systemClock,
      log,
      identify: () => identify(house),
      work: (member, signal) => work(house, member, signal),
      status: (next) => {
        status = next;
        tell(`STATUS=${next.ready ? "member of the cluster" : next.reason}`);
      },
    }, life.signal);
    await ending;
    await tell("STOPPING=1\nSTATUS=ending");
    await endWell(house);
    life.abort();
    // Whatever still waits for a store that is away need not be waited for.
    await within(limits.end_ms, systemClock, () => lived);
  } finally {
    unhook();
    await server?.close();
    await within(limits.end_ms, systemClock, () => house.registry.close());
    await house.systemd.close();
  }
}

async function build(config: Config, log: Log): Promise<House> {
  const memory = await openMemory(parentOf(config.unitsDirectory));
  const systemd = openSystemd({
    unitsDirectory: config.unitsDirectory,
    bus: config.systemdUser ? "user" : "system",
    log,
  });
  const store = await openStore(config);
  const registry = new ClusterRegistry({
    store,
    clock: systemClock,
    log,
    agentTtl_s: Math.max(1, Math.floor(config.agentTtl_ms / 1000)),
    leaderTtl_s: Math.max(1, Math.ceil(5 * config.engineReconcileInterval_ms / 1000)),
  });
  return { config, log, registry, systemd, memory };
}

/** The cluster's memory: etcd, or a file of this machine alone. */
async function openStore(config: Config): Promise<Store> {
  if (config.registry === "embedded") {
    const { openSqliteStore } = await import("../registry/sqlite.ts");
    await Deno.mkdir(config.stateDirectory, { recursive: true, mode: 0o700 });
    return openSqliteStore({ path: `${config.stateDirectory}/fleet.db` });
  }
  return await openEtcdStore({
    endpoints: config.etcdServers,
    prefix: config.etcdKeyPrefix,
    // 0 stands for no limit, which no caller could wait for.
    requestTimeout_ms: config.etcdRequestTimeout_ms || longestRequest_ms,
    username: config.etcdUsername,
    password: config.etcdPassword,
    ...await tls(config),
  });
}

/** The PEM texts that the configuration names. */
async function tls(config: Config): Promise<Pick<EtcdOptions, "tls">> {
  const { etcdCafile, etcdCertfile, etcdKeyfile } = config;
  const read = async (path: string) => path === "" ? undefined : await Deno.readTextFile(path);
  const [ca, cert, key] = await Promise.all([etcdCafile, etcdCertfile, etcdKeyfile].map(read));
  if (ca === undefined && cert === undefined && key === undefined) return {};
  return {
    tls: { ...(ca !== undefined && { ca }), ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) },
  };
}

async function identify({ config, memory, server }: House): Promise<MachineRecord> {
  const ip = config.publicIp || await detectAddress(config.etcdServers);
  const apiAddress = server?.urlFor(ip);
  return {
    id: await readMachineId(),
    ip,
    ...(apiAddress === undefined ? {} : { apiAddress }),
    incarnation: await memory.incarnation(),
    staticMetadata: config.metadata,
    capabilities: { disableEngine: config.disableEngine },
    version,
  };
}

/** What a member does: agent and, unless disabled, engine. */
async function work(house: House, member: Member, signal: AbortSignal): Promise<void> {
  const { config, log, registry, systemd, memory } = house;
  const { membership, remember } = member;
  let machine = member.machine;
  const shared = { registry, clock: systemClock, log, safetyNet_ms };
  const agent = new Agent({
    ...shared,
    systemd,
    memory: memory.intents,
    membership,
    machine: () => machine,
    seen: remember,
  });
  const rejoinGrace_ms = Math.min(10_000, Math.max(2_000, config.agentTtl_ms / 3));
  const refresh = { ...shared, membership, identify: () => identify(house), every_ms: safetyNet_ms };
  const tasks = [
    (signal: AbortSignal) => agent.run(signal),
    (signal: AbortSignal) => refreshIdentity(machine, refresh, (changed) => machine = changed, signal),
  ];
  if (config.disableEngine) log("info", "Not starting engine; disable-engine is set");
  else tasks.push((signal) => runEngine({ ...shared, machine: machine.id, version, rejoinGrace_ms }, signal));
  house.agent = agent;
  house.member = member;
  try {
    await together(signal, tasks);
  } finally {
    delete house.agent;
    delete house.member;
  }
}

async function openApi(house: House, listen: readonly string[], status: () => Status): Promise<Server> {
  const { registry, log, config } = house;
  const handler = createHandler({ registry, status, log, pageSize: config.tokenLimit, version, clock: systemClock });
  const credentials = await readCredentials(config);
  const sockets = [...inheritedSockets(), ...listen.map(listenSpec)];
  return house.server = await serve({ handler, listen: sockets, credentials, log, clock: systemClock });
}

async function endWell(house: House): Promise<void> {
  const { systemd, log, agent, member } = house;
  await shutDown({
    systemd,
    clock: systemClock,
    log,
    drain: agent && (() => agent.drain()),
    leave: member && (() => member.membership.leave()),
    drainLimit_ms: limits.drain_ms,
    leaveLimit_ms: limits.leave_ms,
  });
}

/** Calls `end` on SIGTERM and SIGINT; returns what undoes it. */
function onSignals(log: Log, end: () => void): () => void {
  const signals = ["SIGTERM", "SIGINT"] as const;
  const handlers = signals.map((name) =>
    [name, () => {
      log("info", `Gracefully shutting down (${name})`);
      end();
    }] as const
  );
  for (const [name, handler] of handlers) Deno.addSignalListener(name, handler);
  return () => handlers.forEach(([name, handler]) => Deno.removeSignalListener(name, handler));
}

function parentOf(directory: string): string {
  return directory.replace(/\/+$/, "").replace(/\/[^/]*$/, "") || "/";
}

function say(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return 0;
}

function complain(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
