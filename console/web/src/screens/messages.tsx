import { useEffect, useRef, useState } from "preact/hooks";
import { clock, count, get, type Messages, type MessageRow, useLive } from "../core";
import { Inspector } from "../inspector";
import { Page, Problem } from "../parts";

const ROW = 24;
const PAGE = 200;
/// Pages that are kept: what is far from the window is asked for again.
const PAGES_MAX = 40;

/// All messages: only the rows that are seen exist.
export function MessagesScreen() {
  const [text, setText] = useState("");
  const [total, setTotal] = useState(0);
  const [error, setError] = useState<string>();
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [cursor, setCursor] = useState(0);
  const [sequence, setSequence] = useState<number>();
  const [isFollowing, setFollowing] = useState(true);
  const [, redraw] = useState(0);
  const pages = useRef(new Map<number, MessageRow[]>());
  const asked = useRef(new Set<number>());
  const box = useRef<HTMLDivElement>(null);
  const generation = useRef(0);

  const load = async (page: number) => {
    if (asked.current.has(page)) return;
    asked.current.add(page);
    const now = generation.current;
    try {
      const told = await get<Messages>(`messages?offset=${page * PAGE}&limit=${PAGE}&text=${encodeURIComponent(text)}`);
      if (now !== generation.current) return;
      pages.current.set(page, told.rows);
      while (pages.current.size > PAGES_MAX) {
        const oldest = pages.current.keys().next().value!;
        pages.current.delete(oldest);
        asked.current.delete(oldest);
      }
      setTotal(told.count);
      setError(undefined);
      redraw((value) => value + 1);
    } catch (failure) {
      asked.current.delete(page);
      setError((failure as Error).message);
    }
  };

  // Another search begins anew.
  useEffect(() => {
    generation.current += 1;
    pages.current.clear();
    asked.current.clear();
    setTotal(0);
    void load(0);
  }, [text]);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => entry && setHeight(entry.contentRect.height));
    if (box.current) watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  // What is new grows the list at its end.
  const timer = useRef(0);
  useLive((live) => {
    if (live.arrows.length === 0 || timer.current) return;
    timer.current = window.setTimeout(() => {
      timer.current = 0;
      const last = Math.floor(Math.max(0, total - 1) / PAGE);
      for (const page of [last, last + 1]) asked.current.delete(page);
      void load(last);
      void load(last + 1);
    }, 150);
  });
  useEffect(() => {
    if (isFollowing && box.current) box.current.scrollTop = total * ROW;
  }, [total, isFollowing]);

  const first = Math.max(0, Math.floor(top / ROW) - 8);
  const last = Math.min(total, Math.ceil((top + height) / ROW) + 8);
  useEffect(() => {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last - 1) / PAGE); page++) void load(page);
  }, [first, last, text]);

  const rowAt = (at: number) => pages.current.get(Math.floor(at / PAGE))?.[at % PAGE];
  const reveal = (at: number) => {
    const element = box.current;
    if (!element) return;
    if (at * ROW < element.scrollTop) element.scrollTop = at * ROW;
    if ((at + 1) * ROW > element.scrollTop + element.clientHeight) element.scrollTop = (at + 1) * ROW - element.clientHeight;
  };
  const move = (event: KeyboardEvent) => {
    const whole = Math.max(1, Math.floor(height / ROW) - 1);
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: whole, PageUp: -whole, Home: -total, End: total };
    if (event.key === "Enter") {
      const row = rowAt(cursor);
      if (row && row.protocol !== "fact") setSequence(row.sequence);
      event.preventDefault();
    }
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    setFollowing(false);
    const next = Math.max(0, Math.min(total - 1, cursor + step));
    setCursor(next);
    reveal(next);
  };

  const rows = [];
  for (let at = first; at < last; at++) {
    const row = rowAt(at);
    rows.push(
      <div
        key={at}
        id={`row-${at}`}
        role="row"
        aria-rowindex={at + 1}
        aria-selected={at === cursor}
        class={`row ${at === cursor ? "is-cursor" : ""} ${row?.cause ? "refuses" : ""}`}
        style={{ transform: `translateY(${at * ROW}px)` }}
        onClick={() => {
          setCursor(at);
          setFollowing(false);
          if (row && row.protocol !== "fact") setSequence(row.sequence);
        }}
      >
        {row ? (
          <>
            <span role="gridcell" class="number">{row.sequence}</span>
            <span role="gridcell">{clock(row.at_ms)}</span>
            <span role="gridcell">{row.node}</span>
            <span role="gridcell">
              <span aria-hidden="true">{row.sent ? "→" : "←"}</span>
              <span class="unseen">{row.sent ? "sent to" : "received from"}</span> {row.peer}
            </span>
            <span role="gridcell">{row.interface}</span>
            <span role="gridcell" class={`summary ${row.protocol}`}>
              {row.cause && "✕ "}
              {row.summary}
            </span>
            <span role="gridcell" class="number">{row.size}</span>
          </>
        ) : (
          <span role="gridcell" class="quiet">…</span>
        )}
      </div>,
    );
  }
  return (
    <Page
      fills
      title="Messages"
      about={`${count(total)} messages`}
      tools={
        <>
          <label>
            <span class="unseen">Find</span>
            <input type="search" data-find placeholder="INVITE, Cx, 403, number  ( / )" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
          <label class="check">
            <input type="checkbox" checked={isFollowing} onChange={(event) => setFollowing(event.currentTarget.checked)} /> Follow
          </label>
        </>
      }
    >
      <Problem text={error} />
      <div class={`split messages ${sequence === undefined ? "" : "with-inspector"}`}>
        <div class="grid" role="grid" aria-label="Messages" aria-rowcount={total} tabIndex={0} aria-activedescendant={rowAt(cursor) && cursor >= first && cursor < last ? `row-${cursor}` : undefined} onKeyDown={move}>
          <div class="row title" role="row">
            {["#", "Time", "At", "With", "Over", "Message", "Octets"].map((title) => (
              <span role="columnheader" key={title}>
                {title}
              </span>
            ))}
          </div>
          <div
            class="window"
            tabIndex={0}
            role="rowgroup"
            ref={box}
            onScroll={(event) => setTop(event.currentTarget.scrollTop)}
            onWheel={() => setFollowing(false)}
          >
            <div role="presentation" style={{ height: `${total * ROW}px` }}>{rows}</div>
          </div>
        </div>
        {sequence !== undefined && (
          <Inspector
            sequence={sequence}
            open={setSequence}
            close={() => {
              setSequence(undefined);
              requestAnimationFrame(() => document.querySelector<HTMLElement>(".grid")?.focus());
            }}
          />
        )}
      </div>
    </Page>
  );
}
