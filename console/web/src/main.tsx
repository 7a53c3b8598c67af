import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import "./console.css";
import { connection, listen } from "./core";
import { CallsScreen } from "./screens/calls";
import { CriteriaScreen } from "./screens/criteria";
import { MessagesScreen } from "./screens/messages";
import { OverviewScreen, PeersScreen } from "./screens/overview";
import { PhonesScreen } from "./screens/phones";
import { ConfigurationScreen, FailuresScreen, RegistrationsScreen, SubscribersScreen } from "./screens/tables";

const SCREENS = [
  ["overview", "Overview"],
  ["calls", "Calls"],
  ["messages", "Messages"],
  ["phones", "Phones"],
  ["registrations", "Registrations"],
  ["subscribers", "Subscribers"],
  ["peers", "Diameter peers"],
  ["failures", "Failures"],
  ["criteria", "Filter criteria"],
  ["configuration", "Configuration"],
] as const;

function App() {
  const [hash, setHash] = useState(location.hash || "#/overview");
  const [isOpen, setOpen] = useState(connection.isOpen);
  const [theme, setTheme] = useState(localStorage.getItem("carillon.theme") ?? "auto");
  const help = useRef<HTMLDialogElement>(null);
  const [, screen = "overview", id] = hash.split("/");
  const go = (to: string) => {
    location.hash = to;
  };
  useEffect(() => {
    const changed = () => setHash(location.hash || "#/overview");
    addEventListener("hashchange", changed);
    connection.tell.add(setOpen);
    // It may have come before anybody listened.
    setOpen(connection.isOpen);
    return () => {
      removeEventListener("hashchange", changed);
      connection.tell.delete(setOpen);
    };
  }, []);
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem("carillon.theme", theme);
  }, [theme]);
  // Another screen is read from its title on.
  const before = useRef(screen);
  useEffect(() => {
    document.title = `${SCREENS.find(([name]) => name === screen)?.[1] ?? "Overview"} · Carillon`;
    if (before.current !== screen) document.getElementById("title")?.focus({ preventScroll: true });
    before.current = screen;
  }, [screen]);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
      const number = event.key === "0" ? 10 : Number(event.key);
      if (number >= 1 && number <= SCREENS.length) go(`#/${SCREENS[number - 1]![0]}`);
      else if (event.key === "/") {
        document.querySelector<HTMLElement>("[data-find]")?.focus();
        event.preventDefault();
      } else if (event.key === "l") into()?.focus();
      else if (event.key === "?") help.current?.showModal();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);

  return (
    <>
      <a class="skip" href="#title" onClick={(event) => (event.preventDefault(), document.getElementById("title")?.focus())}>
        Skip to the content
      </a>
      <nav class="rail" aria-label="Screens">
        <p class="brand">
          <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
            <path d="M12 3a6 6 0 0 0-6 6v4l-2 4h16l-2-4V9a6 6 0 0 0-6-6Zm-2 16a2 2 0 0 0 4 0Z" fill="currentColor" />
          </svg>
          Carillon
        </p>
        <ul>
          {SCREENS.map(([name, title], at) => (
            <li key={name}>
              <a href={`#/${name}`} aria-current={name === screen ? "page" : undefined}>
                {title} <kbd aria-hidden="true">{(at + 1) % 10}</kbd>
              </a>
            </li>
          ))}
        </ul>
        <div class="foot">
          <p role="status">
            <span class={isOpen ? "state good" : "state bad"}>
              <span aria-hidden="true">{isOpen ? "●" : "✕"}</span> {isOpen ? "live" : "not connected"}
            </span>
          </p>
          <label>
            <span class="unseen">Colours</span>
            <select value={theme} onChange={(event) => setTheme(event.currentTarget.value)}>
              <option value="auto">as the system</option>
              <option value="light">light</option>
              <option value="dark">dark</option>
            </select>
          </label>
          <button class="plain" onClick={() => help.current?.showModal()}>
            Keys <kbd>?</kbd>
          </button>
        </div>
      </nav>
      <main>
        {screen === "calls" ? (
          <CallsScreen id={id ? Number(id) : undefined} go={go} />
        ) : screen === "messages" ? (
          <MessagesScreen />
        ) : screen === "phones" ? (
          <PhonesScreen go={go} />
        ) : screen === "registrations" ? (
          <RegistrationsScreen />
        ) : screen === "subscribers" ? (
          <SubscribersScreen />
        ) : screen === "peers" ? (
          <PeersScreen />
        ) : screen === "failures" ? (
          <FailuresScreen />
        ) : screen === "criteria" ? (
          <CriteriaScreen />
        ) : screen === "configuration" ? (
          <ConfigurationScreen />
        ) : (
          <OverviewScreen />
        )}
      </main>
      <dialog ref={help} aria-labelledby="keys">
        <h2 id="keys">Keys</h2>
        <dl>
          <dt>
            <kbd>1</kbd> … <kbd>0</kbd>
          </dt>
          <dd>the screens</dd>
          <dt>
            <kbd>/</kbd>
          </dt>
          <dd>find</dd>
          <dt>
            <kbd>l</kbd>
          </dt>
          <dd>into the ladder or the list</dd>
          <dt>
            <kbd>↑</kbd> <kbd>↓</kbd> <kbd>Home</kbd> <kbd>End</kbd>
          </dt>
          <dd>along it</dd>
          <dt>
            <kbd>Enter</kbd>
          </dt>
          <dd>open a message, decoded</dd>
          <dt>
            <kbd>Esc</kbd>
          </dt>
          <dd>close it</dd>
        </dl>
        <form method="dialog">
          <button class="first">Close</button>
        </form>
      </dialog>
    </>
  );
}

/// The ladder, the list of messages, or the list of stories: what the screen has.
function into(): HTMLElement | null {
  for (const what of ["button.arrow[tabindex='0']", ".grid", "a.story"]) {
    const found = document.querySelector<HTMLElement>(what);
    if (found) return found;
  }
  return null;
}

void listen();
render(<App />, document.getElementById("app")!);
