/**
 * Runs commands as transient services: systemd(1) executes them, so that fleet needs no right to run programs.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { SystemdError } from "../port.ts";
import { type Manager, serviceInterface, unitInterface } from "./manager.ts";
import type { PendingJobs } from "./pending_jobs.ts";
import type { Variant } from "./transport.ts";

/** Begins the names of transient services; no unit of fleet may have such a name (see unit_name.ts). */
const prefix = "fleet-health-";

/** The longest unit name of systemd. */
const maxName_bytes = 255;

/** A command that ignores SIGTERM after its time is over is killed this much later, microseconds. */
const untilKill_us = 1_000_000n;

/** Level `notice` of syslog(3): the output of a command is logged, systemd's lines about its start and end are not. */
const notice = 5;

const unitExists = "org.freedesktop.systemd1.UnitExists";
const noSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";

/** D-Bus errors of a bus or a systemd that does not answer: they say nothing about the command. */
const unreachable: ReadonlySet<string> = new Set(["unavailable", "org.freedesktop.DBus.Error.Timeout"]);

/** Exit statuses of systemd.exec(5) for a command that did not begin. */
const notBegun: ReadonlyMap<number, string> = new Map([
  [203, "the program cannot be executed"],
  [216, "the group does not exist"],
  [217, "the user does not exist"],
]);

/** See the module. */
export class TransientCommands {
  constructor(private readonly manager: Manager, private readonly jobs: PendingJobs) {}

  /** See `Systemd.runAs`. Commands of one unit must not run at the same time. */
  async runAs(unit: string, argv: readonly string[], timeout_ms: number): Promise<string | undefined> {
    const name = transientName(unit);
    const properties = {
      ...await this.#identityOf(unit),
      Description: variant("s", `Health check of ${unit}`),
      Type: variant("s", "oneshot"),
      // systemd would replace variables; `$$` stands for `$`.
      ExecStart: variant("a(sasb)", [[argv[0], argv.map((word) => word.replaceAll("$", () => "$$")), false]]),
      TimeoutStartUSec: variant("t", BigInt(Math.ceil(timeout_ms)) * 1000n),
      TimeoutStopUSec: variant("t", untilKill_us),
      SyslogLevel: variant("i", notice),
      LogLevelMax: variant("i", notice),
    };
    const begin = () => this.manager.startTransient(name, properties, (job) => this.jobs.add(job, name));
    try {
      const job = await begin().catch(async (error) => {
        if (error.code !== unitExists || !await this.#clear(name)) throw error;
        return await begin();
      });
      const result = await job.done;
      if (result === "done") return undefined;
      if (result === "unknown") throw new SystemdError(`the end of "${name}" was missed`, "unavailable");
      return await this.#whyFailed(name, timeout_ms);
    } catch (error) {
      if (!(error instanceof SystemdError) || unreachable.has(error.code)) throw error;
      return `systemd cannot run it: ${error.message}`;
    }
  }

  /** Returns the properties of a unit that say as whom its commands run. */
  async #identityOf(unit: string): Promise<Record<string, Variant>> {
    const read = <T>(property: string) => this.manager.unitProperty(unit, serviceInterface, property, (it) => it as T);
    const [user, group, groups, isDynamic] = await Promise.all(
      [
        ...[read<string>("User"), read<string>("Group")],
        read<readonly string[]>("SupplementaryGroups"),
        read<boolean>("DynamicUser"),
      ] as const,
    );
    return {
      ...user !== "" && { User: variant("s", user) },
      ...group !== "" && { Group: variant("s", group) },
      ...groups.length > 0 && { SupplementaryGroups: variant("as", [...groups]) },
      // Two units with the same name for their dynamic user share it (systemd.exec(5)).
      ...isDynamic && { DynamicUser: variant("b", true) },
    };
  }

  /** Removes what an earlier daemon has left. Returns false if the unit is not a transient one. */
  async #clear(name: string): Promise<boolean> {
    if (!await this.manager.unitProperty(name, unitInterface, "Transient", (value) => value === true)) return false;
    const job = await this.manager.queue("StopUnit", name, (path) => this.jobs.add(path, name));
    await job.done;
    await this.#resetFailed(name);
    return true;
  }

  async #whyFailed(name: string, timeout_ms: number): Promise<string> {
    const [result, code] = await Promise.all([
      this.manager.unitProperty(name, serviceInterface, "Result", String),
      this.manager.unitProperty(name, serviceInterface, "ExecMainStatus", Number),
    ]);
    await this.#resetFailed(name);
    if (result === "timeout") return `it took longer than ${timeout_ms / 1000}s`;
    if (result === "exit-code") return notBegun.get(code) ?? `it exited with status ${code}`;
    if (result === "signal" || result === "core-dump") return `it was killed by signal ${code}`;
    return `it failed (${result})`;
  }

  /** A failed unit stays in memory until it is reset. */
  async #resetFailed(name: string): Promise<void> {
    await this.manager.resetFailedUnit(name).catch((error) => {
      if (error.code !== noSuchUnit) throw error;
    });
  }
}

function transientName(unit: string): string {
  const name = `${prefix}${unit}`;
  if (new TextEncoder().encode(name).length <= maxName_bytes) return name;
  return `${prefix}${createHash("sha1").update(unit).digest("hex")}.service`;
}

function variant(signature: string, value: unknown): Variant {
  return { signature, value };
}
