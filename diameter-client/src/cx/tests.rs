//! How Cx messages read and write: what goes out comes back, what is wrong is named, what others send is taken.
