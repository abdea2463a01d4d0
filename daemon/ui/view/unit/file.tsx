/**
 * A unit file with its syntax highlighted.
 *
 * @module
 */

import { readUnit } from "../../api/client.ts";
import { access } from "../../api/session.ts";
import { unitText } from "../../model/unit_text.ts";
import { Failure, Section } from "../parts.tsx";
import { editFile } from "../submit.tsx";
import { useRequest } from "./request.ts";

/** The file of a unit; read again when `version` changes. */
export function UnitFile({ name, version }: { readonly name: string; readonly version: string }) {
  const { value, error } = useRequest(() => readUnit(name), version);
  return (
    <Section title="File" id="file">
      <Failure error={error} />
      {value?.unreadable !== undefined && <p class="failure">{value.unreadable}</p>}
      {value?.options && access.value === "write" && (
        <button
          type="button"
          onClick={() => editFile({ name, text: unitText(value.options) }, value.app, value.desiredState)}
        >
          Edit
        </button>
      )}
      {value?.options && <FileText text={unitText(value.options)} />}
    </Section>
  );
}

/** The text of a unit file, one line an element. */
const FileText = ({ text }: { readonly text: string }) => (
  <pre class="file" tabIndex={0}>
    {text.split("\n").map((line, index) => <Line key={index} line={line} />)}
  </pre>
);

function Line({ line }: { readonly line: string }) {
  if (line.startsWith("[")) return <span class="head">{line + "\n"}</span>;
  const at = line.indexOf("=");
  if (at < 0) return <span>{line + "\n"}</span>;
  return (
    <span>
      <span class="key">{line.slice(0, at)}</span>={line.slice(at + 1) + "\n"}
    </span>
  );
}
