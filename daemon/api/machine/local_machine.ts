/**
 * Journals and statuses of this machine's units, from systemd's own programs. An adapter.
 *
 * @module
 */

import { dirname } from "node:path";
import type { Log } from "../../../runtime/log.ts";
import type { MachineId } from "../../../registry/model.ts";
import type { Config } from "../../config/options.ts";
import { pulledFrom } from "../http/pull.ts";
import { type PeerCredentialPaths, peerFetch } from "./peer_fetch.ts";
import type { JournalQuery, LocalMachine } from "./port.ts";
import { parseProperties } from "./properties.ts";
import { verifyUnits } from "./unit_verifier.ts";
import { readUsage } from "./usage.ts";

/** The options of {@link openLocalMachine}. */
export interface LocalMachineOptions {
  /** The machine's ID; undefined while it is not a member of the cluster. */
  readonly id: () => MachineId | undefined;
  readonly config: Pick<Config, "systemdUser" | "unitsDirectory"> & PeerCredentialPaths;
  readonly log: Log;
}

/** Longest output of systemctl that is returned; the rest is cut off. */
const maxStatus_bytes = 1024 * 1024;

/** Exit statuses of systemctl(1) that are no failure: 3 stands for an inactive unit, 4 for an unknown one. */
const statusCodes = [0, 1, 2, 3, 4];

/** Longest standard error of journalctl that is logged, in characters. */
const maxComplaint = 1_000;

const environment = { LC_ALL: "C.UTF-8", SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "", SYSTEMD_URLIFY: "0" };

/** Returns the machine that this process runs on. */
export function openLocalMachine({ id, config, log }: LocalMachineOptions): LocalMachine {
  const user = config.systemdUser;
  const systemctl = (signal: AbortSignal, ...args: string[]) =>
    run("systemctl", [...(user ? ["--user"] : []), ...args], signal);
  return {
    isUser: user,
    id,
    journal: (query) => journal(query, user, id(), log),
    statusText: (unit, signal) => systemctl(signal, "status", "--no-pager", "--full", "--lines=10", "--", unit),
    statusProperties: async (unit, signal) =>
      parseProperties(await systemctl(signal, "show", "--no-pager", "--", unit)),
    usage: (units, signal) => readUsage(units, (...args) => systemctl(signal, ...args)),
    verify: (files, signal) => verifyUnits(`${dirname(config.unitsDirectory)}/verify`, user, files, signal),
    fetchPeer: peerFetch(config),
  };
}

function journal(
  { unit, lines, follow, output, since_ms, until_ms, grep }: JournalQuery,
  user: boolean,
  id: MachineId | undefined,
  log: Log,
): ReadableStream<Uint8Array> {
  const args = [
    ...[user ? `--user-unit=${unit}` : `--unit=${unit}`, `--lines=${lines}`, `--output=${output}`],
    ...["--no-pager", "--quiet", ...(follow ? ["--follow"] : [])],
    ...(since_ms === undefined ? [] : [`--since=@${(since_ms / 1000).toFixed(3)}`]),
    ...(until_ms === undefined ? [] : [`--until=@${(until_ms / 1000).toFixed(3)}`]),
    ...(grep === undefined ? [] : [`--grep=${grep}`]),
    // --follow alone means this boot only, whose ID a confined service in a container may not see. --merge means all
    // boots, but includes the journals of other machines that are stored here.
    ...(follow && id !== undefined ? ["--merge", `_MACHINE_ID=${id}`] : []),
  ];
  const child = new Deno.Command("journalctl", {
    args,
    env: environment,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  void readComplaint(child.stderr).then(async (error) => {
    const { code, signal } = await child.status;
    if (signal !== null || (code === 0 && error === "")) return;
    log("warn", code === 0 ? "journalctl printed a warning" : "journalctl failed", {
      unit,
      code,
      error: `${error || "journalctl gave no reason"}${inotifyAdvice(error)}`,
    });
  });
  const reader = child.stdout.getReader();
  const exited = async () => void await child.status;
  return pulledFrom(reader, exited, async () => {
    end(child);
    await reader.cancel();
    await exited();
  });
}

/** Reads the standard error of a program to its end. Returns the first {@link maxComplaint} characters on one line. */
async function readComplaint(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
    if (text.length < maxComplaint) text += piece;
  }
  return text.slice(0, maxComplaint).trim().replace(/\s*\n\s*/g, "; ");
}

/**
 * Advice for a used-up inotify limit: following a journal takes an instance and watches, which are limited for each
 * user (inotify(7)).
 */
function inotifyAdvice(error: string): string {
  if (!/inotify|too many open files|watch descriptors/i.test(error)) return "";
  return "; the inotify limit is used up: raise fs.inotify.max_user_instances and fs.inotify.max_user_watches (sysctl(8))";
}

/** Sends SIGTERM to a program that may have exited already. */
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
  throw new Error(
    `${program} ${args.join(" ")} exited with status ${code}: ${decoder.decode(stderr).trim() || "no error message"}`,
  );
}
