/**
 * The access policy of the API: no client from the network is served until the operator has configured authentication.
 * Pure.
 *
 * - A unix socket is guarded by the permissions of its file.
 * - A loopback address is open to every local user, but not to a web page that a browser has loaded from elsewhere: a
 *   foreign `Host` (a name that resolves to this machine, DNS rebinding) or `Origin` is refused.
 * - Any other address requires a client certificate or a bearer token, or `api_insecure`.
 *
 * @module
 */

import type { ConnectionInfo, ShownCertificate } from "../context.ts";
import { errorReply } from "../http/responses.ts";
import type { Role, Tokens } from "./tokens.ts";

/** The clients that are authorized on network addresses; with no field set, none. */
export interface Policy {
  /** Clients that send one of these tokens. */
  readonly tokens?: Tokens;
  /** Clients with a certificate of the operator's authority: it may write unless it is for reading only. */
  readonly clientCertificates?: boolean;
  /** All clients. */
  readonly insecure?: boolean;
}

/** The refusal of a request. */
export interface Denial {
  readonly code: 400 | 401 | 403 | 501;
  readonly message: string;
}

/**
 * The decision on a request: denied, or allowed, `as` the name of the token or certificate if one was used, which may have
 * a role.
 */
export type AccessDecision = { readonly denial: Denial } | {
  readonly denial?: undefined;
  readonly as?: string;
  /** Absent if the client may do everything. */
  readonly role?: Role;
  /** The reason why the request is refused after all if its body does not say `dryRun`: the client may only read. */
  readonly onlyDryRun?: string;
};

/** Hosts that mean this machine, whatever a name server says. */
const ownHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

const remedy =
  "set api_certfile, api_keyfile and api_client_cafile (TLS with client certificates), or api_tokens_file " +
  "(bearer tokens), or api_insecure=true, in fleet.conf of this machine";

/** True if any network client can be authorized. */
export function isOpen({ tokens, clientCertificates, insecure }: Policy): boolean {
  return tokens !== undefined || clientCertificates === true || insecure === true;
}

/** Returns warnings for the operator about the network addresses that the API listens on. */
export function policyWarnings(policy: Policy, encrypted: boolean): string[] {
  const plain = encrypted ? [] : ["the API's network addresses are not encrypted: set api_certfile and api_keyfile"];
  if (policy.insecure) {
    return ["api_insecure is set: every client on the API's network addresses controls the whole cluster", ...plain];
  }
  return isOpen(policy) ? plain : [`the API's network addresses refuse every request: ${remedy}`];
}

/** Returns the warning about a TCP socket on a loopback address. */
export function loopbackWarning(address: string): string {
  return `every local user controls the cluster, as root, through the API at ${address}: ` +
    "prefer a unix socket, whose file permissions limit access";
}

