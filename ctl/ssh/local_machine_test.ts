import assert from "node:assert/strict";
import { fileTable } from "../../tests/lab/file_table.ts";
import { sshEnvironment } from "./local_machine.ts";

Deno.test("known_hosts and its directory give no more rights than docs/reference/files.md lists", async () => {
  const home = await Deno.makeTempDir();
  try {
    await sshEnvironment().appendLine(`${home}/.fleetctl/known_hosts`, "a key\n");
    for (const name of ["~/.fleetctl", "~/.fleetctl/known_hosts"]) {
      const listed = fileTable().find(({ path }) => path === name)!;
      const { mode } = await Deno.stat(name.replace("~", home));
      assert.equal(mode! & 0o777 & ~parseInt(listed.mode, 8), 0, name);
    }
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
