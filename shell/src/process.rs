//! What the server processes share: their command line, their log, their signals and their exit.
