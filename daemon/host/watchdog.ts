/**
 * Reports to systemd that the daemon is alive, if the service has a `WatchdogSec=` (sd_watchdog_enabled(3)).
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { Notify } from "./sd_notify.ts";

/**
 * Returns the time between two reports, half the watchdog's period, or undefined if this process has no watchdog. Reads the
 * variables that systemd sets for a service with a watchdog.
 */
export function watchdogInterval_ms(
  { WATCHDOG_USEC, WATCHDOG_PID }: Readonly<Record<string, string>>,
  pid: number,
): number | undefined {
  const period_us = Number(WATCHDOG_USEC);
  if (!WATCHDOG_USEC || !(period_us > 0)) return undefined;
  if (WATCHDOG_PID && Number(WATCHDOG_PID) !== pid) return undefined;
  return period_us / 1000 / 2;
}

/** Reports until `signal` aborts. The timer runs in the thread that does all work: if that thread hangs, systemd notices. */
export async function keepWatchdog(every_ms: number, notify: Notify, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await notify("WATCHDOG=1");
    await clock.sleep(every_ms, signal);
  }
}
