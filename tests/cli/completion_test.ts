/** Completes command lines in real shells, each on its own terminal. */

import assert from "node:assert/strict";
import { FakeApi } from "../../ctl/testing/fake_api.ts";
import { cacheDirectory, writeProgram } from "../support/programs.ts";
import { until } from "../lab/process.ts";

const main = new URL("../../ctl/main.ts", import.meta.url).pathname;

/** The command that starts each shell, and the file that it reads first, which records every prompt. */
const shells: Readonly<Record<string, { command: string; file: string; text: string }>> = {
  bash: {
    command: "bash --rcfile $DIR/.bashrc -i",
    file: ".bashrc",
    text: "source <(fleetctl completion bash)\nPROMPT_COMMAND='echo prompt >>$DIR/prompts'\n",
  },
  zsh: {
    command: "zsh -d -i",
    file: ".zshrc",
    text:
      "autoload -U compinit\ncompinit -u -D\nsource <(fleetctl completion zsh)\nprecmd() { echo prompt >>$DIR/prompts }\n",
  },
  fish: {
    command: "fish -i",
    file: "fish/config.fish",
    text: "fleetctl completion fish | source\nfunction fish_prompt\necho prompt >>$DIR/prompts\necho '> '\nend\n",
  },
};

/** Units of the cluster, whose names must neither be run nor change the words around them. */
const units = [
  "hello.service",
  "web@1.service",
  "a:b.service",
  "eq=1.service",
  "back\\x2dslash.service",
  "cmd$(touch${IFS}ran1).service",
  "tick`touch${IFS}ran2`.service",
  "semi;touch${IFS}ran3;.service",
  "quo'te\"s.service",
  "feed\nforged.service",
  "escape\x1b]0;title\x07.service",
];

/** Typed keys, and the command line that they produce. `DIR` stands for the directory of the test. */
const lines: readonly [typed: string, ran: string][] = [
  ["fleetctl stat\thel\t\r", "status hello.service"],
  ["fleetctl ssh 454\t\r", "ssh 454c34ef00000000000000000000cafe"],
  ["fleetctl stop --no-b\thel\t\r", "stop --no-block hello.service"],
  ["fleetctl mach\tla\t454\tdisk=ssd\r", "machine label 454c34ef00000000000000000000cafe disk=ssd"],
  ["fleetctl list-units --output=ya\t\r", "list-units --output=yaml"],
  ["fleetctl list-units -o ya\t\r", "list-units -o yaml"],
  ["fleetctl journal --machine=454\thel\t\r", "journal --machine=454c34ef00000000000000000000cafe hello.service"],
  ["fleetctl ssh --unit hel\t-- ls\r", "ssh --unit hello.service -- ls"],
  ["fleetctl stop web@\t\r", "stop web@1.service"],
  ["fleetctl stop 'web@\t\r", "stop web@1.service"],
  ["fleetctl stop hello.service web\t\r", "stop hello.service web@1.service"],
  ["fleetctl stop a:\t\r", "stop a:b.service"],
  ["fleetctl stop eq=\t\r", "stop eq=1.service"],
  ["fleetctl stop back\t\r", "stop back\\x2dslash.service"],
  ['fleetctl stop "back\t\r', "stop back\\x2dslash.service"],
  ["fleetctl stop cmd\t\r", "stop cmd$(touch${IFS}ran1).service"],
  ["fleetctl stop tick\t\r", "stop tick`touch${IFS}ran2`.service"],
  ["fleetctl stop semi\t\r", "stop semi;touch${IFS}ran3;.service"],
  ["fleetctl stop quo\t\r", "stop quo'te\"s.service"],
  ["fleetctl stop feed\t\r", "stop feed"],
  ["fleetctl stop forg\t\r", "stop forg"],
  ["fleetctl stop esca\t\r", "stop esca"],
  ["fleetctl --endpoint=unix://DIR/other.sock stop oth\t\r", "--endpoint=unix://DIR/other.sock stop other.service"],
  ["fleetctl --endpoint unix://DIR/other.sock stop oth\t\r", "--endpoint unix://DIR/other.sock stop other.service"],
  // A server that never answers.
  ["fleetctl --endpoint=unix://DIR/silent.sock stop hel\t\r", "--endpoint=unix://DIR/silent.sock stop hel"],
];

