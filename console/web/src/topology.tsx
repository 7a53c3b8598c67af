// The core as a picture: functions with their state, lines that pulse with each message. A table says the same.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Overview, useLive } from "./core";
import { Table } from "./parts";

type Place = { x: number; y: number };

/// Where the functions stand; others line up below.
const PLACES: Record<string, Place> = {
  ue: { x: 90, y: 170 },
  pcscf: { x: 290, y: 170 },
  icscf: { x: 490, y: 80 },
  hss: { x: 690, y: 80 },
  scscf: { x: 690, y: 230 },
  ecscf: { x: 490, y: 300 },
  as: { x: 880, y: 170 },
  other: { x: 90, y: 300 },
};
const WIDTH = 140;
const HEIGHT = 56;
const PULSES_MAX = 40;

const group = (id: string) => id.split(":")[0]!;
const pair = (a: string, b: string) => [group(a), group(b)].sort().join(" ");

export function Topology({ overview }: { overview: Overview }) {
  const pulses = useRef<SVGGElement>(null);
  const [lit, setLit] = useState<Record<string, number>>({});
  const isStill = useRef(matchMedia("(prefers-reduced-motion: reduce)").matches);

  useLive((live) => {
    const now = Date.now();
    const seen: Record<string, number> = {};
    for (const arrow of live.arrows) {
      seen[pair(arrow.from, arrow.to)] = now;
      if (!isStill.current) pulse(pulses.current, group(arrow.from), group(arrow.to), arrow.protocol, !!arrow.cause);
    }
    if (Object.keys(seen).length > 0) setLit((before) => ({ ...before, ...seen }));
  });
  useEffect(() => {
    const timer = setInterval(() => setLit((before) => (Object.keys(before).length === 0 ? before : recent(before))), 800);
    return () => clearInterval(timer);
  }, []);

  const groups = new Map<string, { name: string; detail: string; rate: number; isRunning: boolean; refusals: number }>();
  for (const node of overview.functions) {
    const id = group(node.id);
    const before = groups.get(id);
    if (id === "ue" || id === "other") {
      const many = (before ? Number(before.detail.split(" ")[0]) : 0) + 1;
      groups.set(id, { name: id === "ue" ? "Phones" : "Others", detail: `${many} seen`, rate: (before?.rate ?? 0) + node.per_second, isRunning: true, refusals: 0 });
    } else {
      groups.set(id, { name: node.name, detail: node.addresses[0] ?? "", rate: node.per_second, isRunning: node.is_running, refusals: node.refusals });
    }
  }
  if (!groups.has("ue")) groups.set("ue", { name: "Phones", detail: "none yet", rate: 0, isRunning: true, refusals: 0 });
  const edges = new Map<string, { a: string; b: string; interface: string; messages: number; refusals: number }>();
  const usual = [["ue", "pcscf", "Gm"], ["pcscf", "icscf", "Mw"], ["pcscf", "scscf", "Mw"], ["icscf", "scscf", "Mw"], ["icscf", "hss", "Cx"], ["scscf", "hss", "Cx"], ["pcscf", "ecscf", "Mw"]] as const;
  for (const [a, b, point] of usual) if (groups.has(a) && groups.has(b)) edges.set(pair(a, b), { a, b, interface: point, messages: 0, refusals: 0 });
  for (const link of overview.links) {
    const [a, b] = [group(link.a), group(link.b)];
    if (a === b) continue;
    const edge = edges.get(pair(a, b)) ?? { a, b, interface: link.interface, messages: 0, refusals: 0 };
    edges.set(pair(a, b), { ...edge, messages: edge.messages + link.messages, refusals: edge.refusals + link.refusals });
  }
  const down = new Set(overview.peers.filter((peer) => peer.state !== "open" && peer.state !== "opening").map(() => "hss"));

  return (
    <div class="topology">
      <svg viewBox="0 0 970 350" role="img" aria-label="The functions of the core and who talks to whom; the table below says the same">
        {[...edges].map(([key, edge]) => {
          const [a, b] = [PLACES[edge.a], PLACES[edge.b]];
          if (!a || !b) return null;
          const isBroken = !groups.get(edge.a)?.isRunning || !groups.get(edge.b)?.isRunning || (edge.interface === "Cx" && down.size > 0);
          return (
            <g key={key} class={`edge ${edge.interface === "Cx" ? "diameter" : "sip"} ${lit[key] ? "lit" : ""} ${isBroken ? "broken" : ""}`}>
              <line x1={a.x} y1={a.y} x2={b.x} y2={b.y} />
              <text x={(a.x + b.x) / 2} y={(a.y + b.y) / 2 - 7} text-anchor="middle">
                {edge.interface}
                {edge.messages > 0 ? ` ${edge.messages}` : ""}
              </text>
            </g>
          );
        })}
        <g ref={pulses} />
        {[...groups].map(([id, node]) => {
          const at = PLACES[id];
          if (!at) return null;
          return (
            <g key={id} class={node.isRunning ? "node" : "node stopped"} transform={`translate(${at.x - WIDTH / 2} ${at.y - HEIGHT / 2})`}>
              <rect width={WIDTH} height={HEIGHT} rx="6" />
              <text x="12" y="22" class="name">
                {node.isRunning ? "●" : "✕"} {node.name}
              </text>
              <text x={WIDTH - 10} y="22" text-anchor="end" class="rate">
                {node.rate >= 0.05 ? `${node.rate.toFixed(1)}/s` : ""}
              </text>
              <text x="12" y="42" class="detail">
                {node.detail}
              </text>
            </g>
          );
        })}
      </svg>
      <Table caption="Functions" quiet head={["Function", "State", "Address", "Messages", "Per second", "Refusals sent"]}>
        {overview.functions.map((node) => (
          <tr key={node.id}>
            <td>{node.name}</td>
            <td>{node.is_running ? "running" : "stopped"}</td>
            <td>
              <code>{node.addresses.join(", ")}</code>
            </td>
            <td class="number">{node.messages}</td>
            <td class="number">{node.per_second.toFixed(1)}</td>
            <td class="number">{node.refusals}</td>
          </tr>
        ))}
      </Table>
    </div>
  );
}

function recent(lit: Record<string, number>): Record<string, number> {
  const now = Date.now();
  return Object.fromEntries(Object.entries(lit).filter(([, at]) => now - at < 1200));
}

/// A dot that goes along a line once. What moves is drawn outside of the tree of components: hundreds come in a burst.
function pulse(parent: SVGGElement | null, from: string, to: string, protocol: string, refuses: boolean) {
  const [a, b] = [PLACES[from], PLACES[to]];
  if (!parent || !a || !b || from === to || parent.childElementCount >= PULSES_MAX) return;
  const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  dot.setAttribute("r", refuses ? "6" : "4");
  dot.setAttribute("class", `pulse ${protocol} ${refuses ? "refuses" : ""}`);
  parent.append(dot);
  const moved = dot.animate(
    [{ transform: `translate(${a.x}px, ${a.y}px)` }, { transform: `translate(${b.x}px, ${b.y}px)` }],
    { duration: 550, easing: "ease-in-out" },
  );
  moved.onfinish = () => dot.remove();
  moved.oncancel = () => dot.remove();
}
