/** Runs programs of the host, either to their end or as servers that are killed with this process. */

/** Exit code and output of a program. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@link run}. */
export interface RunOptions {
  /** Text for the standard input. Default: /dev/null. */
  readonly stdin?: string;
  /** Time until SIGKILL. Default: 60,000. */
  readonly timeout_ms?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** True: the environment is `env` alone, without this process's variables. */
  readonly clear_env?: boolean;
}

/** Runs `command` and waits for its end. Throws if it cannot be started or exceeds its timeout, but not for a failing exit code. */
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
    const written = options.stdin === undefined ? Promise.resolve() : writeAll(child.stdin, options.stdin);
    const [output] = await Promise.all([child.output(), written]);
    if (late) throw new Error(`"${command.join(" ")}" was still running after ${timeout_ms} ms`);
    const text = new TextDecoder();
    return { code: output.code, stdout: text.decode(output.stdout), stderr: text.decode(output.stderr) };
  } finally {
    clearTimeout(timer);
  }
}

/** Like `run`, but throws with the program's output if it fails. Returns its standard output. */
export async function must(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, options);
  if (code !== 0) throw new Error(`"${command.join(" ")}" failed with code ${code}: ${(stderr || stdout).trim()}`);
  return stdout;
}

async function writeAll(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    // A program may end without reading all its input; its exit code shows if that is a failure.
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
 * Starts `command` in its own session, and appends its standard output and standard error to `log`. The kernel kills it
 * when the thread that started it ends (PR_SET_PDEATHSIG, prctl(2)), so that no server outlives a killed test process.
 */
export function serve(command: readonly string[], log: string): Server {
  // Each of these programs executes the next in its own process, so the PID is the server's.
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

/** Sends a signal to a process. Does nothing if the process has ended. */
export function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Calls `probe` every `every_ms` until it returns a value that is neither `undefined` nor `false`. Throws at the deadline,
 * with `what` and the last error of `probe`.
 */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  { deadline_ms = 20_000, every_ms = 20 }: { deadline_ms?: number; every_ms?: number } = {},
): Promise<T> {
  const end = performance.now() + deadline_ms;
  let cause: unknown;
  while (true) {
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) throw new Error(`waited ${deadline_ms} ms for ${what}`, { cause });
    await new Promise((resolve) => setTimeout(resolve, every_ms));
  }
}
