/**
 * Certificates and private keys in PEM files (RFC 7468). Pure. Each function takes `named`, which begins its errors: the
 * option and the file.
 *
 * @module
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const keyBlock = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*-----END [A-Z ]*PRIVATE KEY-----/;

/** Parses every certificate of a file. Throws when there is none, or one is damaged: TLS would fail without a reason. */
export function certificatesOf(text: string, named: string): [X509Certificate, ...X509Certificate[]] {
  const blocks = text.match(certificateBlock) ?? [];
  try {
    const [first, ...rest] = blocks.map((block) => new X509Certificate(block));
    if (first) return [first, ...rest];
  } catch (error) {
    throw new Error(`${named}: a certificate in it cannot be read`, { cause: error });
  }
  if (keyBlock.test(text)) throw new Error(`${named}: it holds a private key and no certificate`);
  throw new Error(`${named}: there is no certificate in it (PEM, "-----BEGIN CERTIFICATE-----")`);
}

/** Parses the private key of a file, which may hold certificates as well. Throws when there is none. */
export function privateKeyOf(text: string, named: string): KeyObject {
  const [block] = keyBlock.exec(text) ?? [];
  if (block === undefined && text.search(certificateBlock) >= 0) {
    throw new Error(`${named}: it holds a certificate and no private key`);
  }
  try {
    return createPrivateKey(block ?? text);
  } catch (error) {
    throw new Error(`${named}: it is not a private key that can be read (PEM, without a passphrase)`, { cause: error });
  }
}

/** Returns why a certificate is not valid at `now_ms`, or undefined if it is. */
export function whyInvalid(certificate: X509Certificate, now_ms: number): string | undefined {
  const { validFrom, validTo } = certificate;
  if (now_ms > Date.parse(validTo)) return `the certificate expired on ${validTo}`;
  if (now_ms < Date.parse(validFrom)) return `the certificate is not valid before ${validFrom}`;
  return undefined;
}
