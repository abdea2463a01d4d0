/**
 * Passing a stream on no faster than it is read. Pure.
 *
 * @module
 */

/**
 * The bytes of `reader`, each piece read only when it is asked for. `ended` is called, and awaited, when the last one has been read, or
 * when reading fails, before the stream closes or fails itself; an error that it throws becomes the stream's. `cancel` is
 * called when the stream is cancelled.
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
