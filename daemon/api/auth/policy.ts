/**
 * Who may use the API: nobody from the network, until the operator has said how strangers are told from friends. Pure.
 *
 * - A unix socket is guarded by the permissions of its file.
 * - A loopback address is open to whoever is on the machine, except through a browser that was lured there: a foreign
 *   `Host` (a name that was made to point here, DNS rebinding) or `Origin` is refused.
 * - Any other address wants a client certificate or a bearer token, or `api_insecure`.
 *
 * @module
 */

import type { ConnectionInfo, ShownCertificate } from "../context.ts";
import { errorReply } from "../http/responses.ts";
import type { Role, Tokens } from "./tokens.ts";

/** How strangers are told from friends. Nothing given: nobody is a friend. */
export interface Policy {
  /** Whoever holds one of these. */
  readonly tokens?: Tokens;
  /** Whoever has a certificate of the operator's authority; each may write but those that say otherwise. */
  readonly clientCertificates?: boolean;
  /** Everybody. */
  readonly insecure?: boolean;
}

/** Why a request is not carried out. */
export interface Denial {
  readonly code: 400 | 401 | 403 | 501;
  readonly message: string;
}

/** What becomes of a request: it is not carried out, or it is, `as` the holder of a token or certificate if one was shown. */
export type AccessDecision = { readonly denial: Denial } | { readonly denial?: undefined; readonly as?: string };

/** Hosts that mean this very machine, whatever a name server says. */
const ownHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

const remedy =
  "set api_certfile, api_keyfile and api_client_cafile (TLS with client certificates), or api_tokens_file " +
  "(bearer tokens), or api_insecure=true, in fleet.conf of this machine";

/** True if anybody at all may come in from the network. */
export function isOpen({ tokens, clientCertificates, insecure }: Policy): boolean {
  return tokens !== undefined || clientCertificates === true || insecure === true;
}

/** What an operator should hear about the network addresses that the API listens on. */
export function policyWarnings(policy: Policy, encrypted: boolean): string[] {
  const plain = encrypted ? [] : ["the API's network addresses are not encrypted: set api_certfile and api_keyfile"];
  if (policy.insecure) {
    return ["api_insecure is set: whoever reaches the API's network addresses controls the whole cluster", ...plain];
  }
  return isOpen(policy) ? plain : [`the API's network addresses refuse everybody: ${remedy}`];
}

/** What to know about a TCP socket on a loopback address. */
export function loopbackWarning(address: string): string {
  return `every user and program of this machine that reaches the API at ${address} controls the cluster, as root: ` +
    "prefer a unix socket, whose file says who may open it";
}

/** Whether a request over `connection` may be carried out. */
export function authorize(
  policy: Policy,
  request: Request,
  target: string,
  connection: ConnectionInfo,
): AccessDecision {
  const { kind, hosts, coding } = connection;
  if (hosts.length !== 1) return denied(400, `expected 1 Host, got ${hosts.length}`);
  // What somebody in between may have read in another way (RFC 9112, section 6.1).
  if (coding !== undefined) return denied(501, `Transfer-Encoding ${quoted(coding)} is not known: expect chunked`);
  if (kind === "unix") return {};
  const [, authority] = /^https?:\/\/([^/?#]*)/i.exec(target) ?? [];
  const foreign = foreignPage(request, authority ?? hosts[0] ?? "");
  if (foreign !== undefined) return denied(403, foreign);
  if (kind === "network") return policy.insecure ? {} : authorizeNetworkClient(policy, request, connection);
  for (const host of [authority, hosts[0]]) {
    if (host === undefined || host === "" || ownHost.test(host)) continue;
    return denied(403, `host ${quoted(host)} is not this machine: expect localhost or a loopback address`);
  }
  return {};
}

function denied(code: Denial["code"], message: string): AccessDecision {
  return { denial: { code, message } };
}

/** A browser says which page a request comes from, and whether that page is of another site (Fetch Metadata). */
function foreignPage(request: Request, host: string): string | undefined {
  const origin = request.headers.get("origin");
  if (origin !== null && origin.replace(/^https?:\/\//, "") !== host) {
    return `origin ${quoted(origin)} is not this server`;
  }
  const site = request.headers.get("sec-fetch-site");
  if (site === null || site === "same-origin" || site === "none") return undefined;
  return `requests of another site's pages are refused (Sec-Fetch-Site: ${quoted(site)})`;
}

function authorizeNetworkClient(policy: Policy, request: Request, { certificate }: ConnectionInfo): AccessDecision {
  const { tokens, clientCertificates = false } = policy;
  if (!isOpen(policy)) return denied(403, `this address is closed: ${remedy}`);
  const certificateProblem = clientCertificates && certificate && problemOf(certificate, request.method);
  if (clientCertificates && certificate && certificateProblem === undefined) return { as: certificate.subject };
  const authorization = request.headers.get("authorization");
  if (tokens && authorization !== null) {
    const [, token] = /^bearer +([\x21-\x7e]+) *$/i.exec(authorization) ?? [];
    const holder = token === undefined ? undefined : tokens.holder(token);
    if (!holder) return denied(401, "the bearer token is not known");
    if (may(holder.role, request.method)) return { as: holder.name };
    return denied(403, `the token of ${quoted(holder.name)} may read only`);
  }
  if (certificateProblem) return denied(403, certificateProblem);
  const wanted = [...clientCertificates ? ["a client certificate"] : [], ...tokens ? ["a bearer token"] : []];
  return denied(401, `${wanted.join(" or ")} is required`);
}

/** Why a certificate is not enough for a request, if it is not. */
function problemOf({ subject, worth }: ShownCertificate, method: string): string | undefined {
  if ("problem" in worth) return `the client certificate is not accepted: ${worth.problem}`;
  return may(worth.role, method) ? undefined : `the certificate of ${quoted(subject)} may read only`;
}

/**
 * What a certificate of the operator's authority lets its owner do, by the organizations (O) of its subject: `fleet:read`
 * stands for reading, `fleet:write`, or none that begins with `fleet:`, for everything. A misspelt role is a problem, lest
 * it give more than was meant; so is one with characters that nobody sees. Whoever asks for a certificate chooses how its
 * strings are encoded (X.520): in two or four bytes a letter they come with NULs in between.
 */
export function worthOf(organizations: readonly string[]): ShownCertificate["worth"] {
  const roles = organizations.filter((name) => /^fleet:/i.test(name.replace(/[\s\p{C}]/gu, "")));
  const unknown = roles.find((name) => name !== "fleet:read" && name !== "fleet:write");
  if (unknown !== undefined) {
    return { problem: `its organization ${quoted(unknown)} is no role: expect fleet:read or fleet:write` };
  }
  return { role: roles.includes("fleet:read") ? "read" : "write" };
}

function may(role: Role, method: string): boolean {
  return role === "write" || isRead(method);
}

/** True if requests of this method change nothing. */
export function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

const quoted = (text: string) => JSON.stringify(text.slice(0, 200));

/** The answer to a request that is not carried out. */
export function denialReply({ code, message }: Denial, policy: Policy): Response {
  const reply = errorReply(code, message);
  if (code === 401 && policy.tokens) reply.headers.set("WWW-Authenticate", 'Bearer realm="fleet"');
  return reply;
}
