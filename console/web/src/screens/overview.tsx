import type { Overview } from "../core";
import { clock, count, useAsked } from "../core";
import { Empty, Page, Problem, State, StoryList, Table } from "../parts";
import { Topology } from "../topology";

export function OverviewScreen() {
  const { answer, error } = useAsked<Overview>("overview", 2000);
  return (
    <Page title="Overview" about={answer && `${answer.domain} · PLMN ${answer.plmn} · Carillon ${answer.version}`}>
      <Problem text={error} />
      {answer && (
        <>
          <Topology overview={answer} />
          <div class="two">
            <section aria-labelledby="latest">
              <h2 id="latest">Latest</h2>
              {answer.latest.length === 0 ? (
                <Empty>
                  Nothing has happened yet. Register a phone on <a href="#/phones">Phones</a>, or type{" "}
                  <code>ims call alice bob</code>.
                </Empty>
              ) : (
                <StoryList stories={answer.latest} />
              )}
            </section>
            <section aria-labelledby="peers">
              <h2 id="peers">Diameter peers</h2>
              <PeerTable peers={answer.peers} />
              <h2>Recorded</h2>
              <p class="quiet">
                {count(answer.recorded.last)} messages, {count(answer.recorded.last - answer.recorded.dropped)} kept (
                {(answer.recorded.bytes / 1048576).toFixed(1)} MiB), {count(answer.recorded.dropped)} gone.
              </p>
            </section>
          </div>
        </>
      )}
    </Page>
  );
}

export function PeerTable({ peers, isFull }: { peers: Overview["peers"]; isFull?: boolean }) {
  const head = isFull
    ? ["Peer", "State", "Address", "Seen by", "Since", "Last message", "Requests", "Errors", "Watchdogs"]
    : ["Peer", "State", "Requests", "Errors"];
  if (peers.length === 0) return <Empty>No Diameter connection has been seen.</Empty>;
  return (
    <Table caption="Diameter peers" quiet head={head}>
      {peers.map((peer) => (
        <tr key={peer.address + peer.node}>
          <td>{peer.host || "?"}</td>
          <td>
            <State word={peer.state} />
          </td>
          {isFull && (
            <>
              <td>
                <code>{peer.address}</code>
              </td>
              <td>{peer.node}</td>
              <td>{peer.since_ms ? clock(peer.since_ms) : "?"}</td>
              <td>{clock(peer.last_ms)}</td>
            </>
          )}
          <td class="number">{peer.requests}</td>
          <td class="number">{peer.errors}</td>
          {isFull && <td class="number">{peer.watchdogs}</td>}
        </tr>
      ))}
    </Table>
  );
}

export function PeersScreen() {
  const { answer, error } = useAsked<Overview>("overview", 2000);
  return (
    <Page title="Diameter peers" about="As their messages show them: open after a successful CEA, silent after two missed watchdog intervals.">
      <Problem text={error} />
      {answer && <PeerTable peers={answer.peers} isFull />}
    </Page>
  );
}
