/**
 * Values as YAML 1.2: mappings and lists of mappings as blocks, everything else as JSON, which YAML contains.
 *
 * @module
 */

/** The lines of an object, each ended. Keys must be plain words. */
export function yamlObject(object: object, indent = ""): string {
  return Object.entries(object).filter(([, value]) => value !== undefined).map(([key, value]) => {
    if (isList(value)) return `${indent}${key}:\n${value.map((item) => yamlItem(item, indent)).join("")}`;
    if (isMapping(value)) return `${indent}${key}:\n${yamlObject(value, indent + "  ")}`;
    return `${indent}${key}: ${JSON.stringify(value)}\n`;
  }).join("");
}

function yamlItem(item: object, indent: string): string {
  return `${indent}- ${yamlObject(item, indent + "  ").slice(indent.length + 2)}`;
}

function isMapping(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
}

function isList(value: unknown): value is object[] {
  return Array.isArray(value) && value.length > 0 && value.every(isMapping);
}
