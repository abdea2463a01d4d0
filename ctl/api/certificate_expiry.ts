/**
 * When certificates stop being valid.
 *
 * @module
 */

import { X509Certificate } from "node:crypto";

/** A certificate that a server shows. */
export interface ServerCertificate {
  /** The endpoint that shows it. */
  readonly endpoint: string;
  /** When it expires, milliseconds since the epoch. */
  readonly expires_ms: number;
}

/** A certificate this close to its end should be renewed. */
const notice_ms = 14 * 24 * 60 * 60 * 1000;

/** What is to be said of a certificate that expires then. */
export function judgeExpiry(expires_ms: number, now_ms: number): { grade: "ok" | "warn" | "FAIL"; what: string } {
  const date = new Date(expires_ms).toISOString().slice(0, 10);
  if (expires_ms <= now_ms) return { grade: "FAIL", what: `expired on ${date}` };
  return expires_ms - now_ms < notice_ms
    ? { grade: "warn", what: `expires on ${date}` }
    : { grade: "ok", what: `is valid until ${date}` };
}

/** When the first of a PEM file's certificates expires; undefined if none can be read. */
export function earliestExpiry(pem: string): number | undefined {
  const ends = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)?.map((text) => {
    try {
      return Date.parse(new X509Certificate(text).validTo);
    } catch {
      // The client that is to use the file says what is wrong with it.
      return NaN;
    }
  }).filter((end) => !Number.isNaN(end)) ?? [];
  return ends.length > 0 ? Math.min(...ends) : undefined;
}
