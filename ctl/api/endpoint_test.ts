import assert from "node:assert/strict";
import { ClientSetupError, parseEndpoint } from "./endpoint.ts";

const accepted: { text: string; base: string; socket?: string }[] = [
  { text: "unix:///var/run/fleet.sock", base: "http://127.0.0.1", socket: "/var/run/fleet.sock" },
  { text: "file:///run/fleet.sock", base: "http://127.0.0.1", socket: "/run/fleet.sock" },
  { text: "unix:/run/fleet.sock", base: "http://127.0.0.1", socket: "/run/fleet.sock" },
  { text: "http://10.0.0.1:49153", base: "http://10.0.0.1:49153" },
  { text: "HTTPS://fleet.example/proxied/", base: "https://fleet.example/proxied" },
];

for (const { text, ...expected } of accepted) {
  Deno.test(`endpoint ${text} is parsed`, () => assert.deepEqual(parseEndpoint(text), { text, ...expected }));
}

const refused: { text: string; message: string }[] = [
  { text: "", message: 'the endpoint "" has no URL scheme: write http://…, https://… or unix:///…' },
  {
    text: "/var/run/fleet.sock",
    message: 'the endpoint "/var/run/fleet.sock" has no URL scheme: write unix:///var/run/fleet.sock',
  },
  ...["10.77.0.11:49153", "localhost:49153"].map((text) => ({
    text,
    message: `the endpoint "${text}" has no URL scheme: write http://${text}, https://… or unix:///…`,
  })),
  {
    text: "unix://var/run/fleet.sock",
    message: 'unable to connect to host "var" with scheme "unix": write unix:///var/run/fleet.sock',
  },
  { text: "unix:fleet.sock", message: '"unix:fleet.sock" does not name the path of a socket' },
  { text: "ftp://a", message: 'unsupported URL scheme "ftp": write http://…, https://… or unix:///…' },
  { text: "http://", message: '"http://" is not a URL' },
  {
    text: "https://anna:secret@a",
    message: 'the endpoint "https://(hidden)@a" contains a user: ' +
      "name a token (--token-file) or a certificate (--cert-file) instead",
  },
  {
    text: "anna:secret@a:49153",
    message: 'the endpoint "(hidden)@a:49153" has no URL scheme: write http://(hidden)@a:49153, https://… or unix:///…',
  },
  { text: "http://a:port", message: '"http://a:port" is not a URL' },
];

for (const { text, message } of refused) {
  Deno.test(`endpoint ${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => parseEndpoint(text), (error) => error instanceof ClientSetupError && error.message === message);
  });
}
