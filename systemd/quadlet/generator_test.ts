import assert from "node:assert/strict";
import { quadletProblemsIn } from "./generator.ts";

Deno.test("the problems that podman's generator prints are found by file", () => {
  // As podman 5.4 prints them.
  const text = `quadlet-generator[134]: Loading source unit file /run/containers/systemd/fleet/bad.container
quadlet-generator[134]: Warning: a.image specifies the image "x" which not a fully qualified image name.
quadlet-generator[511]: error loading "/run/x/a.container", file contains line 1: “[Container” which is not a group
error loading "/run/x/b.container", key file does not start with a group
quadlet-generator[134]: converting "bad.container": unsupported key 'Exek' in group 'Container' in /run/x/bad.container
converting "c.container": requested Quadlet source none.volume was not found
`;
  assert.deepEqual([...quadletProblemsIn(text)], [
    ["a.container", "file contains line 1: “[Container” which is not a group"],
    ["b.container", "key file does not start with a group"],
    ["bad.container", "unsupported key 'Exek' in group 'Container'"],
    ["c.container", "requested Quadlet source none.volume was not found"],
  ]);
});
