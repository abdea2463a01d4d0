/**
 * Installs and uninstalls unit files, and reloads systemd when that is necessary.
 *
 * systemd reads a unit's file when it loads the unit into memory. Since version 246 it looks again for a file that it did
 * not find before. A reload is necessary only when the file of a loaded unit (running, failed, or referred to by another
 * unit) changes or is removed, and after enabling a unit, which adds a dependency to a loaded unit.
 *
 * @module
 */

import { SystemdError, templateMissing } from "../port.ts";
import type { UnitDirectory } from "../unit_directory.ts";
import { lastValue, optionsOf } from "../unit_file.ts";
import { validateUnitName } from "../unit_name.ts";
import { aliasRefusals } from "./aliases.ts";
import { installSection } from "./install_section.ts";
import { type Manager, unitInterface } from "./manager.ts";
import type { Ownership } from "./ownership.ts";
import type { StatusCache } from "./status_cache.ts";

const noSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";
/** The path of a link is taken by a file, a directory, or a link to another file. */
const unitExists = "org.freedesktop.systemd1.UnitExists";

/** The parts that an {@link Installer} uses. */
export interface InstallerParts {
  readonly manager: Manager;
  readonly directory: UnitDirectory;
  /** The same directory, as systemd sees it. */
  readonly pathForSystemd: string;
  readonly cache: StatusCache;
  readonly ownership: Ownership;
}

type Failures = Map<string, SystemdError>;

/** Implements the methods of `Systemd` that change unit files and links. */
export class Installer {
  #needsReload = false;
  /** Units whose file was removed: a reload is necessary if one of them is still in memory. */
  readonly #removed = new Set<string>();
  /** True once files have been checked that an earlier process may have changed without a reload. */
  #checkedEarlierFiles = false;
  #reloading: Promise<void> | undefined;

  constructor(private readonly parts: InstallerParts) {}

