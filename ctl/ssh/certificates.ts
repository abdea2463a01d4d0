/**
 * The adapter that lets ssh2 log in with certificates (OpenSSH's PROTOCOL.certkeys) of the SSH agent, which ssh2 itself
 * skips, and of files.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { connect } from "node:net";
import ssh2 from "ssh2";
import {
  agentRequest,
  certificateType,
  isCertificateOf,
  readCertificate,
  readIdentities,
  signatureOfDer,
  signatureType,
} from "./agent_protocol.ts";

/** The part of ssh2 that is used; the package has no types. */
type Done<Result> = (error: Error | undefined, result?: Result) => void;
interface Ssh2Agent {
  getIdentities(done: Done<unknown[]>): void;
  sign(key: unknown, data: Buffer, options: unknown, done: Done<Buffer>): void;
}
const { BaseAgent, createAgent, utils } = ssh2 as unknown as {
  BaseAgent: new () => Ssh2Agent;
  createAgent(path: string): Ssh2Agent;
  utils: { parseKey(text: string): object };
};

/** A certificate in the form of an ssh2 key. */
interface AgentCertificate {
  readonly type: string;
  getPublicSSH(): Buffer;
}

/** Any public key: ssh2 accepts only objects with the prototype of a key that it has parsed itself. */
const anyKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHkz7XiIjZjDPY17GhB/BCjoAeVH1f1mcj36lQSVY8kp";

/** Returns the agent at a path, including its certificates. */
export function agentWithCertificates(path: string): unknown {
  return new CertificateAgent(path);
}

class CertificateAgent extends BaseAgent {
  readonly #plain: Ssh2Agent;

  constructor(private readonly path: string) {
    super();
    this.#plain = createAgent(path);
  }

  /** Lists certificates first, as ssh(1) does. */
  override getIdentities(done: Done<unknown[]>): void {
    this.#plain.getIdentities((error, keys = []) => {
      if (error) return done(error);
      this.#certificates().then((found) => done(undefined, [...found, ...keys]), (cause) => done(cause as Error));
    });
  }

  override sign(key: unknown, data: Buffer, options: unknown, done: Done<Buffer>): void {
    if (!isCertificate(key) || !key.type.startsWith("rsa-")) return this.#plain.sign(key, data, options, done);
    // ssh2 requests a hash only for keys of this type.
    const rsaKey = Object.create(key, { type: { value: "ssh-rsa" } });
    this.#plain.sign(rsaKey, data, { hash: "sha512" }, done);
  }

  async #certificates(): Promise<AgentCertificate[]> {
    return readIdentities(await exchange(this.path, agentRequest)).flatMap((blob) => certificateOver(blob) ?? []);
  }
}

function certificateOver(blob: Uint8Array): AgentCertificate | undefined {
  const type = certificateType(blob);
  if (type === undefined) return undefined;
  const certificate = { type, getPublicSSH: () => Buffer.from(blob) };
  certificates.add(certificate);
  return Object.setPrototypeOf(certificate, utils.parseKey(anyKey)) as AgentCertificate;
}

/** A private key that ssh2 has parsed. */
export interface PrivateKey {
  readonly type: string;
  getPublicSSH(): Uint8Array;
  sign(data: Uint8Array, hash?: string): Buffer | Error;
}

/** Returns an agent that logs in with a certificate of a private key; undefined if the text is no certificate of that key. */
export function certifiedKey(key: PrivateKey, text: string): unknown {
  const blob = readCertificate(text);
  return blob && isCertificateOf(blob, key.getPublicSSH()) ? new CertifiedKey(key, blob) : undefined;
}

/** An agent of one certified key, inside this process. */
class CertifiedKey extends BaseAgent {
  constructor(private readonly key: PrivateKey, private readonly blob: Uint8Array) {
    super();
  }

  override getIdentities(done: Done<unknown[]>): void {
    done(undefined, [certificateOver(this.blob)]);
  }

