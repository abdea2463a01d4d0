/** Watches what runs on the machines of a lab, by the files of each machine's systemd and by systemctl. */

import type { Machine } from "../../lab/machine.ts";
import { vanished } from "../../lab/owner.ts";
import { changesBetween, copies, type Running, type Survey, type Transition } from "./judge.ts";
import { single } from "./units.ts";

const sample_ms = 50;

/** Matches the names of a run's units: `c00.service`, `g0.service`, `x-fault.service`. */
const ours = /^(c\d\d|[gs]\d|x-[a-z-]+)\.service$/;

/**
 * Samples the invocation IDs that the systemd of each machine publishes: /run/systemd/units/invocation:NAME exists while a
 * unit runs. A restart between two samples is seen by its new ID, and a fault cannot disturb the samples.
 */
export class Observer implements AsyncDisposable {
  readonly transitions: Transition[] = [];
  /** Units that ran on two machines at once and never may, with the machines. */
  readonly copies = new Set<string>();
  samples = 0;
  /** The longest time between two samples. */
  gap_ms = 0;
  #latest = new Map<string, ReadonlyMap<string, string>>();
  #over = false;
  readonly #ended: Promise<void>;

  constructor(private readonly machines: readonly Machine[]) {
    this.#sample();
    this.transitions.length = 0;
    this.#ended = this.#watch();
  }

  /** Returns the invocation IDs at this moment. */
  running(): Running {
    this.#sample();
    return new Map(this.#latest);
  }

  async #watch(): Promise<void> {
    let last_ms = performance.now();
    while (!this.#over) {
      await new Promise((resolve) => setTimeout(resolve, sample_ms));
      this.#sample();
      this.gap_ms = Math.max(this.gap_ms, performance.now() - last_ms);
      last_ms = performance.now();
      this.samples++;
    }
  }

  #sample(): void {
    for (const machine of this.machines) {
      const now = machine.running ? invocations(machine.root) : new Map<string, string>();
      if (now === undefined) continue; // the machine is being switched off or on
      const before = this.#latest.get(machine.name) ?? new Map();
      this.transitions.push(...changesBetween(performance.now(), machine.name, before, now));
      this.#latest.set(machine.name, now);
    }
    for (const found of copies(this.#latest)) this.copies.add(found);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.#ended;
  }
}

/** Returns the invocation IDs of the units that run on a machine; undefined if its root cannot be read. */
function invocations(root: string): Map<string, string> | undefined {
  const dir = `${root}/run/systemd/units`;
  const found = new Map<string, string>();
  try {
    for (const { name } of Deno.readDirSync(dir)) {
      const unit = name.replace(/^invocation:/, "");
      if (unit === name || !ours.test(unit)) continue;
      try {
        found.set(unit, Deno.readLinkSync(`${dir}/${name}`));
      } catch (error) {
        if (!vanished(error)) throw error; // the unit has ended since the directory was read
      }
    }
  } catch (error) {
    if (vanished(error)) return undefined;
    throw error;
  }
  return found;
}

/** Asks a machine's systemd for all units of the run, and reads fleet's unit files there. */
export async function survey(machine: Machine): Promise<Survey> {
  const show = ["systemctl", "show", "--all", "--property=Id,ActiveState,Description"];
  const text = await machine.must([...show, "c*.service", "g*.service", "x-*.service", ...single], {
    timeout_ms: 20_000,
  });
  const units = new Map(
    text.split("\n\n").flatMap((block) => {
      const [id, active, description] = ["Id", "ActiveState", "Description"].map((key) => {
        return new RegExp(`^${key}=(.*)$`, "m").exec(block)?.[1] ?? "";
      });
      return ours.test(id!) ? [[id!, { active: active!, description: description! }] as const] : [];
    }),
  );
  return { machine: machine.name, units, files: unitFiles(machine) };
}

function unitFiles(machine: Machine): Map<string, string> {
  const dir = `${machine.root}/run/fleet/units`;
  const found = new Map<string, string>();
  for (const { name } of Deno.readDirSync(dir)) {
    if (!ours.test(name)) continue;
    try {
      found.set(name, Deno.readTextFileSync(`${dir}/${name}`));
    } catch (error) {
      if (!vanished(error)) throw error; // removed since the directory was read
    }
  }
  return found;
}
