/**
 * Cache of the texts of unit files, by hash. A hash always means the same text, so that a text that was on this machine once
 * needs no store.
 *
 * @module
 */

import { type Clock, jittered_ms } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/log.ts";
import { within } from "../../runtime/within.ts";
import { parseUnitFile, serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";

/** The known texts, and the reasons why others are missing. Both by hash. */
export interface KnownTexts {
  readonly texts: ReadonlyMap<string, string>;
  readonly missing: ReadonlyMap<string, string>;
}

/** A text that is being read, or could not be. */
interface Missing {
  why: string;
  /** Monotonic clock; Infinity while it is being read. */
  retryAt_ms: number;
  pause_ms: number;
}

/** Longest wait for the store: a slow store must not delay units whose files are known. */
const maxWait_ms = 250;

/** Pause before a text that could not be read is requested again. If the store does not have it, the pause doubles each time. */
const retry = { first_ms: 1_000, most_ms: 8_000 } as const;

/** Holds the texts that the agent needs. */
export class UnitTexts {
  readonly #known = new Map<string, string>();
  readonly #missing = new Map<string, Missing>();

  constructor(
    /** Reads a text from the store; undefined if the store does not have it. */
    private readonly read: (hash: string) => Promise<string | undefined>,
    private readonly clock: Clock,
    /** Called when reads have ended after {@link of} had returned without them. */
    private readonly changed: () => void,
  ) {}

  /** Adds a text that was found on this machine. */
  add(hash: string, text: string): void {
    this.#known.set(hash, text);
  }

  /**
   * Returns these texts, and drops all others. Reads those not known yet, and waits for that at most {@link maxWait_ms}. Never
   * rejects.
   */
  async of(hashes: ReadonlySet<string>): Promise<KnownTexts> {
    for (const known of [this.#known, this.#missing]) {
      for (const hash of known.keys()) if (!hashes.has(hash)) known.delete(hash);
    }
    const now_ms = this.clock.monotonic_ms();
    const due = [...hashes].filter((hash) =>
      !this.#known.has(hash) && (this.#missing.get(hash)?.retryAt_ms ?? 0) <= now_ms
    );
    if (due.length > 0) await this.#readAll(due);
    return {
      texts: new Map(this.#known),
      missing: new Map([...this.#missing].map(([hash, { why }]) => [hash, why])),
    };
  }

  /** Returns the milliseconds until a missing text is requested again; Infinity if none is. */
  nextTry_ms(now_ms: number): number {
    return Math.min(...[...this.#missing.values()].map(({ retryAt_ms }) => Math.max(0, retryAt_ms - now_ms)));
  }

  async #readAll(hashes: readonly string[]): Promise<void> {
    const all = Promise.all(hashes.map((hash) => this.#read(hash)));
    if (!await within(maxWait_ms, this.clock, () => all)) void all.then(this.changed);
  }

  async #read(hash: string): Promise<void> {
    const before = this.#missing.get(hash);
    const missing = before ??
      { why: `unit file ${hash} has not come from the store yet`, retryAt_ms: Infinity, pause_ms: 0 };
    missing.retryAt_ms = Infinity;
    this.#missing.set(hash, missing);
    let why: string;
    try {
      const text = await this.read(hash);
      // The text may no longer be needed.
      if (this.#missing.get(hash) !== missing) return;
      if (text !== undefined) {
        this.#missing.delete(hash);
        this.#known.set(hash, text);
        return;
      }
      why = `the store has no unit file ${hash}`;
      missing.pause_ms = Math.min(retry.most_ms, 2 * missing.pause_ms || retry.first_ms);
    } catch (error) {
      why = `cannot read unit file ${hash} from the store: ${messageOf(error)}`;
      missing.pause_ms = retry.first_ms;
    }
    missing.why = why;
    missing.retryAt_ms = this.clock.monotonic_ms() + jittered_ms(this.clock, missing.pause_ms);
  }
}

/** Returns a file in the store's serialization. One that cannot be parsed gets a hash that no unit has. */
export function onDisk(text: string): { readonly hash: string; readonly text: string } {
  try {
    const serialized = serializeUnitFile(parseUnitFile(text));
    return { hash: hashUnitFile(serialized), text: serialized };
  } catch {
    return { hash: "", text };
  }
}
