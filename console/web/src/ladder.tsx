// A story as a ladder: who said what to whom, and when. The same as a table for those who would rather read one.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Arrow, Column, Story } from "./core";
import { clock, span } from "./core";
import { rove, Table } from "./parts";

export function Ladder(props: { story: Story; chosen?: number; choose: (sequence: number) => void }) {
  const { columns, arrows } = props.story;
  const [view, setView] = useState<"ladder" | "table">("ladder");
  const [shown, setShown] = useState<Arrow>();
  const first = arrows[0]?.at_us ?? 0;
  const place = useMemo(() => new Map(columns.map((column, at) => [column.id, at])), [columns]);
  return (
    <div class="ladder-box">
      <div class="ladder-tools">
        <p class="meaning" aria-live="off">
          {shown ? `${shown.summary}: ${shown.meaning}` : "Arrow keys go along the ladder, Enter opens a message."}
        </p>
        <div class="choice" role="group" aria-label="View of the story">
          <button aria-pressed={view === "ladder"} onClick={() => setView("ladder")}>
            Ladder
          </button>
          <button aria-pressed={view === "table"} onClick={() => setView("table")}>
            Table
          </button>
        </div>
      </div>
      {view === "ladder" ? (
        <div class="ladder" style={{ "--columns": String(Math.max(1, columns.length)) }} onKeyDown={(event) => rove(event, "button.arrow")}>
          <div class="parties" aria-hidden="true">
            <span class="gutter">ms</span>
            <div class="lanes">
              {columns.map((column) => (
                <span key={column.id} class="party" title={column.id}>
                  {column.name}
                </span>
              ))}
            </div>
          </div>
          <ol class="arrows" aria-label={`Ladder with the columns ${columns.map((column) => column.name).join(", ")}`}>
            {arrows.map((arrow, at) => (
              <Row
                key={arrow.sequence}
                arrow={arrow}
                before={at > 0 ? arrows[at - 1]!.at_us : first}
                first={first}
                columns={columns}
                place={place}
                isChosen={props.chosen === arrow.sequence}
                isStop={props.chosen === undefined ? at === 0 : props.chosen === arrow.sequence}
                show={setShown}
                choose={props.choose}
              />
            ))}
          </ol>
        </div>
      ) : (
        <Table caption="Messages of the story" quiet head={["ms", "From", "To", "Over", "Message", "Meaning", "Cause"]}>
          {arrows.map((arrow) => (
            <tr key={arrow.sequence}>
              <td class="number">{((arrow.at_us - first) / 1000).toFixed(1)}</td>
              <td>{name(columns, arrow.from)}</td>
              <td>{name(columns, arrow.to)}</td>
              <td>{arrow.interface}</td>
              <td>
                <button class="link" onClick={() => props.choose(arrow.sequence)}>
                  {arrow.summary}
                </button>
              </td>
              <td>{arrow.meaning}</td>
              <td>{arrow.cause && <span class="cause">{arrow.cause}</span>}</td>
            </tr>
          ))}
        </Table>
      )}
    </div>
  );
}

function name(columns: Column[], id: string): string {
  return columns.find((column) => column.id === id)?.name ?? id;
}

function Row(props: {
  arrow: Arrow;
  before: number;
  first: number;
  columns: Column[];
  place: Map<string, number>;
  isChosen: boolean;
  isStop: boolean;
  show: (arrow: Arrow) => void;
  choose: (sequence: number) => void;
}) {
  const { arrow, columns, place } = props;
  const line = useRef<HTMLButtonElement>(null);
  // When this page first showed the arrow, beside when the core says that it was: a test compares the two.
  useEffect(() => line.current?.setAttribute("data-seen", String(Date.now())), []);
  const from = place.get(arrow.from) ?? 0;
  const to = place.get(arrow.to) ?? 0;
  const [left, right] = from < to ? [from, to] : [to, from];
  const part = 100 / Math.max(1, columns.length);
  const style = { left: `${(left + 0.5) * part}%`, width: `${(right - left) * part}%` };
  const at = ((arrow.at_us - props.first) / 1000).toFixed(1);
  const delta = arrow.at_us - props.before;
  const kind = [
    "line",
    arrow.protocol,
    from === to ? "itself" : to < from ? "leftward" : "rightward",
    arrow.cause ? "refuses" : "",
  ].join(" ");
  // What is read begins with what is seen.
  const seen = [delta > 10_000 ? `${at} +${span(delta)}` : at, arrow.is_secured ? "🔒" : "", arrow.summary, arrow.cause ? `✕ ${arrow.cause}` : ""];
  const told = `${seen.filter((part) => part !== "").join(" ")}: ${name(columns, arrow.from)} to ${name(columns, arrow.to)}, ${arrow.interface}. ${arrow.meaning}${arrow.is_secured ? ". Protected" : ""}`;
  return (
    <li>
      <button
        ref={line}
        class={props.isChosen ? "arrow is-chosen" : "arrow"}
        data-sequence={arrow.sequence}
        data-at={arrow.at_ms}
        tabIndex={props.isStop ? 0 : -1}
        aria-label={told}
        aria-pressed={props.isChosen}
        title={`${clock(arrow.at_ms)} ${arrow.meaning}`}
        onFocus={() => props.show(arrow)}
        onMouseEnter={() => props.show(arrow)}
        onClick={() => props.choose(arrow.sequence)}
      >
        <span class="gutter">
          {at}
          {delta > 10_000 && <small> +{span(delta)}</small>}
        </span>{" "}
        <span class="lanes">
          {columns.map((column, index) => (
            <span key={column.id} class="lane" style={{ left: `${(index + 0.5) * part}%` }} />
          ))}
          <span class={kind} style={style}>
            <span class="label">
              {arrow.is_secured && <span class="lock">🔒</span>} {arrow.summary}
            </span>
          </span>{" "}
          {arrow.cause && (
            <span class="chip" style={right > columns.length / 2 ? { right: `calc(${100 - (left + 0.5) * part}% + 8px)` } : { left: `calc(${(right + 0.5) * part}% + 8px)` }}>
              ✕ {arrow.cause}
            </span>
          )}
        </span>
      </button>
    </li>
  );
}
