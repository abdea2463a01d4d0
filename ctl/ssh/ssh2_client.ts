/**
 * The adapter to other hosts: SSH by the ssh2 package, over TCP.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { connect as connectTcp, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import ssh2 from "ssh2";
import { onceAborted } from "../../runtime/on_abort.ts";
import { reasonOf } from "../terminal/port.ts";
import { agentWithCertificates, certifiedKey, type PrivateKey, signWithCertificates } from "./certificates.ts";
import { ecdsaPem } from "./ecdsa_key.ts";
import {
  ChannelRefusedError,
  type Dial,
  type Session,
  type SessionRequest,
  type SshConnection,
  type SshConnector,
  SshError,
  type SshIdentity,
} from "./port.ts";

/** The part of ssh2 that is used; the package has no types. */
interface Channel extends Duplex {
  readonly stderr: NodeJS.ReadableStream;
  setWindow(rows: number, columns: number, height: number, width: number): void;
}
type Opened = (error: Error | undefined, channel: Channel) => void;
interface Ssh2Client {
  on(event: string, listener: (...args: never[]) => void): this;
  connect(config: Record<string, unknown>): this;
  exec(command: string, options: Record<string, unknown>, opened: Opened): boolean;
  shell(window: unknown, options: Record<string, unknown>, opened: Opened): boolean;
  forwardOut(fromHost: string, fromPort: number, host: string, port: number, opened: Opened): boolean;
  openssh_forwardOutStreamLocal(path: string, opened: Opened): boolean;
  end(): this;
  destroy(): this;
}
type AuthMethod = Record<string, unknown>;
type Ssh2Key = { readonly type: string; isPrivateKey(): boolean; getPrivatePEM(): string } | Error;
const { Client, utils } = ssh2 as unknown as {
  Client: new () => Ssh2Client;
  utils: { parseKey(text: string, passphrase?: string): Ssh2Key | Ssh2Key[] };
};

/** The real {@link SshConnector}. */
export const ssh2Connector: SshConnector = { tcp, connect };

function tcp(host: string, port: number, signal: AbortSignal): Promise<{ stream: Duplex; address: string }> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connectTcp({ host, port });
    const stopListening = onceAborted([signal], () => {
      socket.destroy();
      reject(signal.reason);
    });
    socket.once("connect", () => {
      stopListening();
      socket.setNoDelay(true);
      resolve({ stream: socket, address: socket.remoteAddress ?? host });
    });
    socket.once("error", (cause) => {
      stopListening();
      const place = `${host.includes(":") ? `[${host}]` : host}:${port}`;
      reject(
        new SshError(`cannot connect to ${place}: ${reasonOf(cause)}. Is the host up, and does sshd listen there?`, {
          cause,
        }),
      );
    });
  });
}

/** Signature algorithms by key type, best first. */
const keyAlgorithms: Readonly<Record<string, readonly string[]>> = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
  "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
};

/** Interval of keepalive requests on a silent connection, milliseconds, and the number of lost ones that end it. */
const keepalive = { keepaliveInterval: 15_000, keepaliveCountMax: 3 };

