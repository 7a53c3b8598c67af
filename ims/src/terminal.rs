//! `ims ladder --interactive`: calls, ladders, messages and what a hop has changed in one, by the keys of sngrep.

use crate::exit::Failure;
use crate::recording::Choice;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph};
use recorder::ladder::Shown;
use recorder::{Entry, Ladder, Protocol, Story, What};
use std::time::Duration;

/// Shows entries, and those that `renew` gives when there are new ones, until its user leaves.
pub fn run(
    choice: &Choice,
    entries: Vec<Entry>,
    mut renew: impl FnMut() -> Option<Vec<Entry>>,
) -> Result<(), Failure> {
    let mut screen = Screen::new(choice.clone(), entries);
    let mut terminal = ratatui::try_init().map_err(|error| Failure::Failed(error.to_string()))?;
    let looked = look(&mut terminal, &mut screen, &mut renew);
    ratatui::restore();
    looked
}

fn look(
    terminal: &mut ratatui::DefaultTerminal,
    screen: &mut Screen,
    renew: &mut impl FnMut() -> Option<Vec<Entry>>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(error.to_string());
    loop {
        terminal.draw(|frame| screen.draw(frame)).map_err(failed)?;
        if !event::poll(LOOK).map_err(failed)? {
            // A list grows; who reads a ladder does not want it to move.
            if screen.view == View::List
                && let Some(entries) = renew()
            {
                screen.renew(entries);
            }
            continue;
        }
        if let Event::Key(key) = event::read().map_err(failed)?
            && key.kind == KeyEventKind::Press
            && screen.on(key.code) == Next::Leave
        {
            return Ok(());
        }
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// All stories.
    List,
    /// One of them.
    Ladder,
    /// One message of it.
    Message,
    /// Two messages of it, line by line.
    Diff,
}

/// What follows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Stay,
    Leave,
}

/// What is shown, and where in it its user is.
#[derive(Debug)]
struct Screen {
    choice: Choice,
    entries: Vec<Entry>,
    stories: Vec<Story>,
    view: View,
    /// The chosen story.
    story: usize,
    /// Of the chosen story: its entries, its ladder, the chosen line, and the marked one.
    told: Vec<Entry>,
    ladder: Ladder,
    row: usize,
    marked: Option<usize>,
    /// Lines that a message is scrolled by.
    scrolled: usize,
}

impl Screen {
    fn new(choice: Choice, entries: Vec<Entry>) -> Screen {
        let stories = choice.of(&entries);
        Screen {
            choice,
            entries,
            stories,
            view: View::List,
            story: 0,
            told: Vec::new(),
            ladder: Ladder::default(),
            row: 0,
            marked: None,
            scrolled: 0,
        }
    }

    fn renew(&mut self, entries: Vec<Entry>) {
        self.stories = self.choice.of(&entries);
        self.entries = entries;
    }

    fn on(&mut self, key: KeyCode) -> Next {
        match (self.view, key) {
            (_, KeyCode::F(10)) | (View::List, KeyCode::Esc | KeyCode::Char('q')) => return Next::Leave,
            (View::Ladder, KeyCode::Esc | KeyCode::Char('q')) => self.view = View::List,
            (View::Message | View::Diff, KeyCode::Esc | KeyCode::Char('q')) => self.view = View::Ladder,
            (_, KeyCode::Up | KeyCode::Char('k')) => self.go(|at, _| at.saturating_sub(1)),
            (_, KeyCode::Down | KeyCode::Char('j')) => self.go(|at, last| (at + 1).min(last)),
            (_, KeyCode::PageUp) => self.go(|at, _| at.saturating_sub(PAGE)),
            (_, KeyCode::PageDown) => self.go(|at, last| (at + PAGE).min(last)),
            (_, KeyCode::Home) => self.go(|_, _| 0),
            (_, KeyCode::End) => self.go(|_, last| last),
            (View::List, KeyCode::Enter) => self.open(),
            (View::Ladder, KeyCode::Char(' ')) => {
                self.marked = if self.marked == Some(self.row) { None } else { Some(self.row) };
            }
            (View::Ladder, KeyCode::Enter) => {
                self.scrolled = 0;
                let is_other = self.marked.is_some_and(|marked| marked != self.row);
                self.view = if is_other { View::Diff } else { View::Message };
            }
            _ => {}
        }
        Next::Stay
    }

