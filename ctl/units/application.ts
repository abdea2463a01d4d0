/**
 * Reads an application: the unit files of directories, with the instances of their templates.
 *
 * @module
 */

import { deployedUnits } from "../../registry/deployment.ts";
import type { DesiredState } from "../../registry/model.ts";
import { checkUnit } from "../../registry/unit_check.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";
import { isUnitFileName, misspelledType, templateOf } from "../../systemd/unit_name.ts";
import type { Io } from "../terminal/port.ts";
import { attachedFolder, type Contents, type UnusedFile, unusedFiles } from "../../registry/attach_contents.ts";
import { attachedFiles, attachmentLimits } from "../../registry/attached_files.ts";
import {
  beside,
  lineOf,
  type LocalFile,
  LocalFileError,
  namedUnit,
  readLocalFile,
  unusedBeside,
  withoutFolder,
} from "./local_file.ts";

/** A unit of an application. */
export interface ApplicationUnit {
  readonly name: string;
  readonly options: readonly UnitOption[];
  /** A template is inactive. */
  readonly desiredState: DesiredState;
  /** The path of its file; of an instance, that of its template. */
  readonly path: string;
  /** The contents of its attached files, which its options name. */
  readonly contents: Contents;
}

/** The unit files of an application, and what is wrong with them. */
export interface Application {
  /** Units by name: those of the files, and the instances that templates name. */
  readonly units: readonly ApplicationUnit[];
  /** Sentences about files that no unit gets, and that are probably not meant for one. */
  readonly ignored: readonly string[];
  readonly warnings: readonly string[];
  /** Reasons why the files cannot be used; none if they can. */
  readonly errors: readonly string[];
}

/** Reads the unit files of `paths`: directories, of which every file counts, and single files. */
export async function readApplication(io: Io, paths: readonly string[], allowUnknown: boolean): Promise<Application> {
  const reader = new ApplicationReader(io, paths, allowUnknown);
  for (const path of paths) await reader.read(path);
  return reader.application();
}

class ApplicationReader {
  readonly #units = new Map<string, ApplicationUnit>();
  readonly #instances: ApplicationUnit[] = [];
  readonly #ignored: string[] = [];
  readonly #warnings: string[] = [];
  readonly #errors: string[] = [];

  constructor(
    private readonly io: Io,
    private readonly paths: readonly string[],
    private readonly allowUnknown: boolean,
  ) {}

  async read(path: string): Promise<void> {
    const names = await this.io.filesIn(path);
    if (!names) {
      const file = await this.#readUnit(namedUnit(path).file, `${path}: no such file or directory`);
      return this.#note(file ? await unusedBeside(file, this.io) : []);
    }
    const before = this.#units.size + this.#errors.length;
    const directory = `${path.replace(/\/+$/, "")}/`;
    const unitNames: string[] = [];
    const others: string[] = [];
    const io = names.includes(attachedFolder) ? this.io : withoutFolder(this.io, directory);
    for (const name of names.sort()) {
      const file = directory + name;
      const mistake = misspelledType(name);
      if (mistake !== undefined) this.#errors.push(`${file}: ${mistake}`);
      else if (!isUnitFileName(name)) others.push(name);
      else {
        unitNames.push(name);
        await this.#readUnit(file, `${file}: the link points to no file`, io);
      }
    }
    await this.#checkUnused(directory, others, unitNames);
    if (this.#units.size + this.#errors.length === before) {
      this.#errors.push(`${path}: the directory has no unit files`);
    }
  }