/** Decides whether a request over `connection` is allowed. */
export function authorize(
  policy: Policy,
  request: Request,
  target: string,
  connection: ConnectionInfo,
): AccessDecision {
  const { kind, hosts, coding } = connection;
  if (hosts.length !== 1) return denied(400, `expected 1 Host, got ${hosts.length}`);
  // A proxy in between may have read the request in another way (request smuggling; RFC 9112, section 6.1).
  if (coding !== undefined) return denied(501, `Transfer-Encoding ${quoted(coding)} is not known: expect chunked`);
  if (kind === "unix") return {};
  // Links of other sites may lead to the page. It shows nothing by itself, and no other site may frame it.
  const isPage = isRead(request.method, target) && pageTarget.test(target);
  const [, authority] = /^https?:\/\/([^/?#]*)/i.exec(target) ?? [];
  const problem = isPage ? undefined : foreignPageProblem(request, authority ?? hosts[0] ?? "");
  if (problem !== undefined) return denied(403, problem);
  if (kind === "network") {
    if (policy.insecure || isPage && isOpen(policy)) return {};
    return authorizeNetworkClient(policy, request, target, connection);
  }
  for (const host of [authority, hosts[0]]) {
    if (host === undefined || host === "" || ownHost.test(host)) continue;
    return denied(403, `host ${quoted(host)} is not this machine: expect localhost or a loopback address`);
  }
  return {};
}

function denied(code: Denial["code"], message: string): AccessDecision {
  return { denial: { code, message } };
}

/** Browsers send the origin of the page that makes a request, and whether it is of another site (Fetch Metadata). */
function foreignPageProblem(request: Request, host: string): string | undefined {
  const origin = request.headers.get("origin");
  if (origin !== null && origin.replace(/^https?:\/\//, "") !== host) {
    return `origin ${quoted(origin)} is not this server`;
  }
  const site = request.headers.get("sec-fetch-site");
  if (site === null || site === "same-origin" || site === "none") return undefined;
  return `requests of another site's pages are refused (Sec-Fetch-Site: ${quoted(site)})`;
}

function authorizeNetworkClient(
  policy: Policy,
  request: Request,
  target: string,
  { certificate }: ConnectionInfo,
): AccessDecision {
  const { tokens, clientCertificates = false } = policy;
  if (!isOpen(policy)) return denied(403, `this address is closed: ${remedy}`);
  const reads = isRead(request.method, target);
  const asReader = (as: string, problem: string): AccessDecision =>
    mayBeDryRun(request.method, target) ? { as, role: "read", onlyDryRun: problem } : denied(403, problem);
  const certificateProblem = clientCertificates && certificate && problemOf(certificate, reads);
  if (clientCertificates && certificate && certificateProblem === undefined) {
    const { subject, authorization } = certificate;
    return { as: subject, ..."role" in authorization && { role: authorization.role } };
  }
  const authorization = request.headers.get("authorization");
  if (tokens && authorization !== null) {
    const [, token] = /^bearer +([\x21-\x7e]+) *$/i.exec(authorization) ?? [];
    const holder = token === undefined ? undefined : tokens.holder(token);
    if (!holder) return denied(401, "the bearer token is not known");
    if (may(holder.role, reads)) return { as: holder.name, role: holder.role };
    return asReader(holder.name, `the token of ${quoted(holder.name)} may read only`);
  }
  if (certificate && certificateProblem) {
    const { subject, authorization } = certificate;
    return "role" in authorization ? asReader(subject, certificateProblem) : denied(403, certificateProblem);
  }
  const wanted = [...clientCertificates ? ["a client certificate"] : [], ...tokens ? ["a bearer token"] : []];
  return denied(401, `${wanted.join(" or ")} is required`);
}

/** Returns why a certificate does not authorize a request; undefined if it does. */
function problemOf({ subject, authorization }: ShownCertificate, reads: boolean): string | undefined {
  if ("problem" in authorization) return `the client certificate is not accepted: ${authorization.problem}`;
  return may(authorization.role, reads) ? undefined : `the certificate of ${quoted(subject)} may read only`;
}

/**
 * Returns the role of a certificate of the operator's authority, by the organizations (O) of its subject: `fleet:read` is
 * for reading; `fleet:write`, or none that begins with `fleet:`, for everything. A misspelt role is refused: ignoring it
 * would give full rights. So is a role with invisible characters. The applicant for a certificate chooses how its strings
 * are encoded (X.520): with two or four bytes per letter, they arrive with NULs in between.
 */
export function roleOf(organizations: readonly string[]): ShownCertificate["authorization"] {
  const roles = organizations.filter((name) => /^fleet:/i.test(name.replace(/[\s\p{C}]/gu, "")));
  const unknown = roles.find((name) => name !== "fleet:read" && name !== "fleet:write");
  if (unknown !== undefined) {
    return { problem: `its organization ${quoted(unknown)} is not a role: expect fleet:read or fleet:write` };
  }
  return { role: roles.includes("fleet:read") ? "read" : "write" };
}

function may(role: Role, reads: boolean): boolean {
  return role === "write" || reads;
}

/** The request target of a plan, which is a POST because it has a body. Any other spelling of the path counts as a write. */
const planTarget = /^\/(fleet\/v1|v1-alpha)\/plan(\?.*)?$/s;

/** The request target of an operation whose body may say `dryRun`. Any other spelling of the path counts as a write. */
const dryRunTarget = /^\/(fleet\/v1|v1-alpha)\/drains(\?.*)?$/s;

/** The files of the cluster page, which any client of an open address may load: they contain nothing of the cluster. */
const pageTarget = /^\/ui(\/[a-z.]*)?$/;

/** True if a request with this method and target changes nothing. */
export function isRead(method: string, target: string): boolean {
  return method === "GET" || method === "HEAD" || method === "POST" && planTarget.test(target);
}

/** True if a request with this method and target changes nothing as long as its body says `dryRun`. */
function mayBeDryRun(method: string, target: string): boolean {
  return method === "POST" && dryRunTarget.test(target);
}

const quoted = (text: string) => JSON.stringify(text.slice(0, 200));

/** Returns the response to a denied request. */
export function denialReply({ code, message }: Denial, policy: Policy): Response {
  const reply = errorReply(code, message);
  if (code === 401 && policy.tokens) reply.headers.set("WWW-Authenticate", 'Bearer realm="fleet"');
  return reply;
}
