import assert from "node:assert/strict";
import { globalAddresses, readMachineId } from "./identity.ts";

const cases: readonly { name: string; addresses: readonly string[]; want: readonly string[] }[] = [
  { name: "none", addresses: [], want: [] },
  { name: "loopback and link-local alone", addresses: ["127.0.0.1", "169.254.1.1", "::1", "fe80::1"], want: [] },
  {
    name: "IPv4 before IPv6",
    addresses: ["::1", "2001:db8::1", "127.0.0.1", "10.0.0.1"],
    want: ["10.0.0.1", "2001:db8::1"],
  },
  { name: "several, in order", addresses: ["10.0.0.2", "10.0.0.1"], want: ["10.0.0.2", "10.0.0.1"] },
];

for (const { name, addresses, want } of cases) {
  Deno.test(`addresses of this machine: ${name}`, () => {
    const interfaces = addresses.map((address) => {
      return { family: address.includes(":") ? "IPv6" : "IPv4", address } as const;
    });
    assert.deepEqual(globalAddresses(interfaces), want);
  });
}

Deno.test("a machine without a machine ID is told what is missing", async () => {
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
