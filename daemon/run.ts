/**
 * Wires the daemon: the only file beside main.ts that knows engine, agent and API. An adapter: reads the environment that
 * systemd gives a service.
 *
 * @module
 */

import { dirname } from "node:path/posix";
import { ClusterRegistry } from "../registry/cluster_registry.ts";
import type { UnsettledWrites } from "../registry/writes/fence.ts";
import { type Log, messageOf } from "../runtime/log.ts";
import type { MachineRecord } from "../registry/model.ts";
import type { Registry } from "../registry/mod.ts";
import type { Store } from "../registry/store/port.ts";
import { openSystemd } from "../systemd/dbus/open.ts";
import { openQuadletGenerator } from "../systemd/quadlet/generator.ts";
import type { Systemd } from "../systemd/port.ts";
import { acceptStore } from "./lifecycle/accept_store.ts";
import { Agent } from "./agent/agent.ts";
import { guardAlone } from "./agent/disconnection_guard.ts";
import { keepUnitsIfAsked, prepareStore, rememberLabels } from "./agent/keep_units.ts";
import { drainAlone } from "./agent/drain.ts";
import { SharedState } from "./api/shared_state.ts";
import { credentialsOf } from "./api/auth/credentials.ts";
import { openLocalMachine } from "./api/machine/local_machine.ts";
import type { LocalMachine } from "./api/machine/port.ts";
import { unitUsage } from "./api/machine/unit_usage.ts";
import { createHandler, type Handler } from "./api/handler.ts";
import { inheritedSockets, listenSpec, serve, type Server } from "./api/http/server.ts";
import { Notifier } from "../runtime/notifier.ts";
import { systemClock } from "./host/system_clock.ts";
import type { Config } from "./config/options.ts";
import { type Configuration } from "./config/load.ts";
import { Daemon, type Generation } from "./lifecycle/daemon.ts";
import { dumpText } from "./telemetry/dump.ts";
import { effectiveConfig } from "./config/print.ts";
import { runEngine } from "./engine/engine.ts";
import { gracePeriods } from "./engine/grace_periods.ts";
import { readCapacity } from "./host/hardware.ts";
import { openHealthProbe } from "./host/health_probe.ts";
import { detectAddress, readMachineId } from "./host/machine_id.ts";
import { exposition } from "./telemetry/prometheus.ts";
import { type Member, runJoinLoop, type Status } from "./lifecycle/join_loop.ts";
import { logOf, type LogSettings } from "./telemetry/log.ts";
import { AttachedFiles } from "./agent/attached_files.ts";
import { openAttachedDirectory } from "./state/attached_directory.ts";
import { openRuntimeState, runtimeDirectory, type RuntimeState } from "./state/runtime_state.ts";
import {
  type Metrics,
  observeEngine,
  observeRounds,
  observeStore,
  observeSystemd,
  openMetrics,
  openRenewals,
  type Renewals,
} from "./telemetry/metrics.ts";
import { type Notify, openNotify } from "./host/sd_notify.ts";
import { together } from "./reconcile.ts";
import { lastContact, saveContacts, watchPresence } from "./lifecycle/lease_contact.ts";
import { features, refreshIdentity } from "./lifecycle/machine_record.ts";
import { closeAll, shutDown } from "./lifecycle/shutdown.ts";
import { openReloadRequests } from "./config/reload_outcome.ts";
import { readPageFile } from "./host/page_files.ts";
import { onSignals } from "./host/signals.ts";
import { openStore } from "./lifecycle/open_store.ts";
import { logWarnings, type StartSettings } from "./lifecycle/startup.ts";
import { version, versionText } from "../runtime/version.ts";
import { keepWatchdog, watchdogInterval_ms } from "./host/watchdog.ts";
import { writeOut } from "./host/streams.ts";
import { aborted } from "../runtime/on_abort.ts";

/** The longest time between two rounds of a loop, also while nothing changes. */
const safetyNet_ms = 60_000;

const limits = { drain_ms: 60_000, leave_ms: 5_000 } as const;

/** The two logs of a daemon. */
export interface Logs {
  /** Limits repeated warnings and errors. */
  readonly log: Log;
  /** Writes every line: audit lines, and the outcomes of each start, reload and stop, even if the last had the same. */
  readonly unlimitedLog: Log;
}

