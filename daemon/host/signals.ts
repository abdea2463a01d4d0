/**
 * The signals that a daemon is told things by. An adapter. SIGUSR1 is Deno's own: it opens a debugger, so fleet.service keeps it
 * away from the process.
 *
 * @module
 */

/** What each signal does. */
export interface SignalActions {
  /** SIGTERM and SIGINT, with the signal's name. */
  readonly end: (signal: string) => void;
  /** SIGHUP. */
  readonly reload: () => void;
  /** SIGUSR2. */
  readonly dump: () => void;
}

/** Listens to signals; returns what undoes it. */
export function onSignals({ end, reload, dump }: SignalActions): () => void {
  const handlers: readonly (readonly [Deno.Signal, () => void])[] = [
    ["SIGTERM", () => end("SIGTERM")],
    ["SIGINT", () => end("SIGINT")],
    ["SIGHUP", reload],
    ["SIGUSR2", dump],
  ];
  for (const [name, handler] of handlers) Deno.addSignalListener(name, handler);
  return () => handlers.forEach(([name, handler]) => Deno.removeSignalListener(name, handler));
}