  override sign(_key: unknown, data: Buffer, _options: unknown, done: Done<Buffer>): void {
    const { type } = this.key;
    const signature = this.key.sign(data, type === "ssh-rsa" ? "sha512" : undefined);
    if (signature instanceof Error) return done(signature);
    done(undefined, type.startsWith("ecdsa-") ? Buffer.from(signatureOfDer(signature)) : signature);
  }
}

const certificates = new WeakSet<object>();

function isCertificate(key: unknown): key is AgentCertificate {
  return typeof key === "object" && key !== null && certificates.has(key);
}

/** Longest time for the agent to answer; it may ask the user for consent. */
const limit_ms = 60_000;

/** Longest answer of an agent in bytes, as in OpenSSH. */
const maxAnswer = 256 * 1024;

/** Sends one message to the agent and returns its answer, both without the length prefix. */
function exchange(path: string, message: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    let received = Buffer.alloc(0);
    const fail = (why: string, cause?: unknown) => {
      socket.destroy();
      reject(new Error(why, { cause }));
    };
    socket.setTimeout(limit_ms, () => fail("the SSH agent does not answer"));
    socket.on("error", (cause) => fail("cannot reach the SSH agent", cause));
    socket.on("close", () => fail("the SSH agent closed the connection"));
    socket.on("data", (chunk: Uint8Array) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 4) return;
      const length = received.readUInt32BE();
      if (length > maxAnswer) return fail("the SSH agent sent an answer that is too long");
      if (received.length < 4 + length) return;
      resolve(new Uint8Array(received.subarray(4, 4 + length)));
      socket.destroy();
    });
    const length = Buffer.alloc(4);
    length.writeUInt32BE(message.length);
    socket.write(Buffer.concat([length, message]));
  });
}

type SignedBy = (data: Buffer, done: (signature: Buffer) => void) => void;

/** The part of ssh2's protocol that is changed. */
interface Protocol {
  authPK(user: string, key: unknown, algorithm: unknown, sign?: SignedBy): void;
  readonly _packetRW: {
    readonly write: {
      readonly allocStart: number;
      alloc(size: number): Buffer;
      finalize(packet: Buffer): Buffer;
    };
  };
}

/**
 * Makes a client sign with certificates: ssh2 writes the type of the certificate into a signature, which must have the type
 * of the certified key (PROTOCOL.certkeys). Call it after `connect`.
 */
export function signWithCertificates(client: object): void {
  const protocol = (client as { readonly _protocol?: Protocol })._protocol;
  if (!protocol) return;
  const authPK = protocol.authPK.bind(protocol);
  protocol.authPK = (user, key, algorithm, sign) => {
    if (!sign || !isCertificate(key)) return authPK(user, key, algorithm, sign);
    authPK(user, key, algorithm, (data, done) =>
      sign(data, (signature) => {
        const { write } = protocol._packetRW;
        const finalize = write.finalize;
        write.finalize = (packet) => {
          write.finalize = finalize;
          return write.finalize(withSignatureType(write, packet, key, signature));
        };
        done(signature);
      }));
  };
}

/** Returns the packet with the type of the signature: replaces the part after the public key. */
function withSignatureType(
  write: Protocol["_packetRW"]["write"],
  packet: Buffer,
  { type }: AgentCertificate,
  signature: Buffer,
): Buffer {
  const tail = 4 + 4 + type.length + 4 + signature.length;
  const begin = write.allocStart;
  // Padding may follow the packet.
  const end = packet.lastIndexOf(signature) + signature.length;
  const head = packet.subarray(begin, end - tail);
  const name = Buffer.from(signatureType(type));
  const lengths = [4 + name.length + 4 + signature.length, name.length, signature.length].map((length) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(length);
    return bytes;
  }) as [Buffer, Buffer, Buffer];
  const payload = Buffer.concat([head, lengths[0], lengths[1], name, lengths[2], signature]);
  const changed = write.alloc(payload.length);
  changed.set(payload, begin);
  return changed;
}
