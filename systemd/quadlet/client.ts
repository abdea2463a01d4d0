/**
 * {@link Systemd} with Quadlet files: they are written to a directory that podman's generator reads, and the services that
 * it makes of them stand for the files. Every other unit is passed on unchanged.
 *
 * @module
 */

import { type Job, nameTaken, noQuadlet, quadletMissing, quadletRefused, SystemdError } from "../port.ts";
import type { Systemd, SystemdChange, UnitStatus } from "../port.ts";
import { named } from "../dbus/installer.ts";
import { notFoundStatus } from "../dbus/status_reader.ts";
import { optionsOf } from "../unit_file.ts";
import type { UnitDirectory } from "../unit_directory.ts";
import { isQuadlet } from "../unit_name.ts";
import { generatedService } from "../unit_quadlet.ts";
import type { QuadletGenerator } from "./generator.ts";

/** The port with the further operations that {@link QuadletSystemd} needs: those on units that a generator makes. */
export interface GeneratingSystemd extends Systemd {
  /** Reports changes of these units, too. */
  track(names: Iterable<string>): void;
  untrack(name: string): void;
  /** Reloads systemd, which runs its generators. */
  reload(): Promise<void>;
  /** ResetFailedUnit; a unit that is not in memory has no failure to reset. */
  resetFailed(name: string): Promise<void>;
  /** Returns, for units of the machine that have one of these names, why the names cannot be used. */
  foreignUnits(names: ReadonlySet<string>): Promise<ReadonlyMap<string, SystemdError>>;
}

/** The parts of a {@link QuadletSystemd}. */
export interface QuadletParts {
  readonly systemd: GeneratingSystemd;
  /** fleet's own directory below those that the generator searches. */
  readonly directory: UnitDirectory;
  readonly generator: QuadletGenerator;
}

/** See the module. */
export class QuadletSystemd implements Systemd {
  readonly #systemd: GeneratingSystemd;
  readonly #directory: UnitDirectory;
  readonly #generator: QuadletGenerator;
  /** The generated service of each Quadlet file on disk. */
  readonly #services = new Map<string, string>();
  /** True while the generator has not read what is on disk. */
  #needsReload = false;
  #hasLooked = false;
  /** Quadlet files whose service belongs to another unit of the machine. */
  #taken: ReadonlySet<string> = new Set();

  constructor({ systemd, directory, generator }: QuadletParts) {
    this.#systemd = systemd;
    this.#directory = directory;
    this.#generator = generator;
  }

  async files(): Promise<ReadonlyMap<string, string>> {
    const files = await this.#systemd.files();
    const quadlets = await this.#quadlets();
    for (const name of this.#services.keys()) if (!quadlets.has(name)) this.#forget(name);
    for (const [name, text] of quadlets) this.#know(name, text);
    // An earlier process may have changed files without a reload.
    if (!this.#hasLooked && quadlets.size > 0) this.#needsReload = true;
    this.#hasLooked = true;
    return quadlets.size === 0 ? files : new Map([...files, ...quadlets]);
  }

  async #quadlets(): Promise<ReadonlyMap<string, string>> {
    try {
      // The directory is not created on a machine without the generator. Files that are there stay fleet's while the
      // generator is away, as during an upgrade of podman: their containers run on.
      if (!this.#generator.exists() && !await this.#directory.exists()) return new Map();
      return await this.#directory.list();
    } catch (cause) {
      throw named("cannot read Quadlet files", cause, "file");
    }
  }

  #know(name: string, text: string): void {
    const service = generatedService(name, optionsOf(text));
    if (this.#services.get(name) === service) return;
    this.#forget(name);
    this.#services.set(name, service);
    this.#systemd.track([service]);
  }

  #forget(name: string): void {
    const service = this.#services.get(name);
    if (service !== undefined) this.#systemd.untrack(service);
    this.#services.delete(name);
  }

  /** Returns the name of a unit in systemd. */
  #nameOf(unit: string): string {
    return this.#services.get(unit) ?? generatedService(unit, []);
  }

