//! A machine that runs for the bench, whatever its role.

use cscf::node::Count;
use cscf::trace;
use recorder::Node;
use shell::Handle;
use shell::driver::Operator;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What a running machine is to the bench.
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) traces: Box<dyn FnMut() -> Vec<trace::Event>>,
    pub(crate) counters: Box<dyn FnMut() -> Vec<Count>>,
    pub(crate) stop: Box<dyn FnOnce()>,
}

impl Running {
    /// A machine; without an operator it tells no counts, because somebody else commands it.
    pub(crate) fn of<C: 'static, N: 'static>(
        node: Node,
        handle: Handle<C, N>,
        operator: Option<Operator<C, N>>,
    ) -> Running {
        let handle = Rc::new(RefCell::new(Some(handle)));
        let own = handle.clone();
        Running {
            node,
            traces: Box::new(move || match &*own.borrow() {
                Some(handle) => handle.traces.try_iter().collect(),
                None => Vec::new(),
            }),
            counters: Box::new(move || match &operator {
                Some(operator) => operator.counters(COUNT_MAX),
                None => Vec::new(),
            }),
            stop: Box::new(move || {
                if let Some(handle) = handle.borrow_mut().take() {
                    let _ = handle.abort();
                }
            }),
        }
    }
}

/// How long a machine may take to tell what it has counted.
const COUNT_MAX: Duration = Duration::from_secs(2);
