/**
 * The one loop: whatever woke us, look at everything, decide purely, act, look again. Which event woke it does not
 * matter, and doing it twice is harmless.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { type Log, messageOf } from "../runtime/log.ts";

/** A bell: rung any number of times, it wakes the one loop that listens once. */
export class Wakeup {
  #rung = false;
  #waiter: (() => void) | undefined;

  trigger(): void {
    this.#rung = true;
    this.#waiter?.();
  }

  /** Resolves when the bell is rung (also if it was since the last wait), `timeout_ms` has passed or `signal` aborts. */
  async wait(timeout_ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      const sleeping = new AbortController();
      const rung = new Promise<void>((resolve) => this.#waiter = resolve);
      const sleep = clock.sleep(timeout_ms, AbortSignal.any([signal, sleeping.signal]));
      await Promise.race([rung, sleep]);
      sleeping.abort("over");
      await sleep;
      this.#waiter = undefined;
    }
    this.#rung = false;
  }
}

/** What a loop does. `World` is everything it looks at; `Step` is one thing to do. */
export interface Loop<World, Step> {
  /** For log lines. */
  readonly name: string;
  readonly wakeup: Wakeup;
  readonly clock: Clock;
  readonly log: Log;
  /** Looks at everything. Undefined: there is no complete view yet, so nothing may be decided. */
  look(): Promise<World | undefined>;
  /** Decides what to do, without doing any of it. */
  decide(world: World): readonly Step[];
  /** Does it. Only this has effects. */
  act(steps: readonly Step[], world: World): Promise<void>;
  /** Told how long each round took, milliseconds, and whether it failed. */
  readonly observe?: ((duration_ms: number, failed: boolean) => void) | undefined;
  /** When to look again although nothing rang, milliseconds from now. */
  patience_ms(world: World | undefined): number;
}

/** How long a loop waits after its first failure in a row, and at most. */
const backoff = { first_ms: 250, most_ms: 30_000 } as const;

/** A loop that acts so often in a row is not getting anywhere: it is slowed down, so that others get their turn. */
const restless = { rounds: 100, pause_ms: 100 } as const;

/** Runs a loop until `signal` aborts. A failed round is logged and tried again, later each time. */
export async function reconcile<World, Step>(loop: Loop<World, Step>, signal: AbortSignal): Promise<void> {
  let failures = 0;
  let rounds = 0;
  while (!signal.aborted) {
    let wait_ms: number;
    const begun_ms = loop.clock.monotonic_ms();
    const over = (failed: boolean) => loop.observe?.(loop.clock.monotonic_ms() - begun_ms, failed);
    try {
      const world = await loop.look();
      const steps = world === undefined ? [] : loop.decide(world);
      rounds = steps.length > 0 ? rounds + 1 : 0;
      if (steps.length > 0) {
        await loop.act(steps, world!);
        loop.wakeup.trigger();
      }
      over(false);
      if (rounds === restless.rounds) loop.log("warn", `${loop.name}: ${rounds} rounds of work without a rest`);
      if (rounds >= restless.rounds) await loop.clock.sleep(restless.pause_ms, signal);
      wait_ms = loop.patience_ms(world);
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      over(true);
      wait_ms = Math.min(backoff.most_ms, backoff.first_ms * 2 ** Math.min(failures++, 16));
      loop.log("error", `${loop.name}: ${messageOf(error)}; trying again in ${wait_ms} ms`);
      // News may have mended what failed, but however much of it comes, failures keep their distance.
      await loop.clock.sleep(backoff.first_ms, signal);
      wait_ms -= backoff.first_ms;
    }
    await loop.wakeup.wait(wait_ms, loop.clock, signal);
  }
}

/**
 * Runs tasks side by side until all have ended. The first that fails stops the others (their signal aborts) and its
 * error is thrown once they have ended.
 */
export async function together(
  signal: AbortSignal,
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failed = new AbortController();
  const both = AbortSignal.any([signal, failed.signal]);
  const failures: unknown[] = [];
  await Promise.all(tasks.map((task) =>
    task(both).catch((error) => {
      failures.push(error);
      failed.abort();
    })
  ));
  if (failures.length > 0) throw failures[0];
}
