/**
 * Forwards a stream no faster than it is read. Pure.
 *
 * @module
 */

/**
 * Returns the bytes of `reader`, each piece read on demand. `ended` is called and awaited after the last piece, or when
 * reading fails, before the returned stream closes or fails itself; an error that `ended` throws becomes the stream's.
 * `cancel` is called when the stream is canceled.
 */
export function pulledFrom(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  ended: () => void | Promise<void>,
  cancel: (reason: unknown) => void | Promise<void>,
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull: async (controller) => {
      const part = await reader.read().catch(async (error) => {
        await ended();
        throw error;
      });
      if (!part.done) return controller.enqueue(part.value);
      await ended();
      controller.close();
    },
    cancel,
  }, { highWaterMark: 0 });
}
