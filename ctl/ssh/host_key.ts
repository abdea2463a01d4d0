/**
 * Verifies the keys of hosts against known_hosts, and asks the user about unknown hosts.
 *
 * @module
 */

import { dirname } from "node:path/posix";
import { type Io, printError, reasonOf } from "../terminal/port.ts";
import {
  entryName,
  type HostKey,
  type HostName,
  type HostVerdict,
  keyTypeName,
  type KnownHost,
  knownHostLine,
  knownKeyTypes,
  lookUpHostKey,
  md5Fingerprint,
  parseKnownHosts,
  sha256Fingerprint,
} from "./known_hosts.ts";
import type { SshEnvironment } from "./local_machine.ts";
import { SshError } from "./port.ts";

/** Settings of the check. */
export interface HostKeyChecking {
  readonly io: Io;
  readonly local: Pick<SshEnvironment, "appendLine">;
  /** Path of the known_hosts file. */
  readonly file: string;
  /** False: every key is accepted, and none is stored. */
  readonly strict: boolean;
}

/** The check of one host. */
export interface HostKeyCheck {
  /** Types of the keys known for the host, which are to be preferred. */
  readonly keyTypes: readonly string[];
  /** Resolves if the key is accepted. Otherwise prints a warning and rejects with {@link SshError}. */
  verify(key: HostKey): Promise<void>;
}

/** Reads what is known about a host before its key is checked. */
export async function checkOfHost(checking: HostKeyChecking, host: HostName): Promise<HostKeyCheck> {
  if (!checking.strict) return { keyTypes: [], verify: () => Promise.resolve() };
  const entries = await readKnownHosts(checking);
  return {
    keyTypes: knownKeyTypes(entries, host),
    verify: async (key) => {
      if (isKnown(checking, lookUpHostKey(entries, host, key), key)) return;
      const asking = latestQuestion.catch(() => {}).then(async () => {
        // The answer to an earlier question, or another fleetctl, may have added this host in the meantime.
        const verdict = lookUpHostKey(await readKnownHosts(checking, false), host, key);
        if (isKnown(checking, verdict, key)) return;
        warnOfAuthority(checking, verdict, host);
        await askToTrust(checking, host, key);
      });
      latestQuestion = asking;
      await asking;
    },
  };
}

/** Settles when the latest question is answered: questions are asked one at a time. */
let latestQuestion: Promise<void> = Promise.resolve();

const markers = ["", "@revoked", "@cert-authority"];

async function readKnownHosts({ io, file }: HostKeyChecking, warns = true): Promise<KnownHost[]> {
  try {
    const entries = parseKnownHosts(await io.readFile(file) ?? "");
    for (const { marker, line } of entries) {
      if (warns && !markers.includes(marker)) io.log("WARN", `${file}:${line}: unknown marker ${marker}: line ignored`);
    }
    return entries;
  } catch (error) {
    io.log("ERROR", `Failed to read known_hosts file ${file}: ${reasonOf(error)}`);
    return [];
  }
}

/** Returns false if the host is unknown. Throws {@link SshError} if its key is refused. */
function isKnown({ io, file }: HostKeyChecking, lookup: HostVerdict, key: HostKey): boolean {
  switch (lookup.verdict) {
    case "known":
      return true;
    case "revoked":
      printError(
        io,
        `WARNING: the ${keyTypeName(key.type)} key of this host is marked as revoked in ${file}:${lookup.line}!`,
      );
      printError(io, "Host key verification failed.");
      throw new SshError("host key revoked");
    case "changed":
      io.err(changedWarning(key, `${file}:${lookup.line}`));
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

/** A host certificate cannot be checked, since ssh2 negotiates only plain host keys: the user decides about the plain key. */
function warnOfAuthority({ io, file }: HostKeyChecking, lookup: HostVerdict, host: HostName): void {
  if (lookup.verdict !== "unknown" || lookup.authority === undefined) return;
  const name = entryName(host.names[0] as string, host.port);
  io.log(
    "WARN",
    `${file}:${lookup.authority}: @cert-authority is not supported: the certificate of ${name} is not checked`,
  );
}

/** Returns the shell command that adds the keys of a host to a file, which need not exist. */
function keyscan({ names: [name], port }: HostName, file: string): string {
  const options = port === 22 ? "-H" : `-p ${port} -H`;
  return `mkdir -p ${dirname(file)} && ssh-keyscan ${options} ${name} >>${file}`;
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
    printError(io, "Host key verification failed.");
    throw new SshError(
      `unauthorized host${
        answer === undefined
          ? `: its key is not in ${file}, and there is no terminal to ask whether to trust it. Add the key first ` +
            `(${keyscan(host, file)}), or use --strict-host-key-checking=false`
          : ""
      }`,
    );
  }
  try {
    await local.appendLine(file, knownHostLine(host, key));
    printError(io, `Warning: Permanently added '${name}' (${type}) to the list of known hosts.`);
  } catch (error) {
    printError(io, `Failed to add the host to the list of known hosts (${file}): ${reasonOf(error)}`);
  }
}