  application(): Application {
    for (const instance of this.#instances) {
      // A file of its own takes precedence over the template's.
      if (!this.#units.has(instance.name)) this.#units.set(instance.name, instance);
    }
    const contents = new Map([...this.#units.values()].flatMap(({ contents }) => [...contents]));
    const total_bytes = contents.values().reduce((sum, { length }) => sum + length, 0);
    const { application_bytes } = attachmentLimits;
    if (total_bytes > application_bytes) {
      const together = `the files of the application have ${total_bytes} bytes together (max ${application_bytes})`;
      this.#errors.push(`${together}: the largest is ${this.#largestFile()}`);
    }
    return {
      units: [...this.#units.values()].sort((a, b) => a.name < b.name ? -1 : 1),
      ignored: this.#ignored,
      warnings: this.#warnings,
      errors: this.#errors,
    };
  }

  /** Returns the largest file that a unit attaches, with its size. */
  #largestFile(): string {
    const files = [...this.#units.values()].flatMap(({ path, options }) =>
      attachedFiles(options).map(({ source, content }) => ({
        path: beside(path, source),
        size_bytes: content?.size_bytes ?? 0,
      }))
    );
    const [largest] = files.sort((a, b) => b.size_bytes - a.size_bytes);
    return `${largest?.path} with ${largest?.size_bytes} bytes`;
  }

  /** Notes the files of a directory that no unit gets. */
  async #checkUnused(directory: string, others: readonly string[], unitNames: readonly string[]): Promise<void> {
    const units = unitNames.flatMap((name) => {
      const unit = this.#units.get(name);
      // The folder of a link to a template that points to nothing is that of the template.
      if (unit && unit.path !== directory + name) return [];
      return [{ name, options: unit?.options ?? [] }];
    });
    this.#note(await unusedFiles(this.io, directory, others, units));
  }

  #note(unused: readonly UnusedFile[]): void {
    for (const { path, why, isMistake } of unused) {
      if (isMistake) this.#warnings.push(`${path} ${why}`);
      else if (!this.#isNamed(path)) this.#ignored.push(`${path} ${why}`);
    }
  }

  /** True if an argument is a path or below it. */
  #isNamed(path: string): boolean {
    return this.paths.some((named) => named === path || named.startsWith(`${path}/`));
  }

  /** Reads a unit file, and returns it if the unit is one of the application. */
  async #readUnit(path: string, absent: string, io = this.io): Promise<LocalFile | undefined> {
    let file: LocalFile | undefined;
    try {
      file = await readLocalFile(path, io) ?? await this.#readTemplate(path, io);
    } catch (error) {
      if (!(error instanceof LocalFileError)) throw error;
      const line = error.line === undefined ? "" : `:${error.line}`;
      this.#errors.push(`${error.path}${line}: ${error.message}`);
      return undefined;
    }
    if (file === undefined) return this.#refuse(absent);
    const { name } = namedUnit(path);
    const other = this.#units.get(name);
    if (other) return this.#refuse(`${path}: ${other.path} is the same unit, ${name}`);
    this.#check(name, file);
    const { own, instances } = deployedUnits(name, file.options);
    const { contents } = file;
    this.#units.set(name, { ...own, path, contents });
    this.#instances.push(...instances.map((instance) => ({ ...instance, path, contents })));
    return file;
  }

  #refuse(why: string): undefined {
    this.#errors.push(why);
    return undefined;
  }

  /** Reads the template of an instance that has no file of its own. */
  async #readTemplate(path: string, io: Io): Promise<LocalFile | undefined> {
    const template = templateOf(namedUnit(path).name);
    return template === undefined ? undefined : await readLocalFile(beside(path, template), io);
  }

  #check(name: string, file: LocalFile): void {
    for (const { line, message } of file.ignored) this.#warnings.push(`${file.path}:${line}: ignored ${message}`);
    for (const finding of checkUnit(name, file.options)) {
      const line = lineOf(file, finding);
      const text = `${file.path}${line === undefined ? "" : `:${line}`}: ${finding.message}`;
      if (finding.kind === "invalid") this.#errors.push(text);
      else if (finding.kind === "doubtful" || this.allowUnknown) this.#warnings.push(text);
      else this.#errors.push(`${text}. Use --allow-unknown to accept it.`);
    }
  }
}
