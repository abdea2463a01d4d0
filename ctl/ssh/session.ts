/**
 * The adapter between a session on another host and the terminal here.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Attachment } from "./remote.ts";
import { PrintableStream } from "../output/sanitize.ts";
import { type Session, type SshConnection, SshError } from "./port.ts";

/**
 * Runs a command (a login shell, if undefined) with our standard streams, on a terminal if they are one, and returns its
 * exit status. Rejects with {@link SshError}.
 */
export async function runAttached(
  connection: SshConnection,
  command: string | undefined,
  { input, forwardAgent }: Attachment,
): Promise<number> {
  // With its output elsewhere, a command writes it as it is; a shell wants a terminal all the same.
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
    // A command that takes no input reports what others have written, which must not reach a terminal as it is.
    const copy = input ? copyOutput : copyReport;
    const copied = Promise.all([copy(session.stream, Deno.stdout), copy(session.stderr, Deno.stderr)]);
    const status = await session.ended;
    await copied;
    return status;
  } finally {
    release();
  }
}

/** Runs a command without a terminal and returns what it wrote. Rejects with {@link SshError}. */
export async function runCaptured(
  connection: SshConnection,
  command: string,
): Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }> {
  const session = await connection.session({ command });
  session.stream.end();
  const [stdout, stderr, status] = await Promise.all([textOf(session.stream), textOf(session.stderr), session.ended]);
  return { status, stdout, stderr };
}

/** Runs a command and yields the lines it writes. Rejects with {@link SshError}, also if the command fails. */
export async function* linesOf(connection: SshConnection, command: string): AsyncGenerator<string> {
  const session = await connection.session({ command });
  session.stream.end();
  const said = textOf(session.stderr);
  const ended = session.ended.catch((error: Error) => error);
  try {
    yield* linesIn(session.stream);
    const status = await ended;
    if (status instanceof Error) throw status;
    if (status !== 0) throw new SshError((await said).trim() || `"${command}" ended with ${status}`);
  } finally {
    session.stream.destroy();
  }
}

/** The lines of a text that comes in pieces. */
async function* linesIn(chunks: AsyncIterable<unknown>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
    rest = lines.pop() as string;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

function terminalSize(): { columns: number; rows: number } {
  try {
    return Deno.consoleSize();
  } catch {
    // Neither of the streams that it looks at is a terminal with a size.
    return { columns: 80, rows: 24 };
  }
}

/** Hands every key to the session, and tells it when the window changes. Returns how to take the terminal back. */
async function takeTerminal(session: Session): Promise<() => void> {
  const resized = () => {
    const { columns, rows } = terminalSize();
    session.resize(columns, rows);
  };
  const hangUp = () => session.stream.destroy();
  Deno.stdin.setRaw(true);
  await leaveOutputAlone();
  Deno.addSignalListener("SIGWINCH", resized);
  for (const signal of ["SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, hangUp);
  return () => {
    Deno.removeSignalListener("SIGWINCH", resized);
    for (const signal of ["SIGTERM", "SIGHUP"] as const) Deno.removeSignalListener(signal, hangUp);
    Deno.stdin.setRaw(false);
  };
}

/**
 * The terminal over there has turned every line feed into what it is to be; Deno's raw mode lets the one here do so again.
 * What was before comes back with the end of raw mode.
 */
async function leaveOutputAlone(): Promise<void> {
  const streams = { stdin: "inherit", stdout: "null", stderr: "null" } as const;
  try {
    await new Deno.Command("stty", { args: ["-opost"], ...streams }).output();
  } catch (error) {
    // Where there is no stty, programs that fill the screen may look odd; everything else is as it should be.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Copies until standard input ends; it is not waited for, as a terminal never ends. */
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

async function copyOutput(from: NodeJS.ReadableStream, to: { writeSync(bytes: Uint8Array): number }): Promise<void> {
  for await (const chunk of from) {
    for (let rest = chunk as Uint8Array; rest.length > 0;) rest = rest.subarray(to.writeSync(rest));
  }
}

async function copyReport(
  from: NodeJS.ReadableStream,
  to: { writeSync(bytes: Uint8Array): number; isTerminal(): boolean },
): Promise<void> {
  if (!to.isTerminal()) return await copyOutput(from, to);
  const shown = new PrintableStream();
  const write = (bytes: Uint8Array) => {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(to.writeSync(rest));
  };
  for await (const chunk of from) write(shown.take(chunk as Uint8Array));
  write(shown.end());
}

async function textOf(from: NodeJS.ReadableStream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of from) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString();
}
