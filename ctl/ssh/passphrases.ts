/**
 * Asks for the passphrases of private keys, once for each key, however many hosts it opens.
 *
 * @module
 */

import type { Io } from "../terminal/port.ts";

/** A passphrase, or why there is none. */
export type Passphrase = { readonly text: string } | "not given" | "wrong";

/** How often a wrong passphrase may be corrected, as ssh(1) has it. */
const attempts = 3;

/** The passphrases that the user has typed. */
export class Passphrases {
  readonly #io: Pick<Io, "ask">;
  readonly #byPath = new Map<string, Promise<Passphrase>>();

  constructor(io: Pick<Io, "ask">) {
    this.#io = io;
  }

  /** The passphrase of the key at a path: one that `opens` accepts. */
  of(path: string, opens: (passphrase: string) => boolean): Promise<Passphrase> {
    const asking = this.#byPath.get(path) ?? this.#ask(path, opens);
    this.#byPath.set(path, asking);
    return asking;
  }

  async #ask(path: string, opens: (passphrase: string) => boolean): Promise<Passphrase> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const text = await this.#io.ask(`Enter passphrase for key '${path}': `, { secret: true });
      if (text === undefined) return "not given";
      if (opens(text)) return { text };
    }
    return "wrong";
  }
}