  async install(files: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, SystemdError>> {
    const quadlets = new Map([...files].filter(([name]) => isQuadlet(name)));
    const plain = new Map([...files].filter(([name]) => !isQuadlet(name)));
    const hidden = new Map([...this.#services].flatMap(([name, service]) => {
      // Its link would come before the generated service (systemd.unit(5), "Unit File Load Path").
      if (!plain.delete(service)) return [];
      return [[service, new SystemdError(`cannot install "${service}": ${name} has the same service`, nameTaken)]];
    }));
    const failures = new Map([...await this.#systemd.install(plain), ...hidden]);
    if (quadlets.size === 0) return failures;
    const refusals = await this.#refusals(quadlets);
    const written: string[] = [];
    for (const [name, text] of quadlets) {
      const refusal = refusals.get(name);
      try {
        if (refusal) throw refusal;
        if (await this.#directory.write(name, text)) this.#needsReload = true;
        this.#know(name, text);
        written.push(name);
      } catch (cause) {
        failures.set(name, named(`cannot install "${name}"`, cause, "file"));
      }
    }
    // A file of which the generator makes no service must not stay: one that it cannot parse would keep it from making any.
    const problems = written.length === 0 ? new Map() : await this.#problems(written);
    for (const name of written) {
      const problem = problems.get(name);
      if (problem === undefined) continue;
      failures.set(name, named(`cannot install "${name}"`, problem));
      await this.#directory.remove(name);
      this.#forget(name);
    }
    return failures;
  }

  /** Returns why no services are made of files that have been written, by name. */
  async #problems(written: readonly string[]): Promise<ReadonlyMap<string, SystemdError>> {
    try {
      return new Map(
        (await this.#generator.problems()).entries().map(([name, why]) => {
          // Another file may still come.
          const code = / (was not found|does not exist)/.test(why) ? quadletMissing : quadletRefused;
          return [name, new SystemdError(`podman makes no service of it: ${why}`, code)];
        }),
      );
    } catch (cause) {
      // Files that nothing has checked must not stay either.
      const error = named("cannot run podman's generator", cause, "file");
      return new Map(written.map((name) => [name, error]));
    }
  }

  /** Returns why Quadlet files must not be written, by name. */
  async #refusals(quadlets: ReadonlyMap<string, string>): Promise<Map<string, SystemdError>> {
    if (!this.#generator.exists()) {
      const why = "this machine has no podman that makes services of Quadlet files";
      return new Map([...quadlets.keys()].map((name) => [name, new SystemdError(why, noQuadlet)]));
    }
    const refusals = new Map<string, SystemdError>();
    const services = new Map([...quadlets].map(([name, text]) => [name, generatedService(name, optionsOf(text))]));
    const foreign = await this.#systemd.foreignUnits(new Set(services.values()));
    const owners = new Map((await this.#systemd.files()).keys().map((name) => [name, name]));
    for (const [name, service] of this.#services) if (!services.has(name)) owners.set(service, name);
    for (const [name, service] of services) {
      const owner = owners.get(service);
      const other = owner !== undefined ? `${owner} has the same service, ${service}` : foreign.get(service)?.message;
      if (other !== undefined) refusals.set(name, new SystemdError(other, nameTaken));
      else owners.set(service, name);
    }
    return refusals;
  }

  async uninstall(names: ReadonlySet<string>): Promise<ReadonlyMap<string, SystemdError>> {
    const failures = new Map(await this.#systemd.uninstall(new Set([...names].filter((name) => !isQuadlet(name)))));
    for (const name of [...names].filter(isQuadlet)) {
      try {
        await this.#systemd.resetFailed(this.#nameOf(name));
        await this.#directory.remove(name);
        this.#forget(name);
        this.#needsReload = true;
      } catch (cause) {
        failures.set(name, named(`cannot uninstall "${name}"`, cause, "file"));
      }
    }
    return failures;
  }

  async check(): Promise<ReadonlyMap<string, SystemdError>> {
    const refusals = new Map(await this.#systemd.check());
    await this.files();
    const services = new Set(this.#services.values());
    if (services.size === 0) return refusals;
    if (!this.#needsReload && await this.#isLost(services)) this.#needsReload = true;
    await this.reloadIfNeeded();
    const isLost = this.#generator.exists() && await this.#isLost(services);
    const problems = isLost ? await this.#problems([...this.#services.keys()]) : new Map<string, SystemdError>();
    await this.#removeRefused(problems);
    const left = new Set(this.#services.values());
    const foreign = await this.#systemd.foreignUnits(left);
    const statuses = await this.#systemd.statuses(left);
    for (const [name, service] of this.#services) {
      const refusal = foreign.get(service);
      if (refusal) refusals.set(name, refusal);
      else if (isLost && statuses.get(service)?.load === "not-found") {
        const problem = problems.get(name) ??
          new SystemdError("podman makes no service of it, and its generator gives no reason", quadletRefused);
        refusals.set(name, named(`cannot run "${name}"`, problem));
      }
    }
    this.#taken = new Set([...this.#services.keys()].filter((name) => refusals.get(name)?.code === nameTaken));
    return refusals;
  }

  /**
   * Removes refused files whose service does not run, so that systemd gets the services of other files: a daemon that was
   * killed during an install may have left them. The agent installs them again, and gets the reason.
   */
  async #removeRefused(problems: ReadonlyMap<string, SystemdError>): Promise<void> {
    const statuses = await this.#systemd.statuses(new Set(this.#services.values()));
    for (const [name, service] of [...this.#services]) {
      const { load, active } = statuses.get(service)!;
      const rests = load === "not-found" && (active === "inactive" || active === "failed");
      if (!rests || problems.get(name)?.code !== quadletRefused) continue;
      await this.#directory.remove(name);
      this.#forget(name);
      this.#needsReload = true;
    }
    await this.reloadIfNeeded();
  }

  /** True if a service is missing although its file is there. */
  async #isLost(services: ReadonlySet<string>): Promise<boolean> {
    return [...(await this.#systemd.statuses(services)).values()].some(({ load }) => load === "not-found");
  }

  async runAs(name: string, argv: readonly string[], timeout_ms: number): Promise<string | undefined> {
    return await this.#systemd.runAs(this.#nameOf(name), argv, timeout_ms);
  }

  async loadProblems(name: string): Promise<readonly string[]> {
    return await this.#systemd.loadProblems(this.#nameOf(name));
  }

  async reloadIfNeeded(): Promise<boolean> {
    // A reload without the generator would lose the services of all files.
    if (!this.#needsReload || !this.#generator.exists()) return await this.#systemd.reloadIfNeeded();
    await this.#systemd.reload();
    this.#needsReload = false;
    return true;
  }

  start(name: string): Promise<Job> {
    return this.#renamed(name, this.#systemd.start(this.#nameOf(name)));
  }

  stop(name: string): Promise<Job> {
    return this.#renamed(name, this.#systemd.stop(this.#nameOf(name)));
  }

  restart(name: string): Promise<Job> {
    return this.#renamed(name, this.#systemd.restart(this.#nameOf(name)));
  }

  kill(name: string): Promise<void> {
    return this.#systemd.kill(this.#nameOf(name));
  }

  async #renamed(unit: string, job: Promise<Job>): Promise<Job> {
    return { ...await job, unit };
  }

  async statuses(names: ReadonlySet<string>): Promise<ReadonlyMap<string, UnitStatus>> {
    const statuses = await this.#systemd.statuses(new Set([...names].map((name) => this.#nameOf(name))));
    return new Map([...names].map((name) => {
      return [name, this.#taken.has(name) ? notFoundStatus(name) : { ...statuses.get(this.#nameOf(name))!, name }];
    }));
  }

  async *watch(signal: AbortSignal): AsyncIterable<SystemdChange> {
    for await (const { units } of this.#systemd.watch(signal)) {
      if (units === undefined) yield { units };
      else {
        const files = [...this.#services].filter(([_, service]) => units.has(service)).map(([name]) => name);
        yield { units: files.length === 0 ? units : new Set([...units, ...files]) };
      }
    }
  }

  ready(): Promise<void> {
    return this.#systemd.ready();
  }

  ownJob(): Promise<string | undefined> {
    return this.#systemd.ownJob();
  }

  close(): Promise<void> {
    return this.#systemd.close();
  }
}
