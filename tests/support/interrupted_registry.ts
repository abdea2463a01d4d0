/**
 * A registry between whose reads and commits other writers change the store.
 *
 * @module
 */

import type { Change, Registry } from "../../registry/mod.ts";

/** Returns a registry that calls `interfere` before each of the first `times` commits, with 1 for the first. */
export function interrupted(
  registry: Registry,
  times: number,
  interfere: (turn: number) => Promise<unknown>,
): Registry {
  let turn = 0;
  return Object.create(registry, {
    read: { value: () => registry.read() },
    unit: { value: (name: string) => registry.unit(name) },
    peek: { value: (name: string) => registry.peek(name) },
    commit: {
      async value(change: Change) {
        if (turn < times) await interfere(++turn);
        return await registry.commit(change);
      },
    },
  });
}
