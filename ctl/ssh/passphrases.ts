/**
 * Asks for the passphrases of private keys, once for each key even if it is used for many hosts.
 *
 * @module
 */

import type { Io } from "../terminal/port.ts";

/** A passphrase, or the reason why there is none. */
export type Passphrase = { readonly text: string } | "not given" | "wrong";

/** Number of attempts to type a passphrase, as in ssh(1). */
const attempts = 3;

/** The passphrases that the user has typed. */
export class Passphrases {
  readonly #byPath = new Map<string, Promise<Passphrase>>();

  constructor(private readonly io: Pick<Io, "ask">) {}

  /** Returns the passphrase of the key at a path. `opens` checks a passphrase. */
  of(path: string, opens: (passphrase: string) => boolean): Promise<Passphrase> {
    const asking = this.#byPath.get(path) ?? this.#ask(path, opens);
    this.#byPath.set(path, asking);
    return asking;
  }

  async #ask(path: string, opens: (passphrase: string) => boolean): Promise<Passphrase> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const text = await this.io.ask(`Enter passphrase for key '${path}': `, { secret: true });
      if (text === undefined) return "not given";
      if (opens(text)) return { text };
    }
    return "wrong";
  }
}
