import { useState } from "preact/hooks";
import { type CriteriaOutcome, post, type Subscriber, useAsked } from "../core";
import { Page, Problem, State } from "../parts";

const CASES: [string, string][] = [
  ["orig", "from a registered user"],
  ["term", "to a registered user"],
  ["term-unreg", "to a user who is not registered"],
  ["orig-unreg", "from a user who is not registered"],
  ["orig-cdiv", "from a user whose call was diverted"],
];

/// Which application servers a request visits, and why.
export function CriteriaScreen() {
  const { answer } = useAsked<Subscriber[]>("subscribers", 60000, false);
  const [outcome, setOutcome] = useState<CriteriaOutcome>();
  const [problem, setProblem] = useState<string>();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const field = (name: string) => String(form.get(name) ?? "");
    try {
      const wanted = {
        subscriber: field("subscriber"),
        case: field("case"),
        method: field("method"),
        to: field("to"),
        headers: field("headers").split("\n"),
        request: field("request"),
      };
      setOutcome(await post<CriteriaOutcome>("criteria", wanted));
      setProblem(undefined);
    } catch (failure) {
      setOutcome(undefined);
      setProblem((failure as Error).message);
    }
  };
  return (
    <Page title="Filter criteria" about="Tries a request on a subscriber's criteria, as ims ifc test does. Nothing is sent.">
      <div class="two">
        <form class="stacked" onSubmit={submit}>
          <label>
            <span>Subscriber</span>
            <input name="subscriber" list="subscribers" required defaultValue={answer?.[0]?.name ?? "alice"} />
            <datalist id="subscribers">
              {answer?.map((subscriber) => (
                <option key={subscriber.name}>{subscriber.name}</option>
              ))}
            </datalist>
          </label>
          <label>
            <span>Session case</span>
            <select name="case">
              {CASES.map(([value, told]) => (
                <option key={value} value={value}>
                  {value}: {told}
                </option>
              ))}
            </select>
          </label>
          <label>
            <span>Method</span>
            <input name="method" defaultValue="INVITE" />
          </label>
          <label>
            <span>Request-URI</span>
            <input name="to" placeholder="somebody of the home network" />
          </label>
          <label>
            <span>Header fields</span>
            <textarea name="headers" rows={3} placeholder="Accept-Contact: *;audio" />
          </label>
          <label>
            <span>Or a whole request</span>
            <textarea name="request" rows={5} spellcheck={false} />
          </label>
          <button class="first" type="submit">
            Try
          </button>
        </form>
        <section aria-live="polite" aria-label="Outcome">
          <Problem text={problem} />
          {outcome && (
            <>
              <h2>{outcome.visits.length === 0 ? "Visits no application server" : `Visits ${outcome.visits.join(", then ")}`}</h2>
              {outcome.criteria.map((criterion, at) => (
                <div class="criterion" key={at}>
                  <h3>
                    {criterion.server} <span class="quiet">priority {criterion.priority}</span>{" "}
                    <State word={criterion.matches ? "matches" : "does not match"} />
                  </h3>
                  <ul>
                    {criterion.asked.map((asked, index) => (
                      <li key={index}>
                        <strong>{asked.holds ? "yes" : "no"}</strong> {asked.text} <span class="quiet">group {asked.group}</span>
                      </li>
                    ))}
                    {criterion.asked.length === 0 && <li>every request</li>}
                  </ul>
                </div>
              ))}
              <details>
                <summary>As text</summary>
                <pre class="wire">{outcome.text}</pre>
              </details>
            </>
          )}
        </section>
      </div>
    </Page>
  );
}