/** The parts of a daemon that outlive a reload. */
export interface DaemonContext extends StartSettings, Logs {
  readonly notify: Notify;
  readonly systemd: Systemd;
  readonly state: RuntimeState;
  /** Makes the next attempt to join start at once. */
  readonly retryNow: Notifier;
  readonly metrics: Metrics;
  readonly renewals: Renewals;
  /** Shared by the API's handlers, each of which serves until a reload. */
  readonly sharedState: SharedState;
  logSettings: LogSettings;
  configuration: Configuration;
  server?: Server;
  agent?: Agent;
  /** True if podman's generator was there at some time since the start. */
  hasQuadlet?: boolean;
  member?: Member;
}

/** Opens the parts that outlive a reload. */
export async function build(start: StartSettings, logs: Logs): Promise<DaemonContext> {
  const { configuration: { config }, greeting } = start;
  const state = await openRuntimeState(dirname(config.unitsDirectory));
  // A daemon with --dev has a new store each time.
  if (greeting !== undefined) await Promise.all([state.saveStore(undefined), state.saveLease(undefined)]);
  const metrics = openMetrics();
  const runtime = config.systemdUser ? Deno.env.get("XDG_RUNTIME_DIR") ?? "/run" : "/run";
  const systemd = openSystemd({
    unitsDirectory: config.unitsDirectory,
    bus: config.systemdUser ? "user" : "system",
    log: logOf("systemd", logs.log),
    quadletDirectory: `${runtime}/containers/systemd/fleet`,
  });
  const send = openNotify(Deno.env.get("NOTIFY_SOCKET"));
  const notify: Notify = (text) => send(text).catch((error) => logs.log("warn", `sd_notify: ${messageOf(error)}`));
  return {
    ...{ ...start, ...logs, notify, state, metrics, logSettings: config },
    systemd: observeSystemd(systemd, metrics, systemClock),
    renewals: openRenewals(),
    sharedState: new SharedState(),
    retryNow: new Notifier(),
  };
}

/** Serves the API, joins the cluster, and ends with a signal. */
export async function run(context: DaemonContext): Promise<void> {
  const { unlimitedLog: log, notify, systemd, configuration } = context;
  const stop = new AbortController();
  const daemon: Daemon<Handler> = openDaemon(context, () => daemon);
  const end = (signal: string) => {
    log("info", `Gracefully shutting down (${signal})`);
    stop.abort();
  };
  const unhook = onSignals({
    SIGTERM: () => end("SIGTERM"),
    SIGINT: () => end("SIGINT"),
    SIGHUP: () => void daemon.reload(),
    SIGUSR2: () => void writeOut(`${dump(context, daemon)}\n`),
  });
  let watchdog: Promise<void> | undefined;
  try {
    await daemon.start(configuration);
    context.server = await openServer(context, () => daemon.generation.api);
    await notify(`READY=1\nSTATUS=${daemon.status.reason}`);
    const interval_ms = watchdogInterval_ms(Deno.env.toObject(), Deno.pid);
    if (interval_ms !== undefined) watchdog = keepWatchdog(interval_ms, notify, systemClock, stop.signal);
    daemon.beginSession();
    await aborted(stop.signal);
    await daemon.end((halt) => endWell(context, halt));
  } finally {
    unhook();
    await watchdog;
    context.sharedState[Symbol.dispose]();
    await closeAll([
      { what: "the API", close: () => context.server?.close() },
      { what: "the store", close: () => daemon.close() },
      { what: "the connection to systemd", close: () => systemd.close() },
    ], log);
    // A daemon that did not get its socket leaves the files: they belong to another daemon.
    const { server, removeFiles } = context;
    if (server && removeFiles) await closeAll([{ what: "the files of --dev", close: removeFiles }], log);
  }
}

