/**
 * A simulated cluster: etcd, the network, machines with their daemons, and users. Carries out the actions of a plan.
 *
 * @module
 */

import type { Level } from "../../runtime/log.ts";
import { type DaemonFaults, SimulatedDaemon } from "./daemon.ts";
import { SimulatedEtcd } from "./etcd.ts";
import { Judge } from "./judge.ts";
import { SimulatedMachine, type SystemdCommand } from "./machine.ts";
import { type Action, describe, type Fault, type KillPoint, type Plan, type UserAction } from "./plan.ts";
import { SimulatedProcess } from "./process.ts";
import { Random } from "../support/random.ts";
import { type Link, type RequestKind, StoreClient } from "./store_client.ts";
import { SimulatedTimeline } from "./timeline.ts";
import { carryOut, type Request } from "./user.ts";
import { leaderKey, machineKey } from "../../registry/schema/keys.ts";

/** Leases of machines, the largest of the times that decide how soon a cluster settles. */
export const agentTtl_s = 10;

const requestTimeout_ms = 1_000;

/** A daemon that runs, with its process and its connection. */
interface Running {
  readonly process: SimulatedProcess;
  readonly daemon: SimulatedDaemon;
  readonly client: StoreClient;
  /** The point at which it is to be killed. */
  killAt?: { readonly point: KillPoint; readonly down_ms: number };
}

export class SimulatedCluster {
  readonly timeline = new SimulatedTimeline();
  readonly etcd: SimulatedEtcd;
  readonly machines: SimulatedMachine[];
  readonly judge: Judge;
  /** Lines about what has happened, for people to read. */
  readonly trace: string[] = [];
  readonly #running = new Map<SimulatedMachine, Running>();
  readonly #random: Random;
  readonly #network: Random;
  /** Until when requests wait at the store, and until when it loses everything. */
  #hangsUntil_ms = 0;
  #outUntil_ms = 0;
  #arrived: (() => void)[] = [];
  #requests = 0;
  /** Faults are over, and each daemon that is down is started. */
  #healed = false;

  constructor(private readonly plan: Plan, seed: number, private readonly faults: DaemonFaults = {}) {
    this.#random = new Random(seed ^ 0x5eed);
    this.#network = this.#random.fork();
    this.etcd = new SimulatedEtcd(this.timeline, (batch) => this.judge.committed(batch));
    this.machines = Array.from(
      { length: plan.machines },
      (_, index) =>
        new SimulatedMachine(
          index,
          this.timeline,
          this.#random.fork(),
          (machine, command) => this.#commanded(machine, command),
        ),
    );
    this.judge = new Judge(this);
  }

  /** Starts all daemons. */
  start(): void {
    for (const machine of this.machines) {
      machine.metadata = machine.index % 2 === 0 ? { disk: "ssd" } : {};
      this.timeline.after(this.#random.between(0, 2_000), () => this.#startDaemon(machine));
    }
  }

  log(line: string): void {
    this.trace.push(`${(this.timeline.now_ms() / 1000).toFixed(3).padStart(8)} ${line}`);
  }

  /** True if the machine has a daemon that is a member of the cluster. */
  isMember(machine: SimulatedMachine): boolean {
    return this.#running.get(machine)?.daemon.isMember ?? false;
  }

  perform(action: Action): void {
    this.log(describe(action));
    if ("user" in action) this.#request(action.user, action.through);
    else this.#fault(action.fault);
  }

  /** Ends all faults. */
  heal(): void {
    this.log("all faults end");
    this.#healed = true;
    this.#outUntil_ms = this.#hangsUntil_ms = this.timeline.now_ms();
    this.#continueStore();
    this.#endDrains();
    for (const machine of this.machines) {
      machine.cutUntil_ms = machine.slowUntil_ms = this.timeline.now_ms();
      machine.systemd.restoreBus();
      machine.systemd.failNoMore();
      const running = this.#running.get(machine);
      if (!running) this.#startDaemon(machine);
      else {
        delete running.killAt;
        running.process.resume();
      }
    }
  }

  /** Ends every drain, and cancels moves for balance, as an operator does. */
  #endDrains(): void {
    const keys = ["drain/", "cordon/", "rebalance"].flatMap((prefix) => this.etcd.range({ prefix })).map(({ key }) =>
      key
    );
    if (keys.length > 0) this.etcd.transact([], keys.map((key) => ({ delete: key })));
  }

