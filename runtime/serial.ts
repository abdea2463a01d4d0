/** Runs work one after the other, in the order of the calls. A failure does not keep later work from running. */
export type Serial = <T>(work: () => Promise<T>) => Promise<T>;

/** Returns a new, idle {@link Serial}. */
export function serial(): Serial {
  let latest: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = latest.then(work);
    latest = result.catch(() => {});
    return result;
  };
}
