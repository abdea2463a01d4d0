/**
 * The journal of a unit, as it is written.
 *
 * @module
 */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, followJournal } from "../../api/client.ts";
import { connections } from "../../api/stream.ts";
import { lineSplitter } from "../../model/lines.ts";
import { Failure, machineName, Section } from "../parts.tsx";

/** The most lines that are kept. */
const maxLines = 2_000;

/** The journal of a unit on one of its machines. It is followed while it is open. */
export function Journal({ name, machines }: { readonly name: string; readonly machines: readonly string[] }) {
  const [wanted, setWanted] = useState("");
  const [isOpen, setOpen] = useState(true);
  const machine = machines.includes(wanted) ? wanted : machines[0];
  return (
    <Section title="Journal" id="journal">
      {machine === undefined ? <p class="empty">No machine has this unit, so there is no journal.</p> : (
        <>
          <div class="filter">
            {machines.length > 1 && (
              <>
                <label for="journal-machine">Machine</label>
                <select id="journal-machine" value={machine} onChange={(event) => setWanted(event.currentTarget.value)}>
                  {machines.map((id) => <option key={id} value={id}>{machineName(id)}</option>)}
                </select>
              </>
            )}
            <button type="button" aria-pressed={isOpen} onClick={() => setOpen(!isOpen)}>
              {isOpen ? "Stop following" : "Follow"}
            </button>
          </div>
          <Lines key={machine} name={name} machine={machine} isOpen={isOpen} />
        </>
      )}
    </Section>
  );
}

/** The pause before another attempt, milliseconds: doubled after each failure. */
const pause_ms = { least: 1_000, most: 10_000 } as const;

function Lines({ name, machine, isOpen }: {
  readonly name: string;
  readonly machine: string;
  readonly isOpen: boolean;
}) {
  const [lines, setLines] = useState<readonly string[]>([]);
  const [error, setError] = useState<string>();
  const frame = useRef<HTMLPreElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (!isOpen) return;
    const leaving = new AbortController();
    const { signal } = leaving;
    let wait_ms: number = pause_ms.least;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const follow = async () => {
      const split = lineSplitter();
      let isFirst = true;
      // The beginning repeats what is shown, so it takes its place.
      const read = (text: string) => {
        const replaces = isFirst;
        isFirst = false;
        if (text !== "") wait_ms = pause_ms.least;
        const added = split(text);
        setError(undefined);
        setLines((lines) => [...replaces ? [] : lines, ...added].slice(-maxLines));
      };
      let problem = "the machine has ended it";
      try {
        await followJournal(name, machine, read, signal);
      } catch (error) {
        problem = error instanceof ApiError ? error.message : "the connection is lost";
      }
      if (signal.aborted) return;
      setError(`The journal does not go on: ${problem}. Trying again…`);
      timer = setTimeout(follow, wait_ms);
      wait_ms = Math.min(pause_ms.most, wait_ms * 2);
    };
    void follow();
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
    // A connection that is found again may have left the journal on one that is dead.
  }, [isOpen, connections.value]);
  useLayoutEffect(() => {
    if (isAtEnd.current) frame.current!.scrollTop = frame.current!.scrollHeight;
  }, [lines]);
  return (
    <>
      <pre
        class="journal"
        role="group"
        ref={frame}
        tabIndex={0}
        aria-label="Journal"
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) =>
          isAtEnd.current = scrollTop + clientHeight >= scrollHeight - 4}
      >
        {lines.join("\n")}
      </pre>
      <Failure error={error} />
    </>
  );
}
