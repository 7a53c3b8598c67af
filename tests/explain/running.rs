//! A machine that runs for the bench, whatever its role, and what its flight recorder has.

use recorder::Entry;
use shell::Handle;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What a running machine is to the bench.
pub(crate) struct Running {
    recorded: Box<dyn Fn(u64) -> Option<Vec<u8>>>,
    stop: Box<dyn FnOnce()>,
}

/// A machine as the bench has it: one that it alone commands.
pub(crate) type Shared<C, N> = Rc<RefCell<Option<Handle<C, N>>>>;

impl Running {
    /// A machine, and the handle by which it is commanded.
    pub(crate) fn of<C: 'static, N: 'static>(handle: Handle<C, N>) -> (Running, Shared<C, N>) {
        let shared = Rc::new(RefCell::new(Some(handle)));
        let (read, end) = (Rc::clone(&shared), Rc::clone(&shared));
        let running = Running {
            recorded: Box::new(move |after| read.borrow().as_ref()?.recorded(0, after, ANSWER_MAX)),
            stop: Box::new(move || {
                if let Some(handle) = end.borrow_mut().take() {
                    let _ = handle.abort();
                }
            }),
        };
        (running, shared)
    }
}

/// What one machine has recorded; it stays when the machine has ended.
pub(crate) struct Recording {
    running: Option<Running>,
    read: u64,
    /// In order.
    pub(crate) entries: Vec<Entry>,
}

impl Recording {
    pub(crate) fn of(running: Running) -> Recording {
        Recording { running: Some(running), read: 0, entries: Vec::new() }
    }

    /// Reads what is new.
    pub(crate) fn look(&mut self) {
        let Some(running) = &self.running else { return };
        while let Some(chunk) = (running.recorded)(self.read) {
            let chunk = recorder::read_chunk(&chunk).expect("a recorder writes what it reads");
            let Some(last) = chunk.entries.last() else { return };
            self.read = last.sequence;
            self.entries.extend(chunk.entries);
        }
    }

    /// Ends the machine as a crash would.
    pub(crate) fn end(&mut self) {
        if let Some(running) = self.running.take() {
            (running.stop)();
        }
    }
}

/// How long a machine may take to tell what it has recorded.
const ANSWER_MAX: Duration = Duration::from_secs(2);
