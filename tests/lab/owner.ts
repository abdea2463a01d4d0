/**
 * Owner marks. The names of a test's files, mounts and namespaces on the host contain a mark of the test process, so that
 * the next run distinguishes those of a killed process from those of a running one.
 */

/** Returns the mark of this process: `<PID>-<start time in clock ticks>`. A later process with the same PID has another mark. */
export function ownerMark(): string {
  const started = startTime(Deno.pid);
  if (started === undefined) throw new Error(`cannot read /proc/${Deno.pid}/stat of this process`);
  return `${Deno.pid}-${started}`;
}

/** True if the process with this mark still runs. */
export function ownerLives(mark: string): boolean {
  const [pid, started] = mark.split("-");
  return started !== undefined && startTime(Number(pid)) === started;
}

/** Returns field 22 of /proc/PID/stat (proc_pid_stat(5)); undefined if the process does not exist or is a zombie. */
export function startTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch (error) {
    if (vanished(error)) return undefined;
    throw new Error(`cannot read /proc/${pid}/stat`, { cause: error });
  }
  // The second field is the command's name in parentheses; the name may contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : fields[19];
}

/** True if reading below /proc failed because the process has ended: before its file was opened, or (ESRCH) after. */
export function vanished(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || (error as { code?: string }).code === "ESRCH";
}
