/**
 * Where the API is, as `--endpoint` says it.
 *
 * @module
 */

/** A place that answers HTTP. */
export interface Endpoint {
  /** As the user wrote it, for messages. */
  readonly text: string;
  /** What API paths are appended to, without a slash at its end. */
  readonly base: string;
  /** The unix domain socket to go through, if any. */
  readonly socket?: string;
}

/** The client cannot even be set up. The message follows `Unable to initialize client: `. */
export class ClientSetupError extends Error {
  override name = "ClientSetupError";
}

/** Reads one endpoint. Throws {@link ClientSetupError}. */
export function parseEndpoint(text: string): Endpoint {
  const parts = /^([A-Za-z][A-Za-z0-9+.-]*):(?:\/\/([^/?#]*))?(.*)$/s.exec(text);
  if (!parts) throw schemeMissing(text);
  const scheme = (parts[1] as string).toLowerCase();
  const host = parts[2] ?? "";
  const path = parts[3] as string;
  if (scheme === "unix" || scheme === "file") return unixEndpoint(text, scheme, host, path);
  // "localhost:49153" reads as scheme "localhost"; what is missing is the scheme.
  if (parts[2] === undefined) throw schemeMissing(text);
  if (scheme !== "http" && scheme !== "https") {
    throw new ClientSetupError(
      `unsupported URL scheme ${JSON.stringify(scheme)}: write http://…, https://… or unix:///…`,
    );
  }
  if (host === "" || !URL.canParse(text)) throw new ClientSetupError(`${JSON.stringify(text)} is not a URL`);
  return { text, base: `${scheme}://${host}${path.replace(/[?#].*$/s, "").replace(/\/+$/, "")}` };
}

function unixEndpoint(text: string, scheme: string, host: string, path: string): Endpoint {
  // A missing slash, as in unix://var/run/fleet.sock, makes the first directory a host.
  if (host !== "") {
    throw new ClientSetupError(
      `unable to connect to host ${JSON.stringify(host)} with scheme ${JSON.stringify(scheme)}: ` +
        `write ${scheme}:///${host}${path}`,
    );
  }
  if (!path.startsWith("/")) throw new ClientSetupError(`${JSON.stringify(text)} does not name the path of a socket`);
  // An address: a name would be looked up, though the request goes to the socket.
  return { text, base: "http://127.0.0.1", socket: path };
}

function schemeMissing(text: string): ClientSetupError {
  const written = text.startsWith("/")
    ? `unix://${text}`
    : text === ""
    ? "http://…, https://… or unix:///…"
    : `http://${text}, https://… or unix:///…`;
  return new ClientSetupError(`the endpoint ${JSON.stringify(text)} has no URL scheme: write ${written}`);
}
