/**
 * The unit files that an agent works with, by hash. They are kept, since a hash never means another text: what this
 * machine has had once it needs no store for.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/log.ts";
import { within } from "../../runtime/within.ts";

/** What {@link UnitTexts} needs. */
export interface UnitTextsOptions {
  /** Reads a text from the store; undefined if the store has none. */
  readonly read: (hash: string) => Promise<string | undefined>;
  readonly clock: Clock;
  /** Called when a text has come, or has failed to come, after {@link UnitTexts.of} had stopped waiting for it. */
  readonly changed: () => void;
}

/** The texts that are known, and why the others are not. Both by hash. */
export interface KnownTexts {
  readonly texts: ReadonlyMap<string, string>;
  readonly missing: ReadonlyMap<string, string>;
}

/** A text that is being read, or could not be. */
interface Missing {
  why: string;
  /** Monotonic clock; Infinity while it is being read. */
  retryAt_ms: number;
}

/** A store that answers takes less; one that is away must not hold up units whose files are known. */
const patience_ms = 250;

/** A text that could not be read is asked for again after so long. */
const retry_ms = 1_000;

/** See this module. */
export class UnitTexts {
  readonly #options: UnitTextsOptions;
  readonly #known = new Map<string, string>();
  readonly #missing = new Map<string, Missing>();

  constructor(options: UnitTextsOptions) {
    this.#options = options;
  }

  /** Takes a text that was found on this machine. */
  add(hash: string, text: string): void {
    this.#known.set(hash, text);
  }

  /** Returns these texts, reading those not known yet, and forgets all others. Does not wait for long. Never rejects. */
  async of(hashes: ReadonlySet<string>): Promise<KnownTexts> {
    const { clock } = this.#options;
    for (const known of [this.#known, this.#missing]) {
      for (const hash of known.keys()) if (!hashes.has(hash)) known.delete(hash);
    }
    const now_ms = clock.monotonic_ms();
    const due = [...hashes].filter((hash) =>
      !this.#known.has(hash) && (this.#missing.get(hash)?.retryAt_ms ?? 0) <= now_ms
    );
    if (due.length > 0) await this.#readAll(due);
    return {
      texts: new Map(this.#known),
      missing: new Map([...this.#missing].map(([hash, { why }]) => [hash, why])),
    };
  }

  /** Milliseconds until a missing text is to be asked for again; Infinity if none is. */
  nextTry_ms(now_ms: number): number {
    return Math.min(...[...this.#missing.values()].map(({ retryAt_ms }) => Math.max(0, retryAt_ms - now_ms)));
  }

  async #readAll(hashes: readonly string[]): Promise<void> {
    const { clock, changed } = this.#options;
    const all = Promise.all(hashes.map((hash) => this.#read(hash)));
    if (!await within(patience_ms, clock, () => all)) void all.then(changed);
  }

  async #read(hash: string): Promise<void> {
    const { read, clock } = this.#options;
    const before = this.#missing.get(hash);
    const missing = before ?? { why: `unit file ${hash} has not come from the store yet`, retryAt_ms: Infinity };
    missing.retryAt_ms = Infinity;
    this.#missing.set(hash, missing);
    let why: string;
    try {
      const text = await read(hash);
      // Nobody may want it any more.
      if (this.#missing.get(hash) !== missing) return;
      if (text !== undefined) {
        this.#missing.delete(hash);
        this.#known.set(hash, text);
        return;
      }
      why = `the store has no unit file ${hash}`;
    } catch (error) {
      why = `cannot read unit file ${hash} from the store: ${messageOf(error)}`;
    }
    missing.why = why;
    missing.retryAt_ms = clock.monotonic_ms() + retry_ms;
  }
}
