import { useState } from "preact/hooks";
import { type Phone, post, useAsked } from "../core";
import { Page, Problem, State } from "../parts";

/// Phones to click and call.
export function PhonesScreen({ go }: { go: (hash: string) => void }) {
  const { answer, error, again } = useAsked<Phone[]>("phones", 1000);
  const [problem, setProblem] = useState<string>();
  const [find, setFind] = useState("");
  const tell = async (path: string, body: object) => {
    try {
      await post<Phone[]>(path, body);
      setProblem(undefined);
    } catch (failure) {
      setProblem((failure as Error).message);
    }
    again();
  };
  const shown = answer?.filter((phone) => phone.state !== "off" || `${phone.name} ${phone.number}`.includes(find)) ?? [];
  return (
    <Page
      title="Phones"
      about="Phones of this process: they prove by AKA who they are, answer after a moment, and tell what happens."
      tools={
        <label>
          <span class="unseen">Find</span>
          <input type="search" data-find placeholder="name or number  ( / )" value={find} onInput={(event) => setFind(event.currentTarget.value)} />
        </label>
      }
    >
      <Problem text={error ?? problem} />
      <ul class="phones">
        {shown.slice(0, 24).map((phone) => (
          <PhoneCard key={phone.name} phone={phone} others={answer!.filter((other) => other.name !== phone.name)} tell={tell} go={go} />
        ))}
      </ul>
      {shown.length > 24 && <p class="quiet">{shown.length - 24} more: find one by its name or number.</p>}
    </Page>
  );
}

function PhoneCard(props: { phone: Phone; others: Phone[]; tell: (path: string, body: object) => Promise<void>; go: (hash: string) => void }) {
  const { phone, tell } = props;
  const [to, setTo] = useState(props.others[0]?.name ?? "");
  const [text, setText] = useState("Hello");
  const path = `phones/${encodeURIComponent(phone.name)}`;
  const isBusy = ["calling", "ringing", "talking"].includes(phone.state);
  const isOn = phone.state !== "off" && phone.state !== "failed";
  return (
    <li class="phone">
      <header>
        <h2>{phone.name}</h2>
        <code>{phone.number}</code>
        <State word={phone.state} />
      </header>
      <div class="buttons">
        {isOn ? (
          <button onClick={() => tell(`${path}/deregister`, {})}>De-register</button>
        ) : (
          <button class="first" onClick={() => tell(`${path}/register`, {})}>
            Register
          </button>
        )}
        {isBusy && (
          <button class="first" onClick={() => tell(`${path}/hangup`, {})}>
            Hang up
          </button>
        )}
      </div>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          // The page of calls is there before the first message is.
          props.go("#/calls");
          void tell(`${path}/call`, { to });
        }}
      >
        <label>
          <span>To</span>
          <input list={`known-${phone.name}`} value={to} onInput={(event) => setTo(event.currentTarget.value)} required />
        </label>
        <datalist id={`known-${phone.name}`}>
          {props.others.slice(0, 50).map((other) => (
            <option key={other.name} value={other.name}>
              {other.number}
            </option>
          ))}
        </datalist>
        <button type="submit" disabled={isBusy}>
          Call
        </button>
      </form>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void tell(`${path}/text`, { to, text });
        }}
      >
        <label>
          <span>Text</span>
          <input value={text} onInput={(event) => setText(event.currentTarget.value)} required maxLength={500} />
        </label>
        <button type="submit">Send</button>
      </form>
      {phone.said.length > 0 && (
        <ul class="said" aria-label={`What ${phone.name} said`}>
          {phone.said.slice(-4).map((line, at) => (
            <li key={at}>{line}</li>
          ))}
        </ul>
      )}
    </li>
  );
}