    /// Moves in what is shown, of which the last place is given.
    fn go(&mut self, to: impl Fn(usize, usize) -> usize) {
        match self.view {
            View::List => self.story = to(self.story, self.stories.len().saturating_sub(1)),
            View::Ladder => self.row = to(self.row, self.ladder.rows.len().saturating_sub(1)),
            View::Message | View::Diff => {
                self.scrolled = to(self.scrolled, self.lines().len().saturating_sub(1));
            }
        }
    }

    fn open(&mut self) {
        if let Some(story) = self.stories.get(self.story) {
            self.told = story.of(&self.entries);
            self.ladder = Ladder::of(&self.told);
            (self.row, self.marked, self.view) = (0, None, View::Ladder);
        }
    }

    fn title(&self) -> String {
        let id = self.stories.get(self.story).map_or("", Story::id);
        match self.view {
            View::List => format!(" {} calls, registrations and messages ", self.stories.len()),
            View::Ladder => format!(" {id} "),
            View::Message => format!(" {} ", self.summary(self.row)),
            View::Diff => {
                format!(" {} → {} ", self.summary(self.marked.unwrap_or(self.row)), self.summary(self.row))
            }
        }
    }

    fn summary(&self, row: usize) -> String {
        match self.ladder.rows.get(row).map(|row| &row.what) {
            Some(Shown::Arrow { summary, interface, ends, .. }) => {
                format!("{} {summary} {} → {}", interface.name(), ends.0, ends.1)
            }
            Some(Shown::Note { text, .. }) => text.clone(),
            None => String::new(),
        }
    }

    /// The lines below the title, with their looks; the chosen one is turned over.
    fn lines(&self) -> Vec<(String, Style)> {
        let plain = Style::new();
        let of = |text: String, is_bad: bool| (text, if is_bad { plain.fg(Color::Red) } else { plain });
        match self.view {
            View::List => crate::ladder::list(&self.stories, &self.entries)
                .lines()
                .skip(1)
                .zip(&self.stories)
                .map(|(line, story)| of(line.to_owned(), story.status.is_some_and(|status| status >= 400)))
                .collect(),
            View::Ladder => {
                let text = self.ladder.text();
                let mark = |row| if self.marked == Some(row) { "*" } else { " " };
                let lines = text.lines().skip(1).zip(&self.ladder.rows).enumerate();
                lines
                    .map(|(row, (line, told))| {
                        let is_bad = matches!(&told.what, Shown::Arrow { is_failure: true, .. });
                        of(format!("{}{line}", mark(row)), is_bad)
                    })
                    .collect()
            }
            View::Message => self.message(self.row).into_iter().map(|line| of(line, false)).collect(),
            View::Diff => {
                let (old, new) = (self.message(self.marked.unwrap_or(self.row)), self.message(self.row));
                let styled = |(mark, line): (char, String)| {
                    let colour = match mark {
                        '-' => plain.fg(Color::Red),
                        '+' => plain.fg(Color::Green),
                        _ => plain,
                    };
                    (format!("{mark} {line}"), colour)
                };
                difference(&old, &new).into_iter().map(styled).collect()
            }
        }
    }

