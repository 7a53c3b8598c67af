// The screens that are a table each.

import { useState } from "preact/hooks";
import { type Failures, type Registrations, type Setting, seconds, type Subscriber, useAsked } from "../core";
import { Empty, Page, Problem, State, StoryList, Table } from "../parts";

export function SubscribersScreen() {
  const { answer, error } = useAsked<Subscriber[]>("subscribers", 5000);
  const [find, setFind] = useState("");
  const fits = (subscriber: Subscriber) => JSON.stringify(subscriber).toLowerCase().includes(find.toLowerCase());
  const shown = answer?.filter(fits) ?? [];
  return (
    <Page
      title="Subscribers"
      about={answer && `${shown.length} of ${answer.length}. Keys are never shown.`}
      tools={
        <label>
          <span class="unseen">Find</span>
          <input type="search" data-find placeholder="name, IMSI, identity  ( / )" value={find} onInput={(event) => setFind(event.currentTarget.value)} />
        </label>
      }
    >
      <Problem text={error} />
      <Table caption="Subscribers" quiet head={["Name", "IMSI", "Private identities", "Public identities", "Criteria", "At the HSS"]}>
        {shown.map((subscriber) => (
          <tr key={subscriber.name}>
            <th scope="row">{subscriber.name}</th>
            <td>
              <code>{subscriber.imsi}</code>
            </td>
            <td>
              {subscriber.private_identities.map((impi) => (
                <code class="block" key={impi}>
                  {impi}
                </code>
              ))}
            </td>
            <td>
              {subscriber.identities.map((identity) => (
                <code class="block" key={identity.uri}>
                  {identity.uri}
                  {identity.is_barred && " (barred)"}
                </code>
              ))}
            </td>
            <td class="number">{Math.max(0, ...subscriber.identities.map((identity) => identity.criteria))}</td>
            <td>{subscriber.state}</td>
          </tr>
        ))}
      </Table>
    </Page>
  );
}

export function RegistrationsScreen() {
  const { answer, error } = useAsked<Registrations>("registrations", 2000);
  const longest = Math.max(1, ...(answer?.contacts.map((contact) => contact.expires_s) ?? []));
  return (
    <Page title="Registrations" about="Contacts at the S-CSCF, and the security associations that the P-CSCF keeps for them.">
      <Problem text={error} />
      {answer?.contacts.length === 0 ? (
        <Empty>
          Nobody is registered. <a href="#/phones">Register a phone.</a>
        </Empty>
      ) : (
        <Table caption="Contacts" head={["Identity", "Private identity", "Contact", "Left", "Path"]}>
          {answer?.contacts.map((contact) => (
            <tr key={contact.identity + contact.uri}>
              <th scope="row">{contact.identity}</th>
              <td>
                <code>{contact.private_identity}</code>
              </td>
              <td>
                <code>{contact.uri}</code>
              </td>
              <td class="left">
                {seconds(contact.expires_s)}
                <span class="bar" aria-hidden="true">
                  <span style={{ width: `${(100 * contact.expires_s) / longest}%` }} />
                </span>
              </td>
              <td>
                <code class="long">{contact.path.join(" ")}</code>
              </td>
            </tr>
          ))}
        </Table>
      )}
      {answer && answer.associations.length > 0 ? (
        <Table caption="Security associations" head={["UE", "State", "Age", "Ports, SPIs and algorithms"]}>
          {answer.associations.map((set) => (
            <tr key={set.ue + set.detail}>
              <th scope="row">{set.ue}</th>
              <td>
                <State word={set.state} />
              </td>
              <td class="number">{seconds(set.age_s)}</td>
              <td>
                <code>{set.detail}</code>
              </td>
            </tr>
          ))}
        </Table>
      ) : (
        answer && <Empty>No security associations: this core takes plain Gm, or no phone has agreed on any.</Empty>
      )}
    </Page>
  );
}

export function FailuresScreen() {
  const { answer, error } = useAsked<Failures>("failures", 3000);
  const most = Math.max(1, ...(answer?.causes.map((cause) => cause.count) ?? []));
  return (
    <Page title="Failures" about="What failed, by its first refusal.">
      <Problem text={error} />
      {answer && answer.outcomes.length > 0 && (
        <Table caption="Outcomes" head={["Kind", "All", "Failed", "Succeeded or under way"]}>
          {answer.outcomes.map((outcome) => (
            <tr key={outcome.kind}>
              <th scope="row">{outcome.kind}</th>
              <td class="number">{outcome.count}</td>
              <td class="number">{outcome.failed}</td>
              <td class="number">{(100 * (1 - outcome.failed / outcome.count)).toFixed(1)} %</td>
            </tr>
          ))}
        </Table>
      )}
      {answer?.causes.length === 0 && <Empty>Nothing has failed.</Empty>}
      <ul class="causes">
        {answer?.causes.map((cause) => (
          <li key={cause.cause}>
            <details open={answer.causes.length < 4}>
              <summary>
                <span class="cause">{cause.cause}</span> <span class="number">{cause.count}</span>
                <span class="bar bad" aria-hidden="true">
                  <span style={{ width: `${(100 * cause.count) / most}%` }} />
                </span>
              </summary>
              {cause.explanation && (
                <p class="verdict">
                  <strong>{cause.explanation.sentence}</strong> {cause.explanation.remedy}
                </p>
              )}
              <StoryList stories={cause.stories} />
            </details>
          </li>
        ))}
      </ul>
    </Page>
  );
}

export function ConfigurationScreen() {
  const { answer, error } = useAsked<Setting[]>("configuration", 30000, false);
  const [find, setFind] = useState("");
  const [isChanged, setChanged] = useState(false);
  const fits = (setting: Setting) =>
    `${setting.section}.${setting.key} ${setting.value}`.toLowerCase().includes(find.toLowerCase()) &&
    (!isChanged || !/^default|^derived/.test(setting.origin));
  return (
    <Page
      title="Configuration"
      about="What holds, and where it is from. Read only; passwords are left out."
      tools={
        <>
          <label>
            <span class="unseen">Find</span>
            <input type="search" data-find placeholder="key or value  ( / )" value={find} onInput={(event) => setFind(event.currentTarget.value)} />
          </label>
          <label class="check">
            <input type="checkbox" checked={isChanged} onChange={(event) => setChanged(event.currentTarget.checked)} /> Set only
          </label>
        </>
      }
    >
      <Problem text={error} />
      {answer && (
        <Table caption="Effective configuration" quiet head={["Section", "Key", "Value", "Origin"]}>
          {answer.filter(fits).map((setting) => (
            <tr key={`${setting.section}.${setting.key}`}>
              <td>{setting.section}</td>
              <th scope="row">
                <code>{setting.key}</code>
              </th>
              <td>
                <code>{setting.value}</code>
              </td>
              <td class="quiet">{setting.origin}</td>
            </tr>
          ))}
        </Table>
      )}
    </Page>
  );
}
