/**
 * The reconcile loop of agent and engine: look at everything, decide without effects, act, look again. It does not matter
 * which event woke the loop, and a round too many is harmless.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import type { Notifier } from "../runtime/notifier.ts";
import { type Log, messageOf } from "../runtime/log.ts";

/** A loop's parts. `World` is everything it looks at; `Step` is one action. */
export interface Loop<World, Step> {
  /** For log lines. */
  readonly name: string;
  /** Starts the next round at once. */
  readonly wakeup: Notifier;
  readonly clock: Clock;
  readonly log: Log;
  /** Looks at everything. Returns undefined while there is no complete view: then nothing may be decided. */
  look(): Promise<World | undefined>;
  /** Decides on the steps, without effects. */
  decide(world: World): readonly Step[];
  /** Carries out the steps. Only this has effects. */
  act(steps: readonly Step[], world: World): Promise<void>;
  /** Called after each round with its duration and outcome. */
  readonly observe?: ((duration_ms: number, failed: boolean) => void) | undefined;
  /** The longest time until the next look, in milliseconds. */
  patience_ms(world: World | undefined): number;
}

/** The pause after the first failure in a row, and the longest one. Each is twice the one before. */
const backoff = { first_ms: 250, most_ms: 30_000 } as const;

/** A loop that acts in so many rounds in a row makes no progress: it is slowed down, so that the other loops can run. */
const restless = { rounds: 100, pause_ms: 100 } as const;

/** Runs a loop until `signal` aborts. A failed round is logged and tried again after a growing pause. */
export async function reconcile<World, Step>(loop: Loop<World, Step>, signal: AbortSignal): Promise<void> {
  let failures = 0;
  let rounds = 0;
  while (!signal.aborted) {
    let wait_ms: number;
    const seen = loop.wakeup.count;
    const begun_ms = loop.clock.monotonic_ms();
    const over = (failed: boolean) => loop.observe?.(loop.clock.monotonic_ms() - begun_ms, failed);
    try {
      const world = await loop.look();
      const steps = world === undefined ? [] : loop.decide(world);
      rounds = steps.length > 0 ? rounds + 1 : 0;
      if (steps.length > 0) {
        await loop.act(steps, world!);
        loop.wakeup.notify();
      }
      over(false);
      if (rounds === restless.rounds) loop.log("warn", `${loop.name}: ${rounds} rounds of work without a rest`);
      if (rounds >= restless.rounds) await loop.clock.sleep(restless.pause_ms, signal);
      // Sums of fractions may end just before the time that is waited for.
      wait_ms = Math.ceil(loop.patience_ms(world));
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      over(true);
      wait_ms = Math.min(backoff.most_ms, backoff.first_ms * 2 ** Math.min(failures++, 16));
      loop.log("error", `${loop.name}: ${messageOf(error)}; trying again in ${wait_ms} ms`);
      // A change may have removed the cause, but failed rounds keep this distance however many changes come.
      await loop.clock.sleep(backoff.first_ms, signal);
      wait_ms -= backoff.first_ms;
    }
    await loop.wakeup.waitPastFor(seen, wait_ms, loop.clock, signal);
  }
}

/**
 * Runs tasks at the same time until all have ended. The first failure aborts the signal of the others; its error is thrown
 * once they have ended.
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
