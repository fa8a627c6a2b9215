//! What a call does, held against a model of its dialogs, subscriptions, timers and of what each party hears.

mod attended;
mod blind;
mod commanded;
mod ears;
mod outbound;
mod random;
mod world;
