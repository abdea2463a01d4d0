/**
 * Tells systemd that the daemon is alive, where the service has a `WatchdogSec=` (sd_watchdog_enabled(3)).
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { Notify } from "./sd_notify.ts";

/** The variables by which systemd asks for signs of life. */
export interface WatchdogVariables {
  readonly WATCHDOG_USEC?: string | undefined;
  readonly WATCHDOG_PID?: string | undefined;
}

/** How often to tell, in milliseconds: twice as often as asked for. Undefined where nobody asks this process. */
export function watchdogInterval_ms(
  { WATCHDOG_USEC, WATCHDOG_PID }: WatchdogVariables,
  pid: number,
): number | undefined {
  const period_us = Number(WATCHDOG_USEC);
  if (!WATCHDOG_USEC || !(period_us > 0)) return undefined;
  if (WATCHDOG_PID && Number(WATCHDOG_PID) !== pid) return undefined;
  return period_us / 1000 / 2;
}

/** Tells until `signal` aborts. It is a timer of the one thread that does all work: where that hangs, systemd notices. */
export async function keepWatchdog(every_ms: number, tell: Notify, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await tell("WATCHDOG=1");
    await clock.sleep(every_ms, signal);
  }
}
