/** The client of a chaos run: it keeps changing units through the APIs of all machines, and remembers what was acknowledged. */

import { apiSocket } from "../../lab/fleet.ts";
import { optionsOf } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import type { Random } from "../../support/random.ts";
import { absent, changing, type Knowledge, learn, type Outcome, unitText, type Want } from "./units.ts";

/** Requests at once. Each worker changes units of its own, so that no unit has two changes under way. */
const workers = 3;
/** Pause of a worker between two changes. */
const pause_ms = [100, 500] as const;
/** A request without a response for this long is given up. Its outcome is unknown then. */
const patience_ms = 4_000;

/** Returns the outcome of a request for one machine's API. */
export async function request(
  machine: Machine,
  method: "PUT" | "DELETE",
  name: string,
  body?: unknown,
): Promise<{ readonly outcome: Outcome; readonly detail: string }> {
  try {
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(machine) } });
    const response = await fetch(`http://localhost/fleet/v1/units/${name}`, {
      client,
      method,
      signal: AbortSignal.timeout(patience_ms),
      headers: { "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const detail = `${response.status} ${(await response.text()).slice(0, 400)}`;
    if (response.status < 300) return { outcome: "done", detail };
    // The unit does not exist, as it was to be.
    if (method === "DELETE" && response.status === 404) return { outcome: "done", detail };
    if (response.status < 500) return { outcome: "refused", detail };
    return { outcome: /may still be applied/.test(detail) ? "pending" : "open", detail };
  } catch (error) {
    return { outcome: "pending", detail: String(error) };
  }
}

/** Asks for a state of a unit. */
export function change(machine: Machine, name: string, want: Want) {
  if (want.state === "absent") return request(machine, "DELETE", name);
  const options = optionsOf(unitText(name, want.version));
  return request(machine, "PUT", name, { name, desiredState: want.state, options });
}

/** Changes units from `start` to `stop`. */
export class Load {
  readonly knowledge = new Map<string, Knowledge>(
    changing.map((name) => [name, { known: absent, open: [], pending: [] }]),
  );
  readonly counts: Record<Outcome, number> = { done: 0, refused: 0, open: 0, pending: 0 };
  /** Requests that were refused, which no change of this client should be. */
  readonly refusals: string[] = [];
  #versions = 0;
  #stop: (() => void) | undefined;
  #workers: Promise<unknown> = Promise.resolve();

  constructor(private readonly machines: readonly Machine[], private readonly random: Random) {}

  /** Launches every unit, before the first fault. */
  async begin(): Promise<void> {
    for (const name of changing) await this.#change(name, this.#launched());
  }

  /** Begins to change these units. */
  start(units: readonly string[]): void {
    const stopped = Promise.withResolvers<void>();
    let over = false;
    this.#stop = () => {
      over = true;
      stopped.resolve();
    };
    const work = async (mine: readonly string[], random: Random) => {
      while (!over && mine.length > 0) {
        const name = random.pick(mine);
        await this.#change(name, this.#next(name, random), random);
        let timer: ReturnType<typeof setTimeout> | undefined;
        const pause = new Promise<void>((resolve) => timer = setTimeout(resolve, random.between(...pause_ms)));
        await Promise.race([pause, stopped.promise]);
        clearTimeout(timer);
      }
    };
    this.#workers = Promise.all(Array.from({ length: workers }, (_, worker) => {
      return work(units.filter((_, at) => at % workers === worker), this.random.fork());
    }));
  }

  /** Begins no more changes, and waits for those under way. */
  async stop(): Promise<void> {
    this.#stop?.();
    await this.#workers;
  }

  #launched(): Want {
    return { state: "launched", version: ++this.#versions };
  }

  #next(name: string, random: Random): Want {
    const { known } = this.knowledge.get(name)!;
    const state = random.pick(["launched", "launched", "launched", "loaded", "inactive", "absent"] as const);
    if (state === "absent") return absent;
    const isNew = known.state === "absent" || random.next() < 0.3;
    return { state, version: isNew ? ++this.#versions : known.version };
  }

  async #change(name: string, want: Want, random = this.random): Promise<void> {
    const { outcome, detail } = await change(random.pick(this.machines), name, want);
    this.counts[outcome]++;
    if (outcome === "refused") this.refusals.push(`${name} to ${want.state}: ${detail}`);
    this.knowledge.set(name, learn(this.knowledge.get(name)!, want, outcome));
  }
}
