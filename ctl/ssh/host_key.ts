/**
 * Decides whether a host is the one it claims to be, asking the user where nothing is known of it.
 *
 * @module
 */

import { complain, type Io, reasonOf } from "../terminal/port.ts";
import {
  entryName,
  type HostKey,
  type HostName,
  judgeHostKey,
  keyTypeName,
  type KnownHost,
  knownHostLine,
  knownKeyTypes,
  md5Fingerprint,
  parseKnownHosts,
  sha256Fingerprint,
} from "./known_hosts.ts";
import type { LocalMachine } from "./local_machine.ts";
import { SshError } from "./port.ts";

/** What the check needs. */
export interface HostKeyChecking {
  readonly io: Io;
  readonly local: Pick<LocalMachine, "readFile" | "appendLine">;
  /** Path of the known_hosts file. */
  readonly file: string;
  /** False: every key is accepted, and none is remembered. */
  readonly strict: boolean;
}

/** The check of one host. */
export interface HostKeyCheck {
  /** Types of the keys known for it, to be preferred. */
  readonly keyTypes: readonly string[];
  /** Resolves if the key is the host's. Rejects with {@link SshError}; what the user must know has been printed. */
  verify(key: HostKey): Promise<void>;
}

/** Prepares to check a host. */
export async function checkOfHost(checking: HostKeyChecking, host: HostName): Promise<HostKeyCheck> {
  if (!checking.strict) return { keyTypes: [], verify: () => Promise.resolve() };
  const entries = await readKnownHosts(checking);
  return {
    keyTypes: knownKeyTypes(entries, host),
    verify: async (key) => {
      if (isKnown(checking, entries, host, key)) return;
      const asking = latestQuestion.catch(() => {}).then(async () => {
        // The answer to an earlier question, or another fleetctl, may have made this host known meanwhile.
        if (isKnown(checking, await readKnownHosts(checking), host, key)) return;
        await askToTrust(checking, host, key);
      });
      latestQuestion = asking;
      await asking;
    },
  };
}

/** Ends when the host that was asked about last is accepted and remembered, or is not. */
let latestQuestion: Promise<void> = Promise.resolve();

async function readKnownHosts({ io, local, file }: HostKeyChecking): Promise<KnownHost[]> {
  try {
    const entries = parseKnownHosts(await local.readFile(file) ?? "");
    for (const { marker, line } of entries) {
      if (marker !== "" && marker !== "@revoked") {
        io.log("WARN", `${file}:${line}: ${marker} is not supported: skipped`);
      }
    }
    return entries;
  } catch (error) {
    io.log("ERROR", `Failed to read known_hosts file ${file}: ${reasonOf(error)}`);
    return [];
  }
}

/** False if nothing is known of the host. Throws {@link SshError} if its key is refused. */
function isKnown(
  { io, file }: HostKeyChecking,
  entries: readonly KnownHost[],
  host: HostName,
  key: HostKey,
): boolean {
  const judged = judgeHostKey(entries, host, key);
  switch (judged.verdict) {
    case "known":
      return true;
    case "revoked":
      complain(
        io,
        `WARNING: the ${keyTypeName(key.type)} key of this host is marked as revoked in ${file}:${judged.line}!`,
      );
      complain(io, "Host key verification failed.");
      throw new SshError("host key revoked");
    case "changed":
      io.err(changedWarning(key, `${file}:${judged.line}`));
      throw new SshError("host key mismatch");
    case "unknown":
      return false;
  }
}

function changedWarning({ type, key }: HostKey, place: string): string {
  const frame = "@".repeat(59);
  return `${frame}
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
${frame}
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ${keyTypeName(type)} key sent by the remote host is
${md5Fingerprint(key)} (${sha256Fingerprint(key)}).
Please contact your system administrator.
Add correct host key in ${place} to get rid of this message.
Host key verification failed.
`;
}

async function askToTrust({ io, local, file }: HostKeyChecking, host: HostName, key: HostKey): Promise<void> {
  const name = entryName(host.names[0] as string, host.port);
  const type = keyTypeName(key.type);
  const answer = await io.ask(
    `The authenticity of host '${name}' can't be established.\n` +
      `${type} key fingerprint is ${md5Fingerprint(key.key)}.\n` +
      `${type} key fingerprint is ${sha256Fingerprint(key.key)}.\n` +
      "Are you sure you want to continue connecting (yes/no)? ",
  );
  if (!["yes", "y"].includes((answer ?? "").toLowerCase())) {
    complain(io, "Host key verification failed.");
    throw new SshError(
      `unauthorized host${
        answer === undefined
          ? `: its key is not in ${file}, and there is no terminal to ask whether to trust it. Add the key first ` +
            `(ssh-keyscan -H ${host.names[0]} >>${file}), or use --strict-host-key-checking=false`
          : ""
      }`,
    );
  }
  try {
    await local.appendLine(file, knownHostLine(host, key));
    complain(io, `Warning: Permanently added '${name}' (${type}) to the list of known hosts.`);
  } catch (error) {
    complain(io, `Failed to add the host to the list of known hosts (${file}): ${reasonOf(error)}`);
  }
}
