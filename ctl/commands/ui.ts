import { switchFlag, textFlag, UsageError } from "../cli/argv.ts";
import type { Command } from "../cli/command.ts";
import { pageProxy } from "../api/page_proxy.ts";
import { printError, printLine } from "../terminal/port.ts";

/** `fleetctl ui`: serves the cluster page to the browser of this machine. */
export const ui: Command = {
  name: "ui",
  isNew: true,
  group: "observe",
  summary: "Show the cluster in a browser on this machine",
  usage: "ui [--listen=127.0.0.1:PORT] [--open]",
  takesNothing: true,
  description:
    `Serves the cluster page on a port of this machine, until ^C. The page reaches the cluster as fleetctl does: through
the same endpoint, credentials and tunnel. So it also works where fleetd listens on its unix socket only.

The printed address contains a key for this run: a client that has it acts in the cluster as you do.`,
  examples: [
    { title: "Serve the page on any free port", line: "fleetctl ui" },
    { title: "Show a remote cluster in the browser", line: "fleetctl --tunnel=core@203.0.113.7 ui --open" },
  ],
  flags: [
    textFlag("listen", "HOST:PORT", "Serve on this loopback address; port 0 is any free port", {
      fallback: "127.0.0.1:0",
    }),
    switchFlag("open", "Open the page in the browser"),
  ],
  async run({ io, client, flags }) {
    const { hostname, port } = loopback(flags.text("listen"));
    const answer = await client.send("/ui/", { method: "GET" });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${client.endpoint} serves no cluster page: ${text.trim()}`);
    const { newKey, openInBrowser, openPageServer } = await import("../terminal/page_server.ts");
    const key = newKey();
    const { host, finished } = openPageServer(hostname, port, (host) => pageProxy(client.send, host, key));
    const address = `http://${host}/ui/#key=${key}`;
    printLine(io, `The cluster page, until ^C: ${address}`);
    const problem = flags.on("open") ? await openInBrowser(address) : undefined;
    if (problem !== undefined) printError(io, `Cannot open a browser: ${problem}`);
    await finished;
    return 0;
  },
};

/** Parses `--listen`. Throws {@link UsageError} unless it is a loopback address: the page has this user's rights. */
function loopback(text: string): { readonly hostname: string; readonly port: number } {
  const [, given = "", bare, digits = ""] = /^(\[(::1)\]|127(?:\.\d{1,3}){3}|localhost):(\d{1,5})$/.exec(text) ??
    [];
  const port = Number(digits);
  if (digits === "" || port > 65_535) {
    throw new UsageError(`invalid value ${JSON.stringify(text)} for --listen: expected 127.0.0.1:PORT or [::1]:PORT`);
  }
  return { hostname: bare ?? given, port };
}
