/**
 * Logs drop-in files on the machine that change fleet's units. They take effect, see systemd.unit(5).
 *
 * @module
 */

import { canBeLoaded } from "./ownership.ts";
import { type Manager, unitInterface } from "./manager.ts";

/** Logs the drop-ins of each unit, and again only when they change. */
export class DropIns {
  /** Units that have been checked since systemd last reloaded. */
  readonly #asked = new Set<string>();
  /** Paths of the drop-ins that have been logged, by unit. */
  readonly #logged = new Map<string, string>();

  constructor(
    private readonly manager: Pick<Manager, "unitProperty">,
    private readonly info: (message: string) => void,
  ) {}

  /** Checks all units again at the next {@link look}, because systemd has read all drop-ins again. */
  reloaded(): void {
    this.#asked.clear();
  }

  /** Checks `names`, all units of fleet on the machine. Drop-ins for a unit type or a name prefix are not logged. */
  async look(names: ReadonlySet<string>): Promise<void> {
    for (const name of this.#logged.keys()) if (!names.has(name)) this.#logged.delete(name);
    for (const name of this.#asked) if (!names.has(name)) this.#asked.delete(name);
    const unasked = [...names].filter((name) => canBeLoaded(name) && !this.#asked.has(name));
    await Promise.all(unasked.map(async (name) => {
      const all = await this.manager.unitProperty(name, unitInterface, "DropInPaths", (value) => value as string[]);
      this.#asked.add(name);
      const paths = all.filter((path) => path.includes(`/${name}.d/`)).join(", ");
      if (paths !== "" && this.#logged.get(name) !== paths) {
        this.info(`drop-in files of this machine change "${name}": ${paths}`);
      }
      if (paths === "") this.#logged.delete(name);
      else this.#logged.set(name, paths);
    }));
  }
}
