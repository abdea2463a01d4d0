/**
 * The messages of the SSH agent protocol (draft-miller-ssh-agent) that certificates need.
 *
 * @module
 */

/** Message numbers. */
const [requestIdentities, identitiesAnswer] = [11, 12];

/** The message that requests the public keys. */
export const agentRequest: Uint8Array<ArrayBuffer> = new Uint8Array([requestIdentities]);

/** Returns the public keys of the answer to {@link agentRequest}. Throws if it is malformed or a refusal. */
export function readIdentities(answer: Uint8Array): Uint8Array[] {
  if (answer[0] !== identitiesAnswer) throw new Error("the SSH agent refused the list of its keys");
  const reader = new PacketReader(answer.subarray(1));
  return Array.from({ length: reader.number() }, () => {
    const [key, _comment] = [reader.bytes(), reader.bytes()];
    return key;
  });
}

/** Returns the algorithm of a certificate; undefined for a plain key or a type that servers refuse. */
export function certificateType(key: Uint8Array): string | undefined {
  const type = new TextDecoder().decode(new PacketReader(key).bytes());
  // An RSA certificate is signed with SHA-2 (RFC 8332), but its type still has the old name.
  if (type === "ssh-rsa-cert-v01@openssh.com") return "rsa-sha2-512-cert-v01@openssh.com";
  return /^(?:ssh-ed25519|ecdsa-sha2-nistp\d+)-cert-v01@openssh\.com$/.test(type) ? type : undefined;
}

/** Returns the type of a signature by a certificate of this type, which is the type of the certified key. */
export function signatureType(certificateType: string): string {
  return certificateType.replace("-cert-v01@openssh.com", "");
}

/** Returns the certificate of a `-cert.pub` file in its wire format; undefined if the text is not a certificate. */
export function readCertificate(text: string): Uint8Array<ArrayBuffer> | undefined {
  const [type = "", base64 = ""] = text.trim().split(/\s+/);
  if (!/-cert-v01@openssh\.com$/.test(type) || !/^[A-Za-z0-9+/]+=*$/.test(base64)) return undefined;
  const blob = Uint8Array.fromBase64(base64);
  return certificateType(blob) === undefined ? undefined : blob;
}

/** True if a certificate certifies a public key: after a nonce, it repeats the parts of the key. */
export function isCertificateOf(certificate: Uint8Array, publicKey: Uint8Array): boolean {
  const inside = new PacketReader(certificate);
  inside.bytes();
  inside.bytes();
  const key = new PacketReader(publicKey);
  key.bytes();
  const parts = key.rest();
  const rest = inside.rest().subarray(0, parts.length);
  return parts.length > 0 && rest.length === parts.length && parts.every((byte, index) => byte === rest[index]);
}

/** Converts an ECDSA signature from DER to the format of SSH (RFC 5656, 3.1.2). */
export function signatureOfDer(der: Uint8Array): Uint8Array<ArrayBuffer> {
  // The length of a sequence of more than 127 bytes takes one more byte.
  const first = (der[1] as number) === 0x81 ? 3 : 2;
  const second = first + 2 + (der[first + 1] as number);
  const numbers = [first, second].map((at) => der.subarray(at + 2, at + 2 + (der[at + 1] as number)));
  const signature = new Uint8Array(numbers.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(signature.buffer);
  let at = 0;
  for (const number of numbers) {
    view.setUint32(at, number.length);
    signature.set(number, at + 4);
    at += 4 + number.length;
  }
  return signature;
}

/** Reads numbers and length-prefixed strings (RFC 4251, 5). */
class PacketReader {
  readonly #view: DataView;
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#view = new DataView(data.buffer, data.byteOffset, data.length);
  }

  number(): number {
    const value = this.#view.getUint32(this.#at);
    this.#at += 4;
    return value;
  }

  rest(): Uint8Array {
    return this.#data.subarray(this.#at);
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const length = this.number();
    const end = this.#at + length;
    if (end > this.#data.length) throw new Error("the SSH agent sent a truncated answer");
    const bytes = new Uint8Array(this.#data.subarray(this.#at, end));
    this.#at = end;
    return bytes;
  }
}
