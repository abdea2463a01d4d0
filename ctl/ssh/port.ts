/**
 * SSH as the rest of fleetctl sees it: connections, and what can be had through them.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { HostKey } from "./known_hosts.ts";
import type { Passphrase } from "./passphrases.ts";

/** A connection could not be made, or broke. The message says what to do about it. */
export class SshError extends Error {
  override name = "SshError";
}

/** The other side refused to open a channel; the connection stands. */
export class ChannelRefusedError extends Error {
  override name = "ChannelRefusedError";
}

/** A command, or a shell where `command` is undefined. */
export interface SessionRequest {
  readonly command?: string;
  /** Asks for a terminal of that size. */
  readonly pty?: { readonly columns: number; readonly rows: number };
  /** Lets programs over there use the agent here. */
  readonly forwardAgent?: boolean;
}

/** A command at work on another host. */
export interface Session {
  /** Its input, and what it says. */
  readonly stream: Duplex;
  readonly stderr: NodeJS.ReadableStream;
  /** Resolves with its exit status, 128 + n if signal n ended it. Rejects with {@link SshError} if the connection broke. */
  readonly ended: Promise<number>;
  /** Says that the terminal has another size now. */
  resize(columns: number, rows: number): void;
}

/** An SSH connection. */
export interface SshConnection {
  /** `user@host`, for messages. */
  readonly to: string;
  /** Starts a command. Rejects with {@link SshError}. */
  session(request: SessionRequest): Promise<Session>;
  /** A TCP connection from the other host. Rejects with {@link ChannelRefusedError}. */
  toTcp(host: string, port: number): Promise<Duplex>;
  /** A connection to a unix domain socket there. Rejects with {@link ChannelRefusedError}. */
  toSocket(path: string): Promise<Duplex>;
  /** True until it is closed, by whichever side. */
  readonly open: boolean;
  close(): void;
}

/** A way to prove who one is. */
export type Identity =
  | { readonly kind: "agent"; readonly socket: string }
  | {
    readonly kind: "file";
    /** Where the key is, for messages. */
    readonly path: string;
    /** The private key. */
    readonly text: string;
    /** Certificates, of which some may be of this key. */
    readonly certificates: readonly string[];
  };

/** What a connection is made of. */
export interface Dial {
  /** `user@host`, for messages. */
  readonly to: string;
  readonly user: string;
  /** Carries the connection. */
  readonly stream: Duplex;
  readonly identities: readonly Identity[];
  /** The agent that may be forwarded, if any. */
  readonly agentSocket?: string;
  /** Key types to prefer. */
  readonly keyTypes: readonly string[];
  /** Judges the host's key; what it rejects with is the reason for the connection to fail. */
  verify(key: HostKey): Promise<void>;
  /** The passphrase of a key: one that `opens` accepts. */
  passphrase(path: string, opens: (passphrase: string) => boolean): Promise<Passphrase>;
}

/** Opens connections. */
export interface SshConnector {
  /** A TCP connection; `address` is what the name was resolved to. Rejects with {@link SshError}. */
  tcp(host: string, port: number, signal: AbortSignal): Promise<{ readonly stream: Duplex; readonly address: string }>;
  /** An SSH connection over a stream. Rejects with {@link SshError}, or with what `verify` rejected with. */
  connect(dial: Dial, signal: AbortSignal): Promise<SshConnection>;
}