  async install(files: ReadonlyMap<string, string>): Promise<Failures> {
    const { manager, cache } = this.parts;
    const refused = await this.#refusals(files);
    const failures: Failures = new Map();
    const allowed = new Map([...files].filter(([name]) => !refused.has(name)));
    const changed = await this.#write(allowed, failures);
    const names = [...allowed.keys()].filter((name) => !failures.has(name));
    if (names.length > 0) {
      // Asked together with the linking: a unit that was in memory before may have been loaded from another text.
      const stale = manager.listLoaded(names, (rows) => {
        return [...changed].some((name) => (rows.get(name)?.load ?? "not-found") !== "not-found");
      });
      const [loaded] = await Promise.allSettled([stale, this.#link(names, failures)]);
      if (loaded.status === "rejected" || loaded.value) this.#needsReload = true;
      const enabled = names.filter((name) => !failures.has(name) && installSection(name, files.get(name)!).isPresent);
      await Promise.all(enabled.map((name) => this.#enable(name, failures)));
    }
    for (const [name, failure] of failures) failures.set(name, await this.#undo(name, failure));
    cache.track([...allowed.keys()].filter((name) => !failures.has(name)));
    return new Map([...refused, ...failures]);
  }

  /** Returns why units must not be installed. Nothing of them has been written yet. */
  async #refusals(files: ReadonlyMap<string, string>): Promise<Failures> {
    const { manager, ownership } = this.parts;
    const templates = new Map([...files].flatMap(([name, text]) => {
      const template = connectionTemplate(name, text);
      return template === undefined ? [] : [[name, template] as const];
    }));
    const own = new Set(await this.parts.directory.names());
    const [taken, aliases, present] = await Promise.all([
      ownership.refusals(files.keys(), own),
      aliasRefusals(files, own, ownership),
      templates.size === 0 ? new Map<string, string>() : manager.listUnitFiles([...templates.values()]),
    ]);
    const refusals: Failures = new Map(
      [...aliases, ...taken, ...ownership.forbidden(files.keys())].map((
        [name, error],
      ) => [name, named(`cannot install "${name}"`, error)]),
    );
    for (const [name, template] of templates) {
      if (present.has(template) || refusals.has(name)) continue;
      const why =
        `it starts an instance of ${template} for each connection (Accept=yes), and this machine has no such ` +
        `template: put ${template} into /etc/systemd/system of each machine`;
      refusals.set(name, new SystemdError(`cannot install "${name}": ${why}`, templateMissing));
    }
    return refusals;
  }

  /**
   * Links and enables units again that have lost their link or their enablement. Returns the links that cannot be made,
   * by unit: a file that is in the place of a link is left there. Throws if systemd is unavailable.
   */
  async relink(files: ReadonlyMap<string, string>): Promise<Failures> {
    const { manager, ownership } = this.parts;
    const names = [...files.keys()];
    const failures: Failures = new Map();
    if (names.length === 0) return failures;
    const states = await manager.listUnitFiles(names);
    const unlinked = new Set(names.filter((name) => !states.has(name)));
    await this.#link(names, failures, unlinked);
    for (const failure of failures.values()) if (isUnavailable(failure)) throw failure;
    if ([...unlinked].some((name) => !failures.has(name))) this.#needsReload = true;
    // systemd reports a unit as enabled as long as one of its links exists.
    const maybeDisabled = new Map([...files].filter(([name, text]) => {
      const { isPresent, links } = installSection(name, text);
      const state = states.get(name);
      return isPresent && !failures.has(name) &&
        (state === undefined || state === "linked-runtime" || state === "enabled-runtime" && links > 1);
    }));
    const refused = await aliasRefusals(maybeDisabled, new Set(names), ownership);
    for (const name of maybeDisabled.keys()) {
      if (refused.has(name)) continue;
      await this.#enable(name, failures);
      const failure = failures.get(name);
      if (isUnavailable(failure)) throw failure;
    }
    return failures;
  }

  /** Writes files. Returns the names of those that were changed. */
  async #write(files: ReadonlyMap<string, string>, failures: Failures): Promise<Set<string>> {
    const changed = new Set<string>();
    for (const [name, text] of files) {
      try {
        if (await this.parts.directory.write(name, text)) changed.add(name);
      } catch (cause) {
        failures.set(name, named(`cannot install "${name}"`, cause, "file"));
      }
    }
    return changed;
  }

  /**
   * Makes links in one call. If that fails, each half is tried, to find the links that cannot be made. `unlinked`: names
   * that may have no link yet.
   */
  async #link(
    names: readonly string[],
    failures: Failures,
    unlinked: ReadonlySet<string> = new Set(names),
  ): Promise<void> {
    const { ownership, pathForSystemd } = this.parts;
    try {
      await this.#linkTogether(names, unlinked, false);
      for (const name of names) ownership.setForeignLink(name, undefined);
    } catch (error) {
      if (isUnavailable(error)) {
        for (const name of names) failures.set(name, named(`cannot link "${name}"`, error));
        return;
      }
      const [name] = names;
      if (name === undefined || names.length > 1) {
        const middle = names.length >> 1;
        await Promise.all(
          [names.slice(0, middle), names.slice(middle)].map((half) => this.#link(half, failures, unlinked)),
        );
        return;
      }
      const { code, message } = error as SystemdError;
      const [, target] = / symlink to '?(\/[^']*?)'?\.?$/.exec(message) ?? [];
      // A link into fleet's directory was made by fleet.
      if (target?.startsWith(`${pathForSystemd}/`)) {
        return this.#linkTogether(names, new Set(names), true).catch((error) => {
          failures.set(name, named(`cannot link "${name}"`, error));
        });
      }
      const failure = named(`cannot link "${name}"`, error);
      failures.set(name, failure);
      if (code === unitExists) ownership.setForeignLink(name, failure.message);
    }
  }

  #linkTogether(names: readonly string[], unlinked: ReadonlySet<string>, force: boolean): Promise<void> {
    const { manager, cache, pathForSystemd } = this.parts;
    const paths = names.map((name) => `${pathForSystemd}/${name}`);
    return manager.linkUnitFiles(paths, force, () => {
      for (const name of names) if (unlinked.has(name)) cache.forget(name);
    });
  }

  async #enable(name: string, failures: Failures): Promise<void> {
    const what = `Failed to enable systemd unit ${name}`;
    try {
      const { carriesInstallInfo, changed } = await this.parts.manager.enableUnitFile(name);
      if (changed) this.#needsReload = true;
      if (!carriesInstallInfo) {
        const why = "its [Install] section has no WantedBy=, RequiredBy=, UpheldBy= or Alias=";
        failures.set(name, new SystemdError(`${what}: ${why}`, "org.freedesktop.systemd1.NoInstallInfo"));
      }
    } catch (error) {
      failures.set(name, named(what, error));
    }
  }

  /** Removes what a failed installation has left. Returns the failure, with what could not be removed. */
  async #undo(name: string, failure: SystemdError): Promise<SystemdError> {
    if (failure.code === "file" || validateUnitName(name) !== undefined) return failure; // The file was not written.
    const leftovers: Failures = new Map();
    if (!this.parts.ownership.hasForeignLink(name)) await this.#disable([name], leftovers);
    await this.#remove(name, leftovers);
    const further = leftovers.get(name);
    if (!further) return failure;
    return new SystemdError(`${failure.message}; cleaning up failed as well: ${further.message}`, failure.code, {
      cause: failure,
    });
  }

  async uninstall(names: ReadonlySet<string>): Promise<Failures> {
    const failures: Failures = new Map();
    if (names.size === 0) return failures;
    const resets = [...names].map((name) => this.#resetFailed(name, failures));
    await Promise.all([this.#disableOwn([...names], failures), ...resets]);
    for (const name of names) if (!failures.has(name)) await this.#remove(name, failures);
    return failures;
  }

  async #remove(name: string, failures: Failures): Promise<void> {
    const { directory, cache, ownership } = this.parts;
    try {
      await directory.remove(name);
      ownership.setForeignLink(name, undefined);
      cache.untrack(name);
      this.#removed.add(name);
    } catch (cause) {
      failures.set(name, named(`cannot uninstall "${name}"`, cause, "file"));
    }
  }

  /** Disables units whose link is fleet's. systemd would remove any other link of that name as well. */
  async #disableOwn(names: readonly string[], failures: Failures): Promise<void> {
    await this.#link(names, new Map(), new Set());
    const own = names.filter((name) => !this.parts.ownership.hasForeignLink(name));
    if (own.length > 0) await this.#disable(own, failures);
  }

  async #disable(names: readonly string[], failures: Failures): Promise<void> {
    try {
      await this.parts.manager.disableUnitFiles(names);
    } catch (error) {
      if (names.length > 1 && !isUnavailable(error)) {
        await Promise.all(names.map((name) => this.#disable([name], failures)));
        return;
      }
      if (error instanceof SystemdError && error.code === noSuchUnit) return; // The unit has neither a file nor a link.
      for (const name of names) failures.set(name, named(`cannot disable "${name}"`, error));
    }
  }

  async #resetFailed(name: string, failures: Failures): Promise<void> {
    try {
      await this.resetFailed(name);
    } catch (error) {
      failures.set(name, error as SystemdError);
    }
  }

  /** ResetFailedUnit; a unit that is not in memory has no failure to reset. */
  async resetFailed(name: string): Promise<void> {
    try {
      await this.parts.manager.resetFailedUnit(name);
    } catch (error) {
      if (error instanceof SystemdError && error.code === noSuchUnit) return;
      throw named(`cannot reset the failure of "${name}"`, error);
    }
  }

  async reloadIfNeeded(): Promise<boolean> {
    if (!await this.#mustReload()) return false;
    await this.reload();
    return true;
  }

  /** Reloads systemd. Calls during a reload share it. */
  reload(): Promise<void> {
    this.#reloading ??= this.#reload().finally(() => this.#reloading = undefined);
    return this.#reloading;
  }

  async #reload(): Promise<void> {
    this.#needsReload = false;
    this.#removed.clear();
    try {
      await this.parts.manager.reload();
    } catch (error) {
      this.#needsReload = true;
      throw named("cannot reload systemd's configuration", error);
    }
  }

  async #mustReload(): Promise<boolean> {
    if (!this.#checkedEarlierFiles) {
      if (await this.#earlierReloadIsMissing()) this.#needsReload = true;
      this.#checkedEarlierFiles = true;
    }
    if (this.#needsReload) return true;
    if (this.#removed.size === 0) return false;
    const removed = [...this.#removed];
    const stillLoaded = await this.parts.manager.listLoaded(
      removed,
      (rows) => [...rows.values()].some((row) => row.load !== "not-found"),
    );
    if (!stillLoaded) { for (const name of removed) this.#removed.delete(name); }
    return stillLoaded;
  }

  /** True if systemd reports that a loaded unit's file has changed (NeedDaemonReload). */
  async #earlierReloadIsMissing(): Promise<boolean> {
    const { manager, cache } = this.parts;
    const tracked = cache.tracked();
    if (tracked.length === 0) return false;
    const loaded = await manager.listLoaded(tracked, (rows) => [...rows.keys()]);
    const answers = loaded.map((name) => manager.unitProperty(name, unitInterface, "NeedDaemonReload", Boolean));
    return (await Promise.all(answers)).includes(true);
  }
}

/** Returns the service template of a socket with `Accept=yes` (systemd.socket(5)); undefined for any other unit. */
function connectionTemplate(name: string, text: string): string | undefined {
  if (!name.endsWith(".socket")) return undefined;
  if (!/^(1|yes|y|true|t|on)$/i.test(lastValue(optionsOf(text), "Socket", "Accept"))) return undefined;
  const { prefix } = /^(?<prefix>[^@]*)/.exec(name.slice(0, -".socket".length))!.groups!;
  return `${prefix}@.service`;
}

function isUnavailable(error: unknown): boolean {
  return error instanceof SystemdError && error.code === "unavailable";
}

/**
 * Prefixes an error with what was attempted. An error about a path that is taken also says what to do. `otherwise`: the
 * code of an error that has none.
 */
export function named(what: string, error: unknown, otherwise: "internal" | "file" = "internal"): SystemdError {
  const { message } = error as Error;
  const code = error instanceof SystemdError ? error.code : otherwise;
  const isPathTaken = code === unitExists && !message.endsWith(remedy);
  const explained = isPathTaken ? `${message.replace(/\.$/, "")}${remedy}` : message;
  return new SystemdError(`${what}: ${explained}`, code, { cause: error });
}

const remedy = ": remove that, or give the unit another name";
