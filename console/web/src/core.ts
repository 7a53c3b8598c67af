// The core as this page knows it: requests with the token, live events, and the few formats that all screens share.

import { useEffect, useRef, useState } from "preact/hooks";
import type { components } from "./api";

type Schemas = components["schemas"];
export type Overview = Schemas["Overview"];
export type Arrow = Schemas["Arrow"];
export type LiveArrow = Schemas["LiveArrow"];
export type Live = Schemas["Live"];
export type Story = Schemas["Story"];
export type StorySummary = Schemas["StorySummary"];
export type Stories = Schemas["Stories"];
export type Message = Schemas["Message"];
export type MessageRow = Schemas["MessageRow"];
export type Messages = Schemas["Messages"];
export type Field = Schemas["Field"];
export type Phone = Schemas["Phone"];
export type Peer = Schemas["Peer"];
export type Subscriber = Schemas["Subscriber"];
export type Registrations = Schemas["Registrations"];
export type Failures = Schemas["Failures"];
export type Setting = Schemas["Setting"];
export type CriteriaOutcome = Schemas["CriteriaOutcome"];
export type Column = Schemas["Column"];
export type Explanation = Schemas["Explanation"];

// The token comes in the fragment, which no server and no log sees, and stays in this tab.
const TOKEN = "carillon.token";
const given = /^#token=([0-9a-f]+)$/.exec(location.hash);
if (given) {
  sessionStorage.setItem(TOKEN, given[1]!);
  history.replaceState(null, "", location.pathname + "#/overview");
}

function headers(more: Record<string, string> = {}): Record<string, string> {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

async function answered<T>(response: Response): Promise<T> {
  if (response.ok) return response.json();
  let why = `${response.status} ${response.statusText}`;
  try {
    why = (await response.json()).error ?? why;
  } catch {
    // No JSON: the status says what there is to say.
  }
  throw new Error(why);
}

export async function get<T>(path: string): Promise<T> {
  return answered<T>(await fetch(`/api/${path}`, { headers: headers() }));
}

export async function post<T>(path: string, body: object): Promise<T> {
  const options = { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body) };
  return answered<T>(await fetch(`/api/${path}`, options));
}

// --- live events -----------------------------------------------------------------------------------------------------

type Listener = (live: Live) => void;
const listeners = new Set<Listener>();
export const connection = { isOpen: false, tell: new Set<(isOpen: boolean) => void>() };

function connected(isOpen: boolean) {
  if (connection.isOpen === isOpen) return;
  connection.isOpen = isOpen;
  connection.tell.forEach((tell) => tell(isOpen));
}

/// Reads server-sent events by fetch, which, other than EventSource, can carry the token.
export async function listen() {
  let after: number | undefined;
  for (;;) {
    try {
      const response = await fetch(`/api/events${after === undefined ? "" : `?after=${after}`}`, { headers: headers() });
      if (!response.ok || !response.body) throw new Error(String(response.status));
      connected(true);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        rest += value;
        let end: number;
        while ((end = rest.indexOf("\n\n")) >= 0) {
          const event = rest.slice(0, end);
          rest = rest.slice(end + 2);
          const data = event.split("\n").filter((line) => line.startsWith("data:"));
          if (data.length === 0) continue;
          const live: Live = JSON.parse(data.map((line) => line.slice(5)).join("\n"));
          after = live.last;
          listeners.forEach((listener) => listener(live));
        }
      }
    } catch {
      // The core may have gone; it may come back.
    }
    connected(false);
    after = undefined;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

export function useLive(listener: Listener) {
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => {
    const call: Listener = (live) => latest.current(live);
    listeners.add(call);
    return () => void listeners.delete(call);
  }, []);
}

/// What the core says to a request: asked again every so often, and when something happened if `follows`.
export function useAsked<T>(path: string, everyMs: number, follows = true) {
  const [answer, setAnswer] = useState<T>();
  const [error, setError] = useState<string>();
  const pending = useRef(false);
  const again = useRef<() => void>(() => {});
  useEffect(() => {
    let isGone = false;
    let timer = 0;
    const ask = async () => {
      if (pending.current || isGone) return;
      pending.current = true;
      try {
        const told = await get<T>(path);
        if (!isGone) {
          setAnswer(told);
          setError(undefined);
        }
      } catch (failure) {
        if (!isGone) setError(String((failure as Error).message));
      }
      pending.current = false;
    };
    again.current = () => {
      clearTimeout(timer);
      timer = window.setTimeout(ask, 120);
    };
    void ask();
    const interval = window.setInterval(ask, everyMs);
    return () => {
      isGone = true;
      pending.current = false;
      clearInterval(interval);
      clearTimeout(timer);
    };
  }, [path, everyMs]);
  useLive((live) => {
    if (follows && live.arrows.length > 0) again.current();
  });
  return { answer, error, again: () => again.current() };
}

// --- formats ---------------------------------------------------------------------------------------------------------

export function clock(ms: number): string {
  const at = new Date(ms);
  const pad = (value: number, width = 2) => String(value).padStart(width, "0");
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
}

export function span(us: number): string {
  if (us < 1000) return `${us} µs`;
  if (us < 1_000_000) return `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`;
  if (us < 120_000_000) return `${(us / 1_000_000).toFixed(1)} s`;
  return `${Math.round(us / 60_000_000)} min`;
}

export function seconds(value: number): string {
  if (value < 120) return `${value} s`;
  const minutes = Math.floor(value / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function user(uri: string): string {
  const bare = uri.replace(/^(sips?|tel):/, "");
  const at = bare.indexOf("@");
  return at > 0 ? bare.slice(0, at) : bare;
}

export const count = (value: number) => value.toLocaleString("en");