  #startDaemon(machine: SimulatedMachine): void {
    if (this.#running.has(machine)) return;
    const process = new SimulatedProcess(this.timeline, this.#random.fork(), () => machine.clockOffset_ms);
    const client = new StoreClient({
      etcd: this.etcd,
      timeline: this.timeline,
      process,
      link: this.#link(machine),
      timeout_ms: requestTimeout_ms,
    });
    const daemon = new SimulatedDaemon({
      ...{ machine, process, faults: this.faults },
      store: client,
      configuration: () => this.#configuration(machine),
      wrote: () => this.#reached(machine, "wrote"),
      log: (level: Level, message, fields) => {
        if (level !== "debug") {
          this.log(`machine ${machine.index} ${level}: ${message} ${JSON.stringify(fields ?? {})}`);
        }
      },
    });
    this.log(`machine ${machine.index}: daemon starts`);
    this.#running.set(machine, { process, daemon, client });
    this.judge.disturbed(machine);
    void daemon.start();
  }

  #configuration(machine: SimulatedMachine): string {
    const metadata = Object.entries(machine.metadata).map(([key, value]) => `${key}=${value}`).join(",");
    return [
      `agent_ttl=${agentTtl_s}s`,
      `mass_loss_threshold=${this.plan.massLossThreshold}`,
      "mass_loss_grace=20s",
      ...metadata ? [`metadata=${metadata}`] : [],
    ].join("\n");
  }

  #link(machine: SimulatedMachine): Link {
    const { timeline } = this;
    const random = this.#network.fork();
    return {
      delay_ms: () => {
        if (timeline.now_ms() < machine.slowUntil_ms) return random.between(50, 2_500);
        return random.chance(0.01) ? random.between(10, 600) : random.between(0.3, 4);
      },
      loses: () => {
        const now_ms = timeline.now_ms();
        if (now_ms < machine.cutUntil_ms || now_ms < this.#outUntil_ms) return true;
        return now_ms < machine.slowUntil_ms && random.chance(0.1);
      },
      arrive: (request) => {
        if (timeline.now_ms() < this.#hangsUntil_ms) this.#arrived.push(request);
        else request();
      },
      applied: (kind: RequestKind) => {
        this.judge.requests[kind]++;
        if (kind !== "grant" && kind !== "revoke") this.#reached(machine, kind);
      },
    };
  }

  #commanded(machine: SimulatedMachine, command: SystemdCommand): void {
    this.log(`machine ${machine.index}: ${command.member} ${command.unit}${command.wasActive ? " (active)" : ""}`);
    this.judge.commanded(machine, command);
    if (command.member === "StartUnit" || command.member === "StopUnit") this.#reached(machine, command.member);
  }

