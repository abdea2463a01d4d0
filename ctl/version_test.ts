import assert from "node:assert/strict";
import manifest from "../deno.json" with { type: "json" };
import { version } from "./version.ts";

Deno.test("fleetctl's version is the project's", () => assert.equal(version, manifest.version));
