import { type Log, messageOf } from "../../runtime/log.ts";
import { NewestMap } from "../../runtime/newest_map.ts";
import type { Revision } from "../model.ts";
import type { KeyValue } from "../store/port.ts";

/** Largest number of foreign keys that are logged, also if a program keeps writing new ones. */
const maxForeign = 100;

/** Largest number of unreadable values that are remembered as logged. Beyond it, the oldest may be logged again. */
const maxUnreadable = 1_000;

/** Logs keys that a view leaves out: each once, however often the store is read again. */
export class KeyWarnings {
  readonly #foreign = new Set<string>();
  readonly #unreadable = new NewestMap<string, Revision>(maxUnreadable);

  constructor(private readonly log: Log) {}

  /** Warns of a key below fleet's prefix that is not fleet's, once for each key. */
  foreign(key: string): void {
    if (this.#foreign.has(key) || this.#foreign.size >= maxForeign) return;
    this.#foreign.add(key);
    this.log("warn", "a key in the store is not fleet's and is left out", { key });
    if (this.#foreign.size === maxForeign) {
      this.log("warn", `no further keys that are not fleet's are logged after ${maxForeign}`);
    }
  }

  /** Warns of a value that cannot be decoded, once for each revision of its key. */
  unreadable({ key, modRevision }: KeyValue, error: unknown): void {
    if (this.#unreadable.get(key) === modRevision) return;
    this.#unreadable.set(key, modRevision);
    const message = "a value in the store cannot be read: the unit or machine of its key is left as it is";
    this.log("warn", message, { error: messageOf(error) });
  }
}
