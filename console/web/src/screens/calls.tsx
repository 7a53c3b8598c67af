import { useEffect, useRef, useState } from "preact/hooks";
import { get, type Stories, type Story, useAsked, useLive } from "../core";
import { Inspector } from "../inspector";
import { Ladder } from "../ladder";
import { Empty, Page, Problem, rove, State, StoryLine } from "../parts";
import { span, user } from "../core";

/// Calls, registrations and texts on the left, the ladder of one of them beside, a message of it on the right.
export function CallsScreen({ id, go }: { id?: number; go: (hash: string) => void }) {
  const [kind, setKind] = useState("");
  const [text, setText] = useState("");
  const path = `stories?limit=200&kind=${kind}&text=${encodeURIComponent(text)}`.replace("&kind=&", "&");
  const { answer, error } = useAsked<Stories>(path, 5000);
  const [sequence, setSequence] = useState<number>();
  useEffect(() => setSequence(undefined), [id]);

  // Without a choice the page follows what begins: the next call is on the screen with its first message.
  useLive((live) => {
    if (id !== undefined) return;
    const begun = live.arrows.findLast((arrow) => arrow.story > 0 && !arrow.is_answer && arrow.summary === "INVITE");
    if (begun) go(`#/calls/${begun.story}`);
  });

  return (
    <Page
      fills
      title="Calls and registrations"
      tools={
        <>
          <label>
            <span class="unseen">Kind</span>
            <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
              <option value="">all kinds</option>
              {["call", "registration", "text", "subscription", "other"].map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          </label>
          <label>
            <span class="unseen">Find</span>
            <input type="search" data-find placeholder="number, Call-ID, cause  ( / )" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
          {id !== undefined && (
            <a class="button" href="#/calls">
              Follow the next call
            </a>
          )}
        </>
      }
    >
      <Problem text={error} />
      <div class={`split ${sequence === undefined ? "" : "with-inspector"}`}>
        <nav class="list" aria-label="Stories" onKeyDown={(event) => rove(event, "a.story")}>
          {answer && answer.stories.length === 0 && <Empty>Nothing yet.</Empty>}
          <ul class="stories">
            {answer?.stories.map((story) => (
              <li key={story.id}>
                <a class="story" href={`#/calls/${story.id}`} aria-current={story.id === id ? "true" : undefined}>
                  <StoryLine story={story} />
                </a>
              </li>
            ))}
          </ul>
        </nav>
        {id === undefined ? (
          <Empty>Choose one on the left, or wait: the next call appears here with its first message.</Empty>
        ) : (
          <StoryView key={id} id={id} sequence={sequence} choose={setSequence} />
        )}
        {sequence !== undefined && (
          <Inspector
            sequence={sequence}
            open={setSequence}
            close={() => {
              const last = sequence;
              setSequence(undefined);
              requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-sequence="${last}"].arrow`)?.focus());
            }}
          />
        )}
      </div>
    </Page>
  );
}

function StoryView(props: { id: number; sequence?: number; choose: (sequence: number) => void }) {
  const [story, setStory] = useState<Story>();
  const [error, setError] = useState<string>();
  const timer = useRef(0);
  const wanted = useRef(false);
  const isAsking = useRef(false);
  const ask = async () => {
    if (isAsking.current) {
      wanted.current = true;
      return;
    }
    isAsking.current = true;
    try {
      setStory(await get<Story>(`stories/${props.id}`));
      setError(undefined);
    } catch (failure) {
      setError((failure as Error).message);
    }
    isAsking.current = false;
    if (wanted.current) {
      wanted.current = false;
      void ask();
    }
  };
  useEffect(() => {
    void ask();
    return () => clearTimeout(timer.current);
  }, []);
  useLive((live) => {
    const own = live.arrows.filter((arrow) => arrow.story === props.id);
    if (own.length === 0) return;
    // The arrow at once; what the core makes of it, shortly after.
    setStory((before) => {
      if (!before) return before;
      const known = new Set(before.arrows.map((arrow) => arrow.sequence));
      const fresh = own.filter((arrow) => !known.has(arrow.sequence));
      if (fresh.length === 0) return before;
      const columns = [...before.columns];
      for (const party of fresh.flatMap((arrow) => [arrow.from, arrow.to])) {
        if (!columns.some((column) => column.id === party)) columns.push({ id: party, name: party });
      }
      return { ...before, columns, arrows: [...before.arrows, ...fresh].sort((a, b) => a.at_us - b.at_us || a.sequence - b.sequence) };
    });
    clearTimeout(timer.current);
    timer.current = window.setTimeout(ask, 60);
  });
  return (
    <section class="story-view" aria-label="Ladder">
      <Problem text={error} />
      {story && (
        <>
          <header class="story-head">
            <h2>
              {user(story.summary.from)}
              {story.summary.kind !== "registration" && <> → {user(story.summary.to)}</>}
            </h2>
            <State word={story.summary.state} />
            <span class="quiet">
              {story.arrows.length} messages in {span(story.summary.lasted_us)}
            </span>
            <code class="quiet">{story.summary.call_id}</code>
          </header>
          {story.summary.cause && !story.explanation && <p class="verdict">{story.summary.cause}</p>}
          {story.explanation && (
            <div class="verdict">
              <p>
                <strong>{story.explanation.sentence}</strong>
              </p>
              <ul>
                {story.explanation.evidence.map((line) => (
                  <li key={line}>{line}</li>
                ))}
              </ul>
              <p>{story.explanation.remedy}</p>
            </div>
          )}
          <Ladder story={story} chosen={props.sequence} choose={props.choose} />
        </>
      )}
    </section>
  );
}
