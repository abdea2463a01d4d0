import assert from "node:assert/strict";
import { nameContent } from "../../registry/content_hash.ts";
import { fileOption } from "../../registry/attached_files.ts";
import { FakeMachine, FakeSystemd } from "../../systemd/testing/fake_systemd.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { openAttachedDirectory } from "../state/attached_directory.ts";
import { AttachedFiles } from "./attached_files.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Returns a unit file with attached files: path, content and mode of each. */
function unitFile(...files: readonly (readonly [string, Uint8Array, number?])[]): string {
  return serializeUnitFile([
    { section: "Service", name: "ExecStart", value: "/bin/sleep infinity" },
    ...files.map(([path, bytes, mode = 0o644]) =>
      fileOption({ source: "source", path, mode, content: nameContent(bytes) })
    ),
  ]);
}

/** A machine with a directory of attached files, and a store that can be away. */
class Scene implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly systemd = new FakeSystemd(new FakeMachine());
  readonly stored = new Map<string, string>();
  readonly texts = new Map<string, string>();
  readonly logged: string[] = [];
  isAway = false;
  reads = 0;
  attached!: AttachedFiles;

  private constructor(readonly root: string) {
    this.restart();
  }

  static async open(): Promise<Scene> {
    return new Scene(`${await Deno.makeTempDir()}/files`);
  }

  /** Another daemon takes over. */
  restart(): void {
    this.attached = new AttachedFiles({
      ...{ systemd: this.systemd, clock: this.clock, directory: openAttachedDirectory(this.root) },
      log: (level, message) => this.logged.push(`${level}: ${message}`),
      registry: {
        watchMachine: () => {
          throw new Error("not used");
        },
        file: (hash) => Promise.resolve(this.texts.get(hash)),
        content: ({ hash }) => {
          this.reads++;
          return this.isAway ? Promise.reject(new Error("the store is away")) : Promise.resolve(this.stored.get(hash));
        },
      },
    });
  }

  store(...contents: readonly Uint8Array[]): void {
    for (const bytes of contents) this.stored.set(nameContent(bytes).hash, bytes.toBase64());
  }

  async install(name: string, text: string): Promise<string[]> {
    const failures = await this.attached.ports.systemd.install(new Map([[name, text]]));
    await this.systemd.reloadIfNeeded();
    return [...failures.values()].map(({ message }) => message);
  }

  /** The inventory, which the agent takes once a minute. */
  async check(): Promise<void> {
    await this.attached.ports.systemd.files();
  }

  read(path: string): Promise<string> {
    return Deno.readTextFile(`${this.root}/${path}`);
  }

  mode(path: string): number {
    return Deno.lstatSync(`${this.root}/${path}`).mode! & 0o7777;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root.replace(/\/files$/, ""), { recursive: true });
  }
}

Deno.test("attached files are there before the unit is installed, and go with it", async () => {
  await using scene = await Scene.open();
  const binary = Uint8Array.from({ length: 70_000 }, (_, at) => at % 256);
  scene.store(bytesOf("port=80\n"), binary);
  const text = unitFile(["app.conf", bytesOf("port=80\n")], ["etc/app/key", binary, 0o600]);
  assert.deepEqual(await scene.install("a.service", text), []);
  assert.equal(await scene.read("a.service/app.conf"), "port=80\n");
  assert.deepEqual(await Deno.readFile(`${scene.root}/a.service/etc/app/key`), binary);
  const modes = ["a.service", "a.service/app.conf", "a.service/etc", "a.service/etc/app/key"].map((path) =>
    scene.mode(path)
  );
  assert.deepEqual(modes, [0o755, 0o644, 0o755, 0o600]);
  const other = unitFile(["x", bytesOf("port=80\n")]);
  await scene.install("b.service", other);
  await scene.attached.ports.systemd.uninstall(new Set(["a.service"]));
  assert.deepEqual([...Deno.readDirSync(scene.root)].map(({ name }) => name), ["b.service"]);
});

Deno.test("a unit whose content cannot be read is not installed, and the error names the file", async () => {
  await using scene = await Scene.open();
  const [content] = [bytesOf("x")];
  const [missing] = await scene.install("a.service", unitFile(["x", content]));
  assert.match(
    missing!,
    /^cannot install "a\.service": the store does not have the content of source \([0-9a-f]{64}\)/,
  );
  for (const damaged of [bytesOf("y").toBase64(), "edited by hand"]) {
    scene.stored.set(nameContent(content).hash, damaged);
    assert.match((await scene.install("a.service", unitFile(["x", content])))[0]!, /is damaged in the store$/);
  }
  assert.deepEqual([...await scene.systemd.files()], []);
});