/** Longest time until a line is run; an endpoint that does not answer takes 2 s of it. */
const timeout_ms = 15_000;

/** A fleetctl that completes, and records command lines that a user has typed. */
const program = `#!/bin/sh
case $1 in
complete | completion) exec "${Deno.execPath()}" run --quiet --allow-all --no-prompt "${main}" "$@" ;;
*) printf '%s\\n' "$*" >>"$DIR/ran" ;;
esac
`;

async function linesOf(path: string): Promise<string[]> {
  return (await Deno.readTextFile(path).catch(() => "")).split("\n").slice(0, -1);
}

for (const [shell, { command, file, text }] of Object.entries(shells)) {
  Deno.test(`${shell} completes commands, flags, units and machines, and runs nothing that the server sends`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "fleet-completion-" });
    const inDirectory = (text: string) => text.replaceAll("DIR", directory);
    const socket = `${directory}/fleet.sock`;
    const api = new FakeApi();
    for (const name of units) api.add(name, "launched", "Service.ExecStart=/bin/true");
    const server = Deno.serve({ path: socket, onListen: () => {} }, (request) => api.handle(request));
    const others = new FakeApi();
    others.add("other.service", "launched", "Service.ExecStart=/bin/true");
    const other = Deno.serve(
      { path: `${directory}/other.sock`, onListen: () => {} },
      (request) => others.handle(request),
    );
    const silent = Deno.listen({ transport: "unix", path: `${directory}/silent.sock` });
    try {
      await Deno.mkdir(`${directory}/fish`);
      await Deno.mkdir(`${directory}/empty`);
      await Deno.writeTextFile(`${directory}/${file}`, text);
      await writeProgram(`${directory}/fleetctl`, program);
      // Without this directory fish starts a background process that fills it and that outlives the shell.
      await Deno.mkdir(`${directory}/data/fish/generated_completions`, { recursive: true });
      const env = {
        ...{ DIR: directory, HOME: directory, ZDOTDIR: directory, XDG_CONFIG_HOME: directory, TERM: "xterm" },
        ...{ XDG_DATA_HOME: `${directory}/data`, PATH: `${directory}:${Deno.env.get("PATH")}` },
        DENO_DIR: await cacheDirectory(),
        FLEETCTL_ENDPOINT: `unix://${socket}`,
      };
      const terminal = new Deno.Command("script", {
        args: ["-qefc", `cd $DIR/empty; ${command}`, "/dev/null"],
        ...{ env, stdin: "piped", stdout: "piped", stderr: "inherit" } as const,
      }).spawn();
      const shown = new Response(terminal.stdout).text();
      const keys = terminal.stdin.getWriter();
      try {
        for (const [index, [typed, ran]] of lines.map((pair) => pair.map(inDirectory)).entries()) {
          await until(`${shell}'s prompt`, async () => {
            return (await linesOf(`${directory}/prompts`)).length > index ? true : undefined;
          });
          const started = performance.now();
          await keys.write(new TextEncoder().encode(typed));
          const all = await until(`${JSON.stringify(typed)} to be run by ${shell}`, async () => {
            const all = await linesOf(`${directory}/ran`);
            return all.length > index ? all : undefined;
          });
          assert.equal(all[index]!.trim(), ran);
          assert.ok(performance.now() - started < timeout_ms, `${typed} took too long`);
        }
        await keys.write(new TextEncoder().encode("exit\r"));
        assert.deepEqual([...Deno.readDirSync(`${directory}/empty`)], []);
      } catch (error) {
        terminal.kill();
        throw new Error(`${(error as Error).message}; the terminal shows ${JSON.stringify(await shown)}`, {
          cause: error,
        });
      } finally {
        await terminal.status;
        await keys.close().catch(() => {});
        await shown;
      }
    } finally {
      silent.close();
      await Promise.all([server.shutdown(), other.shutdown()]);
      await Deno.remove(directory, { recursive: true });
    }
  });
}
