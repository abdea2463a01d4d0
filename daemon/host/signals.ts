/**
 * Handles the daemon's signals. An adapter. Deno itself opens a debugger on SIGUSR1, which fleet.service blocks.
 *
 * @module
 */

/** Calls an action at each of its signals. Returns a function that stops listening. */
export function onSignals(actions: Readonly<Partial<Record<Deno.Signal, () => void>>>): () => void {
  const handlers = Object.entries(actions) as [Deno.Signal, () => void][];
  for (const [name, handler] of handlers) Deno.addSignalListener(name, handler);
  return () => handlers.forEach(([name, handler]) => Deno.removeSignalListener(name, handler));
}
