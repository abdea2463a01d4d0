/**
 * Reasons why systemd cannot run units that are on disk, even if no command has failed yet.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";
import { isPermanent, maskedMessage, type Systemd, type SystemdError, type UnitStatus } from "../../systemd/port.ts";
import type { Failure } from "./failures.ts";

/** LoadStates of a unit whose file systemd does not accept. */
const badLoads: ReadonlySet<string> = new Set(["bad-setting", "error", "masked"]);

/** Holds the refusals of the latest comparison with systemd, and systemd's reasons by unit and file. */
export class LoadErrors {
  #refusals: ReadonlyMap<UnitName, SystemdError> = new Map();
  #reasons = new Map<UnitName, { readonly hash: string; readonly error: string }>();

  constructor(private readonly systemd: Pick<Systemd, "check" | "loadProblems">) {}

  /** Compares fleet's files with those that systemd uses, and makes lost links again. */
  async check(): Promise<void> {
    this.#refusals = await this.systemd.check();
  }

  /** True if the latest comparison has found units that systemd does not run from fleet's file. */
  get hasRefusals(): boolean {
    return this.#refusals.size > 0;
  }

  /** Returns the failures of the units on disk. `files`: hash by unit. */
  async failures(
    files: ReadonlyMap<UnitName, string>,
    statuses: ReadonlyMap<UnitName, UnitStatus>,
  ): Promise<ReadonlyMap<UnitName, Failure>> {
    // A refusal ends with its unit: one that is installed again was compared then.
    this.#refusals = new Map([...this.#refusals].filter(([name]) => files.has(name)));
    const failures = new Map<UnitName, Failure>();
    const reasons = new Map<UnitName, { readonly hash: string; readonly error: string }>();
    for (const [name, hash] of files) {
      const refusal = this.#refusals.get(name);
      const load = statuses.get(name)?.load ?? "";
      if (refusal) failures.set(name, { error: refusal.message, tried: true, isPermanent: isPermanent(refusal) });
      else if (badLoads.has(load)) {
        const known = this.#reasons.get(name);
        const error = known?.hash === hash ? known.error : await this.#reason(name, load);
        reasons.set(name, { hash, error });
        failures.set(name, { error, tried: true, isPermanent: true });
      }
    }
    this.#reasons = reasons;
    return failures;
  }

  async #reason(name: UnitName, load: string): Promise<string> {
    if (load === "masked") return maskedMessage(name);
    const problems = await this.systemd.loadProblems(name);
    return `systemd cannot load "${name}" (${[load, ...problems].join("; ")})`;
  }
}
