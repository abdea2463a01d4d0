/**
 * The adapter between a session on another host and the local terminal.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Attachment, CapturedOutput } from "./remote.ts";
import { linesOf } from "../output/lines.ts";
import { copyPrintable, type OutputStream, terminalSize, writeAll } from "../terminal/deno.ts";
import { type Session, type SshConnection, SshError } from "./port.ts";

/**
 * Runs a command, or a login shell if undefined, with our standard streams and returns its exit status. It gets a terminal
 * if our streams are one. Rejects with {@link SshError}.
 */
export async function runAttached(
  connection: SshConnection,
  command: string | undefined,
  { input, forwardAgent }: Attachment,
): Promise<number> {
  // A terminal would change the output of a command that is redirected; a shell needs a terminal anyway.
  const onTerminal = Deno.stdin.isTerminal() && (command === undefined || Deno.stdout.isTerminal());
  const size = onTerminal ? terminalSize() : undefined;
  const session = await connection.session({
    ...(command === undefined ? {} : { command }),
    ...(size ? { pty: size } : {}),
    forwardAgent,
  });
  const release = onTerminal ? await takeTerminal(session) : () => {};
  try {
    if (input || onTerminal) void copyInput(session);
    else session.stream.end();
    // A command without input prints text of other programs, such as a journal: control characters are escaped on a terminal.
    const copy = input ? copyOutput : copyPrintable;
    const copied = [copy(session.stream, Deno.stdout), copy(session.stderr, Deno.stderr)];
    // If the reader of the output is gone, the command waits for its turn to write, and does not end.
    const [status] = await Promise.all([session.ended, ...copied]);
    return status;
  } finally {
    release();
  }
}

/** Runs a command without a terminal and returns its output. Rejects with {@link SshError}. */
export async function runCaptured(
  connection: SshConnection,
  command: string,
): Promise<CapturedOutput> {
  const session = await connection.session({ command });
  session.stream.end();
  const [stdout, stderr, status] = await Promise.all([textOf(session.stream), textOf(session.stderr), session.ended]);
  return { status, stdout, stderr };
}

/** Runs a command and yields the lines that it writes. Rejects with {@link SshError}, also if the command fails. */
export async function* linesOfCommand(connection: SshConnection, command: string): AsyncGenerator<string> {
  const session = await connection.session({ command });
  session.stream.end();
  const errors = textOf(session.stderr);
  const ended = session.ended.catch((error: Error) => error);
  try {
    yield* linesOf(decoded(session.stream));
    const status = await ended;
    if (status instanceof Error) throw status;
    if (status !== 0) throw new SshError((await errors).trim() || `"${command}" ended with ${status}`);
  } finally {
    session.stream.destroy();
  }
}

async function* decoded(chunks: AsyncIterable<unknown>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of chunks) yield decoder.decode(chunk as Uint8Array, { stream: true });
}

/** Passes each key and each change of the window size on to the session. Returns a function that ends this. */
async function takeTerminal(session: Session): Promise<() => void> {
  const resized = () => {
    const { columns, rows } = terminalSize();
    session.resize(columns, rows);
  };
  const hangUp = () => session.stream.destroy();
  Deno.stdin.setRaw(true);
  await disableOutputProcessing();
  Deno.addSignalListener("SIGWINCH", resized);
  for (const signal of ["SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, hangUp);
  return () => {
    Deno.removeSignalListener("SIGWINCH", resized);
    for (const signal of ["SIGTERM", "SIGHUP"] as const) Deno.removeSignalListener(signal, hangUp);
    Deno.stdin.setRaw(false);
  };
}

/**
 * Disables output processing of the local terminal, which Deno's raw mode leaves enabled: the remote terminal has already
 * translated line feeds. The end of raw mode restores it.
 */
async function disableOutputProcessing(): Promise<void> {
  const streams = { stdin: "inherit", stdout: "null", stderr: "null" } as const;
  try {
    await new Deno.Command("stty", { args: ["-opost"], ...streams }).output();
  } catch (error) {
    // Without stty, only full-screen programs may look odd.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Copies until standard input ends. The caller does not wait for that, because input from a terminal never ends. */
async function copyInput({ stream }: Session): Promise<void> {
  const buffer = new Uint8Array(32 * 1024);
  for (let read = await Deno.stdin.read(buffer); read !== null; read = await Deno.stdin.read(buffer)) {
    if (!stream.writable) return;
    if (stream.write(Buffer.from(buffer.slice(0, read)))) continue;
    await new Promise<void>((resolve) => {
      stream.once("drain", resolve);
      stream.once("close", resolve);
    });
  }
  stream.end();
}

async function copyOutput(from: NodeJS.ReadableStream, to: OutputStream): Promise<void> {
  for await (const chunk of from) writeAll(to, chunk as Uint8Array);
}

async function textOf(from: NodeJS.ReadableStream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of from) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString();
}