  /** Kills a daemon that is to be killed at this point. */
  #reached(machine: SimulatedMachine, point: KillPoint): void {
    const running = this.#running.get(machine);
    if (running?.killAt?.point === point) this.#kill(machine, running.killAt.down_ms);
  }

  #kill(machine: SimulatedMachine, down_ms: number): void {
    const running = this.#running.get(machine);
    if (!running) return;
    this.log(`machine ${machine.index}: daemon is killed`);
    running.process.kill();
    this.#running.delete(machine);
    // A daemon that is soon back stops units with StopWhenDisconnected= in time, by the last renewal of the one before.
    this.judge.disturbed(machine, down_ms, down_ms > 3_000);
    this.#startLater(machine, down_ms);
  }

  #startLater(machine: SimulatedMachine, down_ms: number): void {
    this.timeline.after(down_ms, () => this.#startDaemon(machine));
  }

  #request(action: UserAction, through: number): void {
    // A client tries another machine if one has no daemon.
    const order = this.machines.map((_, at) => this.machines[(through + at) % this.machines.length]!);
    const running = order.map((machine) => this.#running.get(machine)).find((found) => found && !found.process.paused);
    if (!running || running.daemon.isEnding) return;
    const request: Request = {
      id: `request-${++this.#requests}`,
      action,
      outcome: "unknown",
      after: this.etcd.revision,
    };
    this.judge.requested(request);
    let registry;
    try {
      registry = running.daemon.registry;
    } catch {
      return this.judge.answered({ ...request, outcome: "refused" });
    }
    void carryOut(registry, running.process, request).then(() => {
      this.log(`${request.id} is ${request.outcome}`);
      this.judge.answered(request);
    });
  }

  #fault(fault: Fault): void {
    const now_ms = this.timeline.now_ms();
    if ("machine" in fault) {
      const machine = this.machines[fault.machine];
      if (machine) this.#faultOf(machine, fault);
      return;
    }
    switch (fault.kind) {
      case "exit":
        for (const machine of this.machines) {
          if (!machine.systemd.isActive(fault.unit)) continue;
          this.judge.exited(machine, fault.unit);
          machine.systemd.exit(fault.unit, fault.code);
        }
        break;
      case "hang":
        this.#disturbAll(fault.for_ms);
        this.#hangsUntil_ms = Math.max(this.#hangsUntil_ms, now_ms + fault.for_ms);
        // No leader of etcd: leases neither expire nor are they renewed.
        this.etcd.suspendLeases();
        this.timeline.after(fault.for_ms, () => this.#continueStore());
        break;
      case "outage":
        this.#disturbAll(fault.for_ms);
        this.#outUntil_ms = Math.max(this.#outUntil_ms, now_ms + fault.for_ms);
        this.etcd.suspendLeases();
        this.timeline.after(fault.for_ms, () => this.#continueStore());
        for (const { client } of this.#running.values()) client.loseWatches();
        break;
      case "compact":
        this.etcd.compact();
        for (const { client } of this.#running.values()) client.loseWatches();
        break;
      case "expire leader":
        this.etcd.revoke(this.etcd.get(leaderKey)?.lease ?? "");
        break;
    }
  }

  #disturbAll(for_ms: number): void {
    for (const machine of this.machines) this.judge.disturbed(machine, for_ms);
  }

  #continueStore(): void {
    const now_ms = this.timeline.now_ms();
    if (now_ms < this.#hangsUntil_ms || now_ms < this.#outUntil_ms) return;
    this.etcd.extendLeases();
    for (const request of this.#arrived.splice(0)) request();
  }

  #faultOf(machine: SimulatedMachine, fault: Extract<Fault, { machine: number }>): void {
    const running = this.#running.get(machine);
    const until_ms = this.timeline.now_ms() + ("for_ms" in fault ? fault.for_ms : 0);
    const isHarm = !["kill", "cut", "slow", "lose watches", "wake", "reload", "reload systemd", "step clock"].includes(
      fault.kind,
    );
    this.judge.disturbed(machine, "for_ms" in fault ? fault.for_ms : 0, isHarm);
    switch (fault.kind) {
      case "kill":
        if (fault.at === undefined || !running) this.#kill(machine, fault.down_ms);
        else running.killAt = { point: fault.at, down_ms: fault.down_ms };
        break;
      case "reboot":
        running?.process.kill();
        this.#running.delete(machine);
        machine.boot();
        this.judge.rebooted(machine);
        this.#startLater(machine, fault.down_ms);
        break;
      case "end":
        if (running && !running.process.paused) this.#end(machine, running, fault);
        break;
      case "reload":
        machine.metadata = fault.disk ? { disk: fault.disk } : {};
        this.judge.reconfigured(machine);
        if (running) void running.daemon.reload();
        break;
      case "pause":
        running?.process.pause();
        this.timeline.after(fault.for_ms, () => running?.process.resume());
        break;
      case "cut":
        machine.cutUntil_ms = Math.max(machine.cutUntil_ms, until_ms);
        break;
      case "slow":
        machine.slowUntil_ms = Math.max(machine.slowUntil_ms, until_ms);
        break;
      case "lose bus": {
        const { systemd } = machine;
        systemd.loseBus();
        this.timeline.after(fault.for_ms, () => systemd.restoreBus());
        break;
      }
      case "lose watches":
        running?.client.loseWatches();
        break;
      case "expire":
        this.etcd.revoke(this.etcd.get(machineKey(machine.id))?.lease ?? "");
        break;
      case "wake":
        running?.daemon.wake();
        running?.client.loseWatches();
        break;
      case "reload systemd":
        machine.systemd.systemctl("Reload");
        break;
      case "refuse":
        machine.systemd.failNext(fault.call, fault.unit);
        break;
      case "step clock":
        machine.clockOffset_ms += fault.by_ms;
        break;
    }
  }

  #end(machine: SimulatedMachine, running: Running, { job, down_ms }: Extract<Fault, { kind: "end" }>): void {
    if (running.daemon.isEnding) return;
    if (job === "stop") this.judge.stopping(machine);
    void running.daemon.end(job).then(() => {
      if (this.#running.get(machine) !== running) return;
      this.log(`machine ${machine.index}: daemon has ended`);
      running.process.kill();
      this.#running.delete(machine);
      this.judge.disturbed(machine);
      this.#startLater(machine, this.#healed ? 0 : down_ms);
    });
  }
}
