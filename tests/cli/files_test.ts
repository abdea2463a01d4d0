/** Tests of the modes of the files that fleetctl creates. */

import assert from "node:assert/strict";
import { sshEnvironment } from "../../ctl/ssh/local_machine.ts";
import { terminal } from "../../ctl/terminal/deno.ts";
import { contextFile } from "../../ctl/contexts/disk.ts";
import { fileTable } from "../lab/file_table.ts";

Deno.test("files of fleetctl give no more rights than docs/reference/files.md lists", async () => {
  const directory = await Deno.makeTempDir();
  const real = (path: string) =>
    path.replace("~", directory).replace("DIRECTORY", `${directory}/backup`)
      .replace(/^fleet-import/, `${directory}/$&`);
  try {
    await sshEnvironment().appendLine(real("~/.fleetctl/known_hosts"), "a key\n");
    await terminal(false).createDirectory(real("DIRECTORY"));
    await terminal(false).createFile(real("DIRECTORY/*"), "text");
    await contextFile(real("~/.config/fleet/config.toml"), directory).write("text");
    await terminal(false).replaceFile(real("fleet-import.json"), "text");
    (await terminal(false).lockFile(real("fleet-import.json.lock")))!();
    const rows = fileTable().filter(({ owner }) => owner === "user");
    assert.equal(rows.length, 8);
    for (const { path, mode } of rows) {
      const found = await Deno.stat(real(path));
      assert.equal(found.mode! & 0o777 & ~parseInt(mode, 8), 0, path);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("one process at a time has the lock of a file, until it lets go", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/lock`;
    const { lockFile } = terminal(false);
    const release = await lockFile(path);
    assert.ok(release);
    assert.equal(await lockFile(path), undefined);
    release();
    const again = await lockFile(path);
    assert.ok(again);
    again();
    await assert.rejects(lockFile(`${directory}/no/lock`), Deno.errors.NotFound);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
