/**
 * Whose unit file systemd uses for a name: fleet's, or another one of the machine.
 *
 * Files in /etc/systemd/system win over the runtime links that fleet makes, and a link of fleet would win over the files of
 * the distribution in /usr/lib/systemd/system (systemd.unit(5), "Unit File Load Path").
 *
 * @module
 */

import { maskedMessage, nameTaken, SystemdError } from "../port.ts";
import { isTemplate, templateOf, unrunnableName, validateUnitName } from "../unit_name.ts";
import { type Manager, unitInterface } from "./manager.ts";

/** Code of the refusal of a masked unit, which is systemd's own. */
export const unitMasked = "org.freedesktop.systemd1.UnitMasked";

/** Whether systemd loads a unit of this name: none of a template's, and an invalid name makes it refuse a whole list. */
export function canBeLoaded(name: string): boolean {
  return validateUnitName(name) === undefined && !isTemplate(name);
}

/** Finds names under which systemd does not use fleet's file. */
export class Ownership {
  /** Why a name's runtime link is not fleet's, by name: something else is in its place. */
  readonly #foreignLinks = new Map<string, string>();

  /** `pathForSystemd`: fleet's directory as systemd sees it. */
  constructor(private readonly manager: Manager, private readonly pathForSystemd: string) {}

  /**
   * Why each of the names cannot be fleet's, for those that cannot. Loads units that are not in memory. `own`: names of the
   * files in fleet's directory; of another name a runtime link leads to the file of another unit, as an alias does.
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

  /** Records why fleet's link cannot be made; undefined: it is there, or nothing of the unit is any more. */
  setForeignLink(name: string, why: string | undefined): void {
    if (why === undefined) this.#foreignLinks.delete(name);
    else this.#foreignLinks.set(name, why);
  }

  hasForeignLink(name: string): boolean {
    return this.#foreignLinks.has(name);
  }

  /** Why names must not be fleet's on any machine, for those that must not. */
  forbidden(names: Iterable<string>): Map<string, SystemdError> {
    return new Map([...names].flatMap((name) => {
      const why = unrunnableName(name);
      return why === undefined ? [] : [[name, taken(why)] as const];
    }));
  }

  /** Why one name cannot be fleet's; undefined if it can. `primary`: the name that systemd knows the unit by. */
  async refusal(name: string, primary = name): Promise<SystemdError | undefined> {
    if (!canBeLoaded(name)) return undefined;
    const path = await this.manager.unitProperty(name, unitInterface, "FragmentPath", String);
    const foreignLink = this.#foreignLinks.get(name);
    if (primary !== name) {
      if (foreignLink !== undefined) return taken(foreignLink);
      return taken(`"${name}" is another name of ${primary} on this machine (${path}): give the unit another name`);
    }
    if (path === "" || path === `${this.pathForSystemd}/${name}`) return undefined;
    const isRuntime = isRuntimeLink(path, name);
    if (isRuntime && foreignLink === undefined && await this.#isLink(name)) return undefined;
    const load = await this.manager.unitProperty(name, unitInterface, "LoadState", String);
    if (load === "masked") return maskedError(name);
    if (isRuntime && foreignLink !== undefined) return taken(foreignLink);
    return taken(`systemd uses ${path} for "${name}": give the unit another name, or remove that file`);
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

  /** Why a name that fleet has no file of is that of a runtime link all the same. A link that leads nowhere is none. */
  async #otherLink(name: string): Promise<SystemdError | undefined> {
    const path = await this.manager.unitProperty(name, unitInterface, "FragmentPath", String);
    if (!isRuntimeLink(path, name)) return undefined;
    // systemd keeps a unit's UnitFileState until it reloads.
    const state = (await this.manager.listUnitFiles([name])).get(name) ?? "";
    if (!["alias", "enabled-runtime", "linked-runtime"].includes(state)) return undefined;
    return taken(`${path} leads to the file of another unit, as Alias= does: give the unit another name`);
  }

  /**
   * Whether the path is a link, or was one: systemd keeps what it has read of a file that is gone until it reloads. A file
   * that an administrator has put into the runtime directory has another state.
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
