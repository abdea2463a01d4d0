/**
 * What the cases of the contract of {@link Systemd} start from, and operations on units.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type JobResult, type Systemd, SystemdError, type UnitStatus } from "../../systemd/port.ts";

/** A machine with systemd, and operations of an administrator on it. */
export interface SystemdFixture {
  /** Opens systemd as another daemon of the same machine would. The caller closes it. */
  open(): Systemd;
  /** Returns how often systemd has reloaded so far. */
  reloads(): Promise<number>;
  /** Returns whether a unit is in a target's runtime `.wants`. */
  isWantedBy(target: string, unit: string): Promise<boolean>;
  /** Writes a file into fleet's directory, as an administrator. */
  writeFile(name: string, text: string): Promise<void>;
  /** Removes a file from fleet's directory, as an administrator. */
  removeFile(name: string): Promise<void>;
  /** Returns whether fleet's directory has a file. */
  hasFile(name: string): Promise<boolean>;
  /** Returns whether the runtime directory has a link to a unit, also one to another file. */
  hasLink(name: string): Promise<boolean>;
  /** Removes fleet's link to a unit, or its link in a target's `.wants`, and reloads, as an administrator. */
  removeLink(name: string): Promise<void>;
  removeWants(target: string, unit: string): Promise<void>;
  /** Puts a file in the place of fleet's link to a unit, so that the link cannot be made, or removes that file. */
  blockLink(name: string, isBlocked: boolean): Promise<void>;
  /** Writes a unit file to /etc/systemd/system, or masks the unit (`undefined`), and reloads, as an administrator. */
  writeAdminFile(name: string, text: string | undefined): Promise<void>;
  /** Reverts {@link writeAdminFile}, and reloads. */
  removeAdminFile(name: string): Promise<void>;
  /** Starts or stops a unit, as an administrator. */
  systemctl(verb: "start" | "stop", name: string): Promise<void>;
  isActive(name: string): Promise<boolean>;
  /** Stops the bus until {@link restoreBus}; resolves when it has ended. */
  loseBus(): Promise<void>;
  restoreBus(): Promise<void>;
}

/** One case of the contract. */
export interface SystemdCase {
  readonly name: string;
  run(systemd: Systemd, fixture: SystemdFixture): Promise<void>;
}

export const sleeper = "[Service]\nExecStart=/bin/sleep 1000\n";
/** Has another sub state than {@link sleeper}. */
export const exiter = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
export const failing = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
export const wanted = `${sleeper}\n[Install]\nWantedBy=multi-user.target\n`;

export const noSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";

/** Far more than any operation needs. */
const patience_ms = 30_000;

export async function install(systemd: Systemd, files: Record<string, string>): Promise<boolean> {
  assert.deepEqual(await systemd.install(new Map(Object.entries(files))), new Map());
  return await systemd.reloadIfNeeded();
}

export async function uninstall(systemd: Systemd, ...names: string[]): Promise<boolean> {
  assert.deepEqual(await systemd.uninstall(new Set(names)), new Map());
  return await systemd.reloadIfNeeded();
}

export async function start(systemd: Systemd, name: string): Promise<JobResult> {
  return await (await systemd.start(name)).done;
}

export async function stop(systemd: Systemd, name: string): Promise<JobResult> {
  return await (await systemd.stop(name)).done;
}

export async function status(systemd: Systemd, name: string): Promise<UnitStatus> {
  const found = (await systemd.statuses(new Set([name]))).get(name);
  assert.ok(found, `no status of ${name}`);
  return found;
}

/** Returns `LoadState/ActiveState/SubState`. */
export async function states(systemd: Systemd, name: string): Promise<string> {
  const { load, active, sub } = await status(systemd, name);
  return `${load}/${active}/${sub}`;
}

/** Follows the reported changes of a unit until its status satisfies a condition. */
export async function follow(
  systemd: Systemd,
  name: string,
  isReached: (status: UnitStatus) => boolean,
): Promise<UnitStatus> {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), patience_ms);
  const changes = systemd.watch(giveUp.signal)[Symbol.asyncIterator]();
  let next = changes.next();
  try {
    while (true) {
      const now = await status(systemd, name);
      if (isReached(now)) return now;
      const { done } = await next;
      assert.ok(!done, `${name} is ${now.active} (${now.sub}, ${now.result}), and no change was reported`);
      next = changes.next();
    }
  } finally {
    clearTimeout(timer);
    giveUp.abort();
    await next;
  }
}

/** Resolves when a change of all units is reported. Listens from the call on. */
export async function anythingMayHaveChanged(systemd: Systemd): Promise<void> {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), patience_ms);
  try {
    for await (const { units } of systemd.watch(giveUp.signal)) if (units === undefined) return;
    assert.fail("no change of all units was reported");
  } finally {
    clearTimeout(timer);
  }
}

export async function refused(promise: Promise<unknown>): Promise<SystemdError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof SystemdError, String(error));
    return error;
  }
  assert.fail("was not refused");
}
