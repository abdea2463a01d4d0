/**
 * The port to SSH: connections, and the sessions and streams that are opened through them.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { HostKey } from "./known_hosts.ts";
import type { Passphrase } from "./passphrases.ts";

/** A connection could not be made, or was lost. The message says what to do. */
export class SshError extends Error {
  override name = "SshError";
}

/** The server refused to open a channel; the connection is still open. */
export class ChannelRefusedError extends Error {
  override name = "ChannelRefusedError";
}

/** A request to run a command, or a login shell if `command` is undefined. */
export interface SessionRequest {
  readonly command?: string;
  /** Size of the terminal to allocate; undefined for no terminal. */
  readonly pty?: { readonly columns: number; readonly rows: number };
  /** True if the local agent is forwarded to the host. */
  readonly forwardAgent?: boolean;
}

/** A command that is running on another host. */
export interface Session {
  /** Its standard input and output. */
  readonly stream: Duplex;
  readonly stderr: NodeJS.ReadableStream;
  /**
   * Resolves with the exit status, 128 + n if signal n ended the command. Rejects with {@link SshError} if the connection
   * is lost.
   */
  readonly ended: Promise<number>;
  /** Reports a new size of the terminal. */
  resize(columns: number, rows: number): void;
}

/** An SSH connection. */
export interface SshConnection {
  /** `user@host`, for messages. */
  readonly to: string;
  /** Starts a command. Rejects with {@link SshError}. */
  session(request: SessionRequest): Promise<Session>;
  /** Opens a TCP connection from the host. Rejects with {@link ChannelRefusedError}. */
  toTcp(host: string, port: number): Promise<Duplex>;
  /** Opens a connection to a unix domain socket on the host. Rejects with {@link ChannelRefusedError}. */
  toSocket(path: string): Promise<Duplex>;
  /** True until either side closes the connection. */
  readonly open: boolean;
  close(): void;
}

/** A means of authentication. */
export type SshIdentity =
  | { readonly kind: "agent"; readonly socket: string }
  | {
    readonly kind: "file";
    /** Path of the private key, for messages. */
    readonly path: string;
    /** Text of the private key. */
    readonly text: string;
    /** Texts of certificates, some of which may belong to the key. */
    readonly certificates: readonly string[];
  };

/** Parameters of a connection. */
export interface Dial {
  /** `user@host`, for messages. */
  readonly to: string;
  readonly user: string;
  /** The stream that carries the connection. */
  readonly stream: Duplex;
  readonly identities: readonly SshIdentity[];
  /** Socket of the agent that may be forwarded, if any. */
  readonly agentSocket?: string;
  /** Key types to prefer. */
  readonly keyTypes: readonly string[];
  /** Verifies the host's key. The connection fails with the error that this rejects with. */
  verify(key: HostKey): Promise<void>;
  /** Returns the passphrase of a key. `opens` checks a passphrase. */
  passphrase(path: string, opens: (passphrase: string) => boolean): Promise<Passphrase>;
}

/** Opens connections. */
export interface SshConnector {
  /** Opens a TCP connection; `address` is the address that the name resolved to. Rejects with {@link SshError}. */
  tcp(host: string, port: number, signal: AbortSignal): Promise<{ readonly stream: Duplex; readonly address: string }>;
  /** Opens an SSH connection over a stream. Rejects with {@link SshError} or the error of `verify`. */
  connect(dial: Dial, signal: AbortSignal): Promise<SshConnection>;
}
