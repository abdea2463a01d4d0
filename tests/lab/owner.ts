/**
 * Marks everything that a test makes on the host with its owner, so that the next run removes the leftovers of a killed
 * process, and nothing that a running one still uses.
 */

/** Returns the mark of this process, `<pid>-<start time in clock ticks>`, which a later process with the same ID does not have. */
export function ownerMark(): string {
  const started = startTime(Deno.pid);
  if (started === undefined) throw new Error(`cannot read /proc/${Deno.pid}/stat of this very process`);
  return `${Deno.pid}-${started}`;
}

/** Returns whether the process of a mark still runs. */
export function ownerLives(mark: string): boolean {
  const [pid, started] = mark.split("-");
  return started !== undefined && startTime(Number(pid)) === started;
}

/** Returns field 22 of /proc/PID/stat (proc_pid_stat(5)); undefined if the process is missing or a zombie. */
export function startTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch (error) {
    if (vanished(error)) return undefined;
    throw new Error(`cannot read /proc/${pid}/stat`, { cause: error });
  }
  // The second field, the command's name in parentheses, may contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : fields[19];
}

/** True if a read below /proc failed because the process has ended: before its file was opened, or after (ESRCH). */
export function vanished(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || (error as { code?: string }).code === "ESRCH";
}
