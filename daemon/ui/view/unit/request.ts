/**
 * The answer to a request as a hook: it is sent when the component appears, and again when its key
 * changes or after the connection was lost.
 *
 * @module
 */

import { useEffect, useState } from "preact/hooks";
import { connections } from "../../api/stream.ts";

/** The answer so far: the last one stays until another has come. */
export interface Answer<T> {
  readonly value?: T;
  readonly error?: string;
}

/** Sends a request for each `key` and each connection, and returns its answer. The answer to an earlier key is dropped. */
export function useRequest<T>(ask: () => Promise<T>, key: string): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>({});
  useEffect(() => {
    let isCurrent = true;
    ask().then(
      (value) => isCurrent && setAnswer({ value }),
      (error) => isCurrent && setAnswer(({ value }) => ({ ...value !== undefined && { value }, error: error.message })),
    );
    return () => void (isCurrent = false);
  }, [key, connections.value]);
  return answer;
}
