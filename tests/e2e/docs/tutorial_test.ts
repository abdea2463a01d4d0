/** Runs the commands of docs/start/tutorial.md unchanged, on the machines of `deno task demo --keep`, and compares their output. */

import assert from "node:assert/strict";
import { run, until } from "../../lab/process.ts";
import { writeProgram } from "../../support/programs.ts";

const root = new URL("../../../", import.meta.url).pathname;

/** One block of commands, and the lines that the page shows below it. */
interface Step {
  readonly section: string;
  readonly commands: string;
  readonly shown: readonly string[];
}

function readPage(): Step[] {
  const page = Deno.readTextFileSync(`${root}docs/start/tutorial.md`);
  return page.split(/^## /m).flatMap((section) =>
    [...section.matchAll(/^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?/gms)].map(([, commands = "", shown = ""]) => ({
      section: section.slice(0, section.indexOf("\n")),
      commands,
      shown: shown.split("\n").filter((line) => line !== ""),
    }))
  );
}

/** Removes from a line what differs between two runs: machines, which instance is where, revisions, and spaces. */
function essence(line: string): string {
  return line.replace(/(0\d){4}\.\.\.(\/10\.77\.0\.\d+)?/g, "MACHINE").replace(/web@[123]\.service/g, "web@N.service")
    .replace(/revision \d+/, "revision").replaceAll(/\s+/g, " ").trim();
}

/** Returns the lines that the page shows and that were not printed; "…" stands for any text. */
function missing(shown: readonly string[], printed: string): string[] {
  const lines = printed.split("\n").map(essence);
  return shown.filter((line) => {
    const pattern = essence(line).split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*");
    return !lines.some((printed) => new RegExp(`^${pattern}$`).test(printed));
  });
}

/** The terminal in which the demo runs, in a folder where the page has made its checkout. */
class DemoTerminal {
  #printed = "";
  readonly #child: Deno.ChildProcess;
  readonly #end: Promise<void>;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;

  constructor(private readonly dir: string, commands: string) {
    // In a session of its own, so that ^C reaches all of its processes.
    this.#child = new Deno.Command("setsid", {
      args: ["sh", "-ec", `${commands}`],
      cwd: dir,
      env: {
        FLEET_SOURCE: source,
        PATH: `${dir}/bin:${Deno.execPath().replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH") ?? ""}`,
      },
      ...{ stdin: "piped", stdout: "piped", stderr: "inherit" } as const,
    }).spawn();
    this.#keys = this.#child.stdin.getWriter();
    this.#end = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) this.#printed += text;
  }

  /** Waits until the demo has printed something. Throws if it ends before. */
  async printed(what: RegExp): Promise<void> {
    let ended = false;
    this.#end.then(() => ended = true);
    const found = await until(`the demo to print ${what}: ${this.#printed}`, () => {
      return Promise.resolve(what.test(this.#printed) ? "printed" : ended ? "ended" : undefined);
    }, { deadline_ms: 240_000 });
    assert.equal(found, "printed", `the demo ended: ${this.#printed}`);
  }

  async enter(): Promise<void> {
    await this.#keys.write(new TextEncoder().encode("\n"));
  }

  /** Presses ^C, and waits until the demo has removed everything. */
  async interrupt(): Promise<void> {
    await run(["kill", "-INT", "--", `-${this.#child.pid}`]);
    await Promise.all([this.#end, this.#child.status]);
    await this.#keys.close().catch(() => {}); // the reader has gone
  }

  /** Runs commands in another terminal, with both outputs in one. */
  async elsewhere(command: readonly string[]): Promise<{ code: number; text: string }> {
    const script = `exec 2>&1; cd ${this.dir}/fleet; exec "$@"`;
    const { code, stdout } = await run(["sh", "-c", script, "sh", ...command], { timeout_ms: 120_000 });
    return { code, text: stdout };
  }
}

/** The address of the repository, which a reader has to know. */
const source = "https://git.example/fleet.git";

/** Writes stand-ins of the programs that only a fresh machine needs: its packages, the source, and Deno are here. */
async function writeStandIns(dir: string): Promise<void> {
  const check = (args: string) => `#!/bin/sh -e\n[ "$*" = "${args}" ] || { echo "unexpected: $0 $*" >&2; exit 1; }\n`;
  await Deno.mkdir(`${dir}/bin`);
  const install = check("install -y --no-install-recommends git nodejs npm ca-certificates");
  await writeProgram(`${dir}/bin/apt-get`, install.replace("\n", '\n[ "$*" != update ] || exit 0\n'));
  await writeProgram(`${dir}/bin/git`, `${check(`clone ${source} fleet`)}ln -s ${root} fleet\n`);
  await writeProgram(`${dir}/bin/npx`, `${check("--yes deno@2.9.6 task demo --keep")}shift 2\nexec deno "$@"\n`);
}

/** Runs one block. Commands that only read are repeated until they print what the page shows. */
async function follow(terminal: DemoTerminal, { commands, shown }: Step): Promise<void> {
  const inHost = commands.startsWith(".cache/demo/");
  const command = inHost ? ["sh", "-c", commands] : [".cache/demo/m3", "sh", "-c", commands];
  const onlyReads = commands.split("\n").every((line) =>
    /^(fleetctl (list-|status|journal|logs|explain)|$)/.test(line)
  );
  const once = async () => {
    const { code, text } = await terminal.elsewhere(command);
    const lacking = missing(shown, text);
    if (lacking.length > 0) throw new Error(`not printed:\n${lacking.join("\n")}\nbut\n${text}`);
    // Only what the page shows as an error may fail, and `diff` if there is a difference. A machine that goes off takes
    // its shell with it.
    const mayFail = shown.some((line) => line.startsWith("Error")) || /poweroff|fleetctl diff/.test(commands);
    if (!mayFail) assert.equal(code, 0, text);
    return text;
  };
  const text = onlyReads ? await until(commands, once, { deadline_ms: 90_000, every_ms: 250 }) : await once();
  // The next sections rely on its machine: it is not the one with the shell, and it loses its power.
  if (commands.includes("fleetctl start hello.service")) assert.match(text, /launched on 01010101/);
}

Deno.test("the commands of docs/start/tutorial.md print what the page shows", async (t) => {
  const [boot, shell, ...steps] = readPage();
  assert.equal(shell?.commands, ".cache/demo/m3\n");
  assert.ok(steps.length > 10);
  const dir = await Deno.makeTempDir({ prefix: "fleet-tutorial-" });
  await writeStandIns(dir);
  const terminal = new DemoTerminal(dir, boot!.commands);
  try {
    await t.step("the demo boots three machines", () => terminal.printed(/m1, m2 and m3 are up[^]*Enter, here/));
    for (const section of new Set(steps.map(({ section }) => section))) {
      await t.step(section, async () => {
        for (const step of steps.filter((step) => step.section === section)) {
          await follow(terminal, step);
          if (step.commands.includes("explain 'web@*'")) await terminal.enter();
        }
      });
    }
  } finally {
    await terminal.interrupt();
    await Deno.remove(dir, { recursive: true });
  }
});
