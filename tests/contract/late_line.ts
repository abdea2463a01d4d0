/**
 * A line to a store on which transactions are lost and carried out late, as a hanging member of etcd does when it continues.
 *
 * @module
 */

import assert from "node:assert/strict";
import { OutcomeUnknownError, StoreUnavailableError } from "../../registry/mod.ts";
import type { Op, Store } from "../../registry/store/port.ts";
import { between } from "./registry_fixture.ts";

/** A line to the store on which chosen transactions are lost, to be carried out late. */
export class Line {
  readonly #held: { readonly key: string; readonly carryOut: () => ReturnType<Store["transact"]> }[] = [];
  readonly #lose: {
    readonly prefix: string;
    readonly instead: () => Promise<unknown>;
    readonly carriedOut: boolean;
    readonly settled?: boolean;
  }[] = [];
  #cut = false;
  reads = 0;
  transactions = 0;

  /** The next transaction that writes a key that starts so is lost, and `instead` happens. */
  loseNext(prefix: string, instead: () => Promise<unknown> = () => Promise.resolve()): void {
    this.#lose.push({ prefix, instead, carriedOut: false });
  }

  /** The next one is carried out, and only its answer is lost. */
  loseNextAnswer(prefix: string): void {
    this.#lose.push({ prefix, instead: () => Promise.resolve(), carriedOut: true });
  }

  /** The next one is carried out, and the store says that it is full, as it would if it had not been. */
  fillByNext(prefix: string): void {
    this.#lose.push({ prefix, instead: () => Promise.resolve(), carriedOut: true, settled: true });
  }

  /** Once a transaction is lost, nothing gets through until {@link mend}. */
  cutWhenLost(): void {
    this.#cut = true;
  }

  /** True while nothing gets through. */
  get isCut(): boolean {
    return this.#cut && this.#held.length > 0;
  }

  mend(): void {
    this.#cut = false;
  }

  wrap = (store: Store): Store =>
    between(store, {
      read: (ranges) => {
        this.reads++;
        if (this.isCut) return Promise.reject(new StoreUnavailableError("the line is cut"));
        return store.read(ranges);
      },
      transact: async (compares, ops) => {
        this.transactions++;
        if (this.isCut) throw new StoreUnavailableError("the line is cut");
        const at = this.#lose.findIndex(({ prefix }) => ops.some((op) => keyOf(op).startsWith(prefix)));
        const [lost] = at < 0 ? [] : this.#lose.splice(at, 1);
        if (lost === undefined) return await store.transact(compares, ops);
        if (lost.carriedOut) await store.transact(compares, ops);
        else this.#held.push({ key: lost.prefix, carryOut: () => store.transact(compares, ops) });
        await lost.instead();
        throw new OutcomeUnknownError(
          lost.settled ? "the store is full" : "the answer was lost",
          lost.settled ?? false,
        );
      },
    });

  /** Carries out what was held back, and demands that the store refuses it. */
  async deliver(...expected: string[]): Promise<void> {
    assert.deepEqual(this.#held.map(({ key }) => key), expected);
    for (const { key, carryOut } of this.#held) {
      assert.equal((await carryOut()).succeeded, false, `what was to be written below ${key} was written late`);
    }
  }
}

export const keyOf = (op: Op) => "put" in op ? op.put : op.delete;