function connect(dial: Dial, signal: AbortSignal): Promise<SshConnection> {
  const client = new Client();
  let refusal: unknown;
  const state = { open: false, broken: undefined as Error | undefined };
  const preferred = dial.keyTypes.filter((type) => Object.hasOwn(keyAlgorithms, type));
  const types = [...new Set([...preferred, ...Object.keys(keyAlgorithms)])];
  const auth = new Authentication(dial);
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      client.destroy();
      dial.stream.destroy();
      reject(error);
    };
    const stopListening = onceAborted([signal], () => fail(signal.reason));
    client.on("ready", () => {
      stopListening();
      state.open = true;
      resolve(connectionOver(client, dial, state));
    });
    client.on("error", (error: Error & { level?: string }) => {
      state.broken = error;
      stopListening();
      if (!state.open) fail(refusal ?? auth.failure ?? explain(dial, auth, error));
    });
    client.on("close", () => {
      state.open = false;
      stopListening();
      fail(refusal ?? auth.failure ?? new SshError(`${dial.to} closed the connection during the handshake`));
    });
    client.connect({
      sock: dial.stream,
      username: dial.user,
      readyTimeout: 0,
      ...keepalive,
      ...(dial.agentSocket === undefined ? {} : { agent: dial.agentSocket }),
      algorithms: { serverHostKey: types.flatMap((type) => keyAlgorithms[type] as string[]) },
      hostVerifier: (key: Uint8Array, verified: (ok: boolean) => void) => {
        dial.verify({ type: keyTypeOf(key), key: Buffer.from(key).toString("base64") })
          .catch((error) => refusal = error ?? new SshError("the host's key was refused"))
          // In a task of its own: ssh2 must not get the result while it computes the shared secret, and Deno runs
          // promise reactions at that point.
          .then(() => setTimeout(() => verified(refusal === undefined), 0));
      },
      authHandler: (_left: unknown, _partial: unknown, next: (method: AuthMethod | false) => void) =>
        void auth.next(next),
    });
    signWithCertificates(client);
  });
}

/** A key on the wire begins with the length of its type's name, and the name (RFC 4253, 6.6). */
function keyTypeOf(key: Uint8Array): string {
  const length = new DataView(key.buffer, key.byteOffset).getUint32(0);
  return new TextDecoder().decode(key.subarray(4, 4 + length));
}

/** Tries the identities in order. */
class Authentication {
  /** The identities that were tried, for messages. */
  readonly tried: string[] = [];
  failure: unknown;
  readonly #rest: SshIdentity[];
  readonly #methods: AuthMethod[] = [];

  constructor(readonly dial: Dial) {
    this.#rest = [...dial.identities];
  }

