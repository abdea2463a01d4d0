/**
 * Who owns what is left on the host: everything made for a test carries its owner's mark, so that the next run can tell
 * what a killed one left behind from what a running one still uses.
 */

/** This process, told apart from a later one that is given the same pid: `<pid>-<start time in clock ticks>`. */
export function ownerMark(): string {
  const started = startTime(Deno.pid);
  if (started === undefined) throw new Error(`cannot read /proc/${Deno.pid}/stat of this very process`);
  return `${Deno.pid}-${started}`;
}

/** Whether the process that `ownerMark` named still runs. */
export function ownerLives(mark: string): boolean {
  const [pid, started] = mark.split("-");
  return started !== undefined && startTime(Number(pid)) === started;
}

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)); undefined when there is no such process, or only its zombie. */
export function startTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch (error) {
    if (vanished(error)) return undefined;
    throw new Error(`cannot read /proc/${pid}/stat`, { cause: error });
  }
  // The second field is the command's name in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : fields[19];
}

/** Whether reading below /proc failed because the process has ended: before its file was opened, or (ESRCH) after. */
export function vanished(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || (error as { code?: string }).code === "ESRCH";
}
