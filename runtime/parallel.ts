/**
 * Runs requests at the same time, with a limit.
 *
 * @module
 */

/** The number of requests of one command that may be in progress at the same time. */
export const maxInFlight = 16;

/**
 * Calls `work` for every item, at most `limit` at a time, starting them in order. Returns the results in the order of the
 * items. After a call has rejected no new one is started, and the first rejection is thrown once the calls in progress have
 * ended.
 */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<Result>,
  limit = maxInFlight,
): Promise<Result[]> {
  const results: Result[] = new Array(items.length);
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const worker = async () => {
    while (next < items.length && !failure) {
      const index = next++;
      try {
        results[index] = await work(items[index] as Item, index);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failure) throw failure.error;
  return results;
}