Deno.test("a unit file counts as read when its contents are here, which a later install does not read again", async () => {
  await using scene = await Scene.open();
  const content = bytesOf("x");
  scene.texts.set("hash", unitFile(["x", content]));
  await assert.rejects(scene.attached.ports.registry.file("hash"), /the store does not have the content of source/);
  scene.store(content);
  assert.equal(await scene.attached.ports.registry.file("hash"), scene.texts.get("hash"));
  await scene.check();
  scene.isAway = true;
  assert.deepEqual(await scene.install("a.service", scene.texts.get("hash")!), []);
});

Deno.test("files that were deleted, changed or replaced are restored without the store, also after a restart", async () => {
  await using scene = await Scene.open();
  const content = bytesOf("right");
  scene.store(content);
  const paths = ["deleted", "changed", "chmod", "link", "directory", "below/parent"];
  await scene.install("a.service", unitFile(...paths.map((path) => [path, content] as const)));
  await scene.check();
  scene.isAway = true;
  for (const isRestarted of [false, true]) {
    const at = `${scene.root}/a.service`;
    const outside = `${scene.root}/../outside`;
    await Deno.writeTextFile(outside, "outside");
    for (const path of ["deleted", "link", "directory"]) await Deno.remove(`${at}/${path}`);
    await Deno.writeTextFile(`${at}/changed`, "wrong");
    await Deno.chmod(`${at}/chmod`, 0o666);
    await Deno.symlink(outside, `${at}/link`);
    await Deno.mkdir(`${at}/directory/inside`, { recursive: true });
    await Deno.remove(`${at}/below`, { recursive: true });
    await Deno.symlink(`${scene.root}/..`, `${at}/below`);
    await Deno.writeTextFile(`${at}/foreign`, "not fleet's");
    if (isRestarted) scene.restart();
    await scene.check();
    for (const path of paths) {
      assert.equal(await scene.read(`a.service/${path}`), "right", path);
      assert.equal(scene.mode(`a.service/${path}`), 0o644, path);
      assert(Deno.lstatSync(`${at}/${path}`).isFile, path);
    }
    assert.equal(await Deno.readTextFile(outside), "outside");
    assert.deepEqual([...Deno.readDirSync(at)].map(({ name }) => name).sort(), ["below", ...paths.slice(0, 5)].sort());
  }
  assert.match(scene.logged[0]!, /^warn: restored attached files that were missing or changed/);
});

Deno.test("an undisturbed file is not written again", async () => {
  await using scene = await Scene.open();
  const content = bytesOf("right");
  scene.store(content);
  await scene.install("a.service", unitFile(["a", content]));
  const before = await Deno.stat(`${scene.root}/a.service/a`);
  await scene.check();
  scene.restart();
  await scene.check();
  await scene.check();
  const after = await Deno.stat(`${scene.root}/a.service/a`);
  assert.deepEqual([after.ino, after.ctime], [before.ino, before.ctime]);
  assert.equal(scene.reads, 1, "a restarted daemon takes the content from the disk");
});

Deno.test("a unit does not start without its files", async () => {
  await using scene = await Scene.open();
  scene.store(bytesOf("x"));
  await scene.install("a.service", unitFile(["a", bytesOf("x")]));
  await Deno.remove(`${scene.root}/a.service`, { recursive: true });
  await (await scene.attached.ports.systemd.start("a.service")).done;
  assert.equal(await scene.read("a.service/a"), "x");
});

Deno.test("directories of units that are gone are removed at the next inventory", async () => {
  await using scene = await Scene.open();
  await Deno.mkdir(`${scene.root}/gone.service/deep`, { recursive: true });
  await Deno.writeTextFile(`${scene.root}/gone.service/deep/file`, "");
  await Deno.symlink("/etc", `${scene.root}/link.service`);
  await scene.check();
  assert.deepEqual([...Deno.readDirSync(scene.root)], []);
  assert((await Deno.stat("/etc/passwd")).isFile);
});

Deno.test("the files of a Quadlet file are in the directory of its service, which is %n there", async () => {
  await using scene = await Scene.open();
  scene.store(bytesOf("x"));
  const text = `[Container]\nImage=web\n${unitFile(["a", bytesOf("x")])}`;
  const { ports } = scene.attached;
  await ports.systemd.install(new Map([["web.container", text]]));
  assert.equal(await scene.read("web.service/a"), "x");
});

Deno.test("a machine keeps the contents of its units for a store that has lost them", async () => {
  await using scene = await Scene.open();
  scene.store(bytesOf("x"), bytesOf("elsewhere"));
  await scene.install("a.service", unitFile(["a", bytesOf("x")]));
  scene.restart();
  scene.isAway = true;
  assert.deepEqual(await scene.attached.kept(), [{ name: nameContent(bytesOf("x")), base64: btoa("x") }]);
});
