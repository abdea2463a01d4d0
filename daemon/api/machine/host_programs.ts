/**
 * What this machine says of a unit, by systemd's own programs, and what other machines' daemons say. An adapter.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { type Log, messageOf } from "../../../runtime/log.ts";
import type { MachineId } from "../../../registry/model.ts";
import type { Config } from "../../config/options.ts";
import type { Host, JournalQuery } from "./port.ts";
import { pulledFrom } from "../http/pull.ts";

/** What {@link openHost} needs. */
export interface HostProgramOptions {
  readonly machine: () => MachineId | undefined;
  readonly config: Pick<
    Config,
    "systemdUser" | "apiPeerCertfile" | "apiPeerKeyfile" | "apiPeerCafile" | "apiPeerTokenFile"
  >;
  readonly log: Log;
}

/** Longest text of a status that is taken. */
const maxStatus_bytes = 1024 * 1024;

/** systemctl(1): 3 is what a unit that does not run gives, 4 one that systemd does not know. */
const statusCodes = [0, 1, 2, 3, 4];

const environment = { LC_ALL: "C.UTF-8", SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "", SYSTEMD_URLIFY: "0" };

/** The machine that this process runs on. */
export function openHost({ machine, config, log }: HostProgramOptions): Host {
  const user = config.systemdUser;
  const systemctl = (signal: AbortSignal, ...args: string[]) =>
    run("systemctl", [...(user ? ["--user"] : []), ...args], signal);
  return {
    isUser: user,
    machine,
    journal: (query) => journal(query, user, machine(), log),
    statusText: (unit, signal) => systemctl(signal, "status", "--no-pager", "--full", "--lines=10", "--", unit),
    statusProperties: async (unit, signal) => properties(await systemctl(signal, "show", "--no-pager", "--", unit)),
    ask: (base, path, headers, signal) => ask(base, path, headers, signal, config),
  };
}

function journal(
  { unit, lines, follow, output }: JournalQuery,
  user: boolean,
  machine: MachineId | undefined,
  log: Log,
): ReadableStream<Uint8Array> {
  const args = [
    ...[user ? `--user-unit=${unit}` : `--unit=${unit}`, `--lines=${lines}`, `--output=${output}`],
    ...["--no-pager", "--quiet", ...(follow ? ["--follow"] : [])],
    // --follow alone means this boot only, whose ID a confined service in a container may not see; --merge does not, but
    // takes in the journals of other machines that are kept here.
    ...(follow && machine !== undefined ? ["--merge", `_MACHINE_ID=${machine}`] : []),
  ];
  const child = new Deno.Command("journalctl", {
    args,
    env: environment,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  void complaint(child.stderr).then(async (error) => {
    const { code, signal } = await child.status;
    if (signal !== null || (code === 0 && error === "")) return;
    log("warn", code === 0 ? "journalctl complained" : "journalctl failed", {
      unit,
      code,
      error: `${error || "it gave no reason"}${inotifyAdvice(error)}`,
    });
  });
  const reader = child.stdout.getReader();
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await reader.read();
      if (!done) return controller.enqueue(value);
      await child.status;
      controller.close();
    },
    cancel: async () => {
      end(child);
      await reader.cancel();
      await child.status;
    },
  }, { highWaterMark: 0 });
}

/** Reads what a program writes to its standard error, to its end; keeps the beginning, on one line. */
async function complaint(stream: ReadableStream<Uint8Array>): Promise<string> {
  const longest = 1_000;
  let text = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
    if (text.length < longest) text += piece;
  }
  return text.slice(0, longest).trim().replace(/\s*\n\s*/g, "; ");
}

/** Following a journal takes an inotify instance and watches; each user has a limited number of both (inotify(7)). */
function inotifyAdvice(error: string): string {
  if (!/inotify|too many open files|watch descriptors/i.test(error)) return "";
  return "; the limit of inotify is used up: raise fs.inotify.max_user_instances and fs.inotify.max_user_watches (sysctl(8))";
}

/** Ends a program that may have ended already. */
function end(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGTERM");
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function run(program: string, args: string[], signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const command = new Deno.Command(program, { args, env: environment, stdin: "null", signal });
  const { code, stdout, stderr } = await command.output();
  signal.throwIfAborted();
  const decoder = new TextDecoder();
  if (statusCodes.includes(code)) return decoder.decode(stdout.subarray(0, maxStatus_bytes)) || decoder.decode(stderr);
  throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${decoder.decode(stderr).trim()}`);
}

/** By name; what has several values (`ExecStartPre=`, timers) is told in as many lines, and is one value of as many here. */
function properties(text: string): Record<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^([A-Za-z0-9]+)=(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before}\n${value}`);
  }
  return Object.fromEntries(values);
}

/** Files are read anew each time: it is rare, and they may have been replaced. */
async function ask(
  base: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
  config: HostProgramOptions["config"],
): Promise<Response> {
  const [cert, key, ca, token] = await Promise.all([
    readNamed("api_peer_certfile", config.apiPeerCertfile),
    readNamed("api_peer_keyfile", config.apiPeerKeyfile),
    readNamed("api_peer_cafile", config.apiPeerCafile),
    readNamed("api_peer_token_file", config.apiPeerTokenFile),
  ]);
  const authorization = token === undefined ? {} : { authorization: `Bearer ${bearer(token, config)}` };
  const client = Deno.createHttpClient({
    ...(ca === undefined ? {} : { caCerts: [ca] }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  });
  const close = () => client.close();
  try {
    const answer = await fetch(base + path, {
      client,
      signal,
      redirect: "error",
      headers: { ...headers, ...authorization },
    });
    if (answer.body === null) {
      close();
      return answer;
    }
    return new Response(closingAfter(answer.body, close), answer);
  } catch (error) {
    close();
    throw new Error(reasonOf(error));
  }
}

/** The same bytes; `close` is called when they have come to an end, or are not wanted any more. */
function closingAfter(body: ReadableStream<Uint8Array>, close: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return pulledFrom(reader, close, async (reason) => {
    await reader.cancel(reason);
    close();
  });
}

async function readNamed(option: string, path: string): Promise<string | undefined> {
  if (path === "") return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read ${path}, the file that ${option} names: ${messageOf(error)}`, { cause: error });
  }
}

/** The one word of a file; what else it holds is a secret, too, which fetch would tell in its refusal. */
function bearer(text: string, { apiPeerTokenFile }: Pick<Config, "apiPeerTokenFile">): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Error(`${apiPeerTokenFile}, the file that api_peer_token_file names, must hold one token and nothing else`);
}

/** fetch says what matters innermost. */
function reasonOf(error: unknown): string {
  let cause = error;
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause;
  return cause instanceof Error ? cause.message : String(cause);
}
