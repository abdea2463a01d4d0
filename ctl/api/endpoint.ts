/**
 * The endpoint of the API, as `--endpoint` names it.
 *
 * @module
 */

import { hideUserInfo } from "../../runtime/redact.ts";

/** An endpoint of the API. */
export interface ApiEndpoint {
  /** The endpoint as the user wrote it, for messages. */
  readonly text: string;
  /** The URL to append API paths to, without a trailing slash. */
  readonly base: string;
  /** Path of the unix domain socket to connect to, if any. */
  readonly socket?: string;
}

/** The client could not be set up. The message follows `Unable to initialize client: `. */
export class ClientSetupError extends Error {
  override name = "ClientSetupError";
}

/** Parses one endpoint. Throws {@link ClientSetupError}. */
export function parseEndpoint(text: string): ApiEndpoint {
  const parts = /^([A-Za-z][A-Za-z0-9+.-]*):(?:\/\/([^/?#]*))?(.*)$/s.exec(text);
  if (!parts) throw schemeMissing(text);
  const scheme = (parts[1] as string).toLowerCase();
  const host = parts[2] ?? "";
  const path = parts[3] as string;
  if (scheme === "unix" || scheme === "file") return unixEndpoint(text, scheme, host, path);
  // "localhost:49153" parses as scheme "localhost", but it lacks a scheme.
  if (parts[2] === undefined) throw schemeMissing(text);
  if (scheme !== "http" && scheme !== "https") {
    throw new ClientSetupError(
      `unsupported URL scheme ${JSON.stringify(scheme)}: write http://…, https://… or unix:///…`,
    );
  }
  if (host.includes("@")) {
    const remedy = "name a token (--token-file) or a certificate (--cert-file) instead";
    throw new ClientSetupError(`the endpoint ${JSON.stringify(hideUserInfo(text))} contains a user: ${remedy}`);
  }
  if (host === "" || !URL.canParse(text)) throw new ClientSetupError(`${JSON.stringify(text)} is not a URL`);
  return { text, base: `${scheme}://${host}${path.replace(/[?#].*$/s, "").replace(/\/+$/, "")}` };
}

function unixEndpoint(text: string, scheme: string, host: string, path: string): ApiEndpoint {
  // In unix://var/run/fleet.sock, which lacks a slash, the first directory parses as a host.
  if (host !== "") {
    throw new ClientSetupError(
      `unable to connect to host ${JSON.stringify(host)} with scheme ${JSON.stringify(scheme)}: ` +
        `write ${scheme}:///${host}${path}`,
    );
  }
  if (!path.startsWith("/")) throw new ClientSetupError(`${JSON.stringify(text)} does not name the path of a socket`);
  // An address, because a name would be looked up although the request goes to the socket.
  return { text, base: "http://127.0.0.1", socket: path };
}

function schemeMissing(text: string): ClientSetupError {
  const written = text.startsWith("/")
    ? `unix://${text}`
    : text === ""
    ? "http://…, https://… or unix:///…"
    : `http://${hideUserInfo(text)}, https://… or unix:///…`;
  return new ClientSetupError(`the endpoint ${JSON.stringify(hideUserInfo(text))} has no URL scheme: write ${written}`);
}
