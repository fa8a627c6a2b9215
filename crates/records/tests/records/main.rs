//! Records in real databases, which are taken away and come back.

mod both;
mod secured;
mod server;
mod sqlite;
mod stage;
