/**
 * Reads the imports, side effects and functions of a source file from the syntax tree of Deno's linter. Works in
 * `deno test` only.
 *
 * @module
 */

import { dirname, join } from "node:path/posix";

/** One import, export-from, import() or import type. */
export interface Import {
  readonly specifier: string;
  /** The imported file, from the root; undefined for packages and for computed names. */
  readonly path: string | undefined;
  readonly line: number;
  readonly dynamic: boolean;
  /** True if the import is erased before the program runs. */
  readonly typeOnly: boolean;
}

export interface Found {
  readonly what: string;
  readonly line: number;
}

export interface Source {
  /** From the root, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  /** Side effects: uses of Deno, the network, timers, the clock, random numbers and the console. */
  readonly effects: readonly Found[];
  /** Lines that end the process. */
  readonly exits: readonly number[];
  readonly functions: readonly { readonly name: string; readonly line: number; readonly lines: number }[];
  /** Tests that do not run, or that keep others from running. */
  readonly skips: readonly Found[];
}

/** Globals of which every use is a side effect. */
const effectful = new Set([
  ...["Deno", "console", "performance", "process", "localStorage", "sessionStorage", "globalThis"],
  ...["fetch", "WebSocket", "EventSource", "Worker", "setTimeout", "setInterval", "setImmediate"],
  ...["alert", "confirm", "prompt"],
]);

/** Members with side effects of globals that otherwise have none. */
const effectfulMembers = new Set([
  ...["Date.now", "Math.random", "crypto.getRandomValues", "crypto.randomUUID", "AbortSignal.timeout", "Temporal.Now"],
]);

/** Exports of node:crypto that return random values. */
const random = new Set(["randomBytes", "randomFill", "randomFillSync", "randomInt", "randomUUID", "webcrypto"]);

// deno-lint-ignore no-explicit-any
type Node = any;

/** Parses the text of one file. */
export function parse(path: string, text: string): Source {
  const found = {
    imports: [] as Import[],
    effects: [] as Found[],
    exits: [] as number[],
    functions: [] as { name: string; line: number; lines: number }[],
    skips: [] as Found[],
  };
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  const lineAt = (offset: number) => starts.findLastIndex((start) => start <= offset) + 1;
  const line = (node: Node) => lineAt(node.range[0]);
  const references: Node[] = [];
  const bound = new Set<string>();

  const addImport = (node: Node, literal: Node, kind: { dynamic?: boolean; typeOnly?: boolean }) => {
    const specifier = typeof literal?.value === "string" ? literal.value : undefined;
    const relative = specifier?.startsWith(".") ?? false;
    found.imports.push({
      specifier: specifier ?? "(computed)",
      path: relative ? join(dirname(path), specifier!) : undefined,
      line: line(node),
      dynamic: kind.dynamic ?? false,
      typeOnly: kind.typeOnly ?? false,
    });
  };
  const addFunction = (node: Node) => {
    const name = node.id?.name ?? node.parent?.key?.name ?? node.parent?.id?.name ?? "(a function)";
    found.functions.push({ name, line: line(node), lines: lineAt(node.range[1] - 1) - line(node) + 1 });
  };

  const visitor: Record<string, (node: Node) => void> = {
    ImportDeclaration(node) {
      addImport(node, node.source, { typeOnly: node.importKind === "type" });
      if (node.source.value !== "node:crypto") return;
      for (const { imported } of node.specifiers) {
        if (random.has(imported?.name)) found.effects.push({ what: imported.name, line: line(node) });
      }
    },
    ExportAllDeclaration: (node) => addImport(node, node.source, { typeOnly: node.exportKind === "type" }),
    ExportNamedDeclaration(node) {
      if (node.source) addImport(node, node.source, { typeOnly: node.exportKind === "type" });
    },
    ImportExpression: (node) => addImport(node, node.source, { dynamic: true }),
    TSImportType: (node) => addImport(node, node.argument.literal ?? node.argument, { typeOnly: true }),
    FunctionDeclaration: addFunction,
    FunctionExpression: addFunction,
    ArrowFunctionExpression: addFunction,
    Identifier(node) {
      const role = roleOf(node);
      if (role === "binding") bound.add(node.name);
      if (role === "reference" && effectful.has(node.name)) references.push(node);
    },
    MemberExpression(node) {
      const name = nameOf(node);
      if (effectfulMembers.has(name)) found.effects.push({ what: name, line: line(node) });
      if (name === "Deno.exit" || name === "process.exit") found.exits.push(line(node));
      if (/^Deno\.test\.(ignore|only)$/.test(name)) found.skips.push({ what: name, line: line(node) });
    },
    NewExpression(node) {
      if (nameOf(node.callee) === "Date" && node.arguments.length === 0) {
        found.effects.push({ what: "new Date()", line: line(node) });
      }
    },
    CallExpression(node) {
      const name = nameOf(node.callee);
      if (name === "Date") found.effects.push({ what: "Date()", line: line(node) });
      if (name !== "Deno.test" && !name.endsWith(".step")) return;
      for (const argument of node.arguments) {
        for (const property of argument.type === "ObjectExpression" ? argument.properties : []) {
          const key = property.key?.name;
          if (key === "ignore" || key === "only") {
            found.skips.push({ what: `${name} with ${key}`, line: line(property) });
          }
        }
      }
    },
  };
  const rules = { architecture: { create: () => visitor as Deno.lint.LintVisitor } };
  Deno.lint.runPlugin({ name: "architecture", rules }, path, text);
  for (const node of references) {
    if (!bound.has(node.name)) found.effects.push({ what: node.name, line: line(node) });
  }
  return { path, text, lines: starts.length - (text.endsWith("\n") ? 1 : 0), ...found };
}

