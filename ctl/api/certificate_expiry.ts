/**
 * Expiry of certificates.
 *
 * @module
 */

import { X509Certificate } from "node:crypto";

/** The certificate of a server. */
export interface ServerCertificate {
  /** The endpoint that presents it. */
  readonly endpoint: string;
  /** Time of expiry, milliseconds since the epoch. */
  readonly expires_ms: number;
}

/** Time before the expiry at which a certificate should be renewed. */
const notice_ms = 14 * 24 * 60 * 60 * 1000;

/** Returns the grade and the description of a certificate's expiry. */
export function gradeExpiry(expires_ms: number, now_ms: number): { grade: "ok" | "warn" | "FAIL"; text: string } {
  const date = new Date(expires_ms).toISOString().slice(0, 10);
  if (expires_ms <= now_ms) return { grade: "FAIL", text: `expired on ${date}` };
  return expires_ms - now_ms < notice_ms
    ? { grade: "warn", text: `expires on ${date}` }
    : { grade: "ok", text: `is valid until ${date}` };
}

/** Returns the earliest expiry of a PEM file's certificates; undefined if no certificate can be read. */
export function earliestExpiry(pem: string): number | undefined {
  const ends = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)?.map((text) => {
    try {
      return Date.parse(new X509Certificate(text).validTo);
    } catch {
      // The client that uses the file reports what is wrong with it.
      return NaN;
    }
  }).filter((end) => !Number.isNaN(end)) ?? [];
  return ends.length > 0 ? Math.min(...ends) : undefined;
}
