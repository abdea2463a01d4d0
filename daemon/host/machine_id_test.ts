import assert from "node:assert/strict";
import { writeProgram } from "../../tests/support/programs.ts";
import { readMachineId, readProcFile } from "./machine_id.ts";

Deno.test("the error of a machine without a machine ID names the file", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "0123456789abcdef0123456789abcdef\n");
    assert.equal(await readMachineId(path), "0123456789abcdef0123456789abcdef");
    await Deno.writeTextFile(path, "\n");
    await assert.rejects(readMachineId(path), /machine ID.*expected 32 hexadecimal digits/);
  } finally {
    await Deno.remove(path);
  }
  await assert.rejects(readMachineId(path), new RegExp(`cannot read ${path}`));
});

Deno.test("a missing routing table is empty, and a table that cannot be read is an error", async () => {
  const directory = await Deno.makeTempDir({ prefix: "fleet-cat-" });
  try {
    const program = async (name: string, text: string, mode = 0o755) => {
      await writeProgram(`${directory}/${name}`, text, mode);
      return `${directory}/${name}`;
    };
    assert.match(await readProcFile("/proc/net/route"), /^Iface\tDestination/);
    assert.equal(await readProcFile("/proc/net/ipv9_route"), "");
    assert.equal(await readProcFile("/proc/net/route", `${directory}/cat`), "");
    assert.equal(await readProcFile("/proc/net/route", await program("locked", "#!/bin/sh\n", 0o600)), "");
    const killed = await program("killed", "#!/bin/sh\necho Iface; kill -KILL $$\n");
    await assert.rejects(readProcFile("/proc/net/route", killed), /cannot read \/proc\/net\/route: .* SIGKILL$/);
    const starved = await program("starved", "#!/bin/sh\necho 'cat: memory exhausted' >&2; exit 1\n");
    await assert.rejects(readProcFile("/proc/net/route", starved), /ended with 1: cat: memory exhausted$/);
    const cannotRun = readProcFile("/proc/net/route", `${directory}/killed/cat`);
    await assert.rejects(cannotRun, /cannot run .*\/killed\/cat to read \/proc\/net\/route: /);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
