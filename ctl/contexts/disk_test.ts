import assert from "node:assert/strict";
import { contextFile } from "./disk.ts";

Deno.test("the file of contexts is replaced as a whole, stays a link, and is private from then on", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/config/fleet/config.toml`;
    const file = contextFile(path, directory);
    assert.equal(await file.read(), undefined);
    await file.write("one");
    assert.deepEqual(await file.read(), { text: "one", isPrivate: true });
    await Deno.chmod(path, 0o644);
    assert.deepEqual(await file.read(), { text: "one", isPrivate: false });
    await Deno.rename(path, `${directory}/kept.toml`);
    await Deno.symlink(`${directory}/kept.toml`, path);
    await file.write("two");
    assert.ok((await Deno.lstat(path)).isSymlink);
    assert.equal(await Deno.readTextFile(`${directory}/kept.toml`), "two");
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    assert.deepEqual([...Deno.readDirSync(`${directory}/config/fleet`)].map(({ name }) => name), ["config.toml"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("paths in the file of contexts begin beside it, or at the home directory", () => {
  const file = contextFile("/home/anna/.config/fleet/config.toml", "/home/anna");
  assert.equal(file.besideFile("keys/me.pem"), "/home/anna/.config/fleet/keys/me.pem");
  assert.equal(file.besideFile("~/me.pem"), "/home/anna/me.pem");
  assert.equal(file.besideFile("/etc/me.pem"), "/etc/me.pem");
  assert.equal(file.besideFile("~odd"), "/home/anna/.config/fleet/~odd");
});

Deno.test("without a home directory there are no contexts, and none can be written", async () => {
  const file = contextFile(undefined, undefined);
  assert.equal(await file.read(), undefined);
  await assert.rejects(file.write("one"), /set HOME/);
});