function openDaemon(context: DaemonContext, daemon: () => Daemon<Handler>): Daemon<Handler> {
  const status = () => daemon().status;
  const { log, unlimitedLog, notify, state, retryNow } = context;
  let next = context.configuration;
  let greeting = context.greeting;
  return new Daemon<Handler>({
    configure: async () => {
      const configuration = await context.configure();
      unlimitedLog("info", `Reloading configuration from ${configuration.path ?? "the environment"}`);
      logWarnings(configuration, unlimitedLog);
      credentialsOf(configuration);
      return next = configuration;
    },
    openStore: async (effective) => {
      const store = await openStore(effective, context.greeting === undefined ? "configured" : "memory");
      return observeStore(store, context.metrics, systemClock, context.renewals);
    },
    openRegistry: (config, store, unsettledWrites) => openRegistry(config, store, unsettledWrites, log),
    openApi: ({ config, registry, retired }) => {
      const apiLog = logOf("api", log);
      const localMachine = openLocalMachine({ id: () => context.member?.machine.id, config, log: apiLog });
      return createHandler({
        registry,
        retired: retired.signal,
        sharedState: context.sharedState,
        status,
        started: () => daemon().started,
        log: apiLog,
        pageSize: config.tokenLimit,
        version,
        clock: systemClock,
        acceptStore: (keeps) => acceptStore(status(), state, (found) => prepareStore(state, found, keeps), retryNow),
        metrics: () =>
          scrape(context, status().ready && status().missing === undefined, config.metricsUnits && localMachine),
        pageFile: readPageFile,
        localMachine,
      });
    },
    runSession: (generation, report, signal) =>
      runJoinLoop({
        registry: generation.registry,
        state,
        clock: systemClock,
        log,
        wakeup: retryNow,
        identify: () => identify(context, generation.config),
        guard: async (signal) => {
          const contact = await lastContact(state, systemClock, leaseTtl_ms(generation.config));
          const options = { ...context, memory: state.intents, clock: systemClock, contact: () => contact };
          await guardAlone(options, signal);
        },
        work: (member, signal) => work(context, generation, member, report, signal),
        status: (next) => {
          report(next);
          if (next.ready && greeting !== undefined) writeOut(greeting);
          greeting = undefined;
        },
      }, signal),
    putInForce: (config) => {
      context.server?.use(credentialsOf(next));
      context.logSettings = config;
      context.configuration = next;
    },
    reloadRequest: openReloadRequests(runtimeDirectory(Deno.env.get("RUNTIME_DIRECTORY")), log),
    notify,
    clock: systemClock,
    log: unlimitedLog,
  });
}

function openRegistry(config: Config, store: Store, unsettledWrites: UnsettledWrites, log: Log): Registry {
  return new ClusterRegistry({
    store,
    clock: systemClock,
    log: logOf("registry", log),
    writer: readMachineId,
    unsettledWrites,
    agentTtl_s: leaseTtl_ms(config) / 1000,
    leaderTtl_s: Math.max(1, Math.ceil(5 * config.engineReconcileInterval_ms / 1000)),
  });
}

/** Leases have whole seconds. */
function leaseTtl_ms({ agentTtl_ms }: Config): number {
  return 1000 * Math.max(1, Math.floor(agentTtl_ms / 1000));
}

async function identify(context: DaemonContext, config: Config): Promise<MachineRecord> {
  const { state, server } = context;
  // Once seen, it stays: podman may be away for the moment of an upgrade.
  context.hasQuadlet ||= openQuadletGenerator(config.systemdUser ? "user" : "system").exists();
  const ip = config.publicIp || await detectAddress(config.registry === "etcd" ? config.etcdServers : []);
  const apiAddress = server?.urlFor(ip);
  return {
    id: await readMachineId(),
    ip,
    ...(apiAddress === undefined ? {} : { apiAddress }),
    incarnation: await state.incarnation(),
    staticMetadata: config.metadata,
    capabilities: { disableEngine: config.disableEngine, ...features, ...context.hasQuadlet && { quadlet: true } },
    leaseTtl_ms: leaseTtl_ms(config),
    capacity: readCapacity(config),
    version,
  };
}

