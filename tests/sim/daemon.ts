/**
 * A daemon on a simulated machine: the code of fleetd, wired as daemon/run.ts does, without the HTTP API.
 *
 * @module
 */

import { ClusterRegistry } from "../../registry/cluster_registry.ts";
import { capacity } from "./units.ts";
import type { MachineRecord } from "../../registry/model.ts";
import type { Registry } from "../../registry/mod.ts";
import type { Store } from "../../registry/store/port.ts";
import type { Systemd } from "../../systemd/port.ts";
import type { Log } from "../../runtime/log.ts";
import { Notifier } from "../../runtime/notifier.ts";
import { Agent } from "../../daemon/agent/agent.ts";
import { guardAlone } from "../../daemon/agent/disconnection_guard.ts";
import { drainAlone } from "../../daemon/agent/drain.ts";
import { type Config, parseConfig } from "../../daemon/config/options.ts";
import { runEngine } from "../../daemon/engine/engine.ts";
import { gracePeriods } from "../../daemon/engine/grace_periods.ts";
import { Daemon, type Generation } from "../../daemon/lifecycle/daemon.ts";
import { type Member, runJoinLoop, type Status } from "../../daemon/lifecycle/join_loop.ts";
import { lastContact, saveContacts } from "../../daemon/lifecycle/lease_contact.ts";
import { refreshIdentity } from "../../daemon/lifecycle/machine_record.ts";
import { shutDown } from "../../daemon/lifecycle/shutdown.ts";
import { together } from "../../daemon/reconcile.ts";
import type { SimulatedMachine } from "./machine.ts";
import type { SimulatedProcess } from "./process.ts";

/** Places where a test can put a deliberate fault. */
export interface DaemonFaults {
  readonly store?: (store: Store) => Store;
  readonly registry?: (registry: Registry) => Registry;
  readonly systemd?: (systemd: Systemd) => Systemd;
}

export interface DaemonOptions {
  readonly machine: SimulatedMachine;
  readonly process: SimulatedProcess;
  readonly store: Store;
  /** Text of fleet.conf, read at the start and at each reload. */
  readonly configuration: () => string;
  readonly wrote: () => void;
  readonly log: Log;
  readonly faults: DaemonFaults;
}

/** Interval of the rounds that run although nothing has changed. */
export const safetyNet_ms = 60_000;

export class SimulatedDaemon {
  readonly #daemon: Daemon<undefined>;
  readonly #systemd: Systemd;
  readonly #state: ReturnType<SimulatedMachine["run"]["forProcess"]>;
  readonly #retryNow = new Notifier();
  #ending = false;
  #agent: Agent | undefined;
  #member: Member | undefined;

