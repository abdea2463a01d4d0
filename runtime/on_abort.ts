/**
 * Waiting for the first of several signals, without leaving anything behind on those that live longer. Pure.
 *
 * @module
 */

/**
 * Calls `tell` once, when any of the signals aborts; before it returns, if one has. Returns what calls it off.
 * AbortSignal.any would stay with a signal that never aborts.
 */
export function onceAborted(signals: readonly (AbortSignal | undefined)[], tell: () => void): () => void {
  const callOff = () => signals.forEach((signal) => signal?.removeEventListener("abort", once));
  const once = () => {
    callOff();
    tell();
  };
  signals.forEach((signal) => signal?.addEventListener("abort", once));
  if (signals.some((signal) => signal?.aborted)) once();
  return callOff;
}

/** Resolves when the signal aborts; at once if it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => onceAborted([signal], resolve));
}
