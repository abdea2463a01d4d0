import assert from "node:assert/strict";
import { explainListen, socketFolders } from "./socket_file.ts";

Deno.test("a socket in a folder without permission is refused with the folders that have it", async () => {
  const error = await explainListen({ kind: "unix", path: "/tmp/x" }, new Deno.errors.NotCapable("write"));
  assert.equal(
    error.message,
    "cannot listen on unix:/tmp/x: fleetd may create sockets only in and below " +
      "/run/fleet, /run/user and /var/lib/fleet: name a path there",
  );
});

Deno.test("compile.sh lets fleetd write to each folder for sockets", () => {
  const script = Deno.readTextFileSync(new URL("../../../compile.sh", import.meta.url));
  const [, writable = ""] = /--allow-write=(\S+)/.exec(script) ?? [];
  assert.deepEqual(socketFolders.filter((folder) => !writable.split(",").includes(folder)), []);
});
