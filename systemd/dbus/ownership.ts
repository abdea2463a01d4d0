/**
 * Finds out whether systemd uses fleet's unit file for a name, or another file of the machine.
 *
 * Files in /etc/systemd/system take precedence over fleet's runtime links, and a link of fleet would take precedence over
 * the distribution's files in /usr/lib/systemd/system (systemd.unit(5), "Unit File Load Path").
 *
 * @module
 */

import { maskedMessage, nameTaken, SystemdError } from "../port.ts";
import { isTemplate, templateOf, unrunnableName, validateUnitName } from "../unit_name.ts";
import { type Manager, unitInterface } from "./manager.ts";

/** systemd's error code for a masked unit. */
export const unitMasked = "org.freedesktop.systemd1.UnitMasked";

/** True if systemd loads units of this name. It loads no templates, and refuses a whole list with an invalid name. */
export function canBeLoaded(name: string): boolean {
  return validateUnitName(name) === undefined && !isTemplate(name);
}

/** Finds names for which systemd does not use fleet's file. */
export class Ownership {
  /** Errors of links that cannot be made because another file has their path, by name. */
  readonly #foreignLinks = new Map<string, string>();

  /**
   * `pathForSystemd`: fleet's directory as systemd sees it. `generatedFrom`: fleet's directory of files that a generator
   * makes units of.
   */
  constructor(
    private readonly manager: Manager,
    private readonly pathForSystemd: string,
    private readonly generatedFrom?: string,
  ) {}

  /**
   * Returns why names cannot be fleet's, for those that cannot. Loads units that are not in memory. `own`: names of the
   * files in fleet's directory. A runtime link of any other name points to the file of another unit, as an alias does.
   */
  async refusals(names: Iterable<string>, own: ReadonlySet<string>): Promise<Map<string, SystemdError>> {
    const asked = [...names].filter(canBeLoaded);
    const refusals = new Map<string, SystemdError>();
    if (asked.length === 0) return refusals;
    // systemd answers in the order asked; the name in a row is the unit's primary one.
    const rows = await this.manager.listByNames(asked, (rows) => rows);
    await Promise.all(rows.map(async (row, index) => {
      const name = rows.length === asked.length ? asked[index]! : row.name;
      if (row.load === "not-found") return;
      const refusal = row.load === "masked" ? maskedError(name) : await this.refusal(name, row.name);
      if (refusal && (own.has(name) || !await this.#isMerelyOfTemplate(name, row.active))) {
        refusals.set(name, refusal);
      } else if (!refusal && !own.has(name)) {
        const other = await this.#otherLink(name);
        if (other) refusals.set(name, other);
      }
    }));
    return refusals;
  }

  /** Records why a unit's link cannot be made; undefined: the link exists, or the unit was uninstalled. */
  setForeignLink(name: string, why: string | undefined): void {
    if (why === undefined) this.#foreignLinks.delete(name);
    else this.#foreignLinks.set(name, why);
  }

  hasForeignLink(name: string): boolean {
    return this.#foreignLinks.has(name);
  }

  /** Returns why names must not be fleet's on any machine, for those that must not. */
  forbidden(names: Iterable<string>): Map<string, SystemdError> {
    return new Map([...names].flatMap((name) => {
      const why = unrunnableName(name);
      return why === undefined ? [] : [[name, taken(why)] as const];
    }));
  }

  /** Returns why a name cannot be fleet's; undefined if it can. `primary`: systemd's primary name of the unit. */
  async refusal(name: string, primary = name): Promise<SystemdError | undefined> {
    if (!canBeLoaded(name)) return undefined;
    const path = await this.manager.unitProperty(name, unitInterface, "FragmentPath", String);
    const foreignLink = this.#foreignLinks.get(name);
    if (primary !== name) {
      if (foreignLink !== undefined) return taken(foreignLink);
      return taken(`"${name}" is another name of ${primary} on this machine (${path}): give the unit another name`);
    }
    if (path === "" || path === `${this.pathForSystemd}/${name}`) return undefined;
    if (await this.#isGenerated(path, name)) return undefined;
    const isRuntime = isRuntimeLink(path, name);
    if (isRuntime && foreignLink === undefined && await this.#isLink(name)) return undefined;
    const load = await this.manager.unitProperty(name, unitInterface, "LoadState", String);
    if (load === "masked") return maskedError(name);
    if (isRuntime && foreignLink !== undefined) return taken(foreignLink);
    return taken(`systemd uses ${path} for "${name}": give the unit another name, or remove that file`);
  }

  /** True if a generator has made the unit of a file that is fleet's. */
  async #isGenerated(path: string, name: string): Promise<boolean> {
    if (this.generatedFrom === undefined || !path.endsWith(`/systemd/generator/${name}`)) return false;
    const source = await this.manager.unitProperty(name, unitInterface, "SourcePath", String);
    return source.startsWith(`${this.generatedFrom}/`);
  }

  /**
   * Whether a name has only the file of its template, and the machine does not use it: a file of the instance's own comes
   * before the template's.
   */
  async #isMerelyOfTemplate(name: string, active: string): Promise<boolean> {
    const template = templateOf(name);
    if (template === undefined || active !== "inactive" && active !== "failed") return false;
    const path = await this.manager.unitProperty(name, unitInterface, "FragmentPath", String);
    if (!path.endsWith(`/${template}`)) return false;
    const state = await this.manager.unitProperty(name, unitInterface, "UnitFileState", String);
    return !state.startsWith("enabled");
  }

  /** Returns an error if a name that fleet has no file of has a runtime link. A dangling link does not count. */
  async #otherLink(name: string): Promise<SystemdError | undefined> {
    const path = await this.manager.unitProperty(name, unitInterface, "FragmentPath", String);
    if (!isRuntimeLink(path, name)) return undefined;
    // systemd keeps a unit's UnitFileState until it reloads.
    const state = (await this.manager.listUnitFiles([name])).get(name) ?? "";
    if (!["alias", "enabled-runtime", "linked-runtime"].includes(state)) return undefined;
    return taken(`${path} points to the file of another unit, as Alias= does: give the unit another name`);
  }

  /**
   * True if the unit's file is a link, or was one: until a reload, systemd keeps what it has read from a removed file. A
   * regular file in the runtime directory, which an administrator has put there, has another state.
   */
  async #isLink(name: string): Promise<boolean> {
    const state = await this.manager.unitProperty(name, unitInterface, "UnitFileState", String);
    return ["", "alias", "bad", "linked-runtime", "enabled-runtime", "linked", "enabled"].includes(state);
  }
}

function isRuntimeLink(path: string, name: string): boolean {
  return path.endsWith(`/${name}`) && /^\/run\/(systemd\/system|user\/\d+\/systemd\/user)\/[^/]+$/.test(path);
}

function taken(message: string): SystemdError {
  return new SystemdError(message, nameTaken);
}

function maskedError(name: string): SystemdError {
  return new SystemdError(maskedMessage(name), unitMasked);
}