  constructor(private readonly options: DaemonOptions) {
    const { machine, process, faults, log } = options;
    const { clock } = process;
    const systemd = machine.openSystemd(process);
    this.#systemd = faults.systemd?.(systemd) ?? systemd;
    this.#state = machine.run.forProcess(process, options.wrote);
    this.#daemon = new Daemon<undefined>({
      configure: () => Promise.resolve(this.#configure()),
      openStore: () => Promise.resolve(faults.store?.(options.store) ?? options.store),
      openRegistry: (config, store, unsettledWrites) => {
        const registry = new ClusterRegistry({
          ...{ store, clock, log, unsettledWrites },
          writer: () => Promise.resolve(machine.id),
          agentTtl_s: config.agentTtl_ms / 1000,
          leaderTtl_s: Math.max(1, Math.ceil(5 * config.engineReconcileInterval_ms / 1000)),
        });
        return faults.registry?.(registry) ?? registry;
      },
      openApi: () => undefined,
      runSession: (generation, report, signal) => this.#session(generation, report, signal),
      putInForce: () => {},
      notify: () => Promise.resolve(),
      clock,
      log,
    });
  }

  get registry(): Registry {
    return this.#daemon.generation.registry;
  }

  get isEnding(): boolean {
    return this.#ending;
  }

  /** True while the daemon is a member of the cluster. */
  get isMember(): boolean {
    return this.#member !== undefined;
  }

  async start(): Promise<void> {
    await this.#daemon.start(this.#configure());
    this.#daemon.beginSession();
  }

  reload(): Promise<void> {
    return this.#daemon.reload();
  }

  /** Has the daemon try to join at once, as an operator can. */
  wake(): void {
    this.#retryNow.notify();
  }

  /** Ends the daemon in good order: `systemctl stop`, or `restart`, which leaves the units running. */
  async end(job: "stop" | "restart"): Promise<void> {
    this.#ending = true;
    const { log, process: { clock } } = this.options;
    const alone = { systemd: this.#systemd, memory: this.#state.intents, clock, log, safetyNet_ms };
    let hasEnded = false;
    await this.#daemon.end(async (halt) => {
      await shutDown({
        job: () => Promise.resolve(job),
        clock,
        log,
        drain: async () => {
          if (await this.#agent?.drain() || hasEnded) return;
          await halt();
          await drainAlone(alone);
        },
        leave: this.#member && (async () => await this.#member?.leave()),
        drainLimit_ms: 60_000,
        leaveLimit_ms: 5_000,
      });
      hasEnded = true;
    });
    await this.#daemon.close();
    await this.#systemd.close();
  }

  #configure(): { readonly config: Config } {
    return {
      config: parseConfig({ file: { path: "fleet.conf", text: this.options.configuration() }, env: {} }).config,
    };
  }

  #session(
    generation: Generation<undefined>,
    report: (status: Status) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { log, process: { clock } } = this.options;
    const { config, registry } = generation;
    const state = this.#state;
    return runJoinLoop({
      ...{ registry, state, clock, log },
      wakeup: this.#retryNow,
      identify: () => this.#identify(config),
      guard: async (signal) => {
        const contact = await lastContact(state, clock, config.agentTtl_ms);
        const options = { systemd: this.#systemd, clock, log, memory: state.intents, contact: () => contact };
        await guardAlone(options, signal);
      },
      work: (member, signal) => this.#work(generation, member, signal),
      status: report,
    }, signal);
  }

  async #identify(config: Config): Promise<MachineRecord> {
    const { id, ip } = this.options.machine;
    return {
      ...{ id, ip, version: "sim", leaseTtl_ms: config.agentTtl_ms },
      incarnation: await this.#state.incarnation(),
      staticMetadata: config.metadata,
      capacity,
      capabilities: { disableEngine: config.disableEngine, stagedGlobals: true, successors: true },
    };
  }

  async #work({ config, registry }: Generation<undefined>, member: Member, signal: AbortSignal): Promise<void> {
    const { log, process: { clock } } = this.options;
    const { membership, remember } = member;
    let machine = member.machine;
    const shared = { registry, clock, log, safetyNet_ms };
    const agent = this.#agent = new Agent({
      ...shared,
      systemd: this.#systemd,
      memory: this.#state.intents,
      membership,
      machine: () => machine,
      seen: remember,
    });
    const refresh = {
      ...{ clock, log, membership, every_ms: safetyNet_ms },
      identify: () => this.#identify(config),
      changed: (now: MachineRecord) => machine = now,
    };
    const massLoss = { share: config.massLossThreshold, grace_s: Math.ceil(config.massLossGrace_ms / 1000) };
    const engine = {
      ...shared,
      machine: machine.id,
      version: "sim",
      ...gracePeriods(config.agentTtl_ms, massLoss),
    };
    this.#member = member;
    try {
      await together(signal, [
        (signal) => agent.run(signal),
        (signal) => saveContacts(membership, this.#state.saveContact, log, signal),
        (signal) => refreshIdentity(machine, refresh, signal),
        ...config.disableEngine ? [] : [(signal: AbortSignal) => runEngine(engine, signal)],
      ]);
    } finally {
      this.#agent = undefined;
      this.#member = undefined;
    }
  }
}
