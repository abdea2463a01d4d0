/** packaging/fleetctl-inject-ssh.sh with hostile servers and keys. What it does on machines: tests/e2e/ctl/ssh_test.ts. */

import assert from "node:assert/strict";
import { writeProgram } from "../support/programs.ts";

const script = new URL("../../packaging/fleetctl-inject-ssh.sh", import.meta.url).pathname;
const id = "454c34ef26c54ea8a5a4a6b0a5a2b3c4";

/** Runs the script; `machines` is what the server sends. `logins` are the machines that it logs in to. */
async function inject(machines: string, key: string, name = "anna") {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/machines`, machines);
    await Deno.writeTextFile(`${directory}/logins`, "");
    await writeProgram(
      `${directory}/fleetctl`,
      `#!/bin/sh
case $1 in
  list-machines) cat '${directory}/machines' ;;
  ssh) printf '%s\\n' "$3" >>'${directory}/logins' ;;
esac
`,
    );
    const child = new Deno.Command("sh", {
      args: [script, name],
      cwd: directory,
      env: { FLEETCTL: `${directory}/fleetctl` },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const input = child.stdin.getWriter();
    // A script that refuses its arguments does not read the key.
    await input.write(new TextEncoder().encode(key)).then(() => input.close()).catch(() => {});
    const { code, stdout, stderr } = await child.output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const logins = (await Deno.readTextFile(`${directory}/logins`)).trimEnd();
    return { code, output: text(stdout) + text(stderr), logins };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB anna\n";

Deno.test("the key is added on the machine that the server names", async () => {
  assert.deepEqual(await inject(`${id}\n`, key), { code: 0, output: `${id}: `, logins: id });
});

for (const hostile of ["*", "--flag", "\x1b]0;x\x07", "\x9b2J", "$(touch", ";reboot", "a\u202eb", "../x"]) {
  Deno.test(`a machine ID of ${JSON.stringify(hostile)} is left out and not shown`, async () => {
    const { code, output, logins } = await inject(`${hostile}\n${id}\n`, key);
    assert.deepEqual([code, logins], [1, id]);
    assert.match(output, /The server sent an invalid machine ID, which is left out\./);
    assert.ok(!output.includes(hostile));
  });
}

for (const hostile of ["ssh-rsa $(reboot)\n", "ssh-rsa AAAA';reboot;'\n", "ssh-rsa\n", "x;reboot AAAA\n"]) {
  Deno.test(`a key of ${JSON.stringify(hostile)} is refused`, async () => {
    const { code, logins } = await inject(`${id}\n`, hostile);
    assert.deepEqual([code, logins], [2, ""]);
  });
}

for (const hostile of ["a b", "$(reboot)", "-n", "a'b"]) {
  Deno.test(`a key's name of ${JSON.stringify(hostile)} is refused`, async () => {
    const { code, logins } = await inject(`${id}\n`, key, hostile);
    assert.deepEqual([code, logins], [2, ""]);
  });
}
