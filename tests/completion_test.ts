/** Command lines are completed in real shells, each on a terminal of its own. */

import assert from "node:assert/strict";
import { FakeApi } from "../ctl/fake_api.ts";
import { must, until } from "./cluster/process.ts";

const main = new URL("../ctl/main.ts", import.meta.url).pathname;

/** How each shell is started, with a file that it reads first. The file says when a prompt is there. */
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

/** What is typed, and the command line that comes of it. */
const lines: readonly [typed: string, ran: string][] = [
  ["fleetctl stat\thel\t\r", "status hello.service"],
  ["fleetctl ssh 454\t\r", "ssh 454c34ef00000000000000000000cafe"],
  ["fleetctl stop --no-b\thel\t\r", "stop --no-block hello.service"],
  ["fleetctl mach\tla\t454\tdisk=ssd\r", "machine label 454c34ef00000000000000000000cafe disk=ssd"],
];

/** fleetctl, but for command lines that a user has typed: those are written down. */
const program = `#!/bin/sh
case $1 in
complete | completion) exec "${Deno.execPath()}" run --quiet --allow-all --no-prompt "${main}" "$@" ;;
*) echo "$*" >>"$DIR/ran" ;;
esac
`;

/** Where deno keeps packages; by itself it would look in the shell's home. */
async function cacheDirectory(): Promise<string> {
  return (JSON.parse(await must([Deno.execPath(), "info", "--json"])) as { denoDir: string }).denoDir;
}

async function linesOf(path: string): Promise<string[]> {
  return (await Deno.readTextFile(path).catch(() => "")).split("\n").slice(0, -1);
}

for (const [shell, { command, file, text }] of Object.entries(shells)) {
  Deno.test(`${shell} completes commands, flags, units and machines`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "fleet-completion-" });
    const socket = `${directory}/fleet.sock`;
    const api = new FakeApi();
    api.add("hello.service", "launched", "Service.ExecStart=/bin/true");
    const server = Deno.serve({ path: socket, onListen: () => {} }, (request) => api.handle(request));
    try {
      await Deno.mkdir(`${directory}/fish`);
      await Deno.mkdir(`${directory}/empty`);
      await Deno.writeTextFile(`${directory}/${file}`, text);
      await Deno.writeTextFile(`${directory}/fleetctl`, program, { mode: 0o755 });
      await Deno.mkdir(`${directory}/data`);
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
        for (const [index, [typed, ran]] of lines.entries()) {
          await until(`${shell}'s prompt`, async () => {
            return (await linesOf(`${directory}/prompts`)).length > index ? true : undefined;
          });
          await keys.write(new TextEncoder().encode(typed));
          const all = await until(`${JSON.stringify(typed)} to be run by ${shell}`, async () => {
            const all = await linesOf(`${directory}/ran`);
            return all.length > index ? all : undefined;
          });
          assert.equal(all[index]!.trim(), ran);
        }
        await keys.write(new TextEncoder().encode("exit\r"));
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
      await server.shutdown();
      await Deno.remove(directory, { recursive: true });
    }
  });
}
