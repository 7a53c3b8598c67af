// Small parts that several screens share.

import type { ComponentChildren } from "preact";
import type { StorySummary } from "./core";
import { clock, span, user } from "./core";

export function Page(props: { title: string; about?: string; tools?: ComponentChildren; children: ComponentChildren; fills?: boolean }) {
  return (
    <section class={props.fills ? "page fills" : "page"} aria-labelledby="title">
      <header class="head">
        <h1 id="title" tabIndex={-1}>
          {props.title}
        </h1>
        {props.about && <p class="about">{props.about}</p>}
        <div class="tools">{props.tools}</div>
      </header>
      {props.children}
    </section>
  );
}

const GOOD = new Set(["registered", "talking", "done", "ended", "open", "running", "current"]);
const BAD = new Set(["failed", "refused", "silent", "stopped"]);

/// A state by its word and a sign: colour never says it alone.
export function State({ word }: { word: string }) {
  const kind = GOOD.has(word) ? "good" : BAD.has(word) ? "bad" : "calm";
  const sign = kind === "good" ? "●" : kind === "bad" ? "✕" : "○";
  return (
    <span class={`state ${kind}`}>
      <span aria-hidden="true">{sign}</span> {word}
    </span>
  );
}

export function Problem({ text }: { text?: string }) {
  return text ? (
    <p class="problem" role="alert">
      {text}
    </p>
  ) : null;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export function StoryLine({ story }: { story: StorySummary }) {
  const isAlone = story.kind === "registration" || story.from === story.to;
  return (
    <>
      <span class="kind">{story.kind}</span>
      <span class="who">
        {user(story.from)}
        {!isAlone && <> → {user(story.to)}</>}
      </span>
      <State word={story.state} />
      <span class="when">
        {clock(story.started_ms).slice(0, 8)} · {span(story.lasted_us)}
      </span>
      {story.cause && <span class="cause">{story.cause}</span>}
    </>
  );
}

/// Some stories, each a way to its ladder.
export function StoryList({ stories }: { stories: StorySummary[] }) {
  return (
    <ul class="stories">
      {stories.map((story) => (
        <li key={story.id}>
          <a class="story" href={`#/calls/${story.id}`}>
            <StoryLine story={story} />
          </a>
        </li>
      ))}
    </ul>
  );
}

export function Table(props: { caption: string; head: string[]; children: ComponentChildren; quiet?: boolean }) {
  return (
    <div class="table" tabIndex={0} role="region" aria-label={props.caption}>
      <table>
        <caption class={props.quiet ? "unseen" : ""}>{props.caption}</caption>
        <thead>
          <tr>
            {props.head.map((title) => (
              <th scope="col" key={title}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{props.children}</tbody>
      </table>
    </div>
  );
}

/// Moves the focus among the buttons of a list by arrow keys; the one that has it is the one that Tab comes back to.
export function rove(event: KeyboardEvent, selector: string) {
  const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };
  const step = steps[event.key];
  if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return false;
  const all = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>(selector)];
  if (all.length === 0) return false;
  const at = all.indexOf(document.activeElement as HTMLElement);
  const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
  event.preventDefault();
  next?.focus();
  return true;
}
