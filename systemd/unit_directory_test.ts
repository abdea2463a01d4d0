import assert from "node:assert/strict";
import { openUnitDirectory, type UnitDirectory } from "./unit_directory.ts";

async function inDirectory(work: (directory: UnitDirectory, reported: string[]) => Promise<void>): Promise<void> {
  const parent = await Deno.makeTempDir();
  const reported: string[] = [];
  try {
    await work(openUnitDirectory(`${parent}/fleet/units/`, (name) => reported.push(name)), reported);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

const mode = async (path: string) => ((await Deno.stat(path)).mode ?? 0) & 0o777;

Deno.test("the directory is created when it is first needed, readable by all", () =>
  inDirectory(async (directory) => {
    assert.ok(directory.path.endsWith("/fleet/units"));
    assert.deepEqual(await directory.names(), []);
    assert.equal(await mode(directory.path), 0o755);
  }));

Deno.test("a file is written atomically, with mode 0644, and only if its text differs", () =>
  inDirectory(async (directory) => {
    assert.equal(await directory.write("a.service", "one\n"), true);
    assert.equal(await mode(`${directory.path}/a.service`), 0o644);
    const before = await Deno.stat(`${directory.path}/a.service`);
    assert.equal(await directory.write("a.service", "one\n"), false);
    assert.equal((await Deno.stat(`${directory.path}/a.service`)).ino, before.ino, "it was left untouched");
    assert.equal(await directory.write("a.service", "two\n"), true);
    assert.notEqual((await Deno.stat(`${directory.path}/a.service`)).ino, before.ino, "it was replaced, not rewritten");
    assert.deepEqual(await directory.list(), new Map([["a.service", "two\n"]]));
    assert.deepEqual([...Deno.readDirSync(directory.path)].map(({ name }) => name), ["a.service"]);
  }));

Deno.test("every type of unit is listed; other files are ignored and reported once", () =>
  inDirectory(async (directory, reported) => {
    const units = ["service", "socket", "timer", "path", "device", "mount", "automount", "target", "swap", "slice"];
    for (const type of units) await directory.write(`u.${type}`, "[Unit]\n");
    await Deno.writeTextFile(`${directory.path}/notes.txt`, "");
    await Deno.writeTextFile(`${directory.path}/.u.service.new`, "half");
    await Deno.mkdir(`${directory.path}/sub.service`);
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(await directory.names(), units.map((type) => `u.${type}`).sort());
    }
    assert.deepEqual(reported.sort(), ["notes.txt", "sub.service"]);
  }));

Deno.test("an entry that is not a file is not read, overwritten or removed, and hides no file", () =>
  inDirectory(async (directory, reported) => {
    await directory.write("a.service", "[Unit]\n");
    const path = (name: string) => `${directory.path}/${name}`;
    await Deno.mkdir(path("folder.service"));
    await Deno.symlink("/", path("link.service"));
    await Deno.symlink(path("loop.service"), path("loop.service"));
    await Deno.writeTextFile(`${directory.path}/../secret`, "secret");
    await Deno.symlink("../secret", path("secret.service"));
    const made = await new Deno.Command("mkfifo", { args: [path("pipe.service")] }).output();
    assert.ok(made.success);
    const others = ["folder.service", "link.service", "loop.service", "pipe.service", "secret.service"];
    assert.deepEqual(await directory.list(), new Map([["a.service", "[Unit]\n"]]));
    assert.deepEqual(reported.sort(), others);
    for (const name of others) {
      await assert.rejects(directory.write(name, ""), new RegExp(`cannot read ${path(name)}: `));
      await Deno.lstat(path(name));
    }
    assert.equal(await Deno.readTextFile(`${directory.path}/../secret`), "secret");
    await assert.rejects(directory.remove("folder.service"), /cannot remove .*folder\.service: it is a directory/);
    await Deno.lstat(path("folder.service"));
  }));

Deno.test("removing a missing file succeeds", () =>
  inDirectory(async (directory) => {
    await directory.write("a@b.service", "");
    await directory.remove("a@b.service");
    await directory.remove("a@b.service");
    assert.deepEqual(await directory.names(), []);
  }));

Deno.test("a name cannot refer to a file outside the directory", () =>
  inDirectory(async (directory) => {
    await directory.names();
    const outside = `${directory.path}/../outside.service`;
    await Deno.writeTextFile(outside, "kept");
    await assert.rejects(directory.write("../outside.service", ""), /cannot write "\.\.\/outside\.service" to .*units/);
    await directory.remove("../outside.service");
    assert.equal(await Deno.readTextFile(outside), "kept");
  }));

Deno.test("names of the greatest length are written, listed and removed; a longer one is an error", () =>
  inDirectory(async (directory) => {
    const longest = ["a", "b"].map((end) => `${"x".repeat(255 - 9)}${end}.service`);
    for (const name of longest) assert.equal(await directory.write(name, name), true);
    assert.deepEqual(await directory.list(), new Map(longest.map((name) => [name, name])));
    for (const name of longest) await directory.remove(name);
    assert.deepEqual(await directory.names(), []);
    await assert.rejects(directory.write(`x${longest[0]}`, ""), /cannot read .*xa\.service: File name too long/);
  }));

Deno.test("failures name the path", () =>
  inDirectory(async (directory) => {
    await directory.names();
    await Deno.remove(directory.path, { recursive: true });
    await Deno.writeTextFile(directory.path, "a file");
    await assert.rejects(directory.names(), new RegExp(`cannot list ${directory.path}: `));
    await assert.rejects(directory.write("a.service", ""), new RegExp(`cannot \\w+ ${directory.path}/a\\.service: `));
    await assert.rejects(directory.remove("a.service"), new RegExp(`cannot remove ${directory.path}/a\\.service: `));
  }));
