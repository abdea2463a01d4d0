/**
 * `/openapi.json`: the OpenAPI 3.1 document of the API.
 *
 * @module
 */

import type { Operations } from "./operation.ts";
import { operations, probes } from "./operations.ts";
import { apiPrefixes, components } from "./types.ts";

/** Groups operations by path, as OpenAPI does. */
function pathsOf(operations: Operations, prefix: string) {
  const paths: Record<string, Record<string, Operations[string]>> = {};
  for (const [key, operation] of Object.entries(operations)) {
    const [method = "", path = ""] = key.split(" ");
    (paths[prefix + path] ??= {})[method.toLowerCase()] = operation;
  }
  return paths;
}

let documentText: string | undefined;

/** The JSON text of the document, made at the first call. */
export function openapiText(version: string): string {
  const [prefix, alias] = apiPrefixes;
  return documentText ??= JSON.stringify({
    openapi: "3.1.0",
    info: {
      title: "fleet API",
      version: "v1",
      description: `Served by fleetd ${version}. The prefix ${alias} is equivalent to ${prefix}.`,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{}, { bearer: [] }, { certificate: [] }],
    paths: { ...pathsOf(operations, prefix), ...pathsOf(probes, "") },
    components: {
      schemas: Object.fromEntries(components.map((component) => [component.title, component])),
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "A token of `api_tokens_file`." },
        certificate: { type: "mutualTLS", description: "A client certificate of `api_client_cafile`." },
      },
    },
  });
}
