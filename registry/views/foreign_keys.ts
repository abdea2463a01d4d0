import type { Log } from "../../runtime/log.ts";

/** Keys that are logged; something that writes ever new ones must not fill log and memory. */
const most = 100;

/** Logs keys below fleet's prefix that are not fleet's: each once, however often something writes it. */
export class ForeignKeys {
  readonly #logged = new Set<string>();

  constructor(private readonly log: Log) {}

  found(key: string): void {
    if (this.#logged.has(key) || this.#logged.size >= most) return;
    this.#logged.add(key);
    this.log("warn", "a key in the store is not fleet's and is left out", { key });
    if (this.#logged.size === most) this.log("warn", `no further keys that are not fleet's are logged after ${most}`);
  }
}
