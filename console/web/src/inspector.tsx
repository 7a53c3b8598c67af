// One message, decoded: what it means, what changed since the hop before, its parts.

import { useEffect, useRef, useState } from "preact/hooks";
import { clock, type Field, get, type Message } from "./core";
import { Problem } from "./parts";

export function Inspector(props: { sequence: number; open: (sequence: number) => void; close: () => void }) {
  const [message, setMessage] = useState<Message>();
  const [error, setError] = useState<string>();
  const [view, setView] = useState<"parts" | "text">("parts");
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    let isGone = false;
    get<Message>(`messages/${props.sequence}`).then(
      (told) => !isGone && (setMessage(told), setError(undefined)),
      (failure) => !isGone && setError(failure.message),
    );
    return () => {
      isGone = true;
    };
  }, [props.sequence]);
  useEffect(() => {
    if (message?.row.sequence === props.sequence) title.current?.focus({ preventScroll: true });
  }, [message, props.sequence]);

  const isCurrent = message?.row.sequence === props.sequence;
  const changed = message?.difference.filter((line) => line.change !== "same") ?? [];
  return (
    <aside
      class="inspector"
      aria-label="Message"
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          props.close();
        }
      }}
    >
      <Problem text={error} />
      {message && isCurrent && (
        <>
          <header>
            <h2 ref={title} tabIndex={-1} data-sequence={message.row.sequence}>
              {message.row.summary}
            </h2>
            <button class="plain" onClick={props.close} aria-label="Close the message (Esc)">
              ✕
            </button>
            <p class="meaning">{message.meaning}</p>
            {message.row.cause && <p class="cause">{message.row.cause}</p>}
            <dl class="facts">
              <dt>{message.row.sent ? "from" : "to"}</dt>
              <dd>
                {message.row.node} <code>{message.local}</code>
              </dd>
              <dt>{message.row.sent ? "to" : "from"}</dt>
              <dd>
                {message.row.peer} <code>{message.remote}</code>
              </dd>
              <dt>over</dt>
              <dd>
                {message.row.interface} · {message.transport} · {message.row.size} octets
                {message.spi && <> · 🔒 SPI {message.spi}</>}
              </dd>
              <dt>at</dt>
              <dd>
                {clock(message.row.at_ms)} · #{message.row.sequence}
              </dd>
            </dl>
            <div class="choice" role="group" aria-label="View">
              <button aria-pressed={view === "parts"} onClick={() => setView("parts")}>
                Decoded
              </button>
              {message.text !== null && message.text !== undefined && (
                <button aria-pressed={view === "text"} onClick={() => setView("text")}>
                  {message.difference.length > 0 ? "Text and changes" : "Text"}
                </button>
              )}
            </div>
          </header>
          <div class="body" tabIndex={0} role="region" aria-label="Content of the message">
            {message.previous != null && (
              <details class="changes" open>
                <summary>
                  {changed.length === 0
                    ? "Nothing changed on this hop"
                    : `${changed.length} lines changed since the hop before`}
                </summary>
                <ul>
                  {changed.map((line, at) => (
                    <li key={at} class={line.change}>
                      <span aria-hidden="true">{line.change === "added" ? "+" : "−"}</span>
                      <span class="unseen">{line.change}</span>
                      <code>{line.text}</code>
                    </li>
                  ))}
                </ul>
                <button onClick={() => props.open(message.previous!)}>Open the hop before</button>
              </details>
            )}
            {view === "parts" ? <Parts parts={message.tree} added={changed.filter((line) => line.change === "added").map((line) => line.text)} /> : <Text message={message} />}
          </div>
        </>
      )}
    </aside>
  );
}

function Parts({ parts, added }: { parts: Field[]; added: string[] }) {
  return (
    <ul class="tree">
      {parts.map((field, at) => (
        <Part key={at} field={field} added={added} />
      ))}
    </ul>
  );
}

function Part({ field, added }: { field: Field; added: string[] }) {
  const isNew = field.value.length > 3 && added.some((line) => line.startsWith(`${field.name}:`) && line.includes(field.value));
  const line = (
    <>
      <span class="name">{field.name}</span> <span class="value">{field.value}</span>
      {field.note && <span class="note"> {field.note}</span>}
      {isNew && <span class="new"> changed here</span>}
    </>
  );
  return (
    <li class={isNew ? "is-new" : undefined}>
      {field.parts.length === 0 ? (
        <div class="leaf">{line}</div>
      ) : (
        <details open={field.parts.length < 30 && !/^(Via|Authorization|WWW-Authenticate|Contact)$/.test(field.name)}>
          <summary>{line}</summary>
          <Parts parts={field.parts} added={[]} />
        </details>
      )}
    </li>
  );
}

function Text({ message }: { message: Message }) {
  if (message.difference.length === 0) return <pre class="wire">{message.text}</pre>;
  const sign: Record<string, string> = { same: " ", added: "+", removed: "−" };
  return (
    <pre class="wire">
      {message.difference.map((line, at) => (
        <span key={at} class={line.change}>
          {sign[line.change]} {line.text}
          {"\n"}
        </span>
      ))}
    </pre>
  );
}
