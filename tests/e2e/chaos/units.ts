/** The units of a chaos run, and what a client may expect of each. Pure. */

/** A state that a client asked for: "absent" is a unit that was destroyed or never created. */
export interface Want {
  readonly state: "absent" | "inactive" | "loaded" | "launched";
  /** Version of the unit's file; without a meaning for an absent unit. */
  readonly version: number;
}

/** True if both mean the same. */
export function sameWant(a: Want, b: Want): boolean {
  return a.state === b.state && (a.state === "absent" || a.version === b.version);
}

export const absent: Want = { state: "absent", version: 0 };

/** Names of the units that the client changes. */
export const changing: readonly string[] = Array.from(
  { length: 60 },
  (_, at) => `c${`${at}`.padStart(2, "0")}.service`,
);

/** Names of units that run on every machine, and that the client never changes. */
export const everywhere: readonly string[] = ["g0.service", "g1.service"];

/** Names of units that must never run on two machines, and that the client never changes. */
export const single: readonly string[] = ["s0.service", "s1.service"];

/** Returns the unit file of a version. Some units stop slowly, and some have no process while they are active. */
export function unitText(name: string, version: number): string {
  const head = `[Unit]\nDescription=${describe(name, version)}\n[Service]\n`;
  if (everywhere.includes(name)) return `${head}ExecStart=/bin/sleep infinity\n[X-Fleet]\nGlobal=true\n`;
  if (single.includes(name)) return `${head}ExecStart=/bin/sleep infinity\n[X-Fleet]\nStopWhenDisconnected=2s\n`;
  const kind = changing.indexOf(name) % 10;
  if (kind === 0) return `${head}ExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 1\n`;
  if (kind === 1) return `${head}Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n`;
  return `${head}ExecStart=/bin/sleep infinity\n`;
}

/** Returns the description by which a version of a unit is recognized in systemd. */
export function describe(name: string, version: number): string {
  return `${name} version ${version}`;
}

/** Returns the version that a unit file or a description contains; undefined if it contains none. */
export function versionOf(text: string): number | undefined {
  const found = / version (\d+)$/m.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** The client's knowledge of one unit. */
export interface Knowledge {
  /** The last acknowledged change. */
  readonly known: Want;
  /** Changes that may have been made: the response was an error that leaves the outcome open. */
  readonly open: readonly Want[];
  /** Changes that may still be made at any time, because the request may wait in a paused daemon or etcd member. */
  readonly pending: readonly Want[];
}

/** The outcome of one request. */
export type Outcome =
  /** Acknowledged. */
  | "done"
  /** Refused: must never happen. */
  | "refused"
  /** Answered with 5xx: it may have been made, but is never made later. */
  | "open"
  /** Not answered, or answered that it may still be made: it may be made at any time. */
  | "pending";

/** Returns what the client knows after a request for `want` has ended. */
export function learn(before: Knowledge, want: Want, outcome: Outcome): Knowledge {
  switch (outcome) {
    case "done":
      return { known: want, open: [], pending: before.pending };
    case "refused":
      return before;
    case "open":
      return { ...before, open: [...before.open, want] };
    case "pending":
      return { ...before, pending: [...before.pending, want] };
  }
}

/** Returns every state that a unit may be in. */
export function possible({ known, open, pending }: Knowledge): readonly Want[] {
  return [known, ...open, ...pending];
}
