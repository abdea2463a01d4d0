/**
 * Waits for the first of several signals, without leaving listeners on the others. Pure.
 *
 * @module
 */

/**
 * Calls `onAbort` once, when any of the signals aborts, or before it returns if one has aborted already. Returns a function
 * that stops listening. AbortSignal.any would keep its listeners on a signal that never aborts.
 */
export function onceAborted(signals: readonly (AbortSignal | undefined)[], onAbort: () => void): () => void {
  const stopListening = () => signals.forEach((signal) => signal?.removeEventListener("abort", once));
  const once = () => {
    stopListening();
    onAbort();
  };
  signals.forEach((signal) => signal?.addEventListener("abort", once));
  if (signals.some((signal) => signal?.aborted)) once();
  return stopListening;
}

/** Resolves when the signal aborts; at once if it has aborted already. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => onceAborted([signal], resolve));
}
