import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createPrivateKey, generateKeyPairSync, sign, verify } from "node:crypto";
import { ecdsaPem } from "./ecdsa_key.ts";

/** An `ECPrivateKey` (RFC 5915) as ssh2 makes it from OpenSSH's format: the private key is a number of any length. */
function pemOf(curve: string, scalar: Buffer, point: Buffer): string {
  const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
    const content = Buffer.concat(parts);
    const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
    return Buffer.concat([Buffer.from([tag, ...length]), content]);
  };
  const oids: Readonly<Record<string, string>> = {
    "P-256": "06082a8648ce3d030107",
    "P-384": "06052b81040022",
    "P-521": "06052b81040023",
  };
  const key = der(
    0x30,
    Buffer.from("020101", "hex"),
    der(0x04, scalar),
    der(0xa0, Buffer.from(oids[curve]!, "hex")),
    der(0xa1, der(0x03, Buffer.from([0]), point)),
  );
  const lines = key.toString("base64").match(/.{1,64}/g)!;
  return ["-----BEGIN EC PRIVATE KEY-----", ...lines, "-----END EC PRIVATE KEY-----"].join("\n");
}

/** Curves with the hash that SSH uses for each (RFC 5656, section 6.2.1). */
const curves = [["P-256", "nistp256", "sha256"], ["P-384", "nistp384", "sha384"], [
  "P-521",
  "nistp521",
  "sha512",
]] as const;

for (const [curve, name, hash] of curves) {
  Deno.test(`an ECDSA key on ${curve} signs with any length of its private number`, () => {
    for (let round = 0; round < 20; round++) {
      const pair = generateKeyPairSync("ec", { namedCurve: curve });
      const { d, x, y } = pair.privateKey.export({ format: "jwk" });
      const [scalar, ...point] = [d, x, y].map((part) => Buffer.from(part!, "base64url")) as [Buffer, Buffer, Buffer];
      const data = Buffer.from("signed");
      for (const given of [scalar, Buffer.concat([Buffer.alloc(1), scalar]), withoutLeadingZeros(scalar)]) {
        const pem = ecdsaPem(`ecdsa-sha2-${name}`, pemOf(curve, given, Buffer.concat([Buffer.from([4]), ...point])));
        const key = createPrivateKey(pem!);
        assert.ok(verify(hash, data, pair.publicKey, sign(hash, data, key)));
      }
    }
  });
}

function withoutLeadingZeros(number: Buffer): Buffer {
  return number.subarray(number.findIndex((byte) => byte !== 0));
}

Deno.test("keys of other types are not converted", () => {
  assert.equal(ecdsaPem("ssh-ed25519", "-----BEGIN PRIVATE KEY-----"), undefined);
});
