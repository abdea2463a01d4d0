/** The applications in examples/apps are read as `fleetctl diff` reads them. */

import assert from "node:assert/strict";
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
  assert.deepEqual([...Deno.readDirSync(apps)].map(({ name }) => name).sort(), Object.keys(expected));
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
