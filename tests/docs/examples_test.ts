/** The examples that operators copy: applications, and the configuration of machines by Ignition. */

import assert from "node:assert/strict";
import { parse } from "yaml";
import { FakeIo } from "../../ctl/testing/fake_terminal.ts";
import { readApplication } from "../../ctl/units/application.ts";

const apps = new URL("../../examples/apps/", import.meta.url);

/** The names of the units of each application, with the instances of its templates. */
const expected: Readonly<Record<string, readonly string[]>> = {
  blog: ["blog.container", "blog.network", "pages.volume"],
  shop: [
    ...["api.service", "api.socket", "cache.service", "migrate.service", "report.service", "report.timer"],
    ...["web-log@.service", "web-log@1.service", "web-log@2.service", "web-log@3.service"],
    ...["web@.service", "web@1.service", "web@2.service", "web@3.service"],
  ],
};

Deno.test("the applications of the examples are free of errors and warnings", async () => {
  assert.deepEqual(
    [...Deno.readDirSync(apps)].filter(({ isDirectory }) => isDirectory).map(({ name }) => name).sort(),
    Object.keys(expected),
  );
  for (const [app, names] of Object.entries(expected)) {
    const io = new FakeIo();
    for (const { name } of Deno.readDirSync(new URL(app, apps))) {
      io.files.set(`${app}/${name}`, Deno.readTextFileSync(new URL(`${app}/${name}`, apps)));
    }
    const { units, ignored, warnings, errors } = await readApplication(io, [app], false);
    assert.deepEqual({ ignored, warnings, errors }, { ignored: [], warnings: [], errors: [] });
    assert.deepEqual(units.map(({ name }) => name), names);
  }
});

/** A file in Butane's format; Ignition's is the same but for `inline`. */
interface ButaneFile {
  readonly path: string;
  readonly mode: number;
  readonly contents: { readonly inline?: string; readonly source?: string };
}

/** The translation by Butane of a configuration that has only files and units. */
interface Ignition {
  readonly ignition: { readonly version: string };
  readonly storage: { readonly files: ButaneFile[] };
  readonly systemd: { readonly units: { readonly name: string; readonly dropins?: { readonly contents: string }[] }[] };
}

function ignitionOf(text: string): Ignition {
  // Butane reads 0755 as octal, as YAML 1.1 does.
  const { storage, systemd } = parse(text, { version: "1.1" }) as Pick<Ignition, "storage" | "systemd">;
  const files = storage.files.map(({ contents: { inline, ...contents }, ...file }) => ({
    ...file,
    contents: inline === undefined ? contents : { compression: "", source: `data:,${encodeURIComponent(inline)}` },
  }));
  return { ignition: { version: "3.3.0" }, storage: { files }, systemd };
}

Deno.test("fleet.ign is the translation of fleet.bu, which starts fleetd as its unit does", async () => {
  const read = (path: string) => Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
  const butane = await read("examples/coreos/fleet.bu");
  const ignition: Ignition = JSON.parse(await read("examples/coreos/fleet.ign"));
  assert.deepEqual(ignition, ignitionOf(butane));
  assert.equal(ignition.storage.files[0]!.mode, 0o755);
  const [, command] = /^ExecStart=(.*)$/m.exec(await read("packaging/systemd/fleet.service"))!;
  assert.equal(
    ignition.systemd.units[1]!.dropins![0]!.contents,
    `[Service]\nExecStart=\nExecStart=${command!.replace("/usr/local/bin/", "/opt/bin/")}\n`,
  );
});
