/**
 * Serves a page to the browser of this machine. An adapter.
 *
 * @module
 */

/** A server that is open. */
export interface PageServer {
  /** `HOST:PORT`. */
  readonly host: string;
  /** Resolves when the server has ended. */
  readonly finished: Promise<void>;
}

/** Opens a server. `handlerFor` makes its handler, given `HOST:PORT`. Throws if the address cannot be used. */
export function openPageServer(
  hostname: string,
  port: number,
  handlerFor: (host: string) => (request: Request) => Promise<Response>,
): PageServer {
  const server = Deno.serve({ hostname, port, onListen: () => {} }, (request) => handle(request));
  const host = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${server.addr.port}`;
  const handle = handlerFor(host);
  return { host, finished: server.finished };
}

/** Returns a new secret, in hexadecimal digits. */
export function newKey(): string {
  return crypto.getRandomValues(new Uint8Array(24)).toHex();
}

/**
 * Opens an address in the user's browser. Returns why that failed; undefined if it did not. The address is in a file that
 * only this user may read: every user can read the arguments of a program.
 */
export async function openInBrowser(address: string): Promise<string | undefined> {
  try {
    const file = await Deno.makeTempFile({ prefix: "fleetctl-ui-", suffix: ".html" });
    await Deno.writeTextFile(file, `<!doctype html><meta http-equiv="refresh" content="0;url=${address}">\n`);
    const { success, code } = await new Deno.Command("xdg-open", { args: [file], stdout: "null", stderr: "null" })
      .output();
    return success ? undefined : `xdg-open exited with ${code}`;
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "there is no xdg-open on this machine" : String(error);
  }
}
