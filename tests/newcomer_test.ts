/** The demo and the tests, started by a new user: messages without root, help, and wrong arguments. */

import assert from "node:assert/strict";
import { copyProgram } from "./support/programs.ts";

const root = new URL("../", import.meta.url);

/** Runs a program of this repository as an unprivileged user, from a copy that the user can read. */
async function runUnprivileged(
  program: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const directory = await Deno.makeTempDir({ prefix: "fleet-newcomer-" });
  try {
    await Deno.chmod(directory, 0o755);
    const parts = ["need_root.ts", "test_report.ts", "dist_variable.ts"].map((name) => `tests/support/${name}`);
    for (const path of ["examples/demo.ts", "tests/run.ts", ...parts]) {
      await Deno.mkdir(`${directory}/${path.replace(/\/[^/]*$/, "")}`, { recursive: true });
      await Deno.copyFile(new URL(path, root), `${directory}/${path}`);
    }
    // The original may be in a home that other users cannot read.
    await copyProgram(Deno.execPath(), `${directory}/deno`);
    const command = new Deno.Command(`${directory}/deno`, {
      args: ["run", "-A", "--no-config", program, ...args],
      cwd: directory,
      clearEnv: true,
      env: { PATH: "/usr/bin:/bin", DENO_DIR: "/dev/null/none" },
      stdin: "null",
      ...(Deno.uid() === 0 ? { uid: 65534, gid: 65534 } : {}),
    });
    const { code, stdout, stderr } = await command.output();
    const text = new TextDecoder();
    return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("the demo without root fails with the command to use, and loads nothing else", async () => {
  const { code, stdout, stderr } = await runUnprivileged("examples/demo.ts");
  assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  assert.match(stderr, /^demo: real machines need root .*: sudo deno task demo\n$/);
});

Deno.test("the demo prints its help, also without root", async () => {
  const { code, stdout, stderr } = await runUnprivileged("examples/demo.ts", "--help");
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  assert.match(stdout, /^usage: deno task demo \[--keep\]\n/);
});

Deno.test("the demo refuses an unknown argument by name", async () => {
  const { code, stdout, stderr } = await runUnprivileged("examples/demo.ts", "--keeep");
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  assert.match(stderr, /^demo: unknown argument "--keeep"\n\nusage: /);
});

Deno.test("without root, the tests fail at once and name the command to use", async () => {
  const { code, stdout, stderr } = await runUnprivileged("tests/run.ts");
  assert.deepEqual({ code, stderr }, { code: 1, stderr: "" });
  assert.match(stdout, /real machines need root .*: sudo deno task test.*\n\n0 passed, 1 failed\n$/);
});