/** Runs the agent and, unless disabled, the engine of a daemon that has joined the cluster. */
async function work(
  context: DaemonContext,
  generation: Generation<Handler>,
  member: Member,
  report: (status: Status) => void,
  signal: AbortSignal,
): Promise<void> {
  const { log, systemd, state } = context;
  const { config, registry } = generation;
  const { membership, remember } = member;
  let machine = member.machine;
  const agentLog = logOf("agent", log);
  const shared = { registry, clock: systemClock, safetyNet_ms };
  const directory = openAttachedDirectory(`${dirname(config.unitsDirectory)}/files`);
  const attached = new AttachedFiles({ ...shared, systemd, directory, log: agentLog });
  await keepUnitsIfAsked({ ...shared, systemd, state, attached, machine: machine.id, log: agentLog });
  const saveLabels = rememberLabels(state, agentLog);
  const agent = new Agent({
    ...{ ...shared, ...attached.ports },
    log: agentLog,
    memory: state.intents,
    membership,
    probe: openHealthProbe(systemd),
    machine: () => machine,
    seen: (view) => {
      remember();
      saveLabels(view.dynamicMetadata);
    },
    observe: observeRounds("agent", context.metrics),
  });
  const refresh = {
    ...{ clock: systemClock, log, membership, every_ms: safetyNet_ms },
    identify: () => identify(context, config),
    changed: (now: MachineRecord) => machine = now,
  };
  const tasks = [
    (signal: AbortSignal) => agent.run(signal),
    (signal: AbortSignal) => saveContacts(membership, state.saveContact, log, signal),
    (signal: AbortSignal) => {
      const reportMissing = (missing?: string) => report({ ready: true, ...(missing && { missing }) });
      return watchPresence(membership, systemClock, reportMissing, signal);
    },
    (signal: AbortSignal) => refreshIdentity(machine, refresh, signal),
  ];
  if (config.disableEngine) log("info", "Not starting engine; disable-engine is set");
  else {
    const events = context.sharedState.events(registry, systemClock, logOf("api", log));
    const engine = {
      ...{ ...shared, log: logOf("engine", log), machine: machine.id, version },
      ...gracePeriods(config.agentTtl_ms, {
        share: config.massLossThreshold,
        grace_s: Math.ceil(config.massLossGrace_ms / 1000),
      }),
      observer: observeEngine(context.metrics, systemClock, (leads) => events.record(leads)),
    };
    tasks.push((signal) => runEngine(engine, signal));
  }
  context.agent = agent;
  context.member = member;
  try {
    await together(signal, tasks);
  } finally {
    delete context.agent;
    delete context.member;
  }
}

async function openServer(context: DaemonContext, handler: () => Handler): Promise<Server> {
  const { listen, log, unlimitedLog, configuration } = context;
  return await serve({
    handler: (request, peer) => handler()(request, peer),
    listen: [...inheritedSockets(), ...listen.map(listenSpec)],
    credentials: credentialsOf(configuration),
    log: logOf("api", log),
    auditLog: logOf("api", unlimitedLog),
    clock: systemClock,
  });
}

async function endWell(context: DaemonContext, halt: () => Promise<void>): Promise<void> {
  const { systemd, log, unlimitedLog, state, greeting, member } = context;
  const alone = { systemd, memory: state.intents, clock: systemClock, log: logOf("agent", log), safetyNet_ms };
  let hasEnded = false;
  await shutDown({
    // After --dev no daemon would manage the units any more: its store is in memory.
    job: () => greeting === undefined ? systemd.ownJob() : Promise.resolve("stop"),
    clock: systemClock,
    log: unlimitedLog,
    drain: async () => {
      if (await context.agent?.drain() || hasEnded) return;
      // The daemon is not a member. It must not join, and start units, while they are stopped.
      await halt();
      await drainAlone(alone);
    },
    leave: member && (async () => await context.member?.leave()),
    drainLimit_ms: limits.drain_ms,
    leaveLimit_ms: limits.leave_ms,
  });
  hasEnded = true;
}

async function scrape(context: DaemonContext, ready: boolean, machine: LocalMachine | false): Promise<string> {
  const look = context.agent?.lastLook;
  const usage = machine ? await unitUsage(look, machine, systemClock) : [];
  const present = { ready, lease: context.member?.membership.lease, states: look?.states, usage };
  return await exposition(context.metrics, present, context.renewals, systemClock);
}

function dump(context: DaemonContext, daemon: Daemon<Handler>): string {
  const { member, agent, configuration } = context;
  const { registry, store } = daemon.generation;
  return dumpText({
    version: versionText,
    uptime_s: performance.now() / 1000,
    status: daemon.status,
    store: registry.memory,
    storeEndpoints: store.endpoints,
    config: effectiveConfig(configuration),
    machine: member?.machine,
    lease: member?.membership.lease,
    agent: agent?.lastLook,
  });
}
