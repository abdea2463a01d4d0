/** Sign-in to the cluster page by a client certificate, in a real browser in front of the API by TLS. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Page } from "playwright-core";
import { type Certificate, makeAuthority, readCredentials } from "../../api/authority.ts";
import { network, ServerFixture } from "../../api/server_fixture.ts";
import { buildFleet } from "../../lab/fleet_cluster.ts";
import { ApiFixture } from "../../support/api_fixture.ts";
import { TestBrowser } from "../../support/browser.ts";

Deno.test("a browser with a client certificate needs no token", async (t) => {
  const folder = `${await buildFleet()}/lib/fleetd/ui`;
  const authority = await makeAuthority();
  const { directory } = authority;
  const credentials = await readCredentials({
    apiCertfile: `${directory}/server.crt`,
    apiKeyfile: `${directory}/server.key`,
    apiClientCafile: `${directory}/ours.crt`,
  });
  await using api = await ApiFixture.open({ pageFile: (name) => Deno.readTextFile(`${folder}/${name}`) });
  await api.put("web.service", "launched");
  await using fixture = new ServerFixture();
  const server = await fixture.serve(api.handler, network, credentials);
  const origin = `https://localhost:${server.addresses[0]!.split(":").at(-1)}`;
  await using browser = await TestBrowser.open();
  const problems: string[] = [];
  const open = async (shown?: Certificate): Promise<Page> => {
    const page = await browser.tab(problems, undefined, {
      ignoreHTTPSErrors: true,
      ...shown && { clientCertificates: [{ origin, cert: Buffer.from(shown.cert), key: Buffer.from(shown.key) }] },
    });
    await page.goto(`${origin}/ui/#/units/web.service`);
    return page;
  };
  await t.step("a certificate for everything shows the actions", async () => {
    const page = await open(authority.trusted);
    await page.getByRole("heading", { name: "web.service", level: 1 }).waitFor();
    await page.getByRole("button", { name: "Stop", exact: true }).waitFor();
    await page.close();
  });
  await t.step("a certificate for reading shows no action", async () => {
    const page = await open(authority.reader);
    await page.getByRole("heading", { name: "web.service", level: 1 }).waitFor();
    await page.getByText("read only").waitFor();
    assert.equal(await page.getByRole("button", { name: "Stop", exact: true }).count(), 0);
    await page.close();
  });
  await t.step("without a certificate the page says what is needed", async () => {
    const page = await open();
    await page.getByRole("alert").getByText("a client certificate is required").waitFor();
    assert.equal(await page.getByLabel("Token").count(), 0, "no token would help");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("alert").waitFor();
    await page.close();
  });
  await Deno.remove(directory, { recursive: true });
  assert.deepEqual(problems, []);
});
