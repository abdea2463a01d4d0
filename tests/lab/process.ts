/** Runs programs of the host: to their end, or as servers that end with this process. */

/** The output and exit code of a program. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@link run}. */
export interface RunOptions {
  /** Text for its standard input; default /dev/null. */
  readonly stdin?: string;
  /** Time limit, after which it gets SIGKILL; default 60,000. */
  readonly timeout_ms?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** True: its environment is `env` alone, without that of this process. */
  readonly clear_env?: boolean;
}

/** Runs `command`. Throws if it cannot be started or exceeds its time limit; a failing exit code is returned. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Output> {
  const [program, ...args] = command;
  if (program === undefined) throw new Error("cannot run an empty command");
  const timeout_ms = options.timeout_ms ?? 60_000;
  const child = new Deno.Command(program, {
    args,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    env: { ...options.env },
    clearEnv: options.clear_env ?? false,
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, timeout_ms);
  try {
    const fed = options.stdin === undefined ? Promise.resolve() : feed(child.stdin, options.stdin);
    const [output] = await Promise.all([child.output(), fed]);
    if (late) throw new Error(`"${command.join(" ")}" was still running after ${timeout_ms} ms`);
    const text = new TextDecoder();
    return { code: output.code, stdout: text.decode(output.stdout), stderr: text.decode(output.stderr) };
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a program and returns its standard output. Throws an error with its output if it fails. */
export async function must(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, options);
  if (code !== 0) throw new Error(`"${command.join(" ")}" failed with code ${code}: ${(stderr || stdout).trim()}`);
  return stdout;
}

async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    // A program may end without reading all its input; its exit code has the result.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** A program in the background, with its output in a file. */
export interface Server {
  readonly pid: number;
  /** Resolves when the program has ended. */
  readonly ended: Promise<Deno.CommandStatus>;
}

/**
 * Starts `command` in its own session, with both outputs appended to `log`. The kernel kills it when the thread that
 * started it ends (PR_SET_PDEATHSIG, prctl(2)), so that it never outlives the test process.
 */
export function serve(command: readonly string[], log: string): Server {
  // Each of these programs replaces itself by the next one, so that the server has this process ID.
  const child = new Deno.Command("setsid", {
    args: [
      "setpriv",
      "--pdeathsig",
      "KILL",
      "sh",
      "-c",
      'log=$1; shift; exec "$@" >>"$log" 2>&1',
      "sh",
      log,
      ...command,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return { pid: child.pid, ended: child.status };
}

/** Sends a signal to a process, if it still runs. */
export function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Calls `probe` every `every_ms` until it returns a value. Throws an error with `what` and the last failure at the deadline. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  { deadline_ms = 20_000, every_ms = 20 }: { deadline_ms?: number; every_ms?: number } = {},
): Promise<T> {
  const end = performance.now() + deadline_ms;
  let cause: unknown;
  while (true) {
    try {
      const found = await probe();
      if (found !== undefined) return found;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) throw new Error(`waited ${deadline_ms} ms for ${what}`, { cause });
    await new Promise((resolve) => setTimeout(resolve, every_ms));
  }
}
