import assert from "node:assert/strict";
import { optionsOf } from "./unit_file.ts";
import { generatedService, referencedQuadlets } from "./unit_quadlet.ts";

Deno.test("the service of a Quadlet file is named as podman's generator names it", () => {
  // As podman 5.4 prints them: podman-system-generator --dryrun.
  for (
    const [file, service] of [
      ["a.container", "a.service"],
      ["a.kube", "a.service"],
      ["a.volume", "a-volume.service"],
      ["a.network", "a-network.service"],
      ["a.pod", "a-pod.service"],
      ["a.image", "a-image.service"],
      ["a.build", "a-build.service"],
      ["b@.container", "b@.service"],
      ["b@1.container", "b@1.service"],
      ["b@1.volume", "b@1-volume.service"],
      ["a.service", "a.service"],
    ] as const
  ) assert.equal(generatedService(file, []), service);
});

Deno.test("ServiceName= names the service, in the section of the file's own type", () => {
  const service = (file: string, text: string) => generatedService(file, optionsOf(text));
  assert.equal(service("a.container", "[Container]\nServiceName=x\nServiceName=other\n"), "other.service");
  assert.equal(service("a.volume", "[Volume]\nServiceName=data\n"), "data.service");
  assert.equal(service("a.container", "[Container]\nServiceName=\n"), "a.service");
  assert.equal(service("a.container", "[Service]\nServiceName=x\n"), "a.service");
  assert.equal(service("a.service", "[Service]\nServiceName=x\n"), "a.service");
});

Deno.test("the files that a Quadlet file refers to are found, each once", () => {
  const text = `[Container]
Image=app.build
Volume=data.volume:/data:Z
Volume=data.volume:/again
Volume=/srv/x.volume:/x
Volume=cache@%i.volume:/cache
Network=front.network:ip=10.0.0.2
Network=host
Pod=shop.pod
Mount=type=volume,source=logs.volume,destination=/logs
Mount=type=bind,src=/etc/x,dst=/x
Environment=Volume=no.volume
[Service]
Volume=no.volume
`;
  const expected = ["app.build", "data.volume", "cache@%i.volume", "front.network", "shop.pod", "logs.volume"];
  assert.deepEqual(referencedQuadlets("web.container", optionsOf(text)), expected);
  assert.deepEqual(referencedQuadlets("web.service", optionsOf(text)), []);
  assert.deepEqual(referencedQuadlets("data.volume", optionsOf("[Volume]\nImage=app.image\n")), ["app.image"]);
});