/** Returns `a.b.c` for plain member expressions; "" for any other expression. */
function nameOf(node: Node): string {
  if (node.type === "Identifier") return node.name;
  if (node.type !== "MemberExpression" || node.computed) return "";
  const object = nameOf(node.object);
  return `${object || "(…)"}.${node.property.name}`;
}

/** Returns whether an identifier declares a name, uses one, or is a label. */
function roleOf(node: Node): "binding" | "reference" | "label" {
  const parent = node.parent;
  const is = (other: Node) => other?.range[0] === node.range[0] && other?.range[1] === node.range[1];
  switch (parent.type) {
    case "MemberExpression":
      return parent.computed || is(parent.object) ? "reference" : "label";
    case "Property":
      if (parent.parent.type === "ObjectPattern") return is(parent.value) ? "binding" : "label";
      return is(parent.value) ? "reference" : "label";
    case "VariableDeclarator":
      return is(parent.id) ? "binding" : "reference";
    case "AssignmentPattern":
      return is(parent.left) ? "binding" : "reference";
    case "ArrowFunctionExpression":
      return is(parent.body) ? "reference" : "binding";
    case "ImportSpecifier":
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ClassDeclaration":
    case "ArrayPattern":
    case "RestElement":
    case "CatchClause":
    case "TSParameterProperty":
      return "binding";
    case "PropertyDefinition":
      return is(parent.value) ? "reference" : "label";
    case "MethodDefinition":
    case "ExportSpecifier":
      return "label";
  }
  // Types are erased before the program runs.
  return parent.type.startsWith("TS") &&
      !["TSAsExpression", "TSNonNullExpression", "TSSatisfiesExpression"].includes(parent.type)
    ? "label"
    : "reference";
}

/** Returns the paths from `root` of every file with a suffix, without ignored and hidden folders. */
export async function filesOf(root: string, suffix: string): Promise<string[]> {
  const found: string[] = [];
  const walk = async (folder: string) => {
    for await (const entry of Deno.readDir(join(root, folder))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory && !/^(\..*|dist|node_modules|coverage)$/.test(entry.name)) await walk(path);
      if (entry.isFile && path.endsWith(suffix)) found.push(path);
    }
  };
  await walk("");
  return found.sort();
}

/** Parses every source file below `root`; the keys are paths from there. */
export async function sourcesOf(root: string): Promise<ReadonlyMap<string, Source>> {
  const sources = new Map<string, Source>();
  for (const path of [...await filesOf(root, ".ts"), ...await filesOf(root, ".tsx")]) {
    // Types of a package: without code, and imported by a comment.
    if (path.endsWith(".d.ts")) continue;
    sources.set(path, parse(path, await Deno.readTextFile(join(root, path))));
  }
  return sources;
}