    /// The message of a line of the ladder, as lines.
    fn message(&self, row: usize) -> Vec<String> {
        let entry = self.ladder.rows.get(row).and_then(|row| self.told.get(row.entry));
        match entry.map(|entry| &entry.what) {
            Some(What::Message(message)) if message.protocol == Protocol::Sip => {
                String::from_utf8_lossy(&message.bytes).lines().map(str::to_owned).collect()
            }
            Some(What::Message(message)) => recorder::diameter::avps_of(&message.bytes)
                .map(|(code, data)| match std::str::from_utf8(data) {
                    Ok(text) if !text.chars().any(char::is_control) => format!("{code:>6}  {text}"),
                    _ => format!(
                        "{code:>6}  {}",
                        data.iter().map(|octet| format!("{octet:02x}")).collect::<String>()
                    ),
                })
                .collect(),
            Some(What::Fact(fact)) => vec![fact.name.clone(), fact.cause.clone(), fact.detail.clone()],
            None => Vec::new(),
        }
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)])
                .areas(frame.area());
        let lines = self.lines();
        let chosen = match self.view {
            View::List => Some(self.story),
            View::Ladder => Some(self.row),
            View::Message | View::Diff => None,
        };
        let height = usize::from(body.height).max(1);
        let first = match chosen {
            Some(chosen) => chosen.saturating_sub(height - 1),
            None => self.scrolled,
        };
        let header = match self.view {
            View::List => crate::ladder::list(&[], &[]).trim_end().to_owned(),
            View::Ladder => format!(" {}", self.ladder.text().lines().next().unwrap_or_default()),
            View::Message | View::Diff => String::new(),
        };
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let title = Block::new().title(Line::styled(self.title(), bold));
        frame.render_widget(Paragraph::new(header).block(title), head);
        let shown: Vec<Line<'_>> = lines
            .into_iter()
            .enumerate()
            .skip(first)
            .take(height)
            .map(|(at, (text, style))| {
                let is_chosen = chosen == Some(at);
                Line::styled(text, if is_chosen { style.add_modifier(Modifier::REVERSED) } else { style })
            })
            .collect();
        frame.render_widget(Paragraph::new(shown), body);
        let keys = match self.view {
            View::List => "Enter ladder   Esc leave",
            View::Ladder => "Enter message   Space mark, then Enter on another: what differs   Esc back",
            View::Message | View::Diff => "Up Down scroll   Esc back",
        };
        frame.render_widget(Paragraph::new(Line::styled(keys, bold)), foot);
    }
}

/// The lines of both, those that only the old one has marked `-`, those that only the new one has `+`.
fn difference(old: &[String], new: &[String]) -> Vec<(char, String)> {
    let (old, new) = (&old[..old.len().min(LINES_MAX)], &new[..new.len().min(LINES_MAX)]);
    // How many lines are common to the ends of both, from each pair of places.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            common[a][b] = match old[a] == new[b] {
                true => common[a + 1][b + 1] + 1,
                false => common[a + 1][b].max(common[a][b + 1]),
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut told = Vec::new();
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            told.push((' ', old[a].clone()));
            (a, b) = (a + 1, b + 1);
        } else if b == new.len() || a < old.len() && common[a + 1][b] >= common[a][b + 1] {
            told.push(('-', old[a].clone()));
            a += 1;
        } else {
            told.push(('+', new[b].clone()));
            b += 1;
        }
    }
    told
}

/// How often the list is read anew while no key is pressed.
const LOOK: Duration = Duration::from_millis(500);
/// Lines of a page.
const PAGE: usize = 10;
/// Lines of a message that are compared.
const LINES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hop_has_changed_is_marked_and_nothing_else() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let told = difference(&lines("INVITE\nVia: a\nTo: b"), &lines("INVITE\nVia: p\nVia: a\nTo: b"));
        let told: Vec<_> = told.iter().map(|(mark, line)| format!("{mark}{line}")).collect();
        assert_eq!(told, [" INVITE", "+Via: p", " Via: a", " To: b"]);
        assert_eq!(difference(&lines("a"), &lines("b")).len(), 2);
        assert_eq!(difference(&[], &[]), []);
    }

    #[test]
    fn keys_lead_nowhere_where_there_is_nothing() {
        let mut screen = Screen::new(Choice::default(), Vec::new());
        for key in [KeyCode::Down, KeyCode::Enter, KeyCode::End, KeyCode::Char(' ')] {
            assert_eq!(screen.on(key), Next::Stay);
        }
        assert_eq!((screen.view, screen.lines().len()), (View::List, 0));
        assert_eq!(screen.on(KeyCode::Esc), Next::Leave);
    }
}
