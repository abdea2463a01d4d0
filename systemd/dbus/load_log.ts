/**
 * Reads systemd's log lines about a unit's file, because D-Bus reports only "a bad unit file setting".
 *
 * @module
 */

/** Returns what systemd logged when it last loaded a unit's file; empty if the journal cannot be read. */
export type LoadLog = (name: string) => Promise<readonly string[]>;

/** Lines of the journal that are read. A file is loaded at each attempt to start, and logs its lines each time. */
const maxLines = 100;

/** Reads the journal of this machine, or of the one with the root file system `root`; for bus `user`, of the user's systemd. */
export function journalLoadLog({ bus, root }: { readonly bus: string; readonly root?: string }): LoadLog {
  const journalctl = async (...args: string[]) => {
    const options = root === undefined ? args : [`--root=${root}`, ...args];
    const command = new Deno.Command("journalctl", { args: options, stdin: "null", stdout: "piped", stderr: "null" });
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout) : "";
  };
  return async (name) => {
    const field = bus === "user" ? `USER_UNIT=${name}` : `UNIT=${name}`;
    try {
      if (root === undefined) await journalctl("--sync");
      const output = ["--quiet", "--no-pager", "--output=cat", "--reverse", `--lines=${maxLines}`];
      const text = await journalctl(...output, field, "SYSLOG_IDENTIFIER=systemd");
      return loadProblemsIn(name, text.split("\n"));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return [];
      throw error;
    }
  };
}

/**
 * Returns the problems of a unit's file that log lines report, each once, in the order of the file. `lines`: newest
 * first. Lines about the unit's processes are ignored.
 */
export function loadProblemsIn(name: string, lines: readonly string[]): string[] {
  const found = new Set<string>();
  for (const line of [...lines].reverse()) {
    const syntax = /^\/\S+:(\d+): (.*?)\.?$/.exec(line);
    if (syntax) found.add(`line ${syntax[1]}: ${syntax[2]}`);
    else if (line.startsWith(`${name}: `) && /refusing\.?$/i.test(line)) {
      found.add(line.slice(name.length + 2).replace(/\.$/, ""));
    }
  }
  return [...found];
}
