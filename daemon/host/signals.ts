/**
 * Handles the daemon's signals. An adapter. Deno itself opens a debugger on SIGUSR1, which fleet.service blocks.
 *
 * @module
 */

/** Actions of the signals. */
export interface SignalActions {
  /** SIGTERM and SIGINT, with the signal's name. */
  readonly end: (signal: string) => void;
  /** SIGHUP. */
  readonly reload: () => void;
  /** SIGUSR2. */
  readonly dump: () => void;
}

/** Listens to signals. Returns a function that stops listening. */
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
