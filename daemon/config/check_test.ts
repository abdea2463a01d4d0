import assert from "node:assert/strict";
import { type Authority, makeAuthority } from "../../tests/api/authority.ts";
import { credentialsOf } from "../api/auth/credentials.ts";
import { checkConfig } from "./check.ts";

interface Case {
  readonly name: string;
  /** Lines of fleet.conf; `DIR` stands for a directory with certificates. */
  readonly conf: string;
  readonly errors?: readonly RegExp[];
  readonly warnings?: readonly RegExp[];
}

const tls = "etcd_servers=https://10.0.0.1:2379\n";
const cases: readonly Case[] = [
  { name: "a good configuration", conf: `${tls}etcd_certfile=DIR/server.crt\netcd_keyfile=DIR/server.key` },
  ...(["etcd", "api", "api_peer"] as const).flatMap((prefix): Case[] => [
    {
      name: `${prefix}: certificate and key are swapped`,
      conf: `${tls}${prefix}_certfile=DIR/server.key\n${prefix}_keyfile=DIR/server.crt`,
      errors: [
        new RegExp(`:2: ${prefix}_certfile DIR/server\\.key: it holds a private key and no certificate$`),
        new RegExp(`:3: ${prefix}_keyfile DIR/server\\.crt: it holds a certificate and no private key$`),
      ],
    },
    {
      name: `${prefix}: the key belongs to another certificate`,
      conf: `${tls}${prefix}_certfile=DIR/server.crt\n${prefix}_keyfile=DIR/trusted.key`,
      errors: [
        new RegExp(`:3: ${prefix}_keyfile DIR/trusted.key: it is not the key of the certificate in DIR/server.crt$`),
      ],
    },
    {
      name: `${prefix}: an expired certificate`,
      conf: `${tls}${prefix}_certfile=DIR/expired.crt\n${prefix}_keyfile=DIR/expired.key`,
      warnings: [new RegExp(`:2: ${prefix}_certfile DIR/expired.crt: the certificate expired on \\w+ .*GMT$`)],
    },
    {
      name: `${prefix}: a file that is not there`,
      conf: `${tls}${prefix}_certfile=DIR/server.crt\n${prefix}_keyfile=DIR/none`,
      errors: [new RegExp(`:3: cannot read DIR/none, the file that ${prefix}_keyfile names: ENOENT`)],
    },
  ]),
  {
    name: "a key in the place of an authority",
    conf: `${tls}etcd_cafile=DIR/server.key\napi_peer_cafile=DIR/server.key`,
    errors: [
      /:2: etcd_cafile DIR\/server\.key: it holds a private key and no certificate$/,
      /:3: api_peer_cafile DIR\/server\.key: it holds a private key and no certificate$/,
    ],
  },
  {
    name: "a key in the place of the authority of clients",
    conf: "api_certfile=DIR/server.crt\napi_keyfile=DIR/server.key\napi_client_cafile=DIR/server.key",
    errors: [/:3: api_client_cafile DIR\/server\.key: it holds a private key and no certificate$/],
  },
  {
    name: "a peer token that cannot be read, or is not a token",
    conf: "api_peer_token_file=DIR/none",
    errors: [/:1: cannot read DIR\/none, the file that api_peer_token_file names: ENOENT/],
  },
  {
    name: "two peer tokens",
    conf: "api_peer_token_file=DIR/two",
    errors: [/:1: api_peer_token_file DIR\/two: expected one token in it, and nothing else$/],
  },
  {
    name: "client tokens that are malformed",
    conf: "api_tokens_file=DIR/two",
    errors: [/:1: api_tokens_file DIR\/two: line 1: expected /],
  },
  {
    name: "a quote that is never closed",
    conf: "metadata=\"role=web\netcd_password='s3cret\nverbosity=x",
    errors: [
      /:1: the quote \("\) that begins the value of metadata is never closed: /,
      /:2: the quote \('\) that begins the value of etcd_password is never closed: (?!.*s3cret)/,
      /:3: option verbosity "x": expected a whole number$/,
    ],
  },
  ...["300.1.1.1", "$public_ipv4", "unix:///var/run/fleet.sock", "10.0.0.1/24", "10.0.0", "fe80::1%eth0", "host"].map((
    address,
  ): Case => ({
    name: `public_ip=${address}`,
    conf: `public_ip=${address}`,
    errors: [/:1: option public_ip ".*": expected one IP address, such as 10\.0\.0\.11$/],
  })),
  ...["10.0.0.1", "2001:db8::7", "::ffff:10.0.0.1"].map((address): Case => ({
    name: `public_ip=${address}`,
    conf: `public_ip=${address}`,
  })),
  {
    name: "a folder of unit files outside /run",
    conf: "units_directory=/srv/fleet",
    warnings: [/:1: option units_directory: "\/srv\/fleet" is not below \/run: unit files there outlive a reboot/],
  },
  {
    name: "a misspelled option",
    conf: "etcd_server=http://10.0.0.1:2379",
    warnings: [
      /etcd_server is not known .*conf:1\); did you mean etcd_servers\? Its default is in force: http:\/\/127/,
    ],
  },
  {
    name: "a key of the metadata that is set twice",
    conf: 'metadata="role=web,role=db"',
    warnings: [/:1: option metadata: "role" is set twice: "db" is used, "web" is not$/],
  },
  ...([["etcd", "server"], ["api", "server"], ["api_peer", "trusted"]] as const).map(([prefix, name]): Case => ({
    name: `${prefix}: a key that every user may read`,
    conf: `${tls}${prefix}_certfile=DIR/${name}.crt\n${prefix}_keyfile=DIR/${name}.open`,
    warnings: [
      new RegExp(
        `:3: option ${prefix}_keyfile: every user .* may read DIR/${name}.open, .* chmod o-r DIR/${name}.open$`,
      ),
    ],
  })),
  {
    name: "a peer token that every user may read",
    conf: "api_peer_token_file=DIR/token",
    warnings: [
      /:1: option api_peer_token_file: every user of this machine may read DIR\/token, .* chmod o-r DIR\/token$/,
    ],
  },
  {
    name: "a password in a file that every user may read",
    conf: "etcd_username=u\netcd_password=geheim",
    warnings: [/conf:2: every user of this machine may read DIR\/fleet.conf, .* chmod o-r DIR\/fleet.conf$/],
  },
  {
    name: "folders that other users may write to",
    conf: "units_directory=DIR/open/units/",
    warnings: [
      /units_directory: "DIR\/open\/units\/" is not below \/run/,
      ...["DIR/open/units", "DIR/open"].map((path) =>
        new RegExp(`:1: option units_directory: other users may write to ${path}, .*: chmod go-w ${path}$`)
      ),
    ],
  },
  {
    name: "files that other users may write to, or whose folder they may write to",
    conf: `api_tokens_file=DIR/open/tokens\netcd_cafile=DIR/writable.crt`,
    warnings: [
      /:2: option etcd_cafile: other users may write to DIR\/writable\.crt, .*: chmod go-w DIR\/writable\.crt$/,
      /:1: option api_tokens_file: other users may write to DIR\/open, .*: chmod go-w DIR\/open$/,
    ],
  },
  {
    name: "errors and warnings, of options and of files",
    conf: `${tls}nosuch=1\nverbosity=x\netcd_cafile=DIR/expired.crt\netcd_keyfile=DIR/none`,
    warnings: [/nosuch is not known/, /:4: etcd_cafile DIR\/expired\.crt: the certificate expired on /],
    errors: [
      /:3: option verbosity "x": expected a whole number$/,
      /:5: option etcd_keyfile: expected etcd_certfile too$/,
      /:5: cannot read DIR\/none, the file that etcd_keyfile names/,
    ],
  },
];

function matches(texts: readonly string[], expected: readonly RegExp[], { directory }: Authority): void {
  const found = texts.map((text) => text.replaceAll(directory, "DIR"));
  assert.equal(found.length, expected.length, found.join("\n"));
  expected.forEach((pattern, at) => assert.match(found[at]!, pattern));
}

Deno.test("a check of the configuration finds every fault, and separates warnings from errors", async (test) => {
  const authority = await makeAuthority();
  const path = `${authority.directory}/fleet.conf`;
  try {
    await Deno.writeTextFile(`${authority.directory}/two`, "one two\n");
    await Deno.writeTextFile(`${authority.directory}/token`, "geheim\n");
    for (const name of ["server", "trusted"]) {
      await Deno.copyFile(`${authority.directory}/${name}.key`, `${authority.directory}/${name}.open`);
      await Deno.chmod(`${authority.directory}/${name}.open`, 0o644);
    }
    await Deno.copyFile(`${authority.directory}/server.crt`, `${authority.directory}/writable.crt`);
    await Deno.chmod(`${authority.directory}/writable.crt`, 0o646);
    await Deno.mkdir(`${authority.directory}/open/units`, { recursive: true });
    await Deno.writeTextFile(`${authority.directory}/open/tokens`, "");
    for (const [folder, mode] of [["open", 0o775], ["open/units", 0o757]] as const) {
      await Deno.chmod(`${authority.directory}/${folder}`, mode);
    }
    for (const { name, conf, errors = [], warnings = [] } of cases) {
      await test.step(name, async () => {
        await Deno.writeTextFile(path, conf.replaceAll("DIR", authority.directory));
        const checked = await checkConfig(path, credentialsOf);
        matches(checked.errors, errors, authority);
        matches(checked.warnings, warnings, authority);
        if (errors.length === 0) assert.match(checked.text, /^verbosity=0 /m);
      });
    }
  } finally {
    await Deno.remove(authority.directory, { recursive: true });
  }
});
