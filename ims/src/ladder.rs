//! `ims ladder`: what happened, across all functions of a running core.

use crate::arguments::{Ladder as Asked, LadderForm};
use crate::exit::Failure;
use crate::recording::{self, Choice, Collector};
use crate::{screen, settings, terminal};
use recorder::{Entry, Ladder, Story};
use std::time::Duration;

/// Carries out `ims ladder`; following ends when `is_asked_to_stop` says so.
pub fn run(asked: &Asked, is_asked_to_stop: impl Fn() -> bool) -> Result<(), Failure> {
    let config = settings::read(asked.core.config.as_deref())?;
    let choice = asked.choice.read();
    if asked.follow {
        let mut collector = Collector::new(&config, asked.core.timeout);
        return follow(&mut collector, &choice, config.recorder.privacy, is_asked_to_stop);
    }
    if asked.interactive {
        if asked.choice.from.is_some() {
            let entries = recording::read(&config, asked.choice.from.as_deref(), asked.core.timeout)?;
            return terminal::run(&choice, entries, || None);
        }
        let mut collector = Collector::new(&config, asked.core.timeout);
        collector.look()?;
        let entries = collector.shown(config.recorder.privacy);
        // A core that has ended leaves what was read of it.
        let renew = || match collector.look() {
            Ok(1..) => Some(collector.shown(config.recorder.privacy)),
            Ok(0) | Err(_) => None,
        };
        return terminal::run(&choice, entries, renew);
    }
    let entries = recording::read(&config, asked.choice.from.as_deref(), asked.core.timeout)?;
    if asked.list {
        screen::show(list(&choice.of(&entries), &entries));
        return Ok(());
    }
    let entries = choice.entries(&entries)?;
    let ladder = Ladder::of(&entries);
    screen::show(match asked.output {
        LadderForm::Text => ladder.text(),
        LadderForm::Mermaid => ladder.mermaid(),
        LadderForm::Svg => ladder.svg(),
        LadderForm::Json => format!("{:#}\n", ladder.json(&entries)),
    });
    Ok(())
}

/// A line for each call, registration, or other story.
pub fn list(stories: &[Story], entries: &[Entry]) -> String {
    let mut out =
        format!("{:<12} {:<12} {:>6}  {:<40} {:<40} call-id\n", "time", "kind", "status", "from", "to");
    for story in stories {
        let first = story.entries.first().and_then(|at| entries.get(*at));
        let time = first.map_or(String::new(), |entry| entry.at.wall.to_string());
        let status = story.status.map_or("-".to_owned(), |status| status.to_string());
        let (kind, from, to, id) = (story.kind.name(), &story.from, &story.to, story.id());
        let line = format!("{time:<12} {kind:<12} {status:>6}  {from:<40} {to:<40} {id}");
        out.push_str(&recorder::visible(&line));
        out.push('\n');
    }
    out
}

/// Shows what is new, a piece at a time: the header again where a column has come.
fn follow(
    collector: &mut Collector,
    choice: &Choice,
    is_private: bool,
    is_asked_to_stop: impl Fn() -> bool,
) -> Result<(), Failure> {
    let mut shown = 0;
    let mut columns = 0;
    while !is_asked_to_stop() {
        if collector.look()? > 0 {
            let entries = collector.shown(is_private);
            // Nothing of the choice may have happened yet.
            let Ok(entries) = choice.entries(&entries) else { continue };
            let ladder = Ladder::of(&entries);
            let text = ladder.text();
            let mut lines = text.lines();
            let header = lines.next().unwrap_or_default();
            if ladder.columns.len() != columns {
                columns = ladder.columns.len();
                screen::line(header);
            }
            for line in lines.skip(shown) {
                screen::line(line);
            }
            shown = ladder.rows.len();
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// How often a core that is followed is looked at.
const LOOK: Duration = Duration::from_millis(200);