  async next(use: (method: AuthMethod | false) => void): Promise<void> {
    try {
      while (this.#methods.length === 0) {
        const identity = this.#rest.shift();
        if (!identity) return use(false);
        this.#methods.push(...await this.#methodsOf(identity));
      }
      return use({ ...this.#methods.shift(), username: this.dial.user });
    } catch (error) {
      this.failure = error;
    }
    use(false);
  }

  async #methodsOf(identity: SshIdentity): Promise<AuthMethod[]> {
    if (identity.kind === "agent") {
      this.tried.push("the keys of the agent");
      return [{ type: "agent", agent: agentWithCertificates(identity.socket) }];
    }
    const { path, text, certificates } = identity;
    let passphrase: string | undefined;
    if (needsPassphrase(text)) {
      const given = await this.dial.passphrase(path, (guess) => !(parseKey(text, guess) instanceof Error));
      if (typeof given === "string") {
        const why = given === "wrong"
          ? "wrong passphrase"
          : "it needs a passphrase, and there is no terminal to ask for it";
        this.tried.push(`${path} (not used: ${why})`);
        return [];
      }
      passphrase = given.text;
    }
    const key = parseKey(text, passphrase);
    this.tried.push(key instanceof Error ? `${path} (not used: ${reasonOf(key)})` : path);
    if (key instanceof Error) return [];
    const certified = certificates.map((certificate) => certifiedKey(key as unknown as PrivateKey, certificate));
    return [
      ...certified.filter((agent) => agent !== undefined).map((agent) => ({ type: "agent", agent })),
      { type: "publickey", key },
    ];
  }
}

/** Parses a private key into one that can sign, whatever its type. */
function parseKey(text: string, passphrase?: string): Ssh2Key {
  const parsed = [utils.parseKey(text, passphrase)].flat()[0] as Ssh2Key;
  if (parsed instanceof Error || !parsed.isPrivateKey()) return parsed;
  const pem = ecdsaPem(parsed.type, parsed.getPrivatePEM());
  return pem === undefined ? parsed : [utils.parseKey(pem)].flat()[0] as Ssh2Key;
}

function needsPassphrase(text: string): boolean {
  const parsed = parseKey(text);
  return parsed instanceof Error && /passphrase/i.test(parsed.message);
}

function explain(dial: Dial, auth: Authentication, error: Error & { level?: string }): SshError {
  const reason = reasonOf(error);
  if (error.level === "client-authentication") {
    const what = auth.tried.length > 0 ? `tried ${auth.tried.join(", ")}` : "there is none to try";
    return new SshError(
      `${dial.to} accepts no key of yours (${what}). Add the right one to your agent with ssh-add, or name it with ` +
        "--ssh-identity; log in as another user with --ssh-username; or let fleetctl-inject-ssh.sh put your public key " +
        "on every machine",
      { cause: error },
    );
  }
  if (error.level === "agent") {
    return new SshError(`the SSH agent at ${dial.agentSocket} does not answer: ${reason}. Is ssh-agent running?`, {
      cause: error,
    });
  }
  return new SshError(`cannot connect to ${dial.to}: ${reason}`, { cause: error });
}

type State = { open: boolean; broken: Error | undefined };

function connectionOver(client: Ssh2Client, dial: Dial, state: State): SshConnection {
  const channel = (what: string, open: (opened: Opened) => boolean) =>
    new Promise<Duplex>((resolve, reject) => {
      if (!state.open) return reject(new SshError(`the connection to ${dial.to} is closed`));
      open((error, stream) => {
        if (!error) return resolve(endedByPeer(stream));
        reject(new ChannelRefusedError(`${dial.to} cannot reach ${what}: ${reasonOf(error)}`, { cause: error }));
      });
    });
  return {
    to: dial.to,
    session: (request) => startSession(client, dial, state, request),
    toTcp: (host, port) =>
      channel(`${host}:${port}`, (opened) => client.forwardOut("127.0.0.1", 0, host, port, opened)),
    toSocket: (path) => channel(path, (opened) => client.openssh_forwardOutStreamLocal(path, opened)),
    get open() {
      return state.open;
    },
    close: () => {
      state.open = false;
      client.end();
      client.destroy();
    },
  };
}

/** Ends a forwarded stream with its other side: ssh2 would leave it half open for ever. */
function endedByPeer(stream: Channel): Duplex {
  stream.on("end", () => stream.end());
  return stream;
}

function startSession(client: Ssh2Client, dial: Dial, state: State, request: SessionRequest): Promise<Session> {
  const { command, pty, forwardAgent } = request;
  const window = pty ? { term: "xterm-256color", cols: pty.columns, rows: pty.rows, width: 0, height: 0 } : false;
  const options = { ...(forwardAgent ? { agentForward: true } : {}) };
  return new Promise((resolve, reject) => {
    const opened: Opened = (error, stream) => {
      if (error) {
        return reject(new SshError(`${dial.to} refuses to start a session: ${reasonOf(error)}`, { cause: error }));
      }
      resolve({
        stream,
        stderr: stream.stderr,
        ended: exitStatus(stream, dial, state),
        resize: (columns, rows) => stream.setWindow(rows, columns, 0, 0),
      });
    };
    if (!state.open) return reject(new SshError(`the connection to ${dial.to} is closed`));
    if (command === undefined) client.shell(window, options, opened);
    else client.exec(command, { ...options, ...(window ? { pty: window } : {}) }, opened);
  });
}

/** Numbers of the signals that end a program (signal(7)). */
const signalNumbers: Readonly<Record<string, number>> = {
  ...{ HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10, SEGV: 11, USR2: 12 },
  ...{ PIPE: 13, ALRM: 14, TERM: 15 },
};

function exitStatus(stream: Channel, dial: Dial, state: State): Promise<number> {
  return new Promise((resolve, reject) => {
    let status: number | undefined;
    stream.on("exit", (code: number | null, signal?: string) => {
      status = code ?? 128 + (signalNumbers[(signal ?? "").replace(/^SIG/, "")] ?? 0);
    });
    stream.on("close", () => {
      if (status !== undefined) return resolve(status);
      const why = state.broken ? `: ${reasonOf(state.broken)}` : "";
      reject(new SshError(`the connection to ${dial.to} was lost${why}`));
    });
  });
}
